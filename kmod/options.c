// SPDX-License-Identifier: GPL-2.0-only
/* Mount options: dram=SIZE[@NODE],cxl=SIZE@NODE[:NODE...],window=,granule=,name= */
#include <linux/ctype.h>
#include <linux/fs_context.h>
#include <linux/fs_parser.h>
#include <linux/log2.h>
#include "itme.h"
#include "options.h"

enum { OPT_DRAM, OPT_CXL, OPT_WINDOW, OPT_GRANULE, OPT_NAME };

const struct fs_parameter_spec itme_parameters[] = {
	fsparam_string("dram", OPT_DRAM),
	fsparam_string("cxl", OPT_CXL),
	fsparam_string("window", OPT_WINDOW),
	fsparam_string("granule", OPT_GRANULE),
	fsparam_string("name", OPT_NAME),
	{}
};

/* A size as memparse() reads it, but refused where memparse() would wrap. */
static int parse_size(const char *text, u64 *bytes, char **end)
{
	static const char suffixes[] = "KMGTPE";
	bool hex = text[0] == '0' && toupper(text[1]) == 'X';
	size_t len = hex ? 2 + strspn(text + 2, "0123456789abcdefABCDEF") :
			   strspn(text, "0123456789");
	const char *suffix;
	char number[32];
	int err;

	if (len >= sizeof(number))
		return -ERANGE;
	strscpy(number, text, len + 1);
	err = kstrtoull(number, 0, bytes);
	if (err)
		return err;
	memparse(text, end);
	if (*end == text + len)
		return 0;
	suffix = strchr(suffixes, toupper(text[len]));
	if (!suffix)
		return -EINVAL;
	return check_shl_overflow(*bytes, 10 * (suffix - suffixes + 1), bytes) ? -ERANGE : 0;
}

static int parse_nodes(struct fs_context *fc, const char *key, char *text, bool many,
		       nodemask_t *nodes)
{
	char *word;

	nodes_clear(*nodes);
	while ((word = strsep(&text, ":"))) {
		unsigned int node;

		if (kstrtouint(word, 10, &node))
			return itme_invalf(fc, "%s: '%s' is not a node number", key, word);
		if (node >= MAX_NUMNODES || !node_online(node))
			return itme_invalf(fc, "%s: node %u does not exist; see 'numactl -H'",
					   key, node);
		if (node_test_and_set(node, *nodes))
			return itme_invalf(fc, "%s: node %u is named twice", key, node);
	}
	if (!many && nodes_weight(*nodes) > 1)
		return itme_invalf(fc, "%s: takes one node", key);
	return 0;
}

static int parse_budget(struct fs_context *fc, struct itme_options *opts,
			enum itme_tier tier, char *text)
{
	const char *key = tier == ITME_TIER_DRAM ? "dram" : "cxl";
	char *end;

	if (parse_size(text, &opts->bytes[tier], &end))
		return itme_invalf(fc, "%s=%s: not a size; write for example %s=64G%s", key, text,
				   key, tier == ITME_TIER_CXL ? "@1" : "");
	opts->given[tier] = true;
	if (*end == '@')
		return parse_nodes(fc, key, end + 1, tier == ITME_TIER_CXL, &opts->nodes[tier]);
	if (*end)
		return itme_invalf(fc, "%s=%s: '%s' is not understood after the size", key, text,
				   end);
	return 0;
}

static int parse_bytes(struct fs_context *fc, const char *key, const char *text, u64 *bytes)
{
	char *end;

	if (parse_size(text, bytes, &end) || *end)
		return itme_invalf(fc, "%s=%s: not a size; write for example %s=16M", key, text,
				   key);
	return 0;
}

static int parse_name(struct fs_context *fc, struct itme_options *opts, const char *text)
{
	const char *c;

	if (!*text || strlen(text) >= sizeof(opts->name))
		return itme_invalf(fc, "name=%s: takes 1 to %zu characters", text,
				   sizeof(opts->name) - 1);
	for (c = text; *c; c++)
		if (!isalnum(*c) && !(strchr("._-", *c) && c != text))
			return itme_invalf(fc, "name=%s: only letters, digits, '.', '_' and '-'",
					   text);
	strscpy(opts->name, text, sizeof(opts->name));
	return 0;
}

