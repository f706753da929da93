// SPDX-License-Identifier: GPL-2.0-only
/* Reads that runtimes submit and collect later: io_uring, libaio's calls, RWF_NOWAIT. */
#include "test.h"

#include <linux/aio_abi.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include "device.h"
#include "uring.h"

#define FULL 6UL /* granules */
#define TAIL (70 * KIB + 123)
#define BYTES (FULL * GRANULE + TAIL)
#define SEED 11

FIXTURE(aio)
{
	struct instance inst;
	int region, direct;
	char *buffer; /* aligned, room for all and a granule */
};

FIXTURE_SETUP(aio)
{
	char path[256];

	ASSERT_EQ(0, private_mounts());
	ASSERT_EQ(0, store_path(path, sizeof(path), BYTES, SEED));
	ASSERT_EQ(0, instance_mount(&self->inst, "dram=12M"));
	ASSERT_EQ(0, attach_path(&self->inst, path, "model"));
	self->region = region_open(&self->inst, "model", O_RDONLY);
	ASSERT_LE(0, self->region);
	self->direct = region_open(&self->inst, "model", O_RDONLY | O_DIRECT);
	ASSERT_LE(0, self->direct);
	self->buffer = aligned_alloc(GRANULE, 8 * GRANULE);
	ASSERT_NE(NULL, self->buffer);
}

FIXTURE_TEARDOWN(aio)
{
	free(self->buffer);
	close(self->direct);
	close(self->region);
	EXPECT_EQ(0, instance_umount(&self->inst));
}

/* What a read of @bytes at @offset must give: all of it, but at the end. */
static ssize_t wanted(__u64 offset, size_t bytes)
{
	if (offset >= BYTES)
		return 0;
	return BYTES - offset < bytes ? BYTES - offset : bytes;
}

/* Odd places, over borders of granules, at the end and past it. */
static const struct {
	__u64 offset;
	size_t bytes;
} places[] = {
	{ 0, PAGE },
	{ 3 * PAGE, 2 * GRANULE },
	{ 12345, GRANULE + 777 },
	{ GRANULE - 1, 2 },
	{ 5 * GRANULE + 1, MIB },
	{ FULL * GRANULE - 100, TAIL },
	{ BYTES - 5000, PAGE },
	{ BYTES - 1, GRANULE },
	{ BYTES, PAGE },
	{ BYTES + 1, PAGE },
	{ (FULL + 1) * GRANULE, PAGE },
	{ 1ULL << 50, PAGE },
};

static struct io_uring_sqe read_sqe(__u8 opcode, int fd, const void *addr, __u32 len, __u64 offset)
{
	return (struct io_uring_sqe){
		.opcode = opcode,
		.fd = fd,
		.addr = (uintptr_t)addr,
		.len = len,
		.off = offset,
	};
}

TEST_F(aio, io_uring_reads_whole_pieces)
{
	size_t i, round;

	/* With and without a worker, absent and resident. */
	for (round = 0; round < 4; round++)
		for (i = 0; i < ARRAY_SIZE(places); i++) {
			__u64 offset = places[i].offset;
			struct io_uring_sqe sqe = read_sqe(IORING_OP_READ, self->region,
							   self->buffer + i, places[i].bytes,
							   offset);

			sqe.flags = round % 2 ? IOSQE_ASYNC : 0;
			memset(self->buffer, 0xee, places[i].bytes + 64);
			ASSERT_EQ(wanted(offset, places[i].bytes), ring_once(&sqe))
				TH_LOG("at %llu", offset);
			ASSERT_EQ(-1, content_check(self->buffer + i, offset,
						    wanted(offset, places[i].bytes), SEED))
				TH_LOG("at %llu", offset);
		}
}

/* The position of the file is used and moved where the offset is -1. */
TEST_F(aio, io_uring_at_the_position)
{
	struct io_uring_sqe sqe = read_sqe(IORING_OP_READ, self->region, self->buffer, 5000, -1);

	ASSERT_EQ(GRANULE - 77, lseek(self->region, GRANULE - 77, SEEK_SET));
	ASSERT_EQ(5000, ring_once(&sqe));
	EXPECT_EQ(-1, content_check(self->buffer, GRANULE - 77, 5000, SEED));
	EXPECT_EQ(GRANULE - 77 + 5000, lseek(self->region, 0, SEEK_CUR));
}

TEST_F(aio, io_uring_into_several_buffers)
{
	struct iovec pieces[] = {
		{ self->buffer + 1, 3 },
		{ self->buffer + 4, GRANULE },
		{ self->buffer + 4 + GRANULE, 0 },
		{ self->buffer + 4 + GRANULE, GRANULE },
	};
	struct io_uring_sqe sqe = read_sqe(IORING_OP_READV, self->region, pieces, 4, GRANULE - 5);

	EXPECT_EQ(2 * GRANULE + 3, ring_once(&sqe));
	EXPECT_EQ(-1, content_check(self->buffer + 1, GRANULE - 5, 2 * GRANULE + 3, SEED));
	sqe.off = BYTES - GRANULE;
	EXPECT_EQ(GRANULE, ring_once(&sqe));
	EXPECT_EQ(-1, content_check(self->buffer + 1, BYTES - GRANULE, GRANULE, SEED));
}

