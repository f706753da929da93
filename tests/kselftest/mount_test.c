// SPDX-License-Identifier: GPL-2.0-only
/* Mount options, good and bad; budgets that change live; unmount. */
#include "test.h"

#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>

#define BYTES (20 * GRANULE + 5000)
#define SEED 9

/* ---- bad options ---- */

/* What the options are where %d is the CXL node, and what the reason must tell. */
static const struct {
	const char *options;
	int err;
	const char *reason;
} bad[] = {
	{ "", EINVAL, "no budget" },
	{ "dram=0", EINVAL, "no budget" },
	{ "dram=0,cxl=0@%d", EINVAL, "no budget" },
	{ "window=8M", EINVAL, "no budget" },
	{ "dram=16M,bogus=1", EINVAL, "bogus" },
	{ "dram=16M,bogus", EINVAL, "bogus" },
	{ "dram", EINVAL, "dram" },
	{ "dram=", EINVAL, "dram" },
	{ "dram=much", EINVAL, "not a size" },
	{ "dram=-16M", EINVAL, "not a size" },
	{ "dram=+16M", EINVAL, "not a size" },
	{ "dram=16Q", EINVAL, "dram=16Q" },
	{ "dram=16MB", EINVAL, "dram=16MB" },
	{ "dram=1.5G", EINVAL, "dram=1.5G" },
	{ "dram=16M@", EINVAL, "not a node" },
	{ "dram=16M@x", EINVAL, "not a node" },
	{ "dram=16M@-1", EINVAL, "not a node" },
	{ "dram=16M@0x0", EINVAL, "not a node" },
	{ "dram=16M@0:", EINVAL, "not a node" },
	{ "dram=16M@99", EINVAL, "does not exist" },
	{ "dram=16M@4294967296", EINVAL, "not a node" },
	{ "dram=16M@1000000", EINVAL, "does not exist" },
	{ "dram=16M@0:%d", EINVAL, "takes one node" },
	{ "cxl=16M", EINVAL, "names no node" },
	{ "cxl=16M@99", EINVAL, "does not exist" },
	{ "cxl=16M@%d:%d", EINVAL, "named twice" },
	{ "dram=16M@%d,cxl=16M@%d", EINVAL, "both dram and cxl" },
	{ "dram=16M,cxl=16M@0", EINVAL, "both dram and cxl" },
	{ "dram=1T", EINVAL, "larger than node" },
	{ "dram=16M,cxl=1T@%d", EINVAL, "larger than node" },
	/* 2^64 and more, by digits, by suffix, in hexadecimal. */
	{ "dram=18446744073709551616", EINVAL, "not a size" },
	{ "dram=99999999999999999999999", EINVAL, "not a size" },
	{ "dram=16E", EINVAL, "not a size" },
	{ "dram=17179869184G", EINVAL, "not a size" },
	{ "dram=0x10000000001000000", EINVAL, "not a size" },
	{ "dram=0x1000000000000000001000000", EINVAL, "not a size" },
	{ "dram=1K", EINVAL, "smaller than one granule" },
	{ "dram=6M", EINVAL, "are needed" },
	{ "dram=16M,cxl=1M@%d", EINVAL, "smaller than one granule" },
	{ "dram=16M,granule=3M", EINVAL, "power of two" },
	{ "dram=16M,granule=32K", EINVAL, "power of two" },
	{ "dram=16M,granule=4M", EINVAL, "power of two" },
	{ "dram=16M,granule=0", EINVAL, "power of two" },
	{ "dram=16M,granule=2M@0", EINVAL, "not a size" },
	{ "dram=16M,granule=small", EINVAL, "not a size" },
	{ "dram=16M,window=0", EINVAL, "window" },
	{ "dram=16M,window=1K", EINVAL, "window" },
	{ "dram=16M,window=18M", EINVAL, "window" },
	{ "dram=16M,cxl=16M@%d,window=32M", EINVAL, "window" },
	{ "dram=16M,window=16E", EINVAL, "not a size" },
	{ "dram=16M,name=", EINVAL, "name" },
	{ "dram=16M,name=a/b", EINVAL, "only letters" },
	{ "dram=16M,name=..", EINVAL, "only letters" },
	{ "dram=16M,name=a b", EINVAL, "only letters" },
	{ "dram=16M,name=a\nb", EINVAL, "only letters" },
	{ "dram=16M,name=abcdefghijklmnopqrstuvwxyz0123456", EINVAL, "characters" },
};

