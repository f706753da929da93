// SPDX-License-Identifier: GPL-2.0-only
/* Whose frame a hint may take, by its class, and what it says where it has none. */
#include "test.h"

#include <sys/mman.h>
#include <sys/uio.h>

#define GRANULES 24UL
#define BYTES (GRANULES * GRANULE - 12345)
#define FRAMES 8UL
#define SEED 61

FIXTURE(room)
{
	struct instance inst;
	int region;
	char *addr;
};

FIXTURE_VARIANT(room)
{
	const char *options;
	__u64 window; /* granules */
};

FIXTURE_VARIANT_ADD(room, small_window)
{
	.options = "dram=16M,window=2M",
	.window = 1,
};

FIXTURE_VARIANT_ADD(room, window_of_half)
{
	.options = "dram=16M,window=8M",
	.window = 4,
};

FIXTURE_SETUP(room)
{
	char path[256];

	ASSERT_EQ(0, private_mounts());
	ASSERT_EQ(0, store_path(path, sizeof(path), BYTES, SEED));
	ASSERT_EQ(0, instance_mount(&self->inst, variant->options));
	ASSERT_EQ(0, attach_path(&self->inst, path, "model"));
	self->region = region_open(&self->inst, "model", O_RDONLY);
	ASSERT_LE(0, self->region);
	self->addr = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, self->region, 0);
	ASSERT_NE(MAP_FAILED, self->addr);
}

FIXTURE_TEARDOWN(room)
{
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
	EXPECT_EQ(0, release(self->region, 0, BYTES));
	EXPECT_EQ(FRAMES * GRANULE, instance_number(&self->inst, "dram_free_bytes"));
	munmap(self->addr, BYTES);
	close(self->region);
	EXPECT_EQ(0, instance_umount(&self->inst));
}

/* Submit a prefetch and wait for its end. Its four sums always add up. */
static struct itme_hint fetch(int region, __u64 granule, __u64 count, __u32 hint_class)
{
	struct itme_hint hint = {
		.op = ITME_HINT_PREFETCH,
		.hint_class = hint_class,
		.tier = ITME_TIER_DRAM,
		.offset = granule * GRANULE,
		.length = count * GRANULE,
	};
	__u64 valid;
	int err;

	if (hint.offset + hint.length > BYTES)
		hint.length = BYTES - hint.offset;
	valid = hint.length;
	err = submit(region, &hint, 1) ?: wait_range(region, hint.offset, hint.length, 60, NULL);
	if (err)
		hint.error = err;
	else if (hint.accepted_bytes + hint.resident_bytes + hint.clipped_bytes +
		 hint.refused_bytes != valid)
		hint.error = -ERANGE;
	return hint;
}

static void touch_granules(const char *addr, __u64 first, __u64 count)
{
	__u64 g;

	for (g = first; g < first + count; g++)
		touch(addr + g * GRANULE + 4321);
}

/* How many of these are in memory. */
static __u64 resident(int region, __u64 first, __u64 count)
{
	__u64 g, n = 0;

	for (g = first; g < first + count; g++)
		n += (residency(region, g) & ITME_RESIDENCY_TIER_MASK) != ITME_TIER_STORE;
	return n;
}

TEST_F(room, a_hint_larger_than_memory_is_clipped)
{
	struct itme_hint hint = fetch(self->region, 0, GRANULES, ITME_CLASS_EXACT);
	struct itme_stat stat;

	EXPECT_EQ(0, hint.error);
	EXPECT_EQ(FRAMES * GRANULE, hint.accepted_bytes);
	EXPECT_EQ(BYTES - FRAMES * GRANULE, hint.clipped_bytes);
	/* The first of the range, which are read first. */
	EXPECT_EQ(FRAMES, resident(self->region, 0, FRAMES));
	EXPECT_EQ(FRAMES, resident(self->region, 0, GRANULES));
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(BYTES - FRAMES * GRANULE, stat.clipped_bytes);
	EXPECT_EQ(FRAMES * GRANULE, stat.accepted_bytes);
	EXPECT_EQ(0, stat.evict_bytes);
}

