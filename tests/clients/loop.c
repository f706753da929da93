// SPDX-License-Identifier: MIT
/*
 * The smallest runtime that declares: it reads the layers of a model in their order,
 * pass after pass. Each layer is asked for while the one before it is computed on.
 */
#include <errno.h>
#include <inttypes.h>
#include <libitme.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECOND_NS 1000000000ULL

struct model {
	struct itme_region *region;
	const unsigned char *bytes;
	uint64_t size, layer_bytes;
	uint32_t layers;
};

static struct itme_range layer_of(const struct model *model, uint32_t layer)
{
	struct itme_range range = {.offset = layer * model->layer_bytes};

	range.length = model->size - range.offset;
	if (range.length > model->layer_bytes)
		range.length = model->layer_bytes;
	return range;
}

/* Stands for the computation: the sum shows that hints change nothing. */
static uint64_t compute(const struct model *model, uint32_t layer)
{
	const struct itme_range range = layer_of(model, layer);
	uint64_t sum = 0;

	for (uint64_t i = 0; i < range.length; i++)
		sum = sum * 31 + model->bytes[range.offset + i];
	return sum;
}

static int need(const struct model *model, uint32_t layer, uint64_t cookie)
{
	const struct itme_want want = {.cookie = cookie};
	const struct itme_range range = layer_of(model, layer);

	return itme_region_need(model->region, &range, 1, &want, NULL);
}

/* What has not come in time is no error: reading it waits for it. */
static int fence(const struct model *model, uint64_t cookie)
{
	int err = itme_region_fence(model->region, cookie, SECOND_NS, NULL);

	return err == -ETIMEDOUT || err == -EOPNOTSUPP ? 0 : err;
}

static int run(const struct model *model, uint64_t passes)
{
	uint64_t cookie = 1, sum = 0;
	int err = need(model, 0, cookie);

	for (uint64_t pass = 1; pass <= passes && !err; pass++) {
		itme_region_step(model->region, NULL, pass);
		for (uint32_t layer = 0; layer < model->layers && !err; layer++) {
			const struct itme_range range = layer_of(model, layer);

			err = fence(model, cookie);
			if (!err)
				err = need(model, (layer + 1) % model->layers, ++cookie);
			itme_region_at(model->region, NULL, pass, layer);
			sum = sum * 31 + compute(model, layer);
			itme_region_done(model->region, range.offset, range.length,
					 pass < passes ? 1 : ITME_NEXT_NEVER);
		}
	}
	if (err)
		return err;
	printf("{\"region\": %s, \"passes\": %" PRIu64 ", \"sum\": %" PRIu64
	       ", \"lost_events\": %" PRIu64 "}\n",
	       itme_region_granule_bytes(model->region) ? "true" : "false", passes, sum,
	       itme_region_lost_events(model->region));
	return 0;
}

/* 0 where it is no number above 0. */
static uint64_t number(const char *text)
{
	char *end;
	unsigned long long value = strtoull(text, &end, 10);

	return *end || *text == '-' ? 0 : value;
}

int main(int argc, char **argv)
{
	const uint64_t layers = argc == 4 ? number(argv[2]) : 0;
	const uint64_t passes = argc == 4 ? number(argv[3]) : 0;
	struct model model = {0};
	struct stat status;
	void *mapping;
	int err;

	if (layers == 0 || layers > 100000 || passes == 0) {
		fputs("usage: loop FILE LAYERS PASSES\n", stderr);
		return 2;
	}
	err = itme_region_open(argv[1], &model.region);
	if (!err && fstat(itme_region_fd(model.region), &status) < 0)
		err = -errno;
	if (!err && status.st_size < (off_t)layers)
		err = -EINVAL;
	if (!err) {
		model.size = (uint64_t)status.st_size;
		model.layers = (uint32_t)layers;
		model.layer_bytes = model.size / layers;
		if (model.layer_bytes * layers < model.size)
			model.layer_bytes++;
		model.layers = (uint32_t)((model.size + model.layer_bytes - 1) / model.layer_bytes);
		mapping = mmap(NULL, model.size, PROT_READ, MAP_SHARED,
			       itme_region_fd(model.region), 0);
		if (mapping == MAP_FAILED)
			err = -errno;
		else
			model.bytes = mapping;
	}
	if (!err)
		err = run(&model, passes);
	if (err)
		fprintf(stderr, "loop: %s: %s\n", argv[1], strerror(-err));
	itme_region_close(model.region);
	return err != 0;
}
