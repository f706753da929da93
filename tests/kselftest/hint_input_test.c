// SPDX-License-Identifier: GPL-2.0-only
/* What HINT and WAIT are given by those who mean harm, or err: errors, and nothing done. */
#include "test.h"

#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#define FULL 4UL
#define BYTES (FULL * GRANULE + 999)
#define SEED 3

FIXTURE(input)
{
	struct instance inst;
	struct itme_info info;
	int region;
};

FIXTURE_SETUP(input)
{
	char path[256];

	ASSERT_EQ(0, private_mounts());
	ASSERT_EQ(0, instance_mount(&self->inst, "dram=16M"));
	ASSERT_EQ(0, store_path(path, sizeof(path), BYTES, SEED));
	ASSERT_EQ(0, attach_path(&self->inst, path, "region"));
	self->region = region_open(&self->inst, "region", O_RDONLY);
	ASSERT_LE(0, self->region);
	self->info.size = sizeof(self->info);
	ASSERT_EQ(0, ioctl(self->region, ITME_IOC_INFO, &self->info));
}

FIXTURE_TEARDOWN(input)
{
	struct itme_stat stat;

	/* Whatever it was, nothing of it is left. */
	EXPECT_EQ(0, wait_range(self->region, 0, BYTES, 20, NULL));
	EXPECT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(0, stat.queued_bytes);
	close(self->region);
	EXPECT_EQ(0, instance_umount(&self->inst));
}

static int call(int fd, unsigned int cmd, const void *arg)
{
	return ioctl(fd, cmd, arg) ? -errno : 0;
}

/* ---- entries ---- */

#define GOOD_PREFETCH .op = ITME_HINT_PREFETCH, .hint_class = ITME_CLASS_EXACT, \
		      .tier = ITME_TIER_DRAM
#define GOOD_PIN .op = ITME_HINT_PIN, .hint_class = ITME_CLASS_EXACT

