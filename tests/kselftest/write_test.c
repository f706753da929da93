// SPDX-License-Identifier: GPL-2.0-only
/* Regions that can be written to: what is written is read, and comes to the store. */
#include "test.h"

#include <linux/fs.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include "uring.h"

#define GRANULES 12UL
#define BYTES (GRANULES * GRANULE - 64 * KIB) /* the last one is mapped by small pages */
#define OLD 81
#define NEW 82

FIXTURE(write)
{
	struct instance inst;
	char path[256];
	int region, store;
	char *addr; /* all of the region, shared */
	char *buffer;
};

FIXTURE_SETUP(write)
{
	ASSERT_EQ(0, private_mounts());
	snprintf(self->path, sizeof(self->path), "%s/written", store_dir());
	ASSERT_EQ(0, store_create(self->path, BYTES, OLD));
	ASSERT_EQ(0, instance_mount(&self->inst, "dram=16M"));
	/* Nothing is written but on demand, where a test does not say otherwise. */
	ASSERT_EQ(0, instance_write(&self->inst, "writeback_delay_ms", "3600000"));
	ASSERT_EQ(0, instance_write(&self->inst, "writeback_background_bytes", "16777216"));
	ASSERT_EQ(0, attach_writable(&self->inst, self->path, "state"));
	self->region = region_open(&self->inst, "state", O_RDWR);
	ASSERT_LE(0, self->region);
	self->addr = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, self->region, 0);
	ASSERT_NE(MAP_FAILED, self->addr);
	self->store = open(self->path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	ASSERT_LE(0, self->store);
	self->buffer = aligned_alloc(GRANULE, 2 * GRANULE);
	ASSERT_NE(NULL, self->buffer);
}

FIXTURE_TEARDOWN(write)
{
	munmap(self->addr, BYTES);
	close(self->region);
	close(self->store);
	free(self->buffer);
	EXPECT_EQ(0, instance_umount(&self->inst));
	unlink(self->path);
}

static size_t bytes_of(size_t granule)
{
	return granule == GRANULES - 1 ? BYTES - granule * GRANULE : GRANULE;
}

/* Has the store all of these granules, of this seed? */
static bool stored(struct _test_data_write *self, size_t first, size_t count, __u64 seed)
{
	size_t g;

	for (g = first; g < first + count; g++) {
		if (pread(self->store, self->buffer, bytes_of(g), g * GRANULE) !=
		    (ssize_t)bytes_of(g))
			return false;
		if (content_check(self->buffer, g * GRANULE, bytes_of(g), seed) != -1)
			return false;
	}
	return true;
}

static int store_granules(struct _test_data_write *self, size_t first, size_t count, __u64 seed)
{
	size_t g;
	int sig = 0;

	for (g = first; !sig && g < first + count; g++)
		sig = store_content(self->addr + g * GRANULE, g * GRANULE, bytes_of(g), seed);
	return sig;
}

static long long dirty(struct _test_data_write *self)
{
	return instance_number(&self->inst, "dirty_bytes") / (long long)GRANULE;
}

static bool is_dirty(struct _test_data_write *self, size_t granule)
{
	return residency(self->region, granule) & ITME_RESIDENCY_DIRTY;
}

static int wait_until_clean(struct _test_data_write *self)
{
	double end = now() + 20 * slowness();

	while (dirty(self) && now() < end)
		usleep(10000);
	return dirty(self) ? -ETIMEDOUT : 0;
}

TEST_F(write, stores_are_seen_and_come_with_fsync)
{
	ASSERT_EQ(0, store_granules(self, 1, 2, NEW));
	ASSERT_EQ(0, store_granules(self, GRANULES - 1, 1, NEW));
	EXPECT_EQ(3, dirty(self));
	EXPECT_TRUE(stored(self, 0, GRANULES, OLD));
	ASSERT_EQ((ssize_t)GRANULE, pread(self->region, self->buffer, GRANULE, GRANULE));
	EXPECT_EQ(-1, content_check(self->buffer, GRANULE, GRANULE, NEW));
	ASSERT_EQ(0, fsync(self->region));
	EXPECT_EQ(0, dirty(self));
	EXPECT_TRUE(stored(self, 0, 1, OLD));
	EXPECT_TRUE(stored(self, 1, 2, NEW));
	EXPECT_TRUE(stored(self, 3, GRANULES - 4, OLD));
	EXPECT_TRUE(stored(self, GRANULES - 1, 1, NEW));
	/* And it is tracked again. */
	ASSERT_EQ(0, store_granules(self, 1, 1, OLD));
	EXPECT_TRUE(is_dirty(self, 1));
	ASSERT_EQ(0, fdatasync(self->region));
	EXPECT_TRUE(stored(self, 1, 1, OLD));
	EXPECT_EQ(4 * GRANULE - 64 * KIB, instance_number(&self->inst, "writeback_bytes"));
}

