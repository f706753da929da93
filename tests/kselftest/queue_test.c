// SPDX-License-Identifier: GPL-2.0-only
/* The queue of hints, in front of a store that hangs until all are in place. */
#include "test.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include "device.h"
#include "tracing.h"

#define GRANULES 12UL
#define BYTES (GRANULES * GRANULE)
#define FRAMES 16UL
#define SEED 51

FIXTURE(queue)
{
	struct instance inst;
	struct device device;
	struct tracing tracing;
	int region;
	char *addr;
};

FIXTURE_SETUP(queue)
{
	ASSERT_EQ(0, private_mounts());
	ASSERT_EQ(0, device_make(&self->device, BYTES, SEED));
	ASSERT_EQ(0, instance_mount(&self->inst, "dram=32M,window=16M"));
	ASSERT_EQ(0, attach_path(&self->inst, self->device.path, "model"));
	self->region = region_open(&self->inst, "model", O_RDONLY);
	ASSERT_LE(0, self->region);
	self->addr = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, self->region, 0);
	ASSERT_NE(MAP_FAILED, self->addr);
	ASSERT_EQ(0, tracing_start(&self->tracing, self->region));
}

FIXTURE_TEARDOWN(queue)
{
	struct itme_stat stat;

	device_go_on(&self->device);
	EXPECT_EQ(0, wait_range(self->region, 0, BYTES, 60, NULL));
	EXPECT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(0, stat.queued_bytes);
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
	EXPECT_EQ(0, release(self->region, 0, BYTES));
	EXPECT_EQ(FRAMES * GRANULE, instance_number(&self->inst, "dram_free_bytes"));
	EXPECT_EQ(0, tracing_stop(&self->tracing));
	munmap(self->addr, BYTES);
	close(self->region);
	EXPECT_EQ(0, instance_umount(&self->inst));
	EXPECT_EQ(0, device_remove(&self->device));
}

static struct itme_hint want(__u64 granule, __u64 count, __u32 hint_class)
{
	return (struct itme_hint){
		.op = ITME_HINT_PREFETCH,
		.hint_class = hint_class,
		.tier = ITME_TIER_DRAM,
		.offset = granule * GRANULE,
		.length = count * GRANULE,
	};
}

static __u64 nanoseconds(double seconds_from_now)
{
	return (now() + seconds_from_now) * 1e9;
}

/* Wait until a number of STAT is as said. */
#define EVENTUALLY(member, value) ({ \
	struct itme_stat eventually_stat = {}; \
	const double eventually_end = now() + 20 * slowness(); \
	do { \
		if (eventually_stat.size) \
			usleep(1000); \
		ASSERT_EQ(0, region_stat(self->region, &eventually_stat)); \
	} while (eventually_stat.member != (value) && now() < eventually_end); \
	eventually_stat.member; \
})

/* One granule under way at a time, the first, which the store does not give yet. */
#define HANG_ON_GRANULE_0() do { \
	struct itme_hint hang_hint = want(0, 1, ITME_CLASS_EXACT); \
	ASSERT_EQ(0, instance_write(&self->inst, "inflight_bytes", "2097152")); \
	ASSERT_EQ(0, device_hang(&self->device)); \
	ASSERT_EQ(0, submit(self->region, &hang_hint, 1)); \
	ASSERT_EQ(GRANULE, hang_hint.accepted_bytes); \
	ASSERT_EQ(0, EVENTUALLY(queued_bytes, 0)); \
	ASSERT_EQ(ITME_TIER_STORE | ITME_RESIDENCY_BUSY, residency(self->region, 0)); \
} while (0)

#define EXPECT_FILLS(...) do { \
	const int fills_wanted[] = { __VA_ARGS__ }; \
	int fills[64], fills_i, fills_n; \
	ASSERT_EQ(0, device_go_on(&self->device)); \
	ASSERT_EQ(0, wait_range(self->region, 0, BYTES, 60, NULL)); \
	ASSERT_TRUE(tracing_read(&self->tracing)); \
	fills_n = tracing_granules(&self->tracing, "fill", fills, 64); \
	EXPECT_EQ(ARRAY_SIZE(fills_wanted), fills_n); \
	for (fills_i = 0; fills_i < fills_n && fills_i < (int)ARRAY_SIZE(fills_wanted); fills_i++) \
		EXPECT_EQ(fills_wanted[fills_i], fills[fills_i]) \
			TH_LOG("as fill %d", fills_i); \
} while (0)

