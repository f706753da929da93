// SPDX-License-Identifier: GPL-2.0-only
/* A watch tells the next access to a granule, once. */
#include "test.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include "tracing.h"

#define GRANULES 8UL
#define BYTES (GRANULES * GRANULE + 5000)
#define SEED 81

FIXTURE(watch)
{
	struct instance inst;
	struct tracing tracing;
	int region;
	char *addr;
};

FIXTURE_SETUP(watch)
{
	char path[256], options[64] = "dram=24M";

	ASSERT_EQ(0, private_mounts());
	ASSERT_EQ(0, store_path(path, sizeof(path), BYTES, SEED));
	if (cxl_node() >= 0)
		snprintf(options, sizeof(options), "dram=24M,cxl=8M@%d", cxl_node());
	ASSERT_EQ(0, instance_mount(&self->inst, options));
	ASSERT_EQ(0, attach_path(&self->inst, path, "model"));
	self->region = region_open(&self->inst, "model", O_RDONLY);
	ASSERT_LE(0, self->region);
	self->addr = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, self->region, 0);
	ASSERT_NE(MAP_FAILED, self->addr);
	ASSERT_EQ(0, tracing_start(&self->tracing, self->region));
}

FIXTURE_TEARDOWN(watch)
{
	EXPECT_EQ(0, tracing_stop(&self->tracing));
	munmap(self->addr, BYTES);
	close(self->region);
	EXPECT_EQ(0, instance_umount(&self->inst));
}

static struct itme_hint watch(int region, __u32 op, __u64 granule, __u64 count)
{
	struct itme_hint result = {};
	__u64 offset = granule * GRANULE, length = count * GRANULE;
	int err;

	if (offset + length > BYTES)
		length = BYTES - offset;
	err = hint(region, op, 0, offset, length, &result);
	if (err && !result.error)
		result.error = err;
	return result;
}

static __u64 count_watched(int region)
{
	__u64 g, n = 0;

	for (g = 0; g <= GRANULES; g++)
		n += !!(residency(region, g) & ITME_RESIDENCY_WATCHED);
	return n;
}

/* The touch events so far name these granules, in this order. */
#define EXPECT_TOUCHES(...) do { \
	const int touches_wanted[] = { __VA_ARGS__ }; \
	const int touches_n = sizeof(touches_wanted) / sizeof(int); \
	int touches[64], touches_i; \
	struct itme_stat touches_stat; \
	ASSERT_TRUE(tracing_read(&self->tracing)); \
	EXPECT_EQ(touches_n, tracing_granules(&self->tracing, "touch", touches, 64)); \
	for (touches_i = 0; touches_i < touches_n; touches_i++) \
		EXPECT_EQ(touches_wanted[touches_i], touches[touches_i]) \
			TH_LOG("as touch %d", touches_i); \
	ASSERT_EQ(0, region_stat(self->region, &touches_stat)); \
	EXPECT_EQ(touches_n, touches_stat.touch_count); \
} while (0)