TEST_F(write, only_what_is_written_to_is_dirty)
{
	char *private = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE, self->region, 0);
	size_t g;

	ASSERT_NE(MAP_FAILED, private);
	for (g = 0; g < GRANULES; g++)
		EXPECT_EQ(0, touch(self->addr + g * GRANULE));
	EXPECT_EQ(0, store_content(private + GRANULE, GRANULE, PAGE, NEW));
	EXPECT_EQ(0, dirty(self));
	/* One fault, and the granule is mapped as one again. */
	self->addr[5 * GRANULE + 12345] ^= 1;
	EXPECT_EQ(1, dirty(self));
	EXPECT_TRUE(is_dirty(self, 5));
	EXPECT_LE((long long)GRANULE, mapping_bytes(self->addr, "FilePmdMapped"));
	EXPECT_EQ(0, fsync(self->region));
	EXPECT_EQ(-1, content_check(private, 0, GRANULE, OLD));
	EXPECT_EQ(-1, content_check(private + GRANULE, GRANULE, PAGE, NEW));
	munmap(private, BYTES);
	EXPECT_FALSE(stored(self, 5, 1, OLD));
	EXPECT_TRUE(stored(self, 0, 5, OLD));
}

TEST_F(write, store_after_read_and_mprotect_survives_eviction)
{
	size_t g;

	ASSERT_EQ(0, mprotect(self->addr, BYTES, PROT_READ));
	ASSERT_EQ(0, touch(self->addr + GRANULE));
	ASSERT_EQ(0, mprotect(self->addr, BYTES, PROT_READ | PROT_WRITE));
	ASSERT_EQ(0, store_granules(self, 1, 1, NEW));
	ASSERT_EQ(-EBUSY, release(self->region, GRANULE, GRANULE)); /* not yet */
	ASSERT_EQ(0, fsync(self->region));
	ASSERT_EQ(0, release(self->region, GRANULE, GRANULE));
	EXPECT_EQ(ITME_TIER_STORE, residency(self->region, 1));
	EXPECT_EQ(-1, content_check_mapped(self->addr + GRANULE, GRANULE, GRANULE, NEW));
	/* Clean, mapped for writing until now: the next store is seen all the same. */
	for (g = 0; g < 3; g++) {
		ASSERT_EQ(0, store_granules(self, 1, 1, NEW + g));
		ASSERT_EQ(1, dirty(self));
		ASSERT_EQ(0, msync(self->addr + GRANULE, GRANULE, MS_SYNC));
		ASSERT_EQ(0, dirty(self));
		EXPECT_TRUE(stored(self, 1, 1, NEW + g));
	}
}

TEST_F(write, more_than_memory)
{
	int round;

	for (round = 0; round < 3; round++) {
		ASSERT_EQ(0, store_granules(self, 0, GRANULES, NEW + round));
		EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, NEW + round));
	}
	EXPECT_GE(instance_number(&self->inst, "writeback_limit_bytes"),
		  instance_number(&self->inst, "dirty_bytes"));
	EXPECT_LT(0, instance_number(&self->inst, "writeback_bytes"));
	ASSERT_EQ(0, fsync(self->region));
	EXPECT_TRUE(stored(self, 0, GRANULES, NEW + 2));
}