#define NR_BAD (ARRAY_SIZE(bad))

/* Give the option string to the mount API: the error, and all that it logged. */
static int fs_create(const char *options, char *log, size_t size)
{
	int fs = fsopen("itme", FSOPEN_CLOEXEC);
	char copy[256], *at = copy, *option;
	int err = 0;
	ssize_t n;

	if (fs < 0)
		return -errno;
	snprintf(copy, sizeof(copy), "%s", options);
	while (!err && (option = strsep(&at, ","))) {
		char *value = strchr(option, '=');

		if (!*option)
			continue;
		if (value)
			*value++ = '\0';
		if (fsconfig(fs, value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, option, value, 0))
			err = -errno;
	}
	if (!err && fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		err = -errno;
	log[0] = '\0';
	while (size > 1 && (n = read(fs, log, size - 1)) > 0) {
		log[n] = '\0';
		log += n;
		size -= n;
	}
	close(fs);
	return err;
}

/* Write @node for every "%d": there may be none or several. */
static void name_node(char *options, size_t size, const char *pattern, int node)
{
	const char *mark;
	size_t n = 0;

	while ((mark = strstr(pattern, "%d"))) {
		n += snprintf(options + n, size - n, "%.*s%d", (int)(mark - pattern), pattern,
			      node);
		pattern = mark + 2;
	}
	snprintf(options + n, size - n, "%s", pattern);
}

TEST(bad_options_are_refused_with_a_reason)
{
	int node = cxl_node(), kmsg = kmsg_open();
	char options[256], log[1024];
	struct instance inst;
	size_t i;

	ASSERT_EQ(0, private_mounts());
	ASSERT_LE(0, kmsg);
	for (i = 0; i < NR_BAD; i++) {
		if (node < 0 && strchr(bad[i].options, '%'))
			continue;
		name_node(options, sizeof(options), bad[i].options, node);
		kmsg_has(kmsg, "");
		EXPECT_EQ(-bad[i].err, instance_mount(&inst, options))
			TH_LOG("for '%s'", options);
		EXPECT_TRUE(kmsg_has(kmsg, bad[i].reason))
			TH_LOG("for '%s': the kernel log does not say '%s'", options,
			       bad[i].reason);
		EXPECT_EQ(-bad[i].err, fs_create(options, log, sizeof(log)))
			TH_LOG("for '%s' by the mount API", options);
		EXPECT_NE(NULL, strstr(log, bad[i].reason))
			TH_LOG("for '%s': the mount API's log says '%s'", options, log);
	}
	close(kmsg);
}

TEST(reasons_are_in_the_kernel_log_for_the_mount_api_too)
{
	int kmsg = kmsg_open();
	char log[1024];

	ASSERT_LE(0, kmsg);
	EXPECT_EQ(-EINVAL, fs_create("dram=1T", log, sizeof(log)));
	EXPECT_TRUE(kmsg_has(kmsg, "larger than node"));
	close(kmsg);
}

/* Within what the node has, but not within what is free of it. */
TEST(budget_that_memory_cannot_give)
{
	int kmsg = kmsg_open();
	long long before, after;
	struct instance inst;
	char options[64];

	ASSERT_EQ(0, private_mounts());
	ASSERT_LE(0, kmsg);
	before = free_memory(0);
	ASSERT_LT(0, before);
	snprintf(options, sizeof(options), "dram=%lld", total_memory(0) - 8 * (long long)MIB);
	EXPECT_EQ(-ENOMEM, instance_mount(&inst, options));
	EXPECT_TRUE(kmsg_has(kmsg, "node 0 gave"));
	/* All of what it had taken is back. */
	after = free_memory(0);
	EXPECT_LT(before - 64 * (long long)MIB, after);
	ASSERT_EQ(0, instance_mount(&inst, "dram=16M"));
	EXPECT_EQ(0, instance_umount(&inst));
	close(kmsg);
}

TEST(names_are_unique)
{
	struct instance a, b, c;
	int kmsg = kmsg_open();

	ASSERT_EQ(0, private_mounts());
	ASSERT_LE(0, kmsg);
	ASSERT_EQ(0, instance_mount(&a, "dram=8M,name=mine"));
	EXPECT_EQ(0, strcmp("mine", a.name));
	EXPECT_EQ(-EEXIST, instance_mount(&b, "dram=8M,name=mine"));
	EXPECT_TRUE(kmsg_has(kmsg, "an instance of that name is mounted"));
	EXPECT_EQ(8 * MIB, instance_number(&a, "dram_current_bytes"));
	EXPECT_EQ(0, instance_umount(&a));
	/* Gone, it can be used again. */
	EXPECT_EQ(0, instance_mount(&b, "dram=8M,name=mine"));
	EXPECT_EQ(0, instance_umount(&b));

	ASSERT_EQ(0, instance_mount(&a, "dram=8M"));
	ASSERT_EQ(0, instance_mount(&b, "dram=8M"));
	EXPECT_EQ(0, strncmp("itme", a.name, 4));
	EXPECT_EQ(0, strncmp("itme", b.name, 4));
	EXPECT_NE(0, strcmp(a.name, b.name));
	EXPECT_EQ(0, instance_umount(&a));
	EXPECT_EQ(0, instance_umount(&b));

	/* A name that ITME would give is given to somebody: the next one is another. */
	ASSERT_EQ(0, instance_mount(&a, "dram=8M,name=itme0"));
	EXPECT_EQ(0, instance_mount(&b, "dram=8M"));
	EXPECT_EQ(0, instance_mount(&c, "dram=8M"));
	EXPECT_EQ(0, instance_umount(&c));
	EXPECT_EQ(0, instance_umount(&b));
	EXPECT_EQ(0, instance_umount(&a));
	close(kmsg);
}

static int mount_in_user_namespace(void *arg)
{
	const char *dir = arg;

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS))
		return -errno;
	return mount("none", dir, "itme", 0, "dram=8M") ? -errno : 0;
}

