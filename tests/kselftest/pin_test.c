// SPDX-License-Identifier: GPL-2.0-only
/* Pins: what is kept, for whom, within which limit, and until when. */
#include "test.h"

#include <sys/mman.h>
#include <sys/stat.h>

#define GRANULES 24UL
#define BYTES (GRANULES * GRANULE)
#define DRAM 12UL /* frames */
#define CXL 4UL
#define SEED 71

FIXTURE(pin)
{
	struct instance inst;
	int region;
	char *addr;
	long long limit; /* granules */
};

FIXTURE_SETUP(pin)
{
	char path[256], options[64];

	if (cxl_node() < 0)
		SKIP(return, "no node of CXL memory");
	ASSERT_EQ(0, private_mounts());
	ASSERT_EQ(0, store_path(path, sizeof(path), BYTES, SEED));
	snprintf(options, sizeof(options), "dram=%luM,cxl=%luM@%d,window=4M", 2 * DRAM, 2 * CXL,
		 cxl_node());
	ASSERT_EQ(0, instance_mount(&self->inst, options));
	ASSERT_EQ(0, attach_path(&self->inst, path, "model"));
	ASSERT_EQ(0, fchmodat(self->inst.root, "model", 0644, 0));
	self->region = region_open(&self->inst, "model", O_RDONLY);
	ASSERT_LE(0, self->region);
	self->addr = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, self->region, 0);
	ASSERT_NE(MAP_FAILED, self->addr);
	self->limit = instance_number(&self->inst, "pin_limit_bytes") / (long long)GRANULE;
}

FIXTURE_TEARDOWN(pin)
{
	struct itme_stat stat;

	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
	munmap(self->addr, BYTES);
	close(self->region);
	/* With their open file the pins are gone. */
	self->region = region_open(&self->inst, "model", O_RDONLY);
	EXPECT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(0, stat.pinned_bytes);
	EXPECT_EQ(0, instance_number(&self->inst, "pinned_bytes"));
	EXPECT_EQ(0, release(self->region, 0, BYTES));
	EXPECT_EQ(instance_number(&self->inst, "dram_current_bytes"),
		  instance_number(&self->inst, "dram_free_bytes"));
	EXPECT_EQ(instance_number(&self->inst, "cxl_current_bytes"),
		  instance_number(&self->inst, "cxl_free_bytes"));
	close(self->region);
	EXPECT_EQ(0, instance_umount(&self->inst));
}

/* A pin and its end: the entry with its results, of which the four sums add up. */
static struct itme_hint pin(int region, __u32 tier, __u64 granule, __u64 count)
{
	struct itme_hint result = { .error = -EPROTO };
	int err = hint(region, ITME_HINT_PIN, tier, granule * GRANULE, count * GRANULE, &result);

	if (err && !result.error)
		result.error = err;
	if (!err && result.accepted_bytes + result.resident_bytes + result.clipped_bytes +
	    result.refused_bytes != count * GRANULE)
		result.error = -ERANGE;
	return result;
}

static struct itme_hint unpin(int region, __u64 granule, __u64 count)
{
	struct itme_hint result = {};
	int err = hint(region, ITME_HINT_UNPIN, 0, granule * GRANULE, count * GRANULE, &result);

	if (err && !result.error)
		result.error = err;
	return result;
}

static long long pinned(int region)
{
	struct itme_stat stat;

	return region_stat(region, &stat) ? -1 : (long long)(stat.pinned_bytes / GRANULE);
}

/* How many of these are in @tier with a pin on them. */
static __u64 count_pinned(int region, __u64 first, __u64 count, __u32 tier)
{
	__u64 g, n = 0;

	for (g = first; g < first + count; g++)
		n += (residency(region, g) & ~ITME_RESIDENCY_HELD) ==
		     (int)(tier | ITME_RESIDENCY_PINNED);
	return n;
}

static bool read_all_twice(const char *addr)
{
	return content_check_mapped(addr, 0, BYTES, SEED) == -1 &&
	       content_check_mapped(addr, 0, BYTES, SEED) == -1;
}