static const struct {
	struct itme_hint hint;
	int error;
} bad[] = {
	{ { .op = 0, .length = 1 }, -EOPNOTSUPP },
	{ { .op = ITME_HINT_CANCEL + 1, .length = 1 }, -EOPNOTSUPP },
	{ { .op = 31, .length = 1 }, -EOPNOTSUPP },
	{ { .op = 32, .length = 1 }, -EOPNOTSUPP },
	{ { .op = 33, .length = 1 }, -EOPNOTSUPP },
	{ { .op = UINT32_MAX, .length = 1 }, -EOPNOTSUPP },
	/* Classes. */
	{ { .op = ITME_HINT_PREFETCH, .tier = ITME_TIER_DRAM, .hint_class = ITME_CLASS_MAYBE + 1,
	    .length = 1 }, -EOPNOTSUPP },
	{ { .op = ITME_HINT_PREFETCH, .tier = ITME_TIER_DRAM, .hint_class = 32,
	    .length = 1 }, -EOPNOTSUPP },
	{ { .op = ITME_HINT_PREFETCH, .tier = ITME_TIER_DRAM, .hint_class = UINT32_MAX,
	    .length = 1 }, -EOPNOTSUPP },
	{ { .op = ITME_HINT_PIN, .hint_class = UINT32_MAX, .length = 1 }, -EOPNOTSUPP },
	{ { .op = ITME_HINT_RELEASE, .hint_class = ITME_CLASS_EXACT, .length = 1 }, -EINVAL },
	{ { .op = ITME_HINT_UNPIN, .hint_class = ITME_CLASS_EXACT, .length = 1 }, -EINVAL },
	{ { .op = ITME_HINT_WATCH, .hint_class = ITME_CLASS_MAYBE, .length = 1 }, -EINVAL },
	{ { .op = ITME_HINT_CANCEL, .hint_class = ITME_CLASS_MAYBE, .length = 1 }, -EINVAL },
	/* Tiers. */
	{ { .op = ITME_HINT_PREFETCH, .hint_class = ITME_CLASS_EXACT, .length = 1 }, -EINVAL },
	{ { .op = ITME_HINT_PREFETCH, .hint_class = ITME_CLASS_EXACT, .tier = 3,
	    .length = 1 }, -EINVAL },
	{ { .op = ITME_HINT_PREFETCH, .hint_class = ITME_CLASS_EXACT, .tier = UINT32_MAX,
	    .length = 1 }, -EINVAL },
	{ { .op = ITME_HINT_PIN, .hint_class = ITME_CLASS_EXACT, .tier = 3,
	    .length = 1 }, -EINVAL },
	{ { .op = ITME_HINT_RELEASE, .tier = ITME_TIER_DRAM, .length = 1 }, -EINVAL },
	{ { .op = ITME_HINT_UNPIN, .tier = ITME_TIER_DRAM, .length = 1 }, -EINVAL },
	{ { .op = ITME_HINT_WATCH, .tier = ITME_TIER_CXL, .length = 1 }, -EINVAL },
	{ { .op = ITME_HINT_CANCEL, .tier = ITME_TIER_CXL, .length = 1 }, -EINVAL },
	/* Ranges: empty, past the end, wrapping. */
	{ { GOOD_PREFETCH, .length = 0 }, -EINVAL },
	{ { GOOD_PREFETCH, .offset = BYTES, .length = 1 }, -EINVAL },
	{ { GOOD_PREFETCH, .length = BYTES + 1 }, -EINVAL },
	{ { GOOD_PREFETCH, .offset = BYTES - 1, .length = 2 }, -EINVAL },
	{ { GOOD_PREFETCH, .offset = 1, .length = UINT64_MAX }, -EINVAL },
	{ { GOOD_PREFETCH, .offset = UINT64_MAX, .length = 1 }, -EINVAL },
	{ { GOOD_PREFETCH, .offset = UINT64_MAX, .length = UINT64_MAX }, -EINVAL },
	{ { GOOD_PREFETCH, .offset = GRANULE, .length = -GRANULE }, -EINVAL },
	{ { GOOD_PREFETCH, .offset = 1ULL << 63, .length = 1ULL << 63 }, -EINVAL },
	{ { GOOD_PIN, .length = 0 }, -EINVAL },
	{ { GOOD_PIN, .length = BYTES + 1 }, -EINVAL },
	{ { GOOD_PIN, .offset = GRANULE, .length = -GRANULE }, -EINVAL },
	{ { .op = ITME_HINT_RELEASE, .length = 0 }, -EINVAL },
	{ { .op = ITME_HINT_RELEASE, .offset = GRANULE, .length = -GRANULE }, -EINVAL },
	{ { .op = ITME_HINT_UNPIN, .length = 0 }, -EINVAL },
	{ { .op = ITME_HINT_UNPIN, .length = BYTES + 1 }, -EINVAL },
	{ { .op = ITME_HINT_WATCH, .length = 0 }, -EINVAL },
	{ { .op = ITME_HINT_WATCH, .offset = UINT64_MAX, .length = 2 }, -EINVAL },
	{ { .op = ITME_HINT_CANCEL, .length = 0 }, -EINVAL },
	{ { .op = ITME_HINT_CANCEL, .length = BYTES + 1 }, -EINVAL },
	{ { .op = ITME_HINT_CANCEL, .cookie = 5, .length = 1 }, -EINVAL },
	{ { .op = ITME_HINT_CANCEL, .cookie = 5, .offset = GRANULE }, -EINVAL },
	/* What the operation has no use for. */
	{ { .op = ITME_HINT_RELEASE, .length = 1, .cookie = 1 }, -EINVAL },
	{ { .op = ITME_HINT_RELEASE, .length = 1, .deadline_ns = 1 }, -EINVAL },
	{ { .op = ITME_HINT_UNPIN, .length = 1, .cookie = 1 }, -EINVAL },
	{ { .op = ITME_HINT_UNPIN, .length = 1, .deadline_ns = 1 }, -EINVAL },
	{ { .op = ITME_HINT_WATCH, .length = 1, .cookie = 1 }, -EINVAL },
	{ { .op = ITME_HINT_WATCH, .length = 1, .deadline_ns = 1 }, -EINVAL },
	{ { .op = ITME_HINT_CANCEL, .length = 1, .deadline_ns = 1 }, -EINVAL },
	/* Reserved. */
	{ { GOOD_PREFETCH, .length = 1, .__reserved = 1 }, -EINVAL },
	{ { .op = ITME_HINT_RELEASE, .length = 1, .__reserved = 1U << 31 }, -EINVAL },
	/* Of nothing. */
	{ { .op = ITME_HINT_CANCEL, .cookie = 77 }, -ENOENT },
	{ { .op = ITME_HINT_CANCEL, .cookie = UINT64_MAX }, -ENOENT },
};

