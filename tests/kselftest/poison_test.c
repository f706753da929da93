// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory errors: what was in a poisoned frame comes from the store again, into
 * another one. The frame is lost for good, so each test costs one or a few.
 */
#include "test.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/uio.h>

#define GRANULES 12UL
#define TAIL (70 * KIB + 123)
#define BYTES (GRANULES * GRANULE + TAIL)
#define FRAMES 8UL
#define SEED 91

FIXTURE(poison)
{
	struct instance inst;
	int region;
	char *addr;
};

FIXTURE_SETUP(poison)
{
	char path[256], options[64] = "dram=16M,window=4M";

	ASSERT_EQ(0, private_mounts());
	ASSERT_EQ(0, store_path(path, sizeof(path), BYTES, SEED));
	if (cxl_node() >= 0)
		snprintf(options, sizeof(options), "dram=16M,window=4M,cxl=8M@%d", cxl_node());
	ASSERT_EQ(0, instance_mount(&self->inst, options));
	ASSERT_EQ(0, attach_path(&self->inst, path, "model"));
	self->region = region_open(&self->inst, "model", O_RDONLY);
	ASSERT_LE(0, self->region);
	self->addr = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, self->region, 0);
	ASSERT_NE(MAP_FAILED, self->addr);
}

FIXTURE_TEARDOWN(poison)
{
	munmap(self->addr, BYTES);
	EXPECT_EQ(0, release(self->region, 0, BYTES));
	/* The budget is whole again, or as large as it can be: no frame is half lost. */
	EXPECT_EQ(instance_number(&self->inst, "dram_current_bytes"),
		  instance_number(&self->inst, "dram_free_bytes"));
	close(self->region);
	EXPECT_EQ(0, instance_umount(&self->inst));
}

/* The number of a physical frame, of a granule's size, that a pagemap entry names; or 0. */
static __u64 frame_in(__u64 entry)
{
	return entry >> 63 ? (entry & ((1ULL << 55) - 1)) / (GRANULE / PAGE) : 0;
}

/* What these pages are mapped to, as /proc tells the administrator. */
static int read_pagemap(const void *address, __u64 *entries, size_t count)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	ssize_t bytes = count * sizeof(*entries);

	if (fd < 0)
		return -errno;
	bytes -= pread(fd, entries, bytes, (uintptr_t)address / PAGE * sizeof(*entries));
	close(fd);
	return bytes ? -EIO : 0;
}

static __u64 frame_of(const void *address)
{
	__u64 entry;

	return read_pagemap(address, &entry, 1) ? 0 : frame_in(entry);
}

static void go_on(int sig)
{
	(void)sig;
}

/*
 * The page at @address is poison now, as the memory controller would say. The
 * core tells those who map it, and finds that it cannot deal with such a page
 * itself: that is for the module.
 */
static int inject(char *address)
{
	const struct sigaction action = { .sa_handler = go_on };
	char *page = (char *)((uintptr_t)address & ~(PAGE - 1));

	if (touch(page))
		return -EFAULT;
	if (sigaction(SIGBUS, &action, NULL)) /* until the next touch() */
		return -errno;
	if (madvise(page, PAGE, MADV_HWPOISON) && errno != EHWPOISON && errno != EBUSY)
		return -errno;
	return 0;
}

static __u64 retired(int region)
{
	struct itme_stat stat;

	return region_stat(region, &stat) ? UINT64_MAX : stat.retired_bytes;
}

/* What a move could not take, for somebody held it. */
static __u64 refused(int region)
{
	struct itme_stat stat;

	return region_stat(region, &stat) ? UINT64_MAX : stat.refused_bytes;
}

/* Read all by mapping: is it right, and none of it in the frame @bad? */
static bool right_and_elsewhere(const char *addr, __u64 bad)
{
	size_t g;

	for (g = 0; g <= GRANULES; g++) {
		size_t bytes = g < GRANULES ? GRANULE : TAIL;
		const char *at = addr + g * GRANULE;

		if (content_check_mapped(at, g * GRANULE, bytes, SEED) != -1)
			return false;
		if (frame_of(at) == bad)
			return false;
	}
	return true;
}