/* The last granule counts for what it holds. */
TEST_F(room, sums_of_a_mixture)
{
	struct itme_hint hint;

	ASSERT_EQ(0, prefetch(self->region, ITME_TIER_DRAM, (GRANULES - 2) * GRANULE, 1));
	hint = fetch(self->region, GRANULES - 3, 3, ITME_CLASS_EXACT);
	EXPECT_EQ(0, hint.error);
	EXPECT_EQ(GRANULE, hint.resident_bytes);
	EXPECT_EQ(GRANULE + GRANULE - 12345, hint.accepted_bytes);
	hint = fetch(self->region, GRANULES - 3, 3, ITME_CLASS_MAYBE);
	EXPECT_EQ(3 * GRANULE - 12345, hint.resident_bytes);
	EXPECT_EQ(0, hint.accepted_bytes);
}

/* What was fetched ahead waits for its first use: no hint takes it. */
TEST_F(room, no_class_takes_what_was_not_used_yet)
{
	__u32 hint_class;

	ASSERT_EQ(FRAMES * GRANULE,
		  fetch(self->region, 0, FRAMES, ITME_CLASS_MAYBE).accepted_bytes);
	for (hint_class = ITME_CLASS_EXACT; hint_class <= ITME_CLASS_MAYBE; hint_class++) {
		struct itme_hint hint = fetch(self->region, FRAMES, 3, hint_class);

		EXPECT_EQ(0, hint.error);
		EXPECT_EQ(0, hint.accepted_bytes);
		EXPECT_EQ(3 * GRANULE, hint.clipped_bytes);
	}
	EXPECT_EQ(FRAMES, resident(self->region, 0, FRAMES));
}

TEST_F(room, maybe_takes_free_frames_only)
{
	struct itme_stat stat;

	touch_granules(self->addr, 0, FRAMES - 2);
	EXPECT_EQ(2 * GRANULE, fetch(self->region, 10, 4, ITME_CLASS_MAYBE).accepted_bytes);
	EXPECT_EQ(0, fetch(self->region, 15, 4, ITME_CLASS_MAYBE).accepted_bytes);
	EXPECT_EQ(FRAMES - 2, resident(self->region, 0, FRAMES - 2));
	EXPECT_EQ(2, resident(self->region, 10, 2));
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(0, stat.evict_bytes);
}

/* It takes what the window has been read past, and never a settled resident. */
TEST_F(room, likely_leaves_the_settled)
{
	const __u64 settled = FRAMES - variant->window;
	struct itme_stat stat;
	struct itme_hint hint;

	touch_granules(self->addr, 0, FRAMES);
	hint = fetch(self->region, 10, 6, ITME_CLASS_LIKELY);
	EXPECT_EQ(0, hint.error);
	EXPECT_EQ(settled, resident(self->region, 0, settled));
	/* The last one may be being read. */
	EXPECT_EQ(1, resident(self->region, FRAMES - 1, 1));
	EXPECT_GE((variant->window - 1) * GRANULE, hint.accepted_bytes);
	if (variant->window > 1)
		EXPECT_LE(GRANULE, hint.accepted_bytes);
	EXPECT_EQ(6 * GRANULE, hint.accepted_bytes + hint.clipped_bytes);
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(hint.accepted_bytes, stat.evict_bytes);
	EXPECT_EQ(hint.accepted_bytes / GRANULE, resident(self->region, 10, 6));
}

/* It takes any that was used; of the newest of all one is spared, or none. */
TEST_F(room, exact_takes_what_was_used)
{
	struct itme_stat stat;
	struct itme_hint hint;

	ASSERT_EQ(3 * GRANULE, fetch(self->region, 20, 3, ITME_CLASS_EXACT).accepted_bytes);
	touch_granules(self->addr, 0, FRAMES - 3);
	hint = fetch(self->region, 10, 8, ITME_CLASS_EXACT);
	EXPECT_EQ(0, hint.error);
	EXPECT_LE((FRAMES - 4) * GRANULE, hint.accepted_bytes);
	EXPECT_GE((FRAMES - 3) * GRANULE, hint.accepted_bytes);
	EXPECT_EQ(hint.accepted_bytes / GRANULE, resident(self->region, 10, 8));
	EXPECT_EQ(3, resident(self->region, 20, 3));
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(hint.accepted_bytes, stat.evict_bytes);
	EXPECT_EQ(0, stat.wasted_bytes);
}