static int mount_plainly(void *arg)
{
	return mount("none", arg, "itme", 0, "dram=8M") ? -errno : 0;
}

TEST(mount_needs_privilege)
{
	char dir[] = "/tmp/itme-dir.XXXXXX";

	ASSERT_NE(NULL, mkdtemp(dir));
	EXPECT_EQ(0, chmod(dir, 0755));
	EXPECT_EQ(-EPERM, as_user(NOBODY, mount_plainly, dir));
	EXPECT_EQ(-EPERM, as_user(NOBODY, mount_in_user_namespace, dir));
	rmdir(dir);
}

/* ---- good ones ---- */

FIXTURE(good)
{
	struct instance inst;
};

FIXTURE_VARIANT(good)
{
	const char *options; /* without the node of cxl= */
	__u64 dram, cxl, granule, window;
};

FIXTURE_VARIANT_ADD(good, dram_only)
{
	.options = "dram=16M",
	.dram = 16 * MIB,
	.granule = 2 * MIB,
};

FIXTURE_VARIANT_ADD(good, dram_of_a_node)
{
	.options = "dram=16384K@0",
	.dram = 16 * MIB,
	.granule = 2 * MIB,
};

FIXTURE_VARIANT_ADD(good, hexadecimal)
{
	.options = "dram=0x1000000",
	.dram = 16 * MIB,
	.granule = 2 * MIB,
};

