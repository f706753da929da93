// SPDX-License-Identifier: GPL-2.0-only
/* Advice is a hint: posix_fadvise(2), madvise(2), readahead(2) and their relatives. */
#include "test.h"

#include <linux/mman.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include "device.h"
#include "uring.h"

#define FULL 6UL /* granules */
#define TAIL (70 * KIB + 123) /* bytes past the last full one */
#define BYTES (FULL * GRANULE + TAIL)
#define MAPPED round_up(BYTES, PAGE)
#define SEED 11

FIXTURE(advice)
{
	struct instance inst;
	int region;
	char *addr;
};

FIXTURE_SETUP(advice)
{
	char path[256];

	ASSERT_EQ(0, private_mounts());
	ASSERT_EQ(0, store_path(path, sizeof(path), BYTES, SEED));
	ASSERT_EQ(0, instance_mount(&self->inst, "dram=20M"));
	ASSERT_EQ(0, attach_path(&self->inst, path, "model"));
	self->region = region_open(&self->inst, "model", O_RDONLY);
	ASSERT_LE(0, self->region);
	self->addr = mmap(NULL, MAPPED, PROT_READ, MAP_SHARED, self->region, 0);
	ASSERT_NE(MAP_FAILED, self->addr);
}

FIXTURE_TEARDOWN(advice)
{
	munmap(self->addr, MAPPED);
	close(self->region);
	EXPECT_EQ(0, instance_umount(&self->inst));
}

/* The granules from @first on, and no others, were read, and nobody had to wait for them. */
static bool only_these_were_prefetched(int region, const char *addr, __u64 first, __u64 count)
{
	const __u64 end = first + count > FULL ? BYTES : (first + count) * GRANULE;
	struct itme_stat stat;

	if (wait_for_tier(region, first, count, ITME_TIER_DRAM) ||
	    content_check_mapped(addr + first * GRANULE, first * GRANULE, end - first * GRANULE,
				 SEED) != -1 ||
	    region_stat(region, &stat))
		return false;
	return stat.fill_count == count && stat.miss_count == 0 &&
	       count_tier(region, ITME_TIER_DRAM) == (long long)count;
}

TEST_F(advice, that_changes_no_residency)
{
	static const int advices[] = {
		POSIX_FADV_NORMAL, POSIX_FADV_SEQUENTIAL, POSIX_FADV_RANDOM, POSIX_FADV_NOREUSE,
	};
	struct itme_stat stat;
	size_t i;

	ASSERT_EQ(0, touch(self->addr + GRANULE));
	for (i = 0; i < ARRAY_SIZE(advices); i++) {
		EXPECT_EQ(0, posix_fadvise(self->region, 0, 0, advices[i]));
		EXPECT_EQ(0, posix_fadvise(self->region, 12345, GRANULE, advices[i]));
		EXPECT_EQ(0, posix_fadvise(self->region, BYTES + GRANULE, 1, advices[i]));
	}
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(1, stat.fill_count);
	EXPECT_EQ(GRANULE, stat.dram_bytes);
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
}

TEST_F(advice, unknown)
{
	static const int advices[] = { 6, 7, 99, 0x80, INT32_MAX, -1 };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(advices); i++) {
		EXPECT_EQ(EINVAL, posix_fadvise(self->region, 0, 0, advices[i]))
			TH_LOG("for %d", advices[i]);
	}
	EXPECT_EQ(EINVAL, posix_fadvise(self->region, 0, -1, POSIX_FADV_WILLNEED));
	EXPECT_EQ(EINVAL, posix_fadvise(self->region, 0, -1, POSIX_FADV_DONTNEED));
	EXPECT_EQ(0, count_tier(self->region, ITME_TIER_DRAM));
}

TEST_F(advice, willneed_of_a_range)
{
	ASSERT_EQ(0, posix_fadvise(self->region, GRANULE, 2 * GRANULE, POSIX_FADV_WILLNEED));
	EXPECT_TRUE(only_these_were_prefetched(self->region, self->addr, 1, 2));
}

/* Every granule that the range touches. */
TEST_F(advice, willneed_is_widened)
{
	ASSERT_EQ(0, posix_fadvise(self->region, 2 * GRANULE - 1, 2, POSIX_FADV_WILLNEED));
	EXPECT_TRUE(only_these_were_prefetched(self->region, self->addr, 1, 2));
}