/* ---- what came of it ---- */

TEST_F(room, useful_and_wasted)
{
	struct itme_stat stat;
	char byte;

	ASSERT_EQ(4 * GRANULE, fetch(self->region, 0, 4, ITME_CLASS_EXACT).accepted_bytes);
	EXPECT_EQ(0, touch(self->addr + 5));
	EXPECT_EQ(0, touch(self->addr + 7777));
	EXPECT_EQ(1, pread(self->region, &byte, 1, GRANULE + 9));
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(4 * GRANULE, stat.prefetch_bytes);
	EXPECT_EQ(2 * GRANULE, stat.useful_bytes);
	EXPECT_EQ(0, stat.wasted_bytes);
	EXPECT_EQ(0, release(self->region, 0, BYTES));
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(2 * GRANULE, stat.useful_bytes);
	EXPECT_EQ(2 * GRANULE, stat.wasted_bytes);
	/* On demand nothing is ahead. */
	touch_granules(self->addr, 0, 4);
	EXPECT_EQ(0, release(self->region, 0, BYTES));
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(2 * GRANULE, stat.useful_bytes);
	EXPECT_EQ(2 * GRANULE, stat.wasted_bytes);
	EXPECT_EQ(8 * GRANULE, stat.fill_bytes);
}

/* ---- the reader comes first ---- */

/* Memory full of what was fetched ahead: a thread that waits gets a frame of it. */
TEST_F(room, demand_takes_what_was_fetched_ahead)
{
	struct itme_stat stat;

	ASSERT_EQ(FRAMES * GRANULE,
		  fetch(self->region, 0, FRAMES, ITME_CLASS_EXACT).accepted_bytes);
	touch_granules(self->addr, 10, 2);
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(2, stat.miss_count);
	EXPECT_LE(GRANULE, stat.wasted_bytes);
	EXPECT_EQ(FRAMES * GRANULE, stat.dram_bytes);
	EXPECT_EQ(0, stat.timeout_count);
}

/* Held frames are nobody's victims, and there is an end to looking for one. */
TEST_F(room, held_frames_stay)
{
	struct iovec pieces[FRAMES];
	struct itme_hint hint;
	int pipes[2];
	__u64 g;

	ASSERT_EQ(0, pipe(pipes));
	touch_granules(self->addr, 0, FRAMES - 1);
	for (g = 0; g < FRAMES - 1; g++)
		pieces[g] = (struct iovec){ self->addr + g * GRANULE, PAGE };
	ASSERT_EQ((FRAMES - 1) * PAGE, vmsplice(pipes[1], pieces, FRAMES - 1, 0));
	hint = fetch(self->region, 10, 6, ITME_CLASS_EXACT);
	EXPECT_EQ(0, hint.error);
	/* They may look like victims at first; what has no frame in the end is lost. */
	EXPECT_EQ(1, resident(self->region, 10, 6));
	EXPECT_EQ(FRAMES - 1, resident(self->region, 0, FRAMES - 1));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
	close(pipes[0]);
	close(pipes[1]);
}

/* Nor do they stand before the others, whatever was said about them. */
TEST_F(room, a_held_frame_that_is_first_to_go)
{
	struct iovec pieces[FRAMES] = { { self->addr, PAGE } };
	struct itme_stat stat;
	int pipes[2];
	__u64 g;

	ASSERT_EQ(0, pipe(pipes));
	ASSERT_EQ(0, posix_fadvise(self->region, 0, GRANULE, POSIX_FADV_NOREUSE));
	touch_granules(self->addr, 0, FRAMES);
	/* Held too: all of the window, so that its turn comes. */
	for (g = 1; g <= variant->window; g++)
		pieces[g] = (struct iovec){ self->addr + (FRAMES - g) * GRANULE, PAGE };
	ASSERT_EQ(g * PAGE, vmsplice(pipes[1], pieces, g, 0));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(0, stat.timeout_count);
	close(pipes[0]);
	close(pipes[1]);
}

TEST_HARNESS_MAIN