FIXTURE_VARIANT_ADD(good, not_whole_granules)
{
	.options = "dram=17M",
	.dram = 16 * MIB,
	.granule = 2 * MIB,
};

FIXTURE_VARIANT_ADD(good, cxl_only)
{
	.options = "cxl=16M",
	.cxl = 16 * MIB,
	.granule = 2 * MIB,
};

FIXTURE_VARIANT_ADD(good, both)
{
	.options = "window=6M,dram=16M,cxl=24M",
	.dram = 16 * MIB,
	.cxl = 24 * MIB,
	.granule = 2 * MIB,
	.window = 6 * MIB,
};

FIXTURE_VARIANT_ADD(good, granule_64k)
{
	.options = "granule=64K,dram=1M,cxl=1M",
	.dram = MIB,
	.cxl = MIB,
	.granule = 64 * KIB,
};

FIXTURE_VARIANT_ADD(good, granule_512k)
{
	.options = "granule=512K,dram=4M,window=512K",
	.dram = 4 * MIB,
	.granule = 512 * KIB,
	.window = 512 * KIB,
};

FIXTURE_SETUP(good)
{
	char options[128], node[16] = "";

	if (variant->cxl && cxl_node() < 0)
		SKIP(return, "no node of CXL memory");
	ASSERT_EQ(0, private_mounts());
	if (variant->cxl)
		snprintf(node, sizeof(node), "@%d", cxl_node());
	snprintf(options, sizeof(options), "%s%s", variant->options, node);
	ASSERT_EQ(0, instance_mount(&self->inst, options));
}

FIXTURE_TEARDOWN(good)
{
	EXPECT_EQ(0, instance_umount(&self->inst));
}

TEST_F(good, is_what_was_asked_for)
{
	struct itme_info info = { .size = sizeof(info) };
	char mounts[8192], line[256], text[64];
	struct statfs fs;

	EXPECT_EQ(variant->dram, instance_number(&self->inst, "dram_bytes"));
	EXPECT_EQ(variant->dram, instance_number(&self->inst, "dram_current_bytes"));
	EXPECT_EQ(variant->dram, instance_number(&self->inst, "dram_free_bytes"));
	EXPECT_EQ(variant->cxl, instance_number(&self->inst, "cxl_bytes"));
	EXPECT_EQ(variant->cxl, instance_number(&self->inst, "cxl_current_bytes"));
	EXPECT_EQ(variant->cxl, instance_number(&self->inst, "cxl_free_bytes"));
	EXPECT_EQ(variant->granule, instance_number(&self->inst, "granule_bytes"));
	if (variant->window)
		EXPECT_EQ(variant->window, instance_number(&self->inst, "window_bytes"));
	if (variant->cxl)
		EXPECT_EQ(cxl_node(), instance_number(&self->inst, "cxl_nodes"));
	if (variant->dram)
		EXPECT_EQ(0, instance_number(&self->inst, "dram_nodes"));

	ASSERT_EQ(0, ioctl(self->inst.root, ITME_IOC_INFO, &info));
	EXPECT_EQ(variant->dram, info.dram_bytes);
	EXPECT_EQ(variant->cxl, info.cxl_bytes);
	EXPECT_EQ(variant->granule, info.granule_bytes);

	ASSERT_EQ(0, statfs(self->inst.dir, &fs));
	EXPECT_EQ(ITME_MAGIC, fs.f_type);
	EXPECT_EQ(4096, fs.f_bsize);
	EXPECT_EQ((variant->dram + variant->cxl) / 4096, fs.f_blocks);
	EXPECT_EQ(fs.f_blocks, fs.f_bfree);
	EXPECT_EQ(255, fs.f_namelen);

	/* What /proc/mounts says can be given to mount again. */
	ASSERT_LT(0, read_text("/proc/self/mounts", mounts, sizeof(mounts)));
	snprintf(line, sizeof(line), " %s itme ", self->inst.dir);
	ASSERT_NE(NULL, strstr(mounts, line));
	if (variant->dram) {
		snprintf(text, sizeof(text), ",dram=%llu@0", variant->dram);
		EXPECT_NE(NULL, strstr(strstr(mounts, line), text));
	}
	if (variant->cxl) {
		snprintf(text, sizeof(text), ",cxl=%llu@%d", variant->cxl, cxl_node());
		EXPECT_NE(NULL, strstr(strstr(mounts, line), text));
	}
	snprintf(text, sizeof(text), ",granule=%llu", variant->granule);
	EXPECT_NE(NULL, strstr(strstr(mounts, line), text));
}