TEST_F(write, a_limit_holds)
{
	size_t g;

	ASSERT_EQ(0, instance_write(&self->inst, "writeback_limit_bytes", "4194304"));
	ASSERT_EQ(4194304, instance_number(&self->inst, "writeback_limit_bytes"));
	ASSERT_EQ(-EINVAL, instance_write(&self->inst, "writeback_limit_bytes", "4096"));
	for (g = 0; g < GRANULES; g++) {
		ASSERT_EQ(0, store_granules(self, g, 1, NEW));
		ASSERT_GE(2, dirty(self));
	}
	EXPECT_LT(0, instance_number(&self->inst, "throttle_count"));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, NEW));
	ASSERT_EQ(0, instance_write(&self->inst, "writeback_limit_bytes", "0"));
	EXPECT_LT(2 * (long long)GRANULE, instance_number(&self->inst, "writeback_limit_bytes"));
}

TEST_F(write, calls)
{
	const size_t at = 3 * GRANULE - 5000, bytes = GRANULE + 12345;
	struct iovec parts[2] = { { self->buffer, 5000 }, { self->buffer + 5000, bytes - 5000 } };
	char *bad;

	content_fill(self->buffer, at, bytes, NEW);
	ASSERT_EQ((ssize_t)bytes, pwritev(self->region, parts, 2, at));
	EXPECT_EQ(-1, content_check(self->addr + at, at, bytes, NEW));
	EXPECT_EQ(-1, content_check(self->addr, 0, at, OLD));
	EXPECT_EQ(-1, content_check(self->addr + at + bytes, at + bytes, GRANULE, OLD));
	EXPECT_EQ(3, dirty(self));
	ASSERT_EQ(0, fsync(self->region));
	EXPECT_EQ(0, dirty(self));
	/* From a mapping of the granule that is written to. */
	content_fill(self->addr, 0, GRANULE / 2, NEW);
	ASSERT_EQ((ssize_t)GRANULE / 2,
		  pwrite(self->region, self->addr, GRANULE / 2, GRANULE / 2));
	EXPECT_EQ(0, memcmp(self->addr, self->addr + GRANULE / 2, GRANULE / 2));
	/* A bad address, wholly and in the middle. */
	bad = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, bad);
	ASSERT_EQ(0, munmap(bad + PAGE, PAGE));
	EXPECT_EQ(-1, pwrite(self->region, bad + PAGE, 100, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ((ssize_t)PAGE, pwrite(self->region, bad, 2 * PAGE, 0));
	munmap(bad, PAGE);
	/* The end. */
	EXPECT_EQ(100, pwrite(self->region, self->buffer, 200, BYTES - 100));
	EXPECT_EQ(-1, pwrite(self->region, self->buffer, 1, BYTES));
	EXPECT_EQ(ENOSPC, errno);
	EXPECT_EQ(0, pwrite(self->region, self->buffer, 0, BYTES));
}

TEST_F(write, appends_find_no_room)
{
	int fd = region_open(&self->inst, "state", O_WRONLY | O_APPEND);

	ASSERT_LE(0, fd);
	EXPECT_EQ(-1, write(fd, self->buffer, 1));
	EXPECT_EQ(ENOSPC, errno);
	close(fd);
}

TEST_F(write, synchronous_writes)
{
	struct iovec part = { self->buffer, GRANULE };
	int fd = region_open(&self->inst, "state", O_RDWR | O_DSYNC);
	int sync = region_open(&self->inst, "state", O_WRONLY | O_SYNC);

	ASSERT_LE(0, fd);
	ASSERT_LE(0, sync);
	content_fill(self->buffer, 0, GRANULE, NEW);
	ASSERT_EQ((ssize_t)GRANULE, pwrite(fd, self->buffer, GRANULE, 0));
	EXPECT_TRUE(stored(self, 0, 1, NEW));
	content_fill(self->buffer, GRANULE, GRANULE, NEW);
	ASSERT_EQ((ssize_t)GRANULE, pwrite(sync, self->buffer, GRANULE, GRANULE));
	EXPECT_TRUE(stored(self, 1, 1, NEW));
	content_fill(self->buffer, 2 * GRANULE, GRANULE, NEW);
	ASSERT_EQ((ssize_t)GRANULE, pwritev2(self->region, &part, 1, 2 * GRANULE, RWF_DSYNC));
	EXPECT_TRUE(stored(self, 2, 1, NEW));
	EXPECT_EQ(0, dirty(self));
	close(fd);
	close(sync);
}

TEST_F(write, direct_writes_are_coherent)
{
	int fd = region_open(&self->inst, "state", O_RDWR | O_DIRECT);

	ASSERT_LE(0, fd);
	EXPECT_EQ(0, touch(self->addr)); /* resident; granule 1 is not */
	content_fill(self->buffer, 0, 2 * GRANULE, NEW);
	ASSERT_EQ((ssize_t)(2 * GRANULE), pwrite(fd, self->buffer, 2 * GRANULE, 0));
	EXPECT_EQ(-1, content_check(self->addr, 0, 2 * GRANULE, NEW));
	memset(self->buffer, 0, 2 * GRANULE);
	ASSERT_EQ((ssize_t)(2 * GRANULE), pread(fd, self->buffer, 2 * GRANULE, 0));
	EXPECT_EQ(-1, content_check(self->buffer, 0, 2 * GRANULE, NEW));
	ASSERT_EQ(0, fsync(fd));
	ASSERT_EQ(0, release(self->region, 0, 2 * GRANULE));
	ASSERT_EQ((ssize_t)(2 * GRANULE), pread(fd, self->buffer, 2 * GRANULE, 0));
	EXPECT_EQ(-1, content_check(self->buffer, 0, 2 * GRANULE, NEW));
	EXPECT_EQ(ITME_TIER_STORE, residency(self->region, 0)); /* it fills nothing */
	close(fd);
}

TEST_F(write, dma_into_the_mapping)
{
	int other = open(self->path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	char from[256];
	int fd;

	ASSERT_LE(0, other);
	ASSERT_EQ(0, store_path(from, sizeof(from), BYTES, NEW));
	fd = open(from, O_RDONLY | O_DIRECT | O_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ((ssize_t)(2 * GRANULE), pread(fd, self->addr, 2 * GRANULE, 0));
	EXPECT_EQ(-1, content_check(self->addr, 0, 2 * GRANULE, NEW));
	ASSERT_EQ(0, fsync(self->region));
	EXPECT_TRUE(stored(self, 0, 2, NEW));
	ASSERT_EQ(0, wait_until_clean(self));
	close(fd);
	close(other);
}

TEST_F(write, pins_that_last_are_refused)
{
	struct iovec part = { self->addr, 4 * PAGE };
	struct ring ring;

	ASSERT_EQ(0, ring_open(&ring, 4));
	EXPECT_GT(0, ring_register(&ring, &part, 1));
	ring_close(&ring);
	EXPECT_EQ(0, store_granules(self, 0, 1, NEW));
	EXPECT_EQ(0, fsync(self->region));
	EXPECT_EQ(0, dirty(self));
}

TEST_F(write, io_uring_writes)
{
	struct io_uring_sqe sqe = {
		.opcode = IORING_OP_WRITE,
		.fd = self->region,
		.addr = (uintptr_t)self->buffer,
		.len = GRANULE,
		.off = 6 * GRANULE,
	};

	content_fill(self->buffer, 6 * GRANULE, GRANULE, NEW);
	ASSERT_EQ((int)GRANULE, ring_once(&sqe));
	EXPECT_EQ(-1, content_check(self->addr + 6 * GRANULE, 6 * GRANULE, GRANULE, NEW));
	sqe = (struct io_uring_sqe){ .opcode = IORING_OP_FSYNC, .fd = self->region };
	ASSERT_EQ(0, ring_once(&sqe));
	EXPECT_TRUE(stored(self, 6, 1, NEW));
}

TEST_F(write, populate_for_writing)
{
	ASSERT_EQ(0, madvise(self->addr, 2 * GRANULE, MADV_POPULATE_WRITE));
	EXPECT_EQ(2, dirty(self));
	EXPECT_EQ(-1, content_check(self->addr, 0, 2 * GRANULE, OLD));
	EXPECT_EQ(0, fsync(self->region));
}

TEST_F(write, comes_to_the_store_by_itself)
{
	ASSERT_EQ(0, store_granules(self, 2, 3, NEW));
	EXPECT_EQ(3, dirty(self));
	ASSERT_EQ(0, instance_write(&self->inst, "writeback_delay_ms", "50"));
	ASSERT_EQ(0, wait_until_clean(self));
	EXPECT_TRUE(stored(self, 2, 3, NEW));
	EXPECT_EQ(3 * (long long)GRANULE, instance_number(&self->inst, "writeback_bytes"));
	ASSERT_EQ(-EINVAL, instance_write(&self->inst, "writeback_delay_ms", "3600001"));
}

TEST_F(write, comes_with_sync)
{
	ASSERT_EQ(0, store_granules(self, 2, 3, NEW));
	ASSERT_EQ(0, syncfs(self->region));
	EXPECT_EQ(0, dirty(self));
	EXPECT_TRUE(stored(self, 2, 3, NEW));
}

TEST_F(write, comes_with_detach)
{
	struct iovec part = { self->buffer, PAGE };

	ASSERT_EQ(0, store_granules(self, 0, 4, NEW));
	ASSERT_EQ(0, detach(&self->inst, "state"));
	EXPECT_TRUE(stored(self, 0, 4, NEW));
	/* The region lives on for who has it open, and what he writes comes with his end. */
	ASSERT_EQ(0, store_granules(self, 4, 2, NEW));
	content_fill(self->buffer, 8 * GRANULE, PAGE, NEW);
	ASSERT_EQ((ssize_t)PAGE, pwritev(self->region, &part, 1, 8 * GRANULE));
	munmap(self->addr, BYTES);
	self->addr = NULL;
	close(self->region);
	self->region = -1;
	ASSERT_EQ(0, wait_until_clean(self));
	EXPECT_TRUE(stored(self, 0, 6, NEW));
	ASSERT_EQ((ssize_t)PAGE, pread(self->store, self->buffer, PAGE, 8 * GRANULE));
	EXPECT_EQ(-1, content_check(self->buffer, 8 * GRANULE, PAGE, NEW));
	EXPECT_EQ(0, instance_number(&self->inst, "lost_bytes"));
}

TEST_F(write, comes_with_umount)
{
	ASSERT_EQ(0, store_granules(self, 0, 4, NEW));
	munmap(self->addr, BYTES);
	close(self->region);
	ASSERT_EQ(0, instance_umount(&self->inst));
	EXPECT_TRUE(stored(self, 0, 4, NEW));
	EXPECT_TRUE(stored(self, 4, GRANULES - 4, OLD));
	/* For the end of the test. */
	ASSERT_EQ(0, instance_mount(&self->inst, "dram=16M"));
	ASSERT_EQ(0, attach_path(&self->inst, self->path, "state"));
	self->region = region_open(&self->inst, "state", O_RDONLY);
	self->addr = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, self->region, 0);
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, 4 * GRANULE, NEW));
}