/* ---- order ---- */

TEST_F(queue, classes_then_deadlines_then_submission)
{
	struct itme_hint hints[] = {
		want(1, 1, ITME_CLASS_MAYBE), want(2, 1, ITME_CLASS_LIKELY),
		want(3, 1, ITME_CLASS_EXACT), want(4, 1, ITME_CLASS_EXACT),
		want(5, 1, ITME_CLASS_EXACT), want(6, 1, ITME_CLASS_EXACT),
		want(7, 1, ITME_CLASS_LIKELY), want(8, 1, ITME_CLASS_MAYBE),
	};
	size_t i;

	hints[3].deadline_ns = nanoseconds(2000);
	hints[4].deadline_ns = nanoseconds(1000);
	hints[6].deadline_ns = nanoseconds(500);
	hints[7].deadline_ns = nanoseconds(400);
	HANG_ON_GRANULE_0();
	/* Some in a vector, some by themselves: it makes no difference. */
	ASSERT_EQ(0, submit(self->region, hints, 5));
	for (i = 5; i < ARRAY_SIZE(hints); i++)
		ASSERT_EQ(0, submit(self->region, &hints[i], 1));
	EXPECT_EQ(8 * GRANULE, EVENTUALLY(queued_bytes, 8 * GRANULE));
	EXPECT_FILLS(0, 5, 4, 3, 6, 7, 2, 8, 1);
}

TEST_F(queue, a_range_keeps_its_order)
{
	struct itme_hint hints[] = { want(6, 3, ITME_CLASS_EXACT), want(1, 3, ITME_CLASS_EXACT) };

	HANG_ON_GRANULE_0();
	ASSERT_EQ(0, submit(self->region, hints, 2));
	EXPECT_FILLS(0, 6, 7, 8, 1, 2, 3);
}

/* A surer hint for what is queued already takes it along. */
TEST_F(queue, a_better_class_goes_first)
{
	struct itme_hint hints[] = {
		want(1, 2, ITME_CLASS_MAYBE), want(3, 2, ITME_CLASS_LIKELY),
		want(2, 1, ITME_CLASS_EXACT),
	};

	HANG_ON_GRANULE_0();
	ASSERT_EQ(0, submit(self->region, hints, 3));
	EXPECT_EQ(GRANULE, hints[2].accepted_bytes);
	EXPECT_EQ(4 * GRANULE, EVENTUALLY(queued_bytes, 4 * GRANULE));
	EXPECT_FILLS(0, 2, 3, 4, 1);
}

struct reader {
	pthread_t thread;
	const char *addr;
	int sig;
};

static void *read_one(void *arg)
{
	struct reader *r = arg;

	r->sig = touch(r->addr);
	return NULL;
}

TEST_F(queue, a_fault_joins_a_read_under_way)
{
	struct reader reader = { .addr = self->addr + 100 };
	struct itme_stat stat;

	HANG_ON_GRANULE_0();
	ASSERT_EQ(0, pthread_create(&reader.thread, NULL, read_one, &reader));
	EXPECT_EQ(1, EVENTUALLY(late_count, 1));
	EXPECT_FILLS(0);
	pthread_join(reader.thread, NULL);
	EXPECT_EQ(0, reader.sig);
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(1, stat.late_count);
	EXPECT_EQ(0, stat.miss_count);
	EXPECT_EQ(GRANULE, stat.prefetch_bytes);
}

/* Of two reads the one that ends first, or else takes longer, was begun before the other. */
static bool begun_before(const struct tracing *tracing, const int *fills, int n, int one, int other)
{
	int i;

	for (i = 0; i < n && fills[i] != other; i++)
		if (fills[i] == one)
			return true;
	return tracing_field(tracing, "fill", one, "latency_ns=") >
	       tracing_field(tracing, "fill", other, "latency_ns=");
}