TEST_F(good, reads_right_data)
{
	char path[256], *buffer = malloc(MIB);
	struct itme_stat stat;
	__u64 offset;
	int region;

	ASSERT_NE(NULL, buffer);
	ASSERT_EQ(0, store_path(path, sizeof(path), BYTES, SEED));
	ASSERT_EQ(0, attach_path(&self->inst, path, "region"));
	region = region_open(&self->inst, "region", O_RDONLY);
	ASSERT_LE(0, region);
	for (offset = 0; offset < BYTES; offset += MIB) {
		size_t want = BYTES - offset < MIB ? BYTES - offset : MIB;

		ASSERT_EQ(want, pread(region, buffer, MIB, offset));
		ASSERT_EQ(-1, content_check(buffer, offset, want, SEED));
	}
	ASSERT_EQ(0, region_stat(region, &stat));
	EXPECT_EQ(BYTES, stat.fill_bytes);
	EXPECT_GE(variant->dram, stat.dram_bytes);
	EXPECT_GE(variant->cxl, stat.cxl_bytes);
	/* Nothing is dropped while there is room. */
	EXPECT_EQ(variant->dram + variant->cxl < BYTES,
		  stat.dram_bytes + stat.cxl_bytes == variant->dram + variant->cxl);
	close(region);
	free(buffer);
}

/* ---- live changes ---- */

FIXTURE(resize)
{
	struct instance inst;
	int region;
	char *addr;
};

FIXTURE_SETUP(resize)
{
	char path[256], options[64];

	if (cxl_node() < 0)
		SKIP(return, "no node of CXL memory");
	ASSERT_EQ(0, private_mounts());
	snprintf(options, sizeof(options), "dram=16M,cxl=16M@%d", cxl_node());
	ASSERT_EQ(0, instance_mount(&self->inst, options));
	ASSERT_EQ(0, store_path(path, sizeof(path), BYTES, SEED));
	ASSERT_EQ(0, attach_path(&self->inst, path, "region"));
	self->region = region_open(&self->inst, "region", O_RDONLY);
	ASSERT_LE(0, self->region);
	self->addr = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, self->region, 0);
	ASSERT_NE(MAP_FAILED, self->addr);
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
}

FIXTURE_TEARDOWN(resize)
{
	munmap(self->addr, BYTES);
	close(self->region);
	EXPECT_EQ(0, instance_umount(&self->inst));
}

static bool budgets_are(const struct instance *inst, __u64 dram, __u64 cxl)
{
	return instance_number(inst, "dram_bytes") == (long long)dram &&
	       instance_number(inst, "cxl_bytes") == (long long)cxl &&
	       instance_number(inst, "dram_current_bytes") == (long long)dram &&
	       instance_number(inst, "cxl_current_bytes") == (long long)cxl;
}

static bool within_budgets(int region, __u64 dram, __u64 cxl)
{
	struct itme_stat stat;

	return !region_stat(region, &stat) && stat.dram_bytes <= dram && stat.cxl_bytes <= cxl;
}

