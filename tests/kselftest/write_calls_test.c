// SPDX-License-Identifier: GPL-2.0-only
/* Calls by which runtimes write, other than the plain ones, and what they advise about it. */
#include "test.h"

#include <linux/aio_abi.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include "uring.h"

#define GRANULES 12UL
#define BYTES (GRANULES * GRANULE)
#define FRAMES 8UL
#define OLD 83
#define NEW 84

FIXTURE(calls)
{
	struct instance inst;
	char path[256];
	int region, direct, store;
	char *addr; /* all of the region, shared */
	char *buffer; /* as large, aligned */
};

FIXTURE_SETUP(calls)
{
	ASSERT_EQ(0, private_mounts());
	snprintf(self->path, sizeof(self->path), "%s/calls", store_dir());
	ASSERT_EQ(0, store_create(self->path, BYTES, OLD));
	ASSERT_EQ(0, instance_mount(&self->inst, "dram=16M,window=2M"));
	/* Nothing is written but on demand. */
	ASSERT_EQ(0, instance_write(&self->inst, "writeback_delay_ms", "3600000"));
	ASSERT_EQ(0, instance_write(&self->inst, "writeback_background_bytes", "16777216"));
	ASSERT_EQ(0, attach_writable(&self->inst, self->path, "state"));
	self->region = region_open(&self->inst, "state", O_RDWR);
	ASSERT_LE(0, self->region);
	self->direct = region_open(&self->inst, "state", O_RDWR | O_DIRECT);
	ASSERT_LE(0, self->direct);
	self->addr = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, self->region, 0);
	ASSERT_NE(MAP_FAILED, self->addr);
	self->store = open(self->path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	ASSERT_LE(0, self->store);
	self->buffer = aligned_alloc(GRANULE, BYTES);
	ASSERT_NE(NULL, self->buffer);
}

FIXTURE_TEARDOWN(calls)
{
	munmap(self->addr, BYTES);
	close(self->region);
	close(self->direct);
	close(self->store);
	free(self->buffer);
	EXPECT_EQ(0, instance_umount(&self->inst));
	unlink(self->path);
}

/* Has the store all of these bytes, of this seed? */
static bool stored(struct _test_data_calls *self, __u64 offset, size_t bytes, __u64 seed)
{
	char *at = self->buffer + BYTES - bytes;

	return pread(self->store, at, bytes, offset) == (ssize_t)bytes &&
	       content_check(at, offset, bytes, seed) == -1;
}

static int store_granules(struct _test_data_calls *self, size_t first, size_t count)
{
	return store_content(self->addr + first * GRANULE, first * GRANULE, count * GRANULE, NEW);
}

static long long dirty(struct _test_data_calls *self)
{
	return instance_number(&self->inst, "dirty_bytes") / (long long)GRANULE;
}

static struct iocb write_iocb(int fd, const char *from, size_t bytes, __u64 offset)
{
	return (struct iocb){
		.aio_lio_opcode = IOCB_CMD_PWRITE,
		.aio_fildes = fd,
		.aio_buf = (uintptr_t)from,
		.aio_nbytes = bytes,
		.aio_offset = offset,
	};
}

/* Absent and resident; at odd places; by O_DIRECT, over a border of granules. */
TEST_F(calls, io_submit)
{
	struct iocb iocbs[] = {
		write_iocb(self->region, self->buffer + 1, 3 * PAGE, GRANULE - 777),
		write_iocb(self->direct, self->buffer + GRANULE, 2 * GRANULE, 3 * GRANULE + PAGE),
		write_iocb(self->region, self->buffer + 4 * GRANULE, GRANULE, 8 * GRANULE),
	};
	struct iocb sync = { .aio_lio_opcode = IOCB_CMD_FSYNC, .aio_fildes = self->region };
	struct iocb *list[] = { &iocbs[0], &iocbs[1], &iocbs[2], &sync };
	struct io_event events[4];
	aio_context_t ctx = 0;
	int i;

	for (i = 0; i < 3; i++)
		content_fill((char *)(uintptr_t)iocbs[i].aio_buf, iocbs[i].aio_offset,
			     iocbs[i].aio_nbytes, NEW);
	EXPECT_EQ(0, touch(self->addr + 4 * GRANULE));
	ASSERT_EQ(0, syscall(SYS_io_setup, 4, &ctx));
	ASSERT_EQ(3, syscall(SYS_io_submit, ctx, 3, list));
	ASSERT_EQ(3, syscall(SYS_io_getevents, ctx, 3, 3, events, NULL));
	for (i = 0; i < 3; i++) {
		const struct iocb *iocb = (const struct iocb *)(uintptr_t)events[i].obj;

		EXPECT_EQ((long long)iocb->aio_nbytes, events[i].res);
		EXPECT_EQ(-1, content_check(self->addr + iocb->aio_offset, iocb->aio_offset,
					    iocb->aio_nbytes, NEW));
	}
	EXPECT_LT(0, dirty(self)); /* six, or less: four may be */
	ASSERT_EQ(1, syscall(SYS_io_submit, ctx, 1, list + 3));
	ASSERT_EQ(1, syscall(SYS_io_getevents, ctx, 1, 1, events, NULL));
	EXPECT_EQ(0, events[0].res);
	EXPECT_EQ(0, dirty(self));
	EXPECT_TRUE(stored(self, 3 * GRANULE + PAGE, 2 * GRANULE, NEW));
	EXPECT_TRUE(stored(self, 8 * GRANULE, GRANULE, NEW));
	EXPECT_TRUE(stored(self, 9 * GRANULE, GRANULE, OLD));
	EXPECT_EQ(0, syscall(SYS_io_destroy, ctx));
}