TEST_F(aio, io_uring_into_registered_buffers)
{
	struct iovec all = { self->buffer, 4 * GRANULE };
	struct ring ring;
	size_t i;

	ASSERT_EQ(0, ring_open(&ring, 4));
	ASSERT_EQ(0, ring_register(&ring, &all, 1));
	for (i = 0; i < ARRAY_SIZE(places); i++) {
		__u64 offset = places[i].offset;
		struct io_uring_sqe sqe = read_sqe(IORING_OP_READ_FIXED, self->region,
						   self->buffer + 3, places[i].bytes, offset);

		memset(self->buffer, 0xee, places[i].bytes + 64);
		ASSERT_EQ(0, ring_submit(&ring, &sqe));
		ASSERT_EQ(wanted(offset, places[i].bytes), ring_wait(&ring, NULL))
			TH_LOG("at %llu", offset);
		ASSERT_EQ(-1, content_check(self->buffer + 3, offset,
					    wanted(offset, places[i].bytes), SEED))
			TH_LOG("at %llu", offset);
	}
	EXPECT_EQ(0, ring_unregister(&ring));
	ring_close(&ring);
}

TEST_F(aio, io_uring_direct)
{
	struct iovec all = { self->buffer, 4 * GRANULE };
	struct io_uring_sqe sqe;
	struct itme_stat stat;
	struct ring ring;

	ASSERT_EQ(0, ring_open(&ring, 4));
	ASSERT_EQ(0, ring_register(&ring, &all, 1));
	sqe = read_sqe(IORING_OP_READ_FIXED, self->direct, self->buffer, 2 * GRANULE, PAGE);
	ASSERT_EQ(0, ring_submit(&ring, &sqe));
	EXPECT_EQ(2 * GRANULE, ring_wait(&ring, NULL));
	EXPECT_EQ(-1, content_check(self->buffer, PAGE, 2 * GRANULE, SEED));
	sqe = read_sqe(IORING_OP_READ, self->direct, self->buffer, MIB, FULL * GRANULE);
	ASSERT_EQ(0, ring_submit(&ring, &sqe));
	EXPECT_EQ(TAIL, ring_wait(&ring, NULL));
	EXPECT_EQ(-1, content_check(self->buffer, FULL * GRANULE, TAIL, SEED));
	ring_close(&ring);
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(0, stat.fill_count);
	EXPECT_EQ(2 * GRANULE + TAIL, stat.direct_bytes);
}

/* More reads than frames, all in flight at once: each comes whole. */
TEST_F(aio, io_uring_deep_queue)
{
	const unsigned int depth = 64;
	const size_t bytes = 96 * KIB + 5;
	__u64 random = 3, offsets[64], which;
	struct io_uring_sqe sqe;
	struct ring ring;
	unsigned int i;

	ASSERT_EQ(0, ring_open(&ring, depth));
	for (i = 0; i < depth; i++) {
		offsets[i] = next_random(&random) % BYTES;
		sqe = read_sqe(IORING_OP_READ, self->region, self->buffer + i * 128 * KIB, bytes,
			       offsets[i]);
		sqe.user_data = i;
		ASSERT_EQ(0, ring_submit(&ring, &sqe));
	}
	for (i = 0; i < depth; i++) {
		int res = ring_wait(&ring, &which);

		ASSERT_GT(depth, which);
		EXPECT_EQ(wanted(offsets[which], bytes), res)
			TH_LOG("at %llu", offsets[which]);
		EXPECT_EQ(-1, content_check(self->buffer + which * 128 * KIB, offsets[which],
					    wanted(offsets[which], bytes), SEED));
	}
	ring_close(&ring);
}

/* A region is always ready, as every regular file is, and nobody waits for it. */
TEST_F(aio, polls_as_a_regular_file)
{
	struct pollfd pollfd = { .fd = self->region, .events = POLLIN | POLLOUT };
	struct epoll_event event = { .events = EPOLLIN };
	struct io_uring_sqe sqe = {
		.opcode = IORING_OP_POLL_ADD,
		.fd = self->region,
		.poll32_events = POLLIN,
	};
	struct timeval none = {};
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	fd_set set;

	EXPECT_EQ(1, poll(&pollfd, 1, 60000));
	EXPECT_EQ(POLLIN | POLLOUT, pollfd.revents);
	FD_ZERO(&set);
	FD_SET(self->region, &set);
	EXPECT_EQ(1, select(self->region + 1, &set, NULL, NULL, &none));
	ASSERT_LE(0, epoll);
	EXPECT_EQ(-1, epoll_ctl(epoll, EPOLL_CTL_ADD, self->region, &event));
	EXPECT_EQ(EPERM, errno);
	close(epoll);
	EXPECT_LT(0, ring_once(&sqe) & POLLIN);
}