TEST_F(resize, by_remount)
{
	char options[64];

	ASSERT_EQ(0, instance_remount(&self->inst, "dram=8M"));
	EXPECT_TRUE(budgets_are(&self->inst, 8 * MIB, 16 * MIB));
	EXPECT_TRUE(within_budgets(self->region, 8 * MIB, 16 * MIB));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));

	ASSERT_EQ(0, instance_remount(&self->inst, "dram=32M,window=4M"));
	EXPECT_TRUE(budgets_are(&self->inst, 32 * MIB, 16 * MIB));
	EXPECT_EQ(4 * MIB, instance_number(&self->inst, "window_bytes"));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));

	/* One tier away and back, which drains its node. */
	ASSERT_EQ(0, instance_remount(&self->inst, "cxl=0"));
	EXPECT_TRUE(budgets_are(&self->inst, 32 * MIB, 0));
	EXPECT_TRUE(within_budgets(self->region, 32 * MIB, 0));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
	ASSERT_EQ(0, instance_remount(&self->inst, "cxl=8M"));
	ASSERT_EQ(0, instance_remount(&self->inst, "dram=0"));
	EXPECT_TRUE(budgets_are(&self->inst, 0, 8 * MIB));
	EXPECT_TRUE(within_budgets(self->region, 0, 8 * MIB));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
	snprintf(options, sizeof(options), "dram=16M@0,cxl=16M@%d", cxl_node());
	ASSERT_EQ(0, instance_remount(&self->inst, options));
	EXPECT_TRUE(budgets_are(&self->inst, 16 * MIB, 16 * MIB));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
}

TEST_F(resize, remount_with_what_proc_mounts_says)
{
	char mounts[8192], line[128], *options, *end;

	/* As mount(8) does, which adds what it found there. */
	ASSERT_LT(0, read_text("/proc/self/mounts", mounts, sizeof(mounts)));
	snprintf(line, sizeof(line), " %s itme ", self->inst.dir);
	options = strstr(mounts, line);
	ASSERT_NE(NULL, options);
	options = strstr(options, ",dram=") + 1;
	end = strchr(options, ' ');
	ASSERT_NE(NULL, end);
	*end = '\0';
	EXPECT_EQ(0, instance_remount(&self->inst, options));
	EXPECT_TRUE(budgets_are(&self->inst, 16 * MIB, 16 * MIB));
}

TEST_F(resize, bad_remounts_change_nothing)
{
	static const struct {
		const char *options;
		const char *reason;
	} cases[] = {
		{ "bogus=1", "bogus" },
		{ "dram=x", "not a size" },
		{ "granule=64K", "granule= cannot change" },
		{ "name=another", "name= cannot change" },
		{ "dram=1T", "larger than node" },
		{ "cxl=1T", "larger than node" },
		{ "dram=0,cxl=0", "are needed" },
		{ "dram=2M,cxl=2M", "are needed" },
		{ "dram=16M@1", "node" },
		{ "cxl=16M@0", "node" },
		{ "cxl=16M@99", "does not exist" },
		{ "window=64M", "window" },
		{ "window=0", "window" },
	};
	int kmsg = kmsg_open();
	size_t i;

	ASSERT_LE(0, kmsg);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		kmsg_has(kmsg, "");
		EXPECT_EQ(-EINVAL, instance_remount(&self->inst, cases[i].options))
			TH_LOG("for '%s'", cases[i].options);
		EXPECT_TRUE(kmsg_has(kmsg, cases[i].reason))
			TH_LOG("for '%s'", cases[i].options);
		EXPECT_TRUE(budgets_are(&self->inst, 16 * MIB, 16 * MIB))
			TH_LOG("for '%s'", cases[i].options);
	}
	close(kmsg);
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
}