TEST_F(input, bad_entries_say_so_each_and_do_nothing)
{
	struct itme_hint hints[ARRAY_SIZE(bad) + 2] = {};
	const size_t n = ARRAY_SIZE(bad);
	struct itme_stat stat;
	size_t i;

	ASSERT_EQ(0, prefetch(self->region, ITME_TIER_DRAM, 0, GRANULE));
	for (i = 0; i < n; i++) {
		hints[i + 1] = bad[i].hint;
		/* Results of another time are not believed. */
		hints[i + 1].accepted_bytes = 1;
		hints[i + 1].refused_bytes = 7;
		hints[i + 1].error = 12345;
	}
	/* Good ones before and after them are carried out. */
	hints[0] = (struct itme_hint){ GOOD_PREFETCH, .offset = GRANULE, .length = 1 };
	hints[n + 1] = (struct itme_hint){ GOOD_PREFETCH, .offset = 3 * GRANULE - 1, .length = 2 };
	ASSERT_EQ(0, submit(self->region, hints, n + 2));
	for (i = 0; i < n; i++) {
		const struct itme_hint *hint = &hints[i + 1];

		EXPECT_EQ(bad[i].error, hint->error)
			TH_LOG("in entry %zu", i);
		EXPECT_EQ(0, hint->accepted_bytes + hint->resident_bytes + hint->clipped_bytes +
			  hint->refused_bytes)
			TH_LOG("in entry %zu", i);
	}
	EXPECT_EQ(0, hints[0].error);
	EXPECT_EQ(GRANULE, hints[0].accepted_bytes);
	EXPECT_EQ(0, hints[n + 1].error);
	EXPECT_EQ(2 * GRANULE, hints[n + 1].accepted_bytes);
	EXPECT_EQ(0, wait_range(self->region, 0, BYTES, 60, NULL));
	EXPECT_EQ(ITME_TIER_DRAM, residency(self->region, 0));
	EXPECT_EQ(4, count_tier(self->region, ITME_TIER_DRAM));
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(0, stat.pinned_bytes);
}

TEST_F(input, unknown_flags_of_entries)
{
	__u32 op;
	int bit;

	for (op = ITME_HINT_PREFETCH; op <= ITME_HINT_CANCEL; op++) {
		for (bit = 0; bit < 32; bit++) {
			const bool queued = op == ITME_HINT_PREFETCH || op == ITME_HINT_PIN;
			struct itme_hint hint = {
				.op = op,
				.flags = 1U << bit,
				.hint_class = queued ? ITME_CLASS_EXACT : 0,
				.tier = op == ITME_HINT_PREFETCH ? ITME_TIER_DRAM : 0,
				.length = 1,
			};

			if (op == ITME_HINT_RELEASE && hint.flags == ITME_HINT_FORCE)
				continue;
			ASSERT_EQ(0, submit(self->region, &hint, 1));
			EXPECT_EQ(-EOPNOTSUPP, hint.error)
				TH_LOG("for operation %u, bit %d", op, bit);
			EXPECT_EQ(0, hint.accepted_bytes);
		}
	}
	EXPECT_EQ(0, count_tier(self->region, ITME_TIER_DRAM));
}