/* A length of zero, or one that is too long: to the end. */
TEST_F(advice, willneed_to_the_end)
{
	ASSERT_EQ(0, posix_fadvise(self->region, 4 * GRANULE + 5, 0, POSIX_FADV_WILLNEED));
	EXPECT_TRUE(only_these_were_prefetched(self->region, self->addr, 4, 3));
	EXPECT_EQ(0, posix_fadvise(self->region, FULL * GRANULE, INT64_MAX - FULL * GRANULE,
				   POSIX_FADV_WILLNEED));
	EXPECT_EQ(0, posix_fadvise(self->region, FULL * GRANULE, INT64_MAX, POSIX_FADV_WILLNEED));
	EXPECT_EQ(0, posix_fadvise(self->region, BYTES, GRANULE, POSIX_FADV_WILLNEED));
	EXPECT_EQ(0, posix_fadvise(self->region, INT64_MAX, 1, POSIX_FADV_WILLNEED));
	EXPECT_EQ(0, posix_fadvise(self->region, INT64_MAX, INT64_MAX, POSIX_FADV_WILLNEED));
	EXPECT_EQ(3, count_tier(self->region, ITME_TIER_DRAM));
}

TEST_F(advice, willneed_of_the_whole_file)
{
	ASSERT_EQ(0, posix_fadvise(self->region, 0, 0, POSIX_FADV_WILLNEED));
	EXPECT_TRUE(only_these_were_prefetched(self->region, self->addr, 0, FULL + 1));
}

TEST_F(advice, readahead)
{
	ASSERT_EQ(0, readahead(self->region, GRANULE + 100, GRANULE));
	EXPECT_TRUE(only_these_were_prefetched(self->region, self->addr, 1, 2));
	EXPECT_EQ(0, readahead(self->region, BYTES, GRANULE));
}

TEST_F(advice, madvise_willneed_of_a_range)
{
	ASSERT_EQ(0, madvise(self->addr + 2 * GRANULE, 3 * GRANULE, MADV_WILLNEED));
	EXPECT_TRUE(only_these_were_prefetched(self->region, self->addr, 2, 3));
	EXPECT_EQ(-1, madvise(self->addr + 1, GRANULE, MADV_WILLNEED));
	EXPECT_EQ(EINVAL, errno);
}

TEST_F(advice, madvise_willneed_of_all)
{
	ASSERT_EQ(0, madvise(self->addr, MAPPED, MADV_WILLNEED));
	EXPECT_TRUE(only_these_were_prefetched(self->region, self->addr, 0, FULL + 1));
}

/* A private mapping, and one that begins inside the region. */
TEST_F(advice, madvise_willneed_of_another_mapping)
{
	char *addr = mmap(NULL, 2 * GRANULE, PROT_READ | PROT_WRITE, MAP_PRIVATE, self->region,
			  GRANULE + 3 * PAGE);

	ASSERT_NE(MAP_FAILED, addr);
	ASSERT_EQ(0, madvise(addr, GRANULE, MADV_WILLNEED));
	EXPECT_TRUE(only_these_were_prefetched(self->region, self->addr, 1, 2));
	munmap(addr, 2 * GRANULE);
}

TEST_F(advice, by_io_uring)
{
	struct io_uring_sqe sqe = {
		.opcode = IORING_OP_FADVISE,
		.fd = self->region,
		.off = GRANULE,
		.len = GRANULE,
		.fadvise_advice = POSIX_FADV_WILLNEED,
	};

	ASSERT_EQ(0, ring_once(&sqe));
	sqe = (struct io_uring_sqe){
		.opcode = IORING_OP_MADVISE,
		.addr = (uintptr_t)self->addr + 2 * GRANULE,
		.len = GRANULE,
		.fadvise_advice = MADV_WILLNEED,
	};
	ASSERT_EQ(0, ring_once(&sqe));
	EXPECT_TRUE(only_these_were_prefetched(self->region, self->addr, 1, 2));
}