TEST_F(write, a_child_writes_too)
{
	pid_t child = fork();

	if (child == 0)
		_exit(store_granules(self, 7, 1, NEW));
	ASSERT_LT(0, child);
	ASSERT_EQ(child, waitpid(child, NULL, 0));
	EXPECT_TRUE(is_dirty(self, 7));
	EXPECT_EQ(-1, content_check(self->addr + 7 * GRANULE, 7 * GRANULE, GRANULE, NEW));
	EXPECT_EQ(0, fsync(self->region));
	EXPECT_TRUE(stored(self, 7, 1, NEW));
}

TEST_F(write, moves_between_tiers_stay_dirty)
{
	char options[64];

	if (cxl_node() < 0)
		SKIP(return, "no node of CXL memory");
	snprintf(options, sizeof(options), "dram=16M,cxl=16M@%d", cxl_node());
	ASSERT_EQ(0, instance_remount(&self->inst, options));
	ASSERT_EQ(0, store_granules(self, 0, 3, NEW));
	ASSERT_EQ(0, prefetch(self->region, ITME_TIER_CXL, 0, 3 * GRANULE));
	EXPECT_EQ(ITME_TIER_CXL | ITME_RESIDENCY_DIRTY, residency(self->region, 0));
	EXPECT_EQ(3, dirty(self));
	EXPECT_EQ(-1, content_check(self->addr, 0, 3 * GRANULE, NEW));
	ASSERT_EQ(0, store_granules(self, 1, 1, NEW + 1));
	ASSERT_EQ(0, prefetch(self->region, ITME_TIER_DRAM, 0, 3 * GRANULE));
	ASSERT_EQ(0, fsync(self->region));
	EXPECT_TRUE(stored(self, 0, 1, NEW));
	EXPECT_TRUE(stored(self, 1, 1, NEW + 1));
	EXPECT_TRUE(stored(self, 2, 1, NEW));
}