/* ---- found by a reader ---- */

TEST_F(poison, read_gets_right_data)
{
	char *buffer = malloc(GRANULE), *fresh;
	struct itme_stat stat;
	__u64 bad;

	ASSERT_NE(NULL, buffer);
	ASSERT_EQ(0, touch(self->addr + 3 * GRANULE));
	bad = frame_of(self->addr + 3 * GRANULE);
	ASSERT_NE(0, bad);
	ASSERT_EQ(0, inject(self->addr + 3 * GRANULE + 5 * PAGE));
	EXPECT_EQ(GRANULE, pread(self->region, buffer, GRANULE, 3 * GRANULE));
	EXPECT_EQ(-1, content_check(buffer, 3 * GRANULE, GRANULE, SEED));
	EXPECT_EQ(GRANULE, retired(self->region));
	/* By a mapping made since, and by the one that had the poison. */
	fresh = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, self->region, 0);
	ASSERT_NE(MAP_FAILED, fresh);
	EXPECT_TRUE(right_and_elsewhere(fresh, bad));
	EXPECT_TRUE(right_and_elsewhere(self->addr, bad));
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(GRANULE, stat.retired_bytes);
	EXPECT_EQ(GRANULE, instance_number(&self->inst, "retired_bytes"));
	EXPECT_EQ(0, stat.error_count);
	munmap(fresh, BYTES);
	free(buffer);
}

TEST_F(poison, a_fresh_mapping_gets_right_data)
{
	char *fresh;
	__u64 bad;

	ASSERT_EQ(0, touch(self->addr + GRANULE));
	bad = frame_of(self->addr + GRANULE);
	ASSERT_NE(0, bad);
	ASSERT_EQ(0, inject(self->addr + GRANULE));
	fresh = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, self->region, 0);
	ASSERT_NE(MAP_FAILED, fresh);
	/* Of another page than the one that is poisoned. */
	EXPECT_EQ(-1, content_check_mapped(fresh + GRANULE + MIB, GRANULE + MIB, PAGE, SEED));
	EXPECT_NE(bad, frame_of(fresh + GRANULE + MIB));
	EXPECT_EQ(GRANULE, retired(self->region));
	EXPECT_TRUE(right_and_elsewhere(fresh, bad));
	munmap(fresh, BYTES);
}

/* In a granule that is mapped by small pages. */
TEST_F(poison, in_the_tail)
{
	char *tail = self->addr + GRANULES * GRANULE, *buffer = malloc(TAIL);
	__u64 bad;

	ASSERT_NE(NULL, buffer);
	ASSERT_EQ(0, touch(tail));
	bad = frame_of(tail);
	ASSERT_NE(0, bad);
	ASSERT_EQ(0, inject(tail + 2 * PAGE));
	EXPECT_EQ(TAIL, pread(self->region, buffer, TAIL, GRANULES * GRANULE));
	EXPECT_EQ(-1, content_check(buffer, GRANULES * GRANULE, TAIL, SEED));
	EXPECT_EQ(GRANULE, retired(self->region));
	EXPECT_TRUE(right_and_elsewhere(self->addr, bad));
	free(buffer);
}

/* ---- found on the way out ---- */

TEST_F(poison, a_dropped_frame_is_not_used_again)
{
	__u64 bad;
	int pass;

	ASSERT_EQ(0, touch(self->addr));
	bad = frame_of(self->addr);
	ASSERT_NE(0, bad);
	ASSERT_EQ(0, inject(self->addr + 100 * PAGE));
	/* Dropped on request; then memory is turned over a few times. */
	EXPECT_EQ(0, release(self->region, 0, GRANULE));
	EXPECT_EQ(ITME_TIER_STORE, residency(self->region, 0));
	for (pass = 0; pass < 3; pass++) {
		EXPECT_TRUE(right_and_elsewhere(self->addr, bad));
		EXPECT_EQ(0, release(self->region, 0, BYTES));
	}
	EXPECT_EQ(GRANULE, retired(self->region));
}