TEST_F(pin, brings_and_keeps)
{
	struct itme_hint result = pin(self->region, 0, 3, 4);
	struct itme_stat stat;

	EXPECT_EQ(0, result.error);
	EXPECT_EQ(4 * GRANULE, result.accepted_bytes);
	EXPECT_EQ(4, count_pinned(self->region, 3, 4, ITME_TIER_DRAM));
	EXPECT_EQ(4, pinned(self->region));
	/* Whatever else is read. */
	EXPECT_TRUE(read_all_twice(self->addr));
	EXPECT_EQ(4, count_pinned(self->region, 3, 4, ITME_TIER_DRAM));
	EXPECT_EQ(-EBUSY, release(self->region, 3 * GRANULE, 4 * GRANULE));
	EXPECT_EQ(0, posix_fadvise(self->region, 0, 0, POSIX_FADV_DONTNEED));
	EXPECT_EQ(4, count_pinned(self->region, 3, 4, ITME_TIER_DRAM));
	ASSERT_EQ(0, madvise(self->addr, BYTES, MADV_DONTNEED));
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(-1, content_check_mapped(self->addr + 3 * GRANULE, 3 * GRANULE, 4 * GRANULE,
					   SEED));
	EXPECT_EQ(stat.fill_count, (region_stat(self->region, &stat), stat.fill_count));

	result = unpin(self->region, 3, 4);
	EXPECT_EQ(0, result.error);
	EXPECT_EQ(4 * GRANULE, result.accepted_bytes);
	EXPECT_EQ(0, pinned(self->region));
	EXPECT_EQ(0, count_pinned(self->region, 0, GRANULES, ITME_TIER_DRAM));
	/* There is nothing left to undo. */
	result = unpin(self->region, 3, 4);
	EXPECT_EQ(0, result.error);
	EXPECT_EQ(4 * GRANULE, result.resident_bytes);
	EXPECT_EQ(0, release(self->region, 0, BYTES));
}

TEST_F(pin, where_it_is_or_where_asked)
{
	struct itme_hint result;

	ASSERT_EQ(0, prefetch(self->region, ITME_TIER_CXL, 0, 2 * GRANULE));
	result = pin(self->region, 0, 0, 1);
	EXPECT_EQ(0, result.error);
	EXPECT_EQ(GRANULE, result.resident_bytes);
	EXPECT_EQ(1, count_pinned(self->region, 0, 1, ITME_TIER_CXL));
	/* From the other tier, and from the store. */
	result = pin(self->region, ITME_TIER_DRAM, 1, 2);
	EXPECT_EQ(0, result.error);
	EXPECT_EQ(2 * GRANULE, result.accepted_bytes);
	EXPECT_EQ(2, count_pinned(self->region, 1, 2, ITME_TIER_DRAM));
	result = pin(self->region, ITME_TIER_CXL, 5, 1);
	EXPECT_EQ(0, result.error);
	EXPECT_EQ(1, count_pinned(self->region, 5, 1, ITME_TIER_CXL));
	EXPECT_TRUE(read_all_twice(self->addr));
	EXPECT_EQ(1, count_pinned(self->region, 0, 1, ITME_TIER_CXL));
	EXPECT_EQ(2, count_pinned(self->region, 1, 2, ITME_TIER_DRAM));
	EXPECT_EQ(1, count_pinned(self->region, 5, 1, ITME_TIER_CXL));
}

/* The pin says which tier: a prefetch of it to the other is refused. */
TEST_F(pin, a_prefetch_does_not_move_it)
{
	struct itme_hint result = {};

	ASSERT_EQ(0, pin(self->region, ITME_TIER_DRAM, 0, 2).error);
	EXPECT_EQ(-EBUSY, hint(self->region, ITME_HINT_PREFETCH, ITME_TIER_CXL, 0, 3 * GRANULE,
			       &result));
	EXPECT_EQ(2 * GRANULE, result.refused_bytes);
	EXPECT_EQ(GRANULE, result.accepted_bytes);
	EXPECT_EQ(2, count_pinned(self->region, 0, 2, ITME_TIER_DRAM));
	EXPECT_EQ(ITME_TIER_CXL, residency(self->region, 2));
}

TEST_F(pin, of_two_open_files)
{
	int second = region_open(&self->inst, "model", O_RDONLY);

	ASSERT_LE(0, second);
	ASSERT_EQ(0, pin(self->region, 0, 0, 3).error);
	ASSERT_EQ(0, pin(second, 0, 1, 3).error);
	/* Twice is not twice the bytes. */
	EXPECT_EQ(4, pinned(self->region));
	ASSERT_EQ(0, pin(second, 0, 1, 3).error);
	EXPECT_EQ(4, pinned(self->region));
	/* Each undoes its own. */
	EXPECT_EQ(3 * GRANULE, unpin(self->region, 0, 4).accepted_bytes);
	EXPECT_EQ(3, pinned(self->region));
	EXPECT_EQ(3, count_pinned(self->region, 1, 3, ITME_TIER_DRAM));
	close(second);
	EXPECT_EQ(0, pinned(self->region));
	EXPECT_EQ(0, count_pinned(self->region, 0, GRANULES, ITME_TIER_DRAM));
}

/* ---- the limit ---- */