/* Whether it was hinted or not: a thread that waits goes before what is queued. */
TEST_F(queue, faults_go_before_hints)
{
	struct itme_hint hint = want(1, 6, ITME_CLASS_EXACT);
	struct reader hinted = { .addr = self->addr + 5 * GRANULE };
	struct reader other = { .addr = self->addr + 9 * GRANULE };
	const int queued[] = { 1, 2, 3, 4, 6 };
	int fills[16], n, i;
	struct itme_stat stat;

	HANG_ON_GRANULE_0();
	ASSERT_EQ(0, submit(self->region, &hint, 1));
	ASSERT_EQ(0, pthread_create(&hinted.thread, NULL, read_one, &hinted));
	ASSERT_EQ(0, pthread_create(&other.thread, NULL, read_one, &other));
	EXPECT_EQ(1, EVENTUALLY(late_count, 1));
	EXPECT_EQ(1, EVENTUALLY(miss_count, 1));
	/* One of those that were queued is not any more. */
	EXPECT_EQ(5 * GRANULE, EVENTUALLY(queued_bytes, 5 * GRANULE));
	ASSERT_EQ(0, device_go_on(&self->device));
	pthread_join(hinted.thread, NULL);
	pthread_join(other.thread, NULL);
	EXPECT_EQ(0, hinted.sig);
	EXPECT_EQ(0, other.sig);
	ASSERT_EQ(0, wait_range(self->region, 0, BYTES, 60, NULL));
	ASSERT_TRUE(tracing_read(&self->tracing));
	n = tracing_granules(&self->tracing, "fill", fills, 16);
	EXPECT_EQ(8, n);
	for (i = 0; i < (int)ARRAY_SIZE(queued); i++) {
		EXPECT_TRUE(begun_before(&self->tracing, fills, n, 5, queued[i]));
		EXPECT_TRUE(begun_before(&self->tracing, fills, n, 9, queued[i]));
	}
	EXPECT_EQ(6, n > 0 ? fills[n - 1] : -1);
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(8, stat.fill_count);
	/* Read on demand, hinted or not, it is not read ahead. */
	EXPECT_EQ(6 * GRANULE, stat.prefetch_bytes);
}

/* ---- depth ---- */

TEST_F(queue, bytes_in_flight_are_bounded)
{
	struct itme_hint hint = want(0, 8, ITME_CLASS_EXACT), more = want(9, 1, ITME_CLASS_EXACT);
	struct itme_info info = { .size = sizeof(info) };
	size_t g;

	ASSERT_EQ(0, instance_write(&self->inst, "inflight_bytes", "6291456"));
	ASSERT_EQ(0, ioctl(self->region, ITME_IOC_INFO, &info));
	EXPECT_EQ(3 * GRANULE, info.inflight_bytes);
	ASSERT_EQ(0, device_hang(&self->device));
	ASSERT_EQ(0, submit(self->region, &hint, 1));
	EXPECT_EQ(8 * GRANULE, hint.accepted_bytes);
	EXPECT_EQ(5 * GRANULE, EVENTUALLY(queued_bytes, 5 * GRANULE));
	ASSERT_EQ(0, submit(self->region, &more, 1));
	EXPECT_EQ(6 * GRANULE, EVENTUALLY(queued_bytes, 6 * GRANULE));
	for (g = 0; g < GRANULES; g++)
		EXPECT_EQ(g < 8 || g == 9 ? ITME_RESIDENCY_BUSY : 0, residency(self->region, g));
	/* A larger limit is used at once, a smaller one when reads have ended. */
	ASSERT_EQ(0, instance_write(&self->inst, "inflight_bytes", "10485760"));
	EXPECT_EQ(4 * GRANULE, EVENTUALLY(queued_bytes, 4 * GRANULE));
	ASSERT_EQ(0, instance_write(&self->inst, "inflight_bytes", "2097152"));
	ASSERT_EQ(0, device_go_on(&self->device));
	EXPECT_EQ(0, wait_range(self->region, 0, BYTES, 60, NULL));
	EXPECT_EQ(9, count_tier(self->region, ITME_TIER_DRAM));
}