static bool is_zero(const char *at, size_t bytes)
{
	return !*at && !memcmp(at, at + 1, bytes - 1);
}

/* Bytes of the backing file that take space. */
static long long space(struct _test_data_write *self)
{
	struct stat st;

	return fstat(self->store, &st) ? -1 : st.st_blocks * 512LL;
}

TEST_F(write, holes)
{
	const int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	const size_t at = GRANULE / 2, bytes = 4 * GRANULE; /* parts at both ends */
	long long before;

	EXPECT_EQ(0, touch(self->addr + GRANULE)); /* resident and clean */
	ASSERT_EQ(0, store_granules(self, 2, 1, NEW)); /* dirty; 3 is not resident */
	before = space(self);
	ASSERT_EQ(0, fallocate(self->region, punch, at, bytes));
	EXPECT_EQ(-1, content_check(self->addr, 0, at, OLD));
	EXPECT_TRUE(is_zero(self->addr + at, bytes));
	EXPECT_EQ(-1, content_check(self->addr + at + bytes, at + bytes, GRANULE / 2, OLD));
	EXPECT_GE(before - 3 * (long long)GRANULE, space(self));
	ASSERT_EQ(0, fsync(self->region));
	EXPECT_EQ(0, dirty(self));
	EXPECT_GE(before - 3 * (long long)GRANULE, space(self)); /* a hole still */
	ASSERT_EQ(0, release(self->region, 0, 6 * GRANULE));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, at, OLD));
	EXPECT_TRUE(is_zero(self->addr + at, bytes));
	EXPECT_EQ(-1, content_check(self->addr + at + bytes, at + bytes, GRANULE / 2, OLD));
	/* And it is written to again. */
	ASSERT_EQ(0, store_granules(self, 2, 1, NEW));
	ASSERT_EQ(0, fsync(self->region));
	EXPECT_TRUE(stored(self, 2, 1, NEW));
	/* By a mapping; inside one page; to the end and past it. */
	ASSERT_EQ(0, madvise(self->addr + 2 * GRANULE, GRANULE, MADV_REMOVE));
	EXPECT_TRUE(is_zero(self->addr + 2 * GRANULE, GRANULE));
	ASSERT_EQ(0, fallocate(self->region, punch, 7 * GRANULE + 10, 20));
	EXPECT_TRUE(is_zero(self->addr + 7 * GRANULE + 10, 20));
	EXPECT_EQ(-1, content_check(self->addr + 7 * GRANULE, 7 * GRANULE, 10, OLD));
	EXPECT_EQ(-1, content_check(self->addr + 7 * GRANULE + 30, 7 * GRANULE + 30, PAGE, OLD));
	ASSERT_EQ(0, fallocate(self->region, punch, 10 * GRANULE, 100 * GRANULE));
	EXPECT_TRUE(is_zero(self->addr + 10 * GRANULE, BYTES - 10 * GRANULE));
	EXPECT_EQ(0, fallocate(self->region, punch, BYTES, GRANULE));
	EXPECT_EQ(-1, content_check(self->addr + 9 * GRANULE, 9 * GRANULE, GRANULE, OLD));
	/* Nothing else. */
	EXPECT_EQ(-1, fallocate(self->region, 0, 0, GRANULE));
	EXPECT_EQ(EOPNOTSUPP, errno);
	ASSERT_EQ(0, fsync(self->region));
}