/* ---- io_submit, as libaio calls it ---- */

TEST_F(aio, io_submit_reads_whole_pieces)
{
	struct iocb iocbs[ARRAY_SIZE(places)], *list[ARRAY_SIZE(places)];
	struct io_event events[ARRAY_SIZE(places)];
	const int n = ARRAY_SIZE(places);
	aio_context_t ctx = 0;
	int i, round;

	ASSERT_EQ(0, syscall(SYS_io_setup, n, &ctx));
	for (round = 0; round < 2; round++) {
		for (i = 0; i < n; i++) {
			iocbs[i] = (struct iocb){
				.aio_lio_opcode = IOCB_CMD_PREAD,
				.aio_fildes = self->region,
				.aio_buf = (uintptr_t)self->buffer,
				.aio_nbytes = places[i].bytes,
				.aio_offset = places[i].offset,
				.aio_data = i,
			};
			list[0] = &iocbs[i];
			memset(self->buffer, 0xee, places[i].bytes);
			ASSERT_EQ(1, syscall(SYS_io_submit, ctx, 1, list));
			ASSERT_EQ(1, syscall(SYS_io_getevents, ctx, 1, 1, events, NULL));
			EXPECT_EQ(wanted(places[i].offset, places[i].bytes), events[0].res)
				TH_LOG("at %llu", places[i].offset);
			EXPECT_EQ(-1, content_check(self->buffer, places[i].offset,
						    events[0].res, SEED));
		}
	}
	EXPECT_EQ(0, syscall(SYS_io_destroy, ctx));
}

TEST_F(aio, io_submit_many_at_once)
{
	struct iovec pieces[2][2] = {
		{ { self->buffer, 1000 }, { self->buffer + 1000, GRANULE } },
		{ { self->buffer + 2 * GRANULE, GRANULE }, { self->buffer + 3 * GRANULE, 9 } },
	};
	struct iocb iocbs[] = {
		{
			.aio_lio_opcode = IOCB_CMD_PREADV,
			.aio_fildes = self->region,
			.aio_buf = (uintptr_t)pieces[0],
			.aio_nbytes = 2,
			.aio_offset = GRANULE - 500,
		},
		{
			.aio_lio_opcode = IOCB_CMD_PREADV,
			.aio_fildes = self->region,
			.aio_buf = (uintptr_t)pieces[1],
			.aio_nbytes = 2,
			.aio_offset = BYTES - GRANULE - 4,
		},
		{
			.aio_lio_opcode = IOCB_CMD_PREAD,
			.aio_fildes = self->direct,
			.aio_buf = (uintptr_t)self->buffer + 5 * GRANULE,
			.aio_nbytes = GRANULE,
			.aio_offset = 3 * GRANULE,
		},
	};
	struct iocb *list[] = { &iocbs[0], &iocbs[1], &iocbs[2] };
	const long long results[] = { GRANULE + 1000, GRANULE + 4, GRANULE };
	struct io_event events[3];
	aio_context_t ctx = 0;
	int i;

	ASSERT_EQ(0, syscall(SYS_io_setup, 3, &ctx));
	ASSERT_EQ(3, syscall(SYS_io_submit, ctx, 3, list));
	ASSERT_EQ(3, syscall(SYS_io_getevents, ctx, 3, 3, events, NULL));
	for (i = 0; i < 3; i++) {
		const struct iocb *iocb = (const struct iocb *)(uintptr_t)events[i].obj;

		EXPECT_EQ(results[iocb - iocbs], events[i].res);
	}
	EXPECT_EQ(-1, content_check(self->buffer, GRANULE - 500, GRANULE + 1000, SEED));
	EXPECT_EQ(-1, content_check(self->buffer + 2 * GRANULE, BYTES - GRANULE - 4, GRANULE + 4,
				    SEED));
	EXPECT_EQ(-1, content_check(self->buffer + 5 * GRANULE, 3 * GRANULE, GRANULE, SEED));
	EXPECT_EQ(0, syscall(SYS_io_destroy, ctx));
}

TEST_F(aio, bad_buffers)
{
	struct io_uring_sqe sqe = read_sqe(IORING_OP_READ, self->region,
					   (void *)(uintptr_t)(8 * PAGE), PAGE, 0);
	struct iovec bad = { (void *)(uintptr_t)(8 * PAGE), PAGE };
	struct ring ring;

	EXPECT_EQ(-EFAULT, ring_once(&sqe));
	sqe.fd = self->direct;
	sqe.off = 4 * GRANULE;
	EXPECT_EQ(-EFAULT, ring_once(&sqe));
	ASSERT_EQ(0, ring_open(&ring, 1));
	EXPECT_EQ(-EFAULT, ring_register(&ring, &bad, 1));
	ring_close(&ring);
}