/* Many at once, without a thread for each. */
TEST_F(queue, many_are_in_flight_by_default)
{
	struct itme_info info = { .size = sizeof(info) };
	struct itme_hint hint;
	__u64 many;

	ASSERT_EQ(0, ioctl(self->region, ITME_IOC_INFO, &info));
	many = info.inflight_bytes / GRANULE;
	ASSERT_LE(2, many);
	ASSERT_GT(GRANULES, many);
	hint = want(0, many + 1, ITME_CLASS_EXACT);
	ASSERT_EQ(0, device_hang(&self->device));
	ASSERT_EQ(0, submit(self->region, &hint, 1));
	EXPECT_EQ(GRANULE, EVENTUALLY(queued_bytes, GRANULE));
	EXPECT_EQ(ITME_RESIDENCY_BUSY, residency(self->region, many - 1));
	ASSERT_EQ(0, device_go_on(&self->device));
	EXPECT_EQ(0, wait_range(self->region, 0, BYTES, 60, NULL));
	EXPECT_EQ(many + 1, count_tier(self->region, ITME_TIER_DRAM));
}

/* ---- the same twice ---- */

TEST_F(queue, two_open_files_want_the_same)
{
	struct itme_hint hint = want(1, 3, ITME_CLASS_EXACT), again = hint;
	int second = region_open(&self->inst, "model", O_RDONLY);
	struct itme_wait outcome;
	struct itme_stat stat;

	ASSERT_LE(0, second);
	HANG_ON_GRANULE_0();
	hint.cookie = 1;
	ASSERT_EQ(0, submit(second, &hint, 1));
	EXPECT_EQ(3 * GRANULE, hint.accepted_bytes);
	/* On its way already, of which there is no double. */
	again.cookie = 2;
	ASSERT_EQ(0, submit(self->region, &again, 1));
	EXPECT_EQ(3 * GRANULE, again.accepted_bytes);
	EXPECT_EQ(0, again.resident_bytes);
	EXPECT_EQ(3 * GRANULE, EVENTUALLY(queued_bytes, 3 * GRANULE));
	/* One of them goes, and what the other wants stays. */
	close(second);
	EXPECT_EQ(-ETIMEDOUT, wait_cookie(self->region, 2, 0, NULL));
	EXPECT_FILLS(0, 1, 2, 3);
	EXPECT_EQ(0, wait_cookie(self->region, 2, 20, &outcome));
	EXPECT_EQ(3 * GRANULE, outcome.ready_bytes);
	EXPECT_EQ(0, outcome.lost_bytes);
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(4 * GRANULE, stat.prefetch_bytes);
}

/* ---- deadlines ---- */

TEST_F(queue, what_is_past_its_deadline_expires)
{
	struct itme_hint past = want(4, 2, ITME_CLASS_EXACT), soon = want(6, 2, ITME_CLASS_EXACT);
	struct itme_hint later = want(8, 1, ITME_CLASS_EXACT);
	struct itme_wait outcome;
	struct itme_stat stat;

	past.deadline_ns = 1;
	past.cookie = 1;
	ASSERT_EQ(0, submit(self->region, &past, 1));
	EXPECT_EQ(0, past.error);
	EXPECT_EQ(2 * GRANULE, past.accepted_bytes);
	EXPECT_EQ(0, wait_cookie(self->region, 1, 20, &outcome));
	EXPECT_EQ(2 * GRANULE, outcome.expired_bytes);
	EXPECT_EQ(0, outcome.ready_bytes + outcome.failed_bytes + outcome.lost_bytes);

	/* In time when it was submitted, and not any more when its turn comes. */
	HANG_ON_GRANULE_0();
	soon.deadline_ns = nanoseconds(0.2);
	soon.cookie = 2;
	later.deadline_ns = nanoseconds(2000);
	later.cookie = 3;
	ASSERT_EQ(0, submit(self->region, &soon, 1));
	ASSERT_EQ(0, submit(self->region, &later, 1));
	while (nanoseconds(0) <= soon.deadline_ns)
		usleep(10000);
	EXPECT_FILLS(0, 8);
	EXPECT_EQ(0, wait_cookie(self->region, 2, 20, &outcome));
	EXPECT_EQ(2 * GRANULE, outcome.expired_bytes);
	EXPECT_EQ(0, wait_cookie(self->region, 3, 20, &outcome));
	EXPECT_EQ(GRANULE, outcome.ready_bytes);
	EXPECT_EQ(0, outcome.expired_bytes);
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(4 * GRANULE, stat.expired_bytes);
	EXPECT_EQ(4 * GRANULE, instance_number(&self->inst, "expired_bytes"));
	EXPECT_EQ(2 * GRANULE, stat.fill_bytes);
}