/* ---- vectors ---- */

TEST_F(input, a_million_entries)
{
	const __u32 count = 1000000;
	struct itme_hint_vec vec = {
		.size = sizeof(vec),
		.count = count,
		.entry_size = sizeof(struct itme_hint),
	};
	struct itme_hint *hints;

	hints = mmap(NULL, count * sizeof(*hints), PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ASSERT_NE(MAP_FAILED, hints);
	vec.entries = (uintptr_t)hints;
	EXPECT_EQ(-EINVAL, call(self->region, ITME_IOC_HINT, &vec));
	vec.count = UINT32_MAX;
	EXPECT_EQ(-EINVAL, call(self->region, ITME_IOC_HINT, &vec));
	munmap(hints, count * sizeof(*hints));
}

/* All that one call takes: overlapping, nested, the same, in any order. */
TEST_F(input, the_longest_vector_of_overlapping_ranges)
{
	const __u32 n = self->info.hint_max;
	struct itme_hint *hints = calloc(n, sizeof(*hints));
	struct itme_stat stat;
	__u64 random = 5;
	__u32 i;

	ASSERT_NE(NULL, hints);
	for (i = 0; i < n; i++) {
		__u64 offset = next_random(&random) % BYTES;

		hints[i] = (struct itme_hint){
			GOOD_PREFETCH,
			.offset = offset,
			.length = next_random(&random) % (BYTES - offset) + 1,
		};
		hints[i].hint_class = 1 + i % 3;
	}
	hints[n / 2] = (struct itme_hint){ GOOD_PREFETCH, .length = BYTES };
	ASSERT_EQ(0, submit(self->region, hints, n));
	for (i = 0; i < n; i++) {
		__u64 first = hints[i].offset / GRANULE * GRANULE;
		__u64 end = round_up(hints[i].offset + hints[i].length, GRANULE);

		ASSERT_EQ(0, hints[i].error);
		EXPECT_EQ((end > BYTES ? BYTES : end) - first,
			  hints[i].accepted_bytes + hints[i].resident_bytes);
	}
	EXPECT_EQ(0, wait_range(self->region, 0, BYTES, 60, NULL));
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(FULL + 1, stat.fill_count);
	EXPECT_EQ(BYTES, stat.accepted_bytes);
	EXPECT_EQ(BYTES, stat.prefetch_bytes);
	EXPECT_EQ(0, stat.miss_count);
	free(hints);
}

TEST_F(input, bad_eventfds)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	const struct {
		int fd, error;
	} cases[] = {
		{ -1, -EBADF },
		{ 99999, -EBADF },
		{ self->region, -EINVAL },
		{ self->inst.root, -EINVAL },
		{ null, -EINVAL },
	};
	struct itme_hint hint = { GOOD_PREFETCH, .length = BYTES, .cookie = 1 };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		EXPECT_EQ(cases[i].error,
			  submit_with_eventfd(self->region, &hint, 1, cases[i].fd))
			TH_LOG("in case %zu", i);
	}
	EXPECT_EQ(0, count_tier(self->region, ITME_TIER_DRAM));
	EXPECT_EQ(-ENOENT, wait_cookie(self->region, 1, 0, NULL));
	close(null);
}