TEST_F(write, sealed)
{
	struct itme_seal args = { .size = sizeof(args) };
	struct iovec part = { self->buffer, PAGE };
	char *addr;
	int fd;

	ASSERT_EQ(0, store_granules(self, 0, 2, NEW));
	EXPECT_EQ(-1, ioctl(self->region, ITME_IOC_SEAL, &args));
	EXPECT_EQ(EBUSY, errno); /* mapped for writing */
	EXPECT_EQ((ssize_t)PAGE, pwritev(self->region, &part, 1, 5 * GRANULE)); /* not yet */
	ASSERT_EQ(0, munmap(self->addr, BYTES));
	fd = region_open(&self->inst, "state", O_RDONLY);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-1, ioctl(fd, ITME_IOC_SEAL, &args));
	EXPECT_EQ(EBADF, errno);
	close(fd);
	args.flags = 1;
	EXPECT_EQ(-1, ioctl(self->region, ITME_IOC_SEAL, &args));
	EXPECT_EQ(EOPNOTSUPP, errno);
	args.flags = 0;
	ASSERT_EQ(0, ioctl(self->region, ITME_IOC_SEAL, &args));
	ASSERT_EQ(0, ioctl(self->region, ITME_IOC_SEAL, &args));
	EXPECT_EQ(0, dirty(self));
	EXPECT_TRUE(stored(self, 0, 2, NEW));
	EXPECT_EQ(-1, pwritev(self->region, &part, 1, 0));
	EXPECT_EQ(EPERM, errno);
	EXPECT_EQ(-1, fallocate(self->region, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE));
	EXPECT_EQ(EPERM, errno);
	EXPECT_EQ(-EPERM, region_open(&self->inst, "state", O_RDWR));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, self->region, 0));
	EXPECT_EQ(EPERM, errno);
	/* Reading goes on, also by who could have written, and cannot become writing. */
	addr = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, self->region, 0);
	ASSERT_NE(MAP_FAILED, addr);
	EXPECT_EQ(-1, content_check_mapped(addr, 0, 2 * GRANULE, NEW));
	EXPECT_EQ(-1, mprotect(addr, BYTES, PROT_READ | PROT_WRITE));
	EXPECT_EQ(EACCES, errno);
	self->addr = addr;
	EXPECT_EQ(0, release(self->region, 0, GRANULE));
}