/* A node belongs to one tier, also when the other one is empty first. */
TEST_F(resize, remount_cannot_give_a_node_to_both_tiers)
{
	char options[64];

	ASSERT_EQ(0, instance_remount(&self->inst, "cxl=0"));
	EXPECT_EQ(-EINVAL, instance_remount(&self->inst, "cxl=16M@0"));
	EXPECT_TRUE(budgets_are(&self->inst, 16 * MIB, 0));
	snprintf(options, sizeof(options), "cxl=16M@%d", cxl_node());
	EXPECT_EQ(0, instance_remount(&self->inst, options));
	EXPECT_TRUE(budgets_are(&self->inst, 16 * MIB, 16 * MIB));
}

TEST_F(resize, a_budget_that_memory_cannot_give_leaves_the_old_one)
{
	long long before = free_memory(cxl_node());
	char options[64];

	snprintf(options, sizeof(options), "cxl=%lld",
		 before + 16 * (long long)MIB + 8 * (long long)MIB);
	/* More than is free; whether it is more than the node has does not matter. */
	EXPECT_GT(0, instance_remount(&self->inst, options));
	EXPECT_TRUE(budgets_are(&self->inst, 16 * MIB, 16 * MIB));
	EXPECT_LT(before - 8 * (long long)MIB, free_memory(cxl_node()));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
}

TEST_F(resize, by_sysfs)
{
	EXPECT_EQ(0, instance_write(&self->inst, "dram_bytes", "8388608"));
	EXPECT_TRUE(budgets_are(&self->inst, 8 * MIB, 16 * MIB));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
	EXPECT_EQ(0, instance_write(&self->inst, "dram_bytes", "0x2000000\n"));
	EXPECT_TRUE(budgets_are(&self->inst, 32 * MIB, 16 * MIB));
	EXPECT_EQ(0, instance_write(&self->inst, "cxl_bytes", "0"));
	EXPECT_TRUE(budgets_are(&self->inst, 32 * MIB, 0));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
	EXPECT_EQ(0, instance_write(&self->inst, "cxl_bytes", "16777216"));
	EXPECT_EQ(0, instance_write(&self->inst, "dram_bytes", "16777216"));
	EXPECT_TRUE(budgets_are(&self->inst, 16 * MIB, 16 * MIB));
	EXPECT_EQ(0, instance_write(&self->inst, "window_bytes", "4194304"));
	EXPECT_EQ(4 * MIB, instance_number(&self->inst, "window_bytes"));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
}

static int write_budget(void *arg)
{
	return instance_write(arg, "dram_bytes", "8388608");
}

TEST_F(resize, hostile_sysfs_writes_change_nothing)
{
	static const char *const files[] = { "dram_bytes", "cxl_bytes", "window_bytes" };
	static const char *const texts[] = {
		"x", "-1", "1x", "16M", "99999999999999999999", "0x", " ", "\n", "1099511627776",
		"18446744073709551615", "16777216 16777216", "16777216\n16777216",
	};
	static const char *const read_only[] = {
		"granule_bytes", "dram_current_bytes", "dram_free_bytes", "dram_nodes",
		"cxl_nodes", "fault_count", "fill_bytes", "regions/region/size_bytes",
	};
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(files); i++) {
		for (j = 0; j < ARRAY_SIZE(texts); j++) {
			EXPECT_GT(0, instance_write(&self->inst, files[i], texts[j]))
				TH_LOG("for '%s' in %s", texts[j], files[i]);
		}
	}
	EXPECT_EQ(-EINVAL, instance_write(&self->inst, "window_bytes", "0"));
	EXPECT_EQ(-EINVAL, instance_write(&self->inst, "window_bytes", "33554432"));
	for (i = 0; i < ARRAY_SIZE(read_only); i++) {
		EXPECT_EQ(-EACCES, instance_write(&self->inst, read_only[i], "1"))
			TH_LOG("for %s", read_only[i]);
	}
	EXPECT_EQ(-EACCES, as_user(NOBODY, write_budget, &self->inst));
	EXPECT_TRUE(budgets_are(&self->inst, 16 * MIB, 16 * MIB));
	/* No frames at all is no budget. */
	EXPECT_EQ(0, instance_write(&self->inst, "dram_bytes", "0"));
	EXPECT_EQ(-EINVAL, instance_write(&self->inst, "cxl_bytes", "0"));
	EXPECT_EQ(-EINVAL, instance_write(&self->inst, "cxl_bytes", "4194304"));
	EXPECT_TRUE(budgets_are(&self->inst, 0, 16 * MIB));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
}