/* An eventfd that is closed, or full, hinders nobody. */
TEST_F(input, eventfds_that_go_away)
{
	struct itme_hint hint = { GOOD_PREFETCH, .length = 2 * GRANULE, .cookie = 1 };
	int eventfd_of = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	__u64 most = UINT64_MAX - 1;

	ASSERT_LE(0, eventfd_of);
	ASSERT_EQ(0, submit_with_eventfd(self->region, &hint, 1, eventfd_of));
	close(eventfd_of);
	EXPECT_EQ(0, wait_cookie(self->region, 1, 60, NULL));

	eventfd_of = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ASSERT_EQ(sizeof(most), write(eventfd_of, &most, sizeof(most)));
	hint.offset = 2 * GRANULE;
	ASSERT_EQ(0, submit_with_eventfd(self->region, &hint, 1, eventfd_of));
	EXPECT_EQ(0, wait_cookie(self->region, 1, 60, NULL));
	close(eventfd_of);
}

/* ---- waits ---- */

static int wait_with(int region, struct itme_wait args)
{
	int err;

	args.size = sizeof(args);
	args.ready_bytes = 1;
	args.lost_bytes = 1;
	err = call(region, ITME_IOC_WAIT, &args);
	/* What could not be told is not made up. */
	if (err == -ETIMEDOUT && (args.ready_bytes || args.lost_bytes || args.failed_bytes ||
				  args.expired_bytes))
		return -EPROTO;
	return err;
}

#define WAIT(...) wait_with(self->region, (struct itme_wait){ __VA_ARGS__ })
#define RANGE .flags = ITME_WAIT_RANGE
#define COOKIE .flags = ITME_WAIT_COOKIE

TEST_F(input, waits)
{
	struct itme_hint hint = { GOOD_PREFETCH, .length = GRANULE, .cookie = 5 };

	EXPECT_EQ(-EINVAL, WAIT(.length = 1));
	EXPECT_EQ(-EINVAL, WAIT(.cookie = 5));
	EXPECT_EQ(-EINVAL, WAIT(.flags = ITME_WAIT_RANGE | ITME_WAIT_COOKIE, .cookie = 5));
	EXPECT_EQ(-EINVAL, WAIT(.flags = ITME_WAIT_RANGE | ITME_WAIT_COOKIE, .length = 1));
	EXPECT_EQ(-EINVAL, WAIT(RANGE, .length = 0));
	EXPECT_EQ(-EINVAL, WAIT(RANGE, .length = 1, .cookie = 5));
	EXPECT_EQ(-EINVAL, WAIT(RANGE, .length = BYTES + 1));
	EXPECT_EQ(-EINVAL, WAIT(RANGE, .offset = BYTES, .length = 1));
	EXPECT_EQ(-EINVAL, WAIT(RANGE, .offset = GRANULE, .length = -GRANULE));
	EXPECT_EQ(-EINVAL, WAIT(RANGE, .offset = UINT64_MAX, .length = 2));
	EXPECT_EQ(-EINVAL, WAIT(COOKIE, .cookie = 0));
	EXPECT_EQ(-EINVAL, WAIT(COOKIE, .cookie = 5, .offset = 1));
	EXPECT_EQ(-EINVAL, WAIT(COOKIE, .cookie = 5, .length = 1));
	EXPECT_EQ(-ENOENT, WAIT(COOKIE, .cookie = 5));
	EXPECT_EQ(-ENOENT, WAIT(COOKIE, .cookie = UINT64_MAX, .timeout_ns = UINT64_MAX));
	/* Nothing to wait for is complete, whatever the time that is given. */
	EXPECT_EQ(0, WAIT(RANGE, .length = BYTES));
	EXPECT_EQ(0, WAIT(RANGE, .length = BYTES, .timeout_ns = 1));
	EXPECT_EQ(0, WAIT(RANGE, .length = BYTES, .timeout_ns = INT64_MAX));
	EXPECT_EQ(0, WAIT(RANGE, .length = BYTES, .timeout_ns = UINT64_MAX));
	ASSERT_EQ(0, submit(self->region, &hint, 1));
	EXPECT_EQ(0, WAIT(COOKIE, .cookie = 5, .timeout_ns = UINT64_MAX));
	EXPECT_EQ(-ENOENT, WAIT(COOKIE, .cookie = 5, .timeout_ns = UINT64_MAX));
}