/* ---- cancel ---- */

static struct itme_hint cancel_range(__u64 granule, __u64 count)
{
	return (struct itme_hint){
		.op = ITME_HINT_CANCEL,
		.offset = granule * GRANULE,
		.length = count * GRANULE,
	};
}

TEST_F(queue, cancel_by_cookie)
{
	struct itme_hint hints[] = {
		want(1, 2, ITME_CLASS_EXACT), want(5, 2, ITME_CLASS_MAYBE),
		want(3, 2, ITME_CLASS_EXACT),
	};
	struct itme_hint cancel = { .op = ITME_HINT_CANCEL, .cookie = 7 };
	struct itme_wait outcome;
	struct itme_stat stat;

	hints[0].cookie = 7;
	hints[1].cookie = 7;
	hints[2].cookie = 8;
	HANG_ON_GRANULE_0();
	ASSERT_EQ(0, submit(self->region, hints, 3));
	EXPECT_EQ(6 * GRANULE, EVENTUALLY(queued_bytes, 6 * GRANULE));
	ASSERT_EQ(0, submit(self->region, &cancel, 1));
	EXPECT_EQ(0, cancel.error);
	EXPECT_EQ(4 * GRANULE, cancel.accepted_bytes);
	/* It is complete now, and says what came of it. */
	EXPECT_EQ(0, wait_cookie(self->region, 7, 0, &outcome));
	EXPECT_EQ(4 * GRANULE, outcome.lost_bytes);
	EXPECT_EQ(0, outcome.ready_bytes);
	ASSERT_EQ(0, submit(self->region, &cancel, 1));
	EXPECT_EQ(-ENOENT, cancel.error);
	EXPECT_FILLS(0, 3, 4);
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(4 * GRANULE, stat.cancelled_bytes);
}

TEST_F(queue, cancel_by_range)
{
	struct itme_hint hint = want(0, 8, ITME_CLASS_EXACT), cancel = cancel_range(2, 3);
	int second = region_open(&self->inst, "model", O_RDONLY);
	struct itme_wait outcome;
	struct itme_stat stat;

	ASSERT_LE(0, second);
	hint.cookie = 1;
	HANG_ON_GRANULE_0();
	ASSERT_EQ(0, submit(self->region, &hint, 1));
	EXPECT_EQ(7 * GRANULE, EVENTUALLY(queued_bytes, 7 * GRANULE));
	/* Another open file has nothing to cancel here. */
	ASSERT_EQ(0, submit(second, &cancel, 1));
	EXPECT_EQ(0, cancel.accepted_bytes);
	EXPECT_EQ(7 * GRANULE, EVENTUALLY(queued_bytes, 7 * GRANULE));
	/* A hole in the middle of a hint. */
	ASSERT_EQ(0, submit(self->region, &cancel, 1));
	EXPECT_EQ(0, cancel.error);
	EXPECT_EQ(3 * GRANULE, cancel.accepted_bytes);
	EXPECT_EQ(4 * GRANULE, EVENTUALLY(queued_bytes, 4 * GRANULE));
	/* The first is under way for another hint, and ends as it will. */
	cancel = cancel_range(0, 1);
	ASSERT_EQ(0, submit(self->region, &cancel, 1));
	EXPECT_EQ(0, cancel.error);
	EXPECT_EQ(GRANULE, cancel.accepted_bytes);
	EXPECT_FILLS(0, 1, 5, 6, 7);
	EXPECT_EQ(0, wait_cookie(self->region, 1, 20, &outcome));
	EXPECT_EQ(4 * GRANULE, outcome.lost_bytes);
	EXPECT_EQ(4 * GRANULE, outcome.ready_bytes);
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(4 * GRANULE, stat.cancelled_bytes);
	close(second);
}