TEST_F(write, refusals)
{
	char odd[300], other[300];
	int fd = open(self->path, O_RDONLY | O_CLOEXEC);
	struct itme_attach args = {
		.size = sizeof(args),
		.flags = ITME_ATTACH_WRITE,
		.fd = fd,
		.name = (uintptr_t)"x",
		.name_len = 1,
	};
	struct stat st;

	ASSERT_LE(0, fd);
	EXPECT_EQ(-1, ioctl(self->inst.root, ITME_IOC_ATTACH, &args));
	EXPECT_EQ(EBADF, errno);
	close(fd);
	/* Attached twice, whichever way. */
	EXPECT_EQ(-EBUSY, attach_writable(&self->inst, self->path, "again"));
	EXPECT_EQ(-EBUSY, attach_path(&self->inst, self->path, "again"));
	snprintf(other, sizeof(other), "%s-link", self->path);
	ASSERT_EQ(0, link(self->path, other));
	EXPECT_EQ(-EBUSY, attach_writable(&self->inst, other, "again"));
	unlink(other);
	ASSERT_EQ(0, store_path(other, sizeof(other), BYTES, NEW));
	ASSERT_EQ(0, attach_path(&self->inst, other, "read"));
	EXPECT_EQ(-ETXTBSY, attach_writable(&self->inst, other, "again"));
	EXPECT_EQ(-EROFS, region_open(&self->inst, "read", O_RDWR));
	ASSERT_EQ(0, detach(&self->inst, "read"));
	/* No whole pages. */
	snprintf(odd, sizeof(odd), "%s-odd", self->path);
	ASSERT_EQ(0, store_create(odd, GRANULE + 512, NEW));
	EXPECT_EQ(-EINVAL, attach_writable(&self->inst, odd, "odd"));
	unlink(odd);
	/* The size is the store's. */
	EXPECT_EQ(-1, ftruncate(self->region, BYTES - PAGE));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(0, ftruncate(self->region, BYTES));
	EXPECT_EQ(-EINVAL, region_open(&self->inst, "state", O_WRONLY | O_TRUNC));
	ASSERT_EQ(0, fstat(self->region, &st));
	EXPECT_EQ(BYTES, (size_t)st.st_size);
	/* Hints need the right to read. */
	fd = region_open(&self->inst, "state", O_WRONLY);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-EBADF, release(fd, 0, GRANULE));
	EXPECT_EQ(EBADF, posix_fadvise(fd, 0, GRANULE, POSIX_FADV_WILLNEED));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	close(fd);
}

TEST_HARNESS_MAIN