/* ---- the end ---- */

TEST_F(resize, umount_in_use_is_busy)
{
	int root, err;

	EXPECT_EQ(-EBUSY, instance_umount(&self->inst)); /* open and mapped */
	munmap(self->addr, BYTES);
	EXPECT_EQ(-EBUSY, instance_umount(&self->inst)); /* open */
	root = open(self->inst.dir, O_RDONLY | O_DIRECTORY);
	close(self->region);
	self->region = -1;
	EXPECT_EQ(-EBUSY, instance_umount(&self->inst)); /* its root */
	close(root);
	ASSERT_EQ(0, chdir(self->inst.dir));
	EXPECT_EQ(-EBUSY, instance_umount(&self->inst)); /* a working directory */
	ASSERT_EQ(0, chdir("/"));
	/* And the module with it. */
	err = syscall(SYS_delete_module, "itme", O_NONBLOCK) ? -errno : 0;
	EXPECT_TRUE(err == -EBUSY || err == -EWOULDBLOCK);
}

TEST_F(resize, umount_gives_the_memory_back)
{
	long long dram, cxl;
	struct instance inst;
	char options[64], path[256];
	int i;

	munmap(self->addr, BYTES);
	close(self->region);
	self->region = -1;
	ASSERT_EQ(0, detach(&self->inst, "region"));
	ASSERT_EQ(0, store_path(path, sizeof(path), BYTES, SEED));
	snprintf(options, sizeof(options), "dram=32M,cxl=32M@%d", cxl_node());
	dram = free_memory(0);
	cxl = free_memory(cxl_node());
	for (i = 0; i < 5; i++) {
		int region;

		ASSERT_EQ(0, instance_mount(&inst, options));
		ASSERT_EQ(0, attach_path(&inst, path, "region"));
		region = region_open(&inst, "region", O_RDONLY);
		ASSERT_LE(0, region);
		EXPECT_EQ(0, prefetch(region, ITME_TIER_CXL, 0, 10 * GRANULE));
		EXPECT_EQ(0, prefetch(region, ITME_TIER_DRAM, 10 * GRANULE, 5 * GRANULE));
		close(region);
		EXPECT_GT(cxl - 31 * (long long)MIB, free_memory(cxl_node()));
		ASSERT_EQ(0, instance_umount(&inst));
	}
	EXPECT_LT(cxl - 2 * (long long)MIB, free_memory(cxl_node()));
	EXPECT_LT(dram - 16 * (long long)MIB, free_memory(0));
}

TEST_F(resize, lazy_umount_ends_with_the_last_user)
{
	char entry[128];
	double end;

	snprintf(entry, sizeof(entry), "/sys/fs/itme/%s", self->inst.name);
	close(self->inst.root);
	self->inst.root = -1;
	ASSERT_EQ(0, umount2(self->inst.dir, MNT_DETACH));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
	EXPECT_EQ(0, access(entry, F_OK));
	munmap(self->addr, BYTES);
	close(self->region);
	self->region = -1;
	for (end = now() + 10 * slowness(); now() < end && !access(entry, F_OK);)
		usleep(1000);
	EXPECT_EQ(-1, access(entry, F_OK));
	rmdir(self->inst.dir);
	/* For the teardown. */
	ASSERT_EQ(0, instance_mount(&self->inst, "dram=8M"));
}

TEST_HARNESS_MAIN