/* More at once than may be dirty: each waits in a worker, and none is short. */
TEST_F(calls, io_uring_many_at_once)
{
	struct ring ring;
	__u64 whose;
	size_t g;

	ASSERT_EQ(0, instance_write(&self->inst, "writeback_limit_bytes", "4194304"));
	ASSERT_EQ(0, instance_write(&self->inst, "writeback_background_bytes", "0"));
	content_fill(self->buffer, 0, BYTES, NEW);
	ASSERT_EQ(0, ring_open(&ring, 16));
	for (g = 0; g < GRANULES; g++) {
		struct io_uring_sqe sqe = {
			.opcode = IORING_OP_WRITE,
			.fd = g % 2 ? self->direct : self->region,
			.addr = (uintptr_t)self->buffer + g * GRANULE,
			.len = GRANULE,
			.off = g * GRANULE,
			.user_data = g,
		};

		ASSERT_EQ(0, ring_submit(&ring, &sqe));
	}
	for (g = 0; g < GRANULES; g++)
		EXPECT_EQ((int)GRANULE, ring_wait(&ring, &whose));
	ring_close(&ring);
	EXPECT_GE(2, dirty(self));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, NEW));
	ASSERT_EQ(0, fsync(self->region));
	for (g = 0; g < GRANULES; g++)
		EXPECT_TRUE(stored(self, g * GRANULE, GRANULE, NEW));
}

/* A range is that range, and no more than it is written. */
TEST_F(calls, msync_of_a_part)
{
	ASSERT_EQ(0, store_granules(self, 1, 3));
	ASSERT_EQ(0, msync(self->addr + 2 * GRANULE + PAGE, PAGE, MS_SYNC));
	EXPECT_EQ(2, dirty(self));
	EXPECT_TRUE(stored(self, 2 * GRANULE, GRANULE, NEW));
	EXPECT_TRUE(stored(self, GRANULE, GRANULE, OLD));
	EXPECT_EQ((long long)GRANULE, instance_number(&self->inst, "writeback_bytes"));
	ASSERT_EQ(0, msync(self->addr, BYTES, MS_ASYNC)); /* as on any file: in time */
	EXPECT_EQ(2, dirty(self));
	ASSERT_EQ(0, msync(self->addr, BYTES, MS_SYNC));
	EXPECT_EQ(0, dirty(self));
	EXPECT_EQ(3 * (long long)GRANULE, instance_number(&self->inst, "writeback_bytes"));
}

/* It asks the page cache, which a region has not: it promises nothing, and does no harm. */
TEST_F(calls, sync_file_range_does_nothing)
{
	const unsigned int all = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
				 SYNC_FILE_RANGE_WAIT_AFTER;

	ASSERT_EQ(0, store_granules(self, 1, 1));
	EXPECT_EQ(0, sync_file_range(self->region, 0, 0, all));
	EXPECT_EQ(1, dirty(self));
	EXPECT_EQ(0, fsync(self->region));
}

TEST_F(calls, populate_and_remove)
{
	ASSERT_EQ(0, madvise(self->addr + GRANULE, 2 * GRANULE, MADV_POPULATE_WRITE));
	EXPECT_EQ(2, dirty(self));
	ASSERT_EQ(0, madvise(self->addr + GRANULE, 2 * GRANULE, MADV_REMOVE));
	EXPECT_EQ(0, dirty(self)); /* the hole is in the store already */
	EXPECT_EQ(0, self->addr[GRANULE]);
	EXPECT_EQ(0, self->addr[3 * GRANULE - 1]);
	ASSERT_EQ(0, store_granules(self, 1, 2));
	ASSERT_EQ(0, fsync(self->region));
	EXPECT_TRUE(stored(self, GRANULE, 2 * GRANULE, NEW));
	EXPECT_TRUE(stored(self, 3 * GRANULE, GRANULE, OLD));
}

/* What was written and will not be used again goes before what is kept, once it is clean. */
TEST_F(calls, noreuse)
{
	size_t g, kept = 0;

	ASSERT_EQ(0, posix_fadvise(self->region, 0, 3 * GRANULE, POSIX_FADV_NOREUSE));
	ASSERT_EQ(0, store_granules(self, 0, 3));
	for (g = 3; g < FRAMES; g++) /* fills memory, and the first three have settled */
		ASSERT_EQ(0, touch(self->addr + g * GRANULE));
	/* Nobody drops what is dirty: others go, and these are put behind the rest. */
	ASSERT_EQ(0, touch(self->addr + 8 * GRANULE));
	ASSERT_EQ(0, touch(self->addr + 9 * GRANULE));
	EXPECT_EQ(3, dirty(self));
	for (g = 3; g < GRANULES; g++)
		kept += residency(self->region, g) != ITME_TIER_STORE;
	EXPECT_EQ(FRAMES - 3, kept);
	ASSERT_EQ(0, fsync(self->region));
	for (g = 3; g < GRANULES && kept; g++) { /* three that are not there yet come */
		if (residency(self->region, g) != ITME_TIER_STORE)
			continue;
		ASSERT_EQ(0, touch(self->addr + g * GRANULE));
	}
	for (g = 0; g < 3; g++)
		EXPECT_EQ(ITME_TIER_STORE, residency(self->region, g));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, 3 * GRANULE, NEW));
}

TEST_HARNESS_MAIN