TEST_F(pin, no_more_than_the_limit)
{
	struct itme_hint result;

	ASSERT_EQ(0, instance_write(&self->inst, "pin_limit_bytes", "10485760"));
	EXPECT_EQ(5 * GRANULE, instance_number(&self->inst, "pin_limit_bytes"));
	result = pin(self->region, ITME_TIER_DRAM, 0, 8);
	EXPECT_EQ(0, result.error);
	EXPECT_EQ(5 * GRANULE, result.accepted_bytes);
	EXPECT_EQ(3 * GRANULE, result.clipped_bytes);
	EXPECT_EQ(5, pinned(self->region));
	EXPECT_EQ(3 * GRANULE, pin(self->region, 0, 10, 3).clipped_bytes);
	/* What is let go of can be had again. */
	EXPECT_EQ(2 * GRANULE, unpin(self->region, 0, 2).accepted_bytes);
	EXPECT_EQ(GRANULE, pin(self->region, 0, 10, 3).clipped_bytes);
	EXPECT_EQ(5, pinned(self->region));
	/* A lower limit takes pins away at once, and says so. */
	ASSERT_EQ(0, instance_write(&self->inst, "pin_limit_bytes", "4194304"));
	EXPECT_EQ(2, pinned(self->region));
	EXPECT_EQ(3 * GRANULE, instance_number(&self->inst, "degraded_bytes"));
	ASSERT_EQ(0, instance_write(&self->inst, "pin_limit_bytes", "0"));
	EXPECT_EQ(0, pinned(self->region));
	EXPECT_EQ(GRANULE, pin(self->region, 0, 10, 1).clipped_bytes);
}

/* By default all but what demand needs can be pinned, and demand goes on. */
TEST_F(pin, all_that_may_be_pinned)
{
	struct itme_info info = { .size = sizeof(info) };
	struct itme_hint result;
	struct itme_stat stat;

	ASSERT_EQ(0, ioctl(self->region, ITME_IOC_INFO, &info));
	EXPECT_EQ(info.pin_limit_bytes, self->limit * GRANULE);
	EXPECT_LT(DRAM / 2, self->limit);
	EXPECT_GT(DRAM + CXL, self->limit);
	result = pin(self->region, 0, 0, GRANULES);
	EXPECT_EQ(0, result.error);
	EXPECT_EQ(self->limit * GRANULE, result.accepted_bytes);
	EXPECT_EQ(self->limit, pinned(self->region));
	EXPECT_EQ(self->limit, count_pinned(self->region, 0, self->limit, ITME_TIER_DRAM) +
			       count_pinned(self->region, 0, self->limit, ITME_TIER_CXL));
	EXPECT_TRUE(read_all_twice(self->addr));
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(0, stat.timeout_count);
	EXPECT_GE(DRAM * GRANULE, stat.dram_bytes);
	/* An exact hint takes no frame of them. */
	ASSERT_EQ(0, submit(self->region, &(struct itme_hint){
		.op = ITME_HINT_PREFETCH,
		.hint_class = ITME_CLASS_EXACT,
		.tier = ITME_TIER_DRAM,
		.offset = self->limit * GRANULE,
		.length = BYTES - self->limit * GRANULE,
	}, 1));
	ASSERT_EQ(0, wait_range(self->region, 0, BYTES, 60, NULL));
	EXPECT_EQ(self->limit, pinned(self->region));
	EXPECT_EQ(self->limit, count_pinned(self->region, 0, self->limit, ITME_TIER_DRAM) +
			       count_pinned(self->region, 0, self->limit, ITME_TIER_CXL));
}

/* What has no room in DRAM is pinned in CXL memory instead, and counted. */
TEST_F(pin, degrades_to_the_slower_tier)
{
	struct itme_hint result = pin(self->region, ITME_TIER_DRAM, 0, self->limit);
	const __u64 slower = count_pinned(self->region, 0, self->limit, ITME_TIER_CXL);

	EXPECT_EQ(0, result.error);
	EXPECT_EQ(CXL, slower);
	EXPECT_EQ(slower * GRANULE, instance_number(&self->inst, "degraded_bytes"));
}

/* Smaller budgets go before pins. */
TEST_F(pin, a_smaller_budget_takes_them)
{
	struct itme_stat stat;

	ASSERT_EQ(0, pin(self->region, ITME_TIER_DRAM, 0, 6).error);
	ASSERT_EQ(0, instance_write(&self->inst, "dram_bytes", "12582912"));
	EXPECT_EQ(6 * GRANULE, instance_number(&self->inst, "dram_current_bytes"));
	EXPECT_LE(pinned(self->region) * (long long)GRANULE,
		  instance_number(&self->inst, "pin_limit_bytes"));
	EXPECT_GT(6, pinned(self->region));
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_LE(GRANULE, stat.degraded_bytes);
	EXPECT_TRUE(read_all_twice(self->addr));
	ASSERT_EQ(0, instance_write(&self->inst, "dram_bytes", "0"));
	EXPECT_EQ(0, instance_number(&self->inst, "dram_current_bytes"));
	EXPECT_TRUE(read_all_twice(self->addr));
	ASSERT_EQ(0, instance_write(&self->inst, "dram_bytes", "25165824"));
}