/* An agent hints for a runtime that knows nothing of it. */
TEST_F(advice, for_another_process)
{
	struct iovec range = { self->addr + 3 * GRANULE, 2 * GRANULE };
	int pidfd = syscall(SYS_pidfd_open, getpid(), 0), status;
	pid_t child;

	ASSERT_LE(0, pidfd);
	child = fork();
	ASSERT_LE(0, child);
	if (child == 0)
		_exit(syscall(SYS_process_madvise, pidfd, &range, 1, MADV_WILLNEED, 0) !=
		      2 * (long)GRANULE);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_TRUE(only_these_were_prefetched(self->region, self->addr, 3, 2));
	close(pidfd);
}

TEST_F(advice, dontneed_releases)
{
	struct itme_stat stat;

	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
	ASSERT_EQ(0, posix_fadvise(self->region, GRANULE, 2 * GRANULE, POSIX_FADV_DONTNEED));
	EXPECT_EQ(ITME_TIER_DRAM, residency(self->region, 0));
	EXPECT_EQ(ITME_TIER_STORE, residency(self->region, 1));
	EXPECT_EQ(ITME_TIER_STORE, residency(self->region, 2));
	EXPECT_EQ(FULL - 1, count_tier(self->region, ITME_TIER_DRAM));
	/* To the end; and again, of what is not there. */
	ASSERT_EQ(0, posix_fadvise(self->region, 3 * GRANULE, 0, POSIX_FADV_DONTNEED));
	EXPECT_EQ(1, count_tier(self->region, ITME_TIER_DRAM));
	ASSERT_EQ(0, posix_fadvise(self->region, 0, 0, POSIX_FADV_DONTNEED));
	ASSERT_EQ(0, posix_fadvise(self->region, 0, 0, POSIX_FADV_DONTNEED));
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(0, stat.dram_bytes);
	EXPECT_EQ((FULL + 1) * GRANULE, stat.evict_bytes);
	EXPECT_EQ(0, mapping_bytes(self->addr, "Rss"));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
}

/* What is held stays, and advice that cannot be followed is no error. */
TEST_F(advice, dontneed_of_what_is_held)
{
	struct iovec piece = { self->addr + GRANULE, PAGE };
	char page[PAGE];
	int pipes[2];

	ASSERT_EQ(0, pipe(pipes));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
	ASSERT_EQ(PAGE, vmsplice(pipes[1], &piece, 1, 0));
	EXPECT_EQ(0, posix_fadvise(self->region, 0, 0, POSIX_FADV_DONTNEED));
	EXPECT_EQ(1, count_tier(self->region, ITME_TIER_DRAM));
	EXPECT_EQ(ITME_TIER_DRAM | ITME_RESIDENCY_HELD, residency(self->region, 1));
	ASSERT_EQ(PAGE, read(pipes[0], page, PAGE));
	EXPECT_EQ(-1, content_check(page, GRANULE, PAGE, SEED));
	EXPECT_EQ(0, posix_fadvise(self->region, 0, 0, POSIX_FADV_DONTNEED));
	EXPECT_EQ(0, count_tier(self->region, ITME_TIER_DRAM));
	close(pipes[0]);
	close(pipes[1]);
}

/* These work on the mapping and its pages, which stay where they are. */
TEST_F(advice, madvise_that_does_not_reach_the_region)
{
	static const int advices[] = {
		MADV_NORMAL, MADV_SEQUENTIAL, MADV_RANDOM, MADV_DONTNEED, MADV_COLD, MADV_PAGEOUT,
		MADV_DONTDUMP, MADV_DODUMP, MADV_HUGEPAGE, MADV_NOHUGEPAGE,
	};
	struct itme_stat stat;
	size_t i;

	ASSERT_EQ(0, region_stat(self->region, &stat));
	for (i = 0; i < ARRAY_SIZE(advices); i++) {
		EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
		/* Of all, and of a piece out of the middle of a granule. */
		EXPECT_EQ(0, madvise(self->addr, MAPPED, advices[i]))
			TH_LOG("for %d", advices[i]);
		EXPECT_EQ(0, madvise(self->addr + GRANULE + 5 * PAGE, 3 * PAGE, advices[i]))
			TH_LOG("for %d", advices[i]);
		EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
	}
	/* What has no meaning for a file is refused, by the core. */
	EXPECT_EQ(-1, madvise(self->addr, MAPPED, MADV_FREE));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, madvise(self->addr, GRANULE, MADV_COLLAPSE));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(FULL + 1, stat.fill_count);
	EXPECT_EQ(0, stat.evict_bytes);
}