/**
 * itme_options_parse - take one mount option
 * @fc: the mount under way; its fs_private holds struct itme_options
 * @param: key and value
 *
 * Return: 0, -ENOPARAM for an unknown key, or -EINVAL with the reason logged.
 */
int itme_options_parse(struct fs_context *fc, struct fs_parameter *param)
{
	struct itme_options *opts = fc->fs_private;
	struct fs_parse_result result;
	int opt;

	opt = fs_parse(fc, itme_parameters, param, &result);
	/* The VFS takes "source", and tells of unknown ones in the mount API's log only. */
	if (opt == -ENOPARAM && strcmp(param->key, "source"))
		return itme_invalf(fc, "Unknown parameter '%s'", param->key);
	if (opt < 0)
		return opt;
	switch (opt) {
	case OPT_DRAM:
		return parse_budget(fc, opts, ITME_TIER_DRAM, param->string);
	case OPT_CXL:
		return parse_budget(fc, opts, ITME_TIER_CXL, param->string);
	case OPT_WINDOW:
		opts->window_given = true;
		return parse_bytes(fc, "window", param->string, &opts->window_bytes);
	case OPT_GRANULE:
		opts->granule_given = true;
		return parse_bytes(fc, "granule", param->string, &opts->granule_bytes);
	case OPT_NAME:
		return parse_name(fc, opts, param->string);
	}
	return -EINVAL;
}

/**
 * itme_options_check - complete the options of a new mount, or say what is wrong
 * @fc: the mount under way
 * @opts: parsed options; defaults are filled in
 *
 * Return: 0, or -EINVAL with the reason logged.
 */
int itme_options_check(struct fs_context *fc, struct itme_options *opts)
{
	const nodemask_t *dram = &opts->nodes[ITME_TIER_DRAM];
	const nodemask_t *cxl = &opts->nodes[ITME_TIER_CXL];
	u64 frames;
	int tier;

	if (!opts->granule_given)
		opts->granule_bytes = ITME_GRANULE_MAX;
	if (!is_power_of_2(opts->granule_bytes) || opts->granule_bytes < ITME_GRANULE_MIN ||
	    opts->granule_bytes > ITME_GRANULE_MAX)
		return itme_invalf(fc, "granule=%llu: takes a power of two from 64K to 2M",
				   opts->granule_bytes);
	if (!opts->bytes[ITME_TIER_DRAM] && !opts->bytes[ITME_TIER_CXL])
		return itme_invalf(fc, "no budget: give dram=SIZE, cxl=SIZE@NODE, or both");
	if (nodes_empty(*dram))
		opts->nodes[ITME_TIER_DRAM] = nodemask_of_node(first_node(node_states[N_CPU]));
	if (opts->bytes[ITME_TIER_CXL] && nodes_empty(*cxl))
		return itme_invalf(fc,
				   "cxl=%llu: names no node; write cxl=SIZE@NODE ('numactl -H' shows them)",
				   opts->bytes[ITME_TIER_CXL]);
	if (opts->bytes[ITME_TIER_DRAM] && opts->bytes[ITME_TIER_CXL] &&
	    nodes_intersects(*dram, *cxl))
		return itme_invalf(fc, "a node is named for both dram and cxl");
	for (tier = ITME_TIER_CXL; tier <= ITME_TIER_DRAM; tier++) {
		u64 bytes = opts->bytes[tier];

		if (bytes && bytes < opts->granule_bytes)
			return itme_invalf(fc, "%s=%llu: smaller than one granule of %llu bytes",
					   tier == ITME_TIER_DRAM ? "dram" : "cxl", bytes,
					   opts->granule_bytes);
	}
	frames = opts->bytes[ITME_TIER_DRAM] / opts->granule_bytes +
		 opts->bytes[ITME_TIER_CXL] / opts->granule_bytes;
	if (frames < ITME_MIN_FRAMES)
		return itme_invalf(fc, "the budgets hold %llu granules of %llu bytes, %u are needed",
				   frames, opts->granule_bytes, ITME_MIN_FRAMES);
	return 0;
}