/* ---- who may ---- */

static int force_release(void *arg)
{
	struct itme_hint hint = {
		.op = ITME_HINT_RELEASE,
		.flags = ITME_HINT_FORCE,
		.length = GRANULE,
	};

	return submit(*(int *)arg, &hint, 1) ?: hint.error;
}

static int plain_hints(void *arg)
{
	struct itme_hint hints[] = {
		{ GOOD_PREFETCH, .length = GRANULE },
		{ .op = ITME_HINT_WATCH, .length = GRANULE },
		{ .op = ITME_HINT_CANCEL, .length = GRANULE },
		{ .op = ITME_HINT_RELEASE, .offset = GRANULE, .length = GRANULE },
	};

	return submit(*(int *)arg, hints, ARRAY_SIZE(hints)) ?: hints[0].error ?: hints[1].error ?:
	       hints[2].error ?: hints[3].error;
}

TEST_F(input, privileges)
{
	ASSERT_EQ(0, prefetch(self->region, ITME_TIER_DRAM, 0, BYTES));
	EXPECT_EQ(-EPERM, as_user(NOBODY, force_release, &self->region));
	EXPECT_EQ(FULL + 1, count_tier(self->region, ITME_TIER_DRAM));
	EXPECT_EQ(0, force_release(&self->region));
	EXPECT_EQ(FULL, count_tier(self->region, ITME_TIER_DRAM));
	/* The rest needs the file open for reading, and no more. */
	EXPECT_EQ(0, as_user(NOBODY, plain_hints, &self->region));
}

/* ---- hammered by chance ---- */

/* Entries of random bits: what is not refused must be harmless. */
TEST_F(input, random_entries)
{
	__u64 random = 1, refused = 0, done = 0;
	struct itme_hint hints[32];
	char *addr;
	int round;

	addr = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, self->region, 0);
	ASSERT_NE(MAP_FAILED, addr);
	for (round = 0; round < 2000; round++) {
		size_t i;

		for (i = 0; i < ARRAY_SIZE(hints); i++) {
			__u64 mask = next_random(&random);

			hints[i] = (struct itme_hint){
				.op = next_random(&random) % 9,
				.flags = mask & 1 ? next_random(&random) % 4 : 0,
				.hint_class = mask & 2 ? next_random(&random) % 6 : 1,
				.tier = mask & 4 ? next_random(&random) % 5 : 2,
				.offset = mask & 8 ? next_random(&random) : 0,
				.length = next_random(&random) >> (mask / 256 % 64),
				.deadline_ns = mask & 16 ? next_random(&random) : 0,
				.cookie = mask & 32 ? next_random(&random) % 4 : 0,
				.__reserved = mask % 64 == 0,
			};
			if (mask & 64)
				hints[i].offset %= BYTES;
			if (mask & 128)
				hints[i].hint_class = hints[i].tier = 0;
		}
		ASSERT_EQ(0, submit(self->region, hints, ARRAY_SIZE(hints)));
		for (i = 0; i < ARRAY_SIZE(hints); i++) {
			refused += hints[i].error != 0;
			done += hints[i].error == 0;
		}
		if (round % 100 == 0)
			ASSERT_EQ(-1, content_check_mapped(addr, 0, BYTES, SEED));
	}
	EXPECT_LT(1000, done);
	EXPECT_LT(1000, refused);
	/* Pins and cookies of this file go with it, even while it is mapped. */
	munmap(addr, BYTES);
	close(self->region);
	self->region = region_open(&self->inst, "region", O_RDONLY);
	ASSERT_LE(0, self->region);
	EXPECT_EQ(0, wait_range(self->region, 0, BYTES, 60, NULL));
	EXPECT_EQ(0, release(self->region, 0, BYTES));
	EXPECT_EQ(16 * MIB, instance_number(&self->inst, "dram_free_bytes"));
}

TEST_HARNESS_MAIN