/* Evicted by a smaller budget, or given back for it: also not by the kernel. */
TEST_F(poison, an_evicted_frame_is_not_used_again)
{
	const size_t bytes = 256 * MIB;
	__u64 bad, *entries = calloc(bytes / PAGE, sizeof(*entries));
	char *memory;
	size_t g;

	ASSERT_NE(NULL, entries);
	if (cxl_node() >= 0)
		ASSERT_EQ(0, instance_write(&self->inst, "cxl_bytes", "0"));
	for (g = 0; g < FRAMES; g++)
		ASSERT_EQ(0, touch(self->addr + g * GRANULE));
	bad = frame_of(self->addr);
	ASSERT_NE(0, bad);
	ASSERT_EQ(0, inject(self->addr + 511 * PAGE));
	ASSERT_EQ(0, instance_write(&self->inst, "dram_bytes", "8388608"));
	EXPECT_EQ(ITME_TIER_STORE, residency(self->region, 0));
	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	ASSERT_NE(MAP_FAILED, memory);
	ASSERT_EQ(0, read_pagemap(memory, entries, bytes / PAGE));
	for (g = 0; g < bytes / PAGE; g++)
		ASSERT_NE(bad, frame_in(entries[g]));
	munmap(memory, bytes);
	free(entries);
	ASSERT_EQ(0, instance_write(&self->inst, "dram_bytes", "16777216"));
	EXPECT_TRUE(right_and_elsewhere(self->addr, bad));
	EXPECT_EQ(0, release(self->region, 0, BYTES));
	EXPECT_TRUE(right_and_elsewhere(self->addr, bad));
}

TEST_F(poison, is_not_copied_to_the_other_tier)
{
	struct itme_wait outcome;
	__u64 bad;

	if (cxl_node() < 0)
		SKIP(return, "no node of CXL memory");
	ASSERT_EQ(0, touch(self->addr + 2 * GRANULE));
	bad = frame_of(self->addr + 2 * GRANULE);
	ASSERT_NE(0, bad);
	ASSERT_EQ(0, inject(self->addr + 2 * GRANULE + 7 * PAGE));
	EXPECT_EQ(0, prefetch(self->region, ITME_TIER_CXL, 2 * GRANULE, GRANULE));
	EXPECT_EQ(0, wait_range(self->region, 2 * GRANULE, GRANULE, 20, &outcome));
	EXPECT_EQ(0, refused(self->region));
	EXPECT_EQ(GRANULE, retired(self->region));
	EXPECT_TRUE(right_and_elsewhere(self->addr, bad));
	EXPECT_EQ(GRANULE, retired(self->region));
}

/* A frame that was dropped with poison in it is no place to move to. */
TEST_F(poison, is_not_moved_into)
{
	__u64 bad;
	size_t g;

	if (cxl_node() < 0)
		SKIP(return, "no node of CXL memory");
	ASSERT_EQ(0, prefetch(self->region, ITME_TIER_CXL, 0, GRANULE));
	ASSERT_EQ(0, touch(self->addr));
	bad = frame_of(self->addr);
	ASSERT_NE(0, bad);
	ASSERT_EQ(0, inject(self->addr + 3 * PAGE));
	EXPECT_EQ(0, release(self->region, 0, GRANULE));
	ASSERT_EQ(0, prefetch(self->region, ITME_TIER_DRAM, GRANULE, 4 * GRANULE));
	ASSERT_EQ(0, prefetch(self->region, ITME_TIER_CXL, GRANULE, 4 * GRANULE));
	for (g = 1; g <= 4; g++) {
		EXPECT_EQ(0, touch(self->addr + g * GRANULE));
		EXPECT_NE(bad, frame_of(self->addr + g * GRANULE));
	}
	EXPECT_TRUE(right_and_elsewhere(self->addr, bad));
	EXPECT_EQ(GRANULE, retired(self->region));
}