/* ---- users ---- */

/* Open the region as another user: the open file is his. */
static int open_as(const struct instance *inst, uid_t uid)
{
	int region;

	if (setresgid(uid, uid, 0) || setresuid(uid, uid, 0))
		return -errno;
	region = region_open(inst, "model", O_RDONLY);
	if (setresuid(0, 0, 0) || setresgid(0, 0, 0))
		return -errno;
	return region;
}

TEST_F(pin, users_share_the_limit)
{
	int one = open_as(&self->inst, 1001), two = open_as(&self->inst, 1002);
	int third = open_as(&self->inst, 1003), again = open_as(&self->inst, 1001);
	struct itme_hint result;

	ASSERT_LE(0, one);
	ASSERT_LE(0, two);
	ASSERT_LE(0, third);
	ASSERT_LE(0, again);
	ASSERT_EQ(0, instance_write(&self->inst, "pin_limit_bytes", "12582912"));
	/* Alone, one has it all. */
	EXPECT_EQ(6 * GRANULE, pin(one, 0, 0, 6).accepted_bytes);
	EXPECT_EQ(6, pinned(self->region));
	/* Then two have half each, and no more. */
	result = pin(two, 0, 10, 6);
	EXPECT_EQ(0, result.error);
	EXPECT_EQ(3 * GRANULE, result.accepted_bytes + result.resident_bytes);
	EXPECT_EQ(3 * GRANULE, result.clipped_bytes);
	EXPECT_EQ(6, pinned(self->region));
	EXPECT_EQ(3, count_pinned(self->region, 10, 6, ITME_TIER_DRAM));
	EXPECT_EQ(3, count_pinned(self->region, 0, 6, ITME_TIER_DRAM));
	EXPECT_EQ(3 * GRANULE, instance_number(&self->inst, "degraded_bytes"));
	/* A second open file is no second user. */
	EXPECT_EQ(3 * GRANULE, pin(again, 0, 17, 3).clipped_bytes);
	/* And three have a third. */
	EXPECT_EQ(2 * GRANULE, pin(third, 0, 20, 3).accepted_bytes);
	EXPECT_EQ(6, pinned(self->region));
	EXPECT_EQ(2, count_pinned(self->region, 20, 4, ITME_TIER_DRAM));
	EXPECT_EQ(2, count_pinned(self->region, 10, 6, ITME_TIER_DRAM));
	EXPECT_EQ(2, count_pinned(self->region, 0, 6, ITME_TIER_DRAM));
	/* What one gives up the others may have. */
	close(third);
	EXPECT_EQ(4, pinned(self->region));
	EXPECT_EQ(GRANULE, pin(two, 0, 16, 1).accepted_bytes);
	close(again);
	close(two);
	close(one);
	EXPECT_EQ(0, pinned(self->region));
}

/* ---- the end ---- */

TEST_F(pin, force_drops_it)
{
	struct itme_hint drop = {
		.op = ITME_HINT_RELEASE,
		.flags = ITME_HINT_FORCE,
		.length = 3 * GRANULE,
	};

	ASSERT_EQ(0, pin(self->region, 0, 0, 2).error);
	ASSERT_EQ(0, prefetch(self->region, ITME_TIER_DRAM, 2 * GRANULE, GRANULE));
	ASSERT_EQ(0, submit(self->region, &drop, 1));
	EXPECT_EQ(0, drop.error);
	EXPECT_EQ(3 * GRANULE, drop.accepted_bytes);
	EXPECT_EQ(0, count_tier(self->region, ITME_TIER_DRAM));
	EXPECT_TRUE(read_all_twice(self->addr));
}

TEST_F(pin, lasts_as_long_as_the_open_file)
{
	int second = region_open(&self->inst, "model", O_RDONLY), copy = dup(second), status;
	pid_t child;

	ASSERT_LE(0, copy);
	ASSERT_EQ(0, pin(second, 0, 0, 2).error);
	close(second);
	EXPECT_EQ(2, pinned(self->region));
	child = fork();
	ASSERT_LE(0, child);
	if (child == 0) {
		struct itme_stat stat;

		close(copy);
		_exit(region_stat(self->region, &stat) || stat.pinned_bytes != 2 * GRANULE);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(2, pinned(self->region));
	close(copy);
	EXPECT_EQ(0, pinned(self->region));
}

TEST_HARNESS_MAIN