TEST_F(queue, close_cancels)
{
	struct itme_hint hint = want(1, 5, ITME_CLASS_EXACT);
	int second = region_open(&self->inst, "model", O_RDONLY);
	struct itme_stat stat;
	double start;

	ASSERT_LE(0, second);
	HANG_ON_GRANULE_0();
	hint.cookie = 9;
	ASSERT_EQ(0, submit(second, &hint, 1));
	EXPECT_EQ(5 * GRANULE, EVENTUALLY(queued_bytes, 5 * GRANULE));
	start = now();
	close(second);
	EXPECT_GT(5 * slowness(), now() - start);
	EXPECT_EQ(0, EVENTUALLY(queued_bytes, 0));
	EXPECT_FILLS(0);
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(5 * GRANULE, stat.cancelled_bytes);
}

/* Release of what is queued: it is not wanted any more, by nobody. */
TEST_F(queue, release_while_it_is_queued)
{
	struct itme_hint hint = want(1, 2, ITME_CLASS_EXACT);
	struct itme_hint drop = {
		.op = ITME_HINT_RELEASE,
		.offset = GRANULE,
		.length = 2 * GRANULE,
	};

	HANG_ON_GRANULE_0();
	ASSERT_EQ(0, submit(self->region, &hint, 1));
	ASSERT_EQ(0, submit(self->region, &drop, 1));
	EXPECT_EQ(0, drop.error);
	EXPECT_EQ(2 * GRANULE, drop.accepted_bytes + drop.resident_bytes);
	ASSERT_EQ(0, device_go_on(&self->device));
	EXPECT_EQ(0, wait_range(self->region, 0, BYTES, 60, NULL));
	EXPECT_EQ(0, EVENTUALLY(queued_bytes, 0));
}

/* ---- those who are killed ---- */

/* A child that opens the region, hints and pins, tells so, and waits for its end. */
static pid_t hinting_child(const struct instance *inst, int told)
{
	pid_t child = fork();

	if (child == 0) {
		struct itme_hint hints[] = {
			want(1, 5, ITME_CLASS_EXACT), want(7, 2, ITME_CLASS_EXACT),
			{ .op = ITME_HINT_WATCH, .length = BYTES },
		};
		int region = region_open(inst, "model", O_RDONLY);
		char byte;

		setpgid(0, 0); /* one signal for it and its own child */
		hints[0].cookie = 1;
		hints[1].op = ITME_HINT_PIN;
		hints[1].cookie = 2;
		if (region < 0 || submit(region, hints, 3) || hints[0].error || hints[1].error ||
		    hints[2].error || write(told, "1", 1) != 1)
			_exit(1);
		/* A waiter in the kernel, and one that faults. */
		if (fork() == 0)
			touch(mmap(NULL, GRANULE, PROT_READ, MAP_SHARED, region, 0));
		else
			wait_cookie(region, 1, 1000, NULL);
		byte = 0;
		_exit(write(told, &byte, 1) != 1);
	}
	return child;
}

TEST_F(queue, kill_leaves_nothing_behind)
{
	struct itme_stat stat;
	int told[2], status;
	pid_t child;
	char byte;

	ASSERT_EQ(0, pipe(told));
	HANG_ON_GRANULE_0();
	child = hinting_child(&self->inst, told[1]);
	close(told[1]);
	ASSERT_LT(0, child);
	ASSERT_EQ(1, read(told[0], &byte, 1));
	EXPECT_EQ(7 * GRANULE, EVENTUALLY(queued_bytes, 7 * GRANULE));
	EXPECT_EQ(2 * GRANULE, EVENTUALLY(pinned_bytes, 2 * GRANULE));
	/* Its own child holds the open file too. */
	EXPECT_EQ(1, EVENTUALLY(late_count, 1));
	ASSERT_EQ(0, kill(-child, SIGKILL));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(0, read(told[0], &byte, 1)); /* the last of them is gone */
	EXPECT_EQ(0, EVENTUALLY(queued_bytes, 0));
	EXPECT_EQ(0, EVENTUALLY(pinned_bytes, 0));
	EXPECT_EQ(0, instance_number(&self->inst, "queued_bytes"));
	EXPECT_EQ(0, instance_number(&self->inst, "pinned_bytes"));
	EXPECT_FILLS(0);
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(7 * GRANULE, stat.cancelled_bytes);
	EXPECT_EQ(0, residency(self->region, 3) & ITME_RESIDENCY_WATCHED);
	EXPECT_EQ(32 * MIB, instance_number(&self->inst, "dram_current_bytes"));
	close(told[0]);
}

TEST_HARNESS_MAIN