/* What is held stays with its holders; nobody else gets it. */
TEST_F(poison, in_a_held_frame)
{
	struct iovec piece = { self->addr + GRANULE, PAGE };
	char page[PAGE];
	int pipes[2];
	__u64 bad;

	ASSERT_EQ(0, pipe(pipes));
	ASSERT_EQ(PAGE, vmsplice(pipes[1], &piece, 1, 0));
	bad = frame_of(self->addr + GRANULE);
	ASSERT_NE(0, bad);
	ASSERT_EQ(0, inject(self->addr + GRANULE + 9 * PAGE));
	EXPECT_EQ(PAGE, pread(self->region, page, PAGE, GRANULE + 9 * PAGE));
	EXPECT_EQ(-1, content_check(page, GRANULE + 9 * PAGE, PAGE, SEED));
	EXPECT_TRUE(right_and_elsewhere(self->addr, bad));
	EXPECT_EQ(GRANULE, retired(self->region));
	ASSERT_EQ(PAGE, read(pipes[0], page, PAGE));
	EXPECT_EQ(-1, content_check(page, GRANULE, PAGE, SEED));
	EXPECT_EQ(0, release(self->region, 0, BYTES));
	EXPECT_TRUE(right_and_elsewhere(self->addr, bad));
	close(pipes[0]);
	close(pipes[1]);
}

/* A pin is of the granule, not of the frame: it goes on in another one. */
TEST_F(poison, of_a_pinned_granule)
{
	char byte;
	__u64 bad;

	ASSERT_EQ(0, hint(self->region, ITME_HINT_PIN, ITME_TIER_DRAM, 0, GRANULE, NULL));
	ASSERT_EQ(0, touch(self->addr));
	bad = frame_of(self->addr);
	ASSERT_NE(0, bad);
	ASSERT_EQ(0, inject(self->addr + PAGE));
	EXPECT_EQ(1, pread(self->region, &byte, 1, PAGE + 5));
	EXPECT_TRUE(right_and_elsewhere(self->addr, bad));
	EXPECT_EQ(ITME_TIER_DRAM | ITME_RESIDENCY_PINNED, residency(self->region, 0));
	EXPECT_EQ(0, hint(self->region, ITME_HINT_UNPIN, 0, 0, GRANULE, NULL));
}

/* ---- met by a copy ---- */

#define FAIL_COPY "/sys/kernel/debug/itme/fail_copy/"

TEST_F(poison, met_by_a_copy)
{
	struct itme_wait outcome;
	struct itme_stat stat;

	if (access(FAIL_COPY "probability", F_OK))
		SKIP(return, "this kernel has no fault injection");
	ASSERT_LE(0, cxl_node());
	ASSERT_EQ(0, prefetch(self->region, ITME_TIER_DRAM, 0, 3 * GRANULE));
	/* One at a time: two copies side by side could both be the one that fails. */
	ASSERT_EQ(0, instance_write(&self->inst, "inflight_bytes", "2097152"));
	ASSERT_EQ(0, write_file(FAIL_COPY "verbose", "0"));
	ASSERT_EQ(0, write_file(FAIL_COPY "times", "1"));
	ASSERT_EQ(0, write_file(FAIL_COPY "probability", "100"));
	EXPECT_EQ(0, prefetch(self->region, ITME_TIER_CXL, 0, 3 * GRANULE));
	EXPECT_EQ(0, wait_range(self->region, 0, 3 * GRANULE, 20, &outcome));
	EXPECT_EQ(0, write_file(FAIL_COPY "probability", "0"));
	ASSERT_EQ(0, region_stat(self->region, &stat));
	/* One frame of three is lost, and its data is read again. */
	EXPECT_EQ(GRANULE, stat.retired_bytes);
	EXPECT_LE(2 * GRANULE, outcome.ready_bytes);
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
	EXPECT_EQ(0, stat.refused_bytes);
	EXPECT_EQ(0, stat.clipped_bytes);
	EXPECT_EQ(0, stat.held_count);
	EXPECT_EQ(3 * GRANULE, stat.demote_bytes + GRANULE);
}

TEST_HARNESS_MAIN