/* ---- more than there is room for ---- */

FIXTURE(crowded)
{
	struct instance inst;
	struct device device;
	int first, second; /* regions, each as large as the memory */
};

FIXTURE_SETUP(crowded)
{
	char path[256];

	ASSERT_EQ(0, private_mounts());
	ASSERT_EQ(0, device_make(&self->device, 4 * GRANULE, SEED));
	ASSERT_EQ(0, store_path(path, sizeof(path), BYTES, SEED));
	ASSERT_EQ(0, instance_mount(&self->inst, "dram=8M,window=2M"));
	ASSERT_EQ(0, attach_path(&self->inst, path, "first"));
	ASSERT_EQ(0, attach_path(&self->inst, self->device.path, "second"));
	self->first = region_open(&self->inst, "first", O_RDONLY);
	self->second = region_open(&self->inst, "second", O_RDONLY);
	ASSERT_LE(0, self->first);
	ASSERT_LE(0, self->second);
}

FIXTURE_TEARDOWN(crowded)
{
	device_go_on(&self->device);
	close(self->first);
	close(self->second);
	EXPECT_EQ(0, instance_umount(&self->inst));
	EXPECT_EQ(0, device_remove(&self->device));
}

static bool read_granules(int region, __u64 first, __u64 count)
{
	char *page = malloc(PAGE);
	bool right = page;
	__u64 g;

	for (g = first; right && g < first + count; g++)
		right = pread(region, page, PAGE, g * GRANULE) == (ssize_t)PAGE &&
			content_check(page, g * GRANULE, PAGE, SEED) == -1;
	free(page);
	return right;
}

/* The whole of a file is asked for at its start by habit: it takes only what is free. */
TEST_F(crowded, willneed_of_a_whole_file_drops_nothing)
{
	struct itme_stat stat;

	ASSERT_TRUE(read_granules(self->first, 0, 3));
	ASSERT_EQ(0, posix_fadvise(self->second, 0, 0, POSIX_FADV_WILLNEED));
	ASSERT_EQ(0, wait_for_tier(self->second, 0, 1, ITME_TIER_DRAM));
	EXPECT_EQ(0, posix_fadvise(self->second, 0, 4 * GRANULE, POSIX_FADV_WILLNEED));
	EXPECT_EQ(1, count_tier(self->second, ITME_TIER_DRAM));
	EXPECT_EQ(3, count_tier(self->first, ITME_TIER_DRAM));
	ASSERT_EQ(0, region_stat(self->first, &stat));
	EXPECT_EQ(0, stat.evict_bytes);
	ASSERT_TRUE(read_granules(self->first, 0, 3));
	ASSERT_EQ(0, region_stat(self->first, &stat));
	EXPECT_EQ(3, stat.fill_count);
	ASSERT_EQ(0, region_stat(self->second, &stat));
	EXPECT_EQ(1, stat.fill_count);
}

/* Advice is taken and the caller goes on: it never waits for the store. */
TEST_F(crowded, willneed_returns_at_once)
{
	double start = now();
	struct itme_stat stat;

	ASSERT_EQ(0, device_hang(&self->device));
	EXPECT_EQ(0, posix_fadvise(self->second, 0, 2 * GRANULE, POSIX_FADV_WILLNEED));
	EXPECT_EQ(0, readahead(self->second, 2 * GRANULE, GRANULE));
	EXPECT_EQ(0, posix_fadvise(self->second, 0, 0, POSIX_FADV_WILLNEED));
	EXPECT_GT(5 * slowness(), now() - start);
	EXPECT_EQ(0, count_tier(self->second, ITME_TIER_DRAM));
	ASSERT_EQ(0, device_go_on(&self->device));
	ASSERT_EQ(0, wait_for_tier(self->second, 0, 4, ITME_TIER_DRAM));
	ASSERT_TRUE(read_granules(self->second, 0, 4));
	ASSERT_EQ(0, region_stat(self->second, &stat));
	EXPECT_EQ(4, stat.fill_count);
	EXPECT_EQ(0, stat.miss_count);
}

TEST_HARNESS_MAIN