/* ---- without waiting ---- */

FIXTURE(nowait)
{
	struct instance inst;
	struct device device; /* can be made to hang */
	int region;
	char *buffer;
};

FIXTURE_SETUP(nowait)
{
	ASSERT_EQ(0, private_mounts());
	ASSERT_EQ(0, device_make(&self->device, 4 * GRANULE, SEED));
	ASSERT_EQ(0, instance_mount(&self->inst, "dram=8M"));
	ASSERT_EQ(0, attach_path(&self->inst, self->device.path, "model"));
	self->region = region_open(&self->inst, "model", O_RDONLY);
	ASSERT_LE(0, self->region);
	self->buffer = aligned_alloc(GRANULE, 2 * GRANULE);
	ASSERT_NE(NULL, self->buffer);
}

FIXTURE_TEARDOWN(nowait)
{
	device_go_on(&self->device);
	free(self->buffer);
	close(self->region);
	EXPECT_EQ(0, instance_umount(&self->inst));
	EXPECT_EQ(0, device_remove(&self->device));
}

TEST_F(nowait, gives_data_or_eagain_and_never_blocks)
{
	struct iovec piece = { self->buffer, GRANULE };
	double start;

	ASSERT_EQ(GRANULE, pread(self->region, self->buffer, GRANULE, GRANULE));
	memset(self->buffer, 0xee, GRANULE);
	ASSERT_EQ(0, device_hang(&self->device));
	start = now();
	/* In memory: the data. From there into what is not: as far as it goes. */
	EXPECT_EQ(GRANULE, preadv2(self->region, &piece, 1, GRANULE, RWF_NOWAIT));
	EXPECT_EQ(-1, content_check(self->buffer, GRANULE, GRANULE, SEED));
	EXPECT_EQ(GRANULE / 2, preadv2(self->region, &piece, 1, GRANULE + GRANULE / 2, RWF_NOWAIT));
	EXPECT_EQ(-1, content_check(self->buffer, GRANULE + GRANULE / 2, GRANULE / 2, SEED));
	/* Not there, and the store does not answer. */
	EXPECT_EQ(-1, preadv2(self->region, &piece, 1, 0, RWF_NOWAIT));
	EXPECT_EQ(EAGAIN, errno);
	EXPECT_EQ(-1, preadv2(self->region, &piece, 1, 3 * GRANULE + 5, RWF_NOWAIT));
	EXPECT_EQ(EAGAIN, errno);
	EXPECT_EQ(0, preadv2(self->region, &piece, 1, 4 * GRANULE, RWF_NOWAIT));
	EXPECT_GT(4 * slowness(), now() - start);
	ASSERT_EQ(0, device_go_on(&self->device));
	EXPECT_EQ(GRANULE, pread(self->region, self->buffer, GRANULE, 0));
	EXPECT_EQ(-1, content_check(self->buffer, 0, GRANULE, SEED));
}

/* io_uring tries without waiting first; what it then waits for holds up nobody. */
TEST_F(nowait, io_uring_submission_does_not_wait_for_the_store)
{
	struct io_uring_sqe sqe = read_sqe(IORING_OP_READ, self->region, self->buffer, GRANULE, 0);
	struct ring ring;
	double start;
	__u64 who;

	ASSERT_EQ(0, ring_open(&ring, 4));
	ASSERT_EQ(GRANULE, pread(self->region, self->buffer, GRANULE, GRANULE));
	ASSERT_EQ(0, device_hang(&self->device));
	start = now();
	sqe.user_data = 1;
	EXPECT_EQ(0, ring_submit(&ring, &sqe));
	sqe = read_sqe(IORING_OP_READ, self->region, self->buffer + GRANULE, GRANULE, GRANULE);
	sqe.user_data = 2;
	EXPECT_EQ(0, ring_submit(&ring, &sqe));
	EXPECT_EQ(GRANULE, ring_wait(&ring, &who));
	EXPECT_EQ(2, who);
	EXPECT_EQ(-1, content_check(self->buffer + GRANULE, GRANULE, GRANULE, SEED));
	EXPECT_GT(4 * slowness(), now() - start);
	ASSERT_EQ(0, device_go_on(&self->device));
	EXPECT_EQ(GRANULE, ring_wait(&ring, &who));
	EXPECT_EQ(1, who);
	EXPECT_EQ(-1, content_check(self->buffer, 0, GRANULE, SEED));
	ring_close(&ring);
}

TEST_HARNESS_MAIN