TEST_F(watch, tells_the_next_access_once)
{
	struct itme_hint result;
	char byte;

	/* Some are mapped, some resident, some absent. */
	EXPECT_EQ(0, touch(self->addr + GRANULE));
	EXPECT_EQ(0, touch(self->addr + 2 * GRANULE));
	ASSERT_EQ(0, prefetch(self->region, ITME_TIER_DRAM, 3 * GRANULE, GRANULE));
	result = watch(self->region, ITME_HINT_WATCH, 0, GRANULES + 1);
	EXPECT_EQ(0, result.error);
	EXPECT_EQ(BYTES, result.accepted_bytes);
	EXPECT_EQ(GRANULES + 1, count_watched(self->region));
	EXPECT_EQ(0, mapping_bytes(self->addr, "Rss"));
	EXPECT_TOUCHES();

	EXPECT_EQ(0, touch(self->addr + 2 * GRANULE + 7));
	EXPECT_EQ(0, touch(self->addr + 2 * GRANULE + 8888));
	EXPECT_EQ(0, touch(self->addr + 5 * GRANULE));
	EXPECT_EQ(1, pread(self->region, &byte, 1, 3 * GRANULE));
	EXPECT_EQ(1, pread(self->region, &byte, 1, 3 * GRANULE));
	EXPECT_EQ(1, pread(self->region, &byte, 1, 6 * GRANULE + 5));
	EXPECT_EQ(0, touch(self->addr + GRANULES * GRANULE));
	EXPECT_EQ(0, touch(self->addr + GRANULES * GRANULE + PAGE));
	EXPECT_TOUCHES(2, 5, 3, 6, GRANULES);
	EXPECT_EQ(GRANULES + 1 - 5, count_watched(self->region));
	/* Unmapped and mapped again, it is not told again. */
	ASSERT_EQ(0, madvise(self->addr, BYTES, MADV_DONTNEED));
	EXPECT_EQ(0, touch(self->addr + 2 * GRANULE));
	EXPECT_EQ(0, release(self->region, 5 * GRANULE, GRANULE));
	EXPECT_EQ(0, touch(self->addr + 5 * GRANULE));
	EXPECT_TOUCHES(2, 5, 3, 6, GRANULES);
	/* But it is when it is watched again. */
	EXPECT_EQ(GRANULE, watch(self->region, ITME_HINT_WATCH, 5, 1).accepted_bytes);
	EXPECT_EQ(0, touch(self->addr + 5 * GRANULE));
	EXPECT_TOUCHES(2, 5, 3, 6, GRANULES, 5);
}

/* It costs one fault, and no read. */
TEST_F(watch, is_cheap)
{
	struct itme_stat before, after;

	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
	ASSERT_EQ(0, region_stat(self->region, &before));
	EXPECT_EQ(0, watch(self->region, ITME_HINT_WATCH, 1, 2).error);
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, GRANULES * GRANULE, SEED));
	ASSERT_EQ(0, region_stat(self->region, &after));
	EXPECT_EQ(before.fault_count + 2, after.fault_count);
	EXPECT_EQ(before.fill_count, after.fill_count);
	EXPECT_EQ(GRANULES * GRANULE, mapping_bytes(self->addr, "FilePmdMapped"));
	EXPECT_TOUCHES(1, 2);
}

/* Bringing, moving and dropping is no access. */
TEST_F(watch, outlives_moves)
{
	if (cxl_node() < 0)
		SKIP(return, "no node of CXL memory");
	EXPECT_EQ(0, watch(self->region, ITME_HINT_WATCH, 0, 3).error);
	ASSERT_EQ(0, prefetch(self->region, ITME_TIER_DRAM, 0, 3 * GRANULE));
	ASSERT_EQ(0, prefetch(self->region, ITME_TIER_CXL, 0, 2 * GRANULE));
	EXPECT_EQ(0, release(self->region, 0, GRANULE));
	EXPECT_EQ(0, posix_fadvise(self->region, 0, GRANULE, POSIX_FADV_WILLNEED));
	ASSERT_EQ(0, wait_for_tier(self->region, 0, 1, ITME_TIER_DRAM));
	EXPECT_EQ(3, count_watched(self->region));
	EXPECT_TOUCHES();
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, 3 * GRANULE, SEED));
	EXPECT_TOUCHES(0, 1, 2);
	EXPECT_EQ(0, count_watched(self->region));
}

/* By whatever way a granule is accessed. */
TEST_F(watch, tells_every_kind_of_access)
{
	struct iovec local, remote = { self->addr, 100 };
	char buffer[200], path[256];
	pid_t child;
	int status, fd;

	EXPECT_EQ(0, watch(self->region, ITME_HINT_WATCH, 0, GRANULES).error);
	local = (struct iovec){ buffer, 100 };
	EXPECT_EQ(100, process_vm_readv(getpid(), &local, 1, &remote, 1, 0));
	EXPECT_TOUCHES(0);
	EXPECT_EQ(0, madvise(self->addr + GRANULE, PAGE, MADV_POPULATE_READ));
	EXPECT_TOUCHES(0, 1);
	child = fork();
	ASSERT_LE(0, child);
	if (child == 0)
		_exit(touch(self->addr + 2 * GRANULE));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_TOUCHES(0, 1, 2);
	snprintf(path, sizeof(path), "%s/copy", store_dir());
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_DIRECT | O_CLOEXEC, 0600);
	ASSERT_LE(0, fd);
	EXPECT_EQ(PAGE, write(fd, self->addr + 3 * GRANULE, PAGE));
	close(fd);
	unlink(path);
	EXPECT_TOUCHES(0, 1, 2, 3);
	EXPECT_EQ(100, syscall(SYS_pread64, self->region, buffer, 100, 5 * GRANULE - 50));
	EXPECT_TOUCHES(0, 1, 2, 3, 4, 5);
}

struct toucher {
	pthread_t thread;
	pthread_barrier_t *barrier;
	const char *addr;
};

static void *touch_all(void *arg)
{
	struct toucher *t = arg;
	size_t g;

	for (g = 0; g < GRANULES; g++) {
		pthread_barrier_wait(t->barrier);
		touch(t->addr + g * GRANULE + 100);
	}
	return NULL;
}

/* However many come at once. */
TEST_F(watch, is_told_to_one_of_many)
{
	struct toucher touchers[8];
	pthread_barrier_t barrier;
	size_t i, round;

	pthread_barrier_init(&barrier, NULL, ARRAY_SIZE(touchers));
	for (round = 1; round <= 4; round++) {
		struct itme_stat stat;

		EXPECT_EQ(0, watch(self->region, ITME_HINT_WATCH, 0, GRANULES).error);
		for (i = 0; i < ARRAY_SIZE(touchers); i++) {
			touchers[i] = (struct toucher){ .barrier = &barrier, .addr = self->addr };
			ASSERT_EQ(0, pthread_create(&touchers[i].thread, NULL, touch_all,
						    &touchers[i]));
		}
		for (i = 0; i < ARRAY_SIZE(touchers); i++)
			pthread_join(touchers[i].thread, NULL);
		ASSERT_EQ(0, region_stat(self->region, &stat));
		EXPECT_EQ(round * GRANULES, stat.touch_count);
	}
	ASSERT_TRUE(tracing_read(&self->tracing));
	EXPECT_EQ(4 * GRANULES, tracing_count(&self->tracing, "touch", ""));
	pthread_barrier_destroy(&barrier);
}

/* ---- the end of a watch ---- */

TEST_F(watch, ends_by_cancel_and_by_close)
{
	int second = region_open(&self->inst, "model", O_RDONLY);
	struct itme_hint result;

	ASSERT_LE(0, second);
	EXPECT_EQ(4 * GRANULE, watch(self->region, ITME_HINT_WATCH, 0, 4).accepted_bytes);
	/* One that is watched is as it should be. */
	result = watch(self->region, ITME_HINT_WATCH, 2, 4);
	EXPECT_EQ(0, result.error);
	EXPECT_EQ(2 * GRANULE, result.resident_bytes);
	EXPECT_EQ(2 * GRANULE, result.accepted_bytes);
	EXPECT_EQ(2 * GRANULE, watch(second, ITME_HINT_WATCH, 6, 2).accepted_bytes);
	result = watch(self->region, ITME_HINT_CANCEL, 1, 2);
	EXPECT_EQ(0, result.error);
	EXPECT_EQ(2 * GRANULE, result.accepted_bytes);
	EXPECT_EQ(6, count_watched(self->region));
	close(second);
	EXPECT_EQ(4, count_watched(self->region));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
	EXPECT_TOUCHES(0, 3, 4, 5);
}

TEST_HARNESS_MAIN
