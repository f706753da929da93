// SPDX-License-Identifier: GPL-2.0-only
#include "uring.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static __u32 *field(struct ring *ring, __u32 offset)
{
	return (__u32 *)(ring->rings + offset);
}

int ring_open(struct ring *ring, unsigned int entries)
{
	const struct io_uring_params *p = &ring->params;
	size_t sq_bytes, cq_bytes;
	int err;

	memset(ring, 0, sizeof(*ring));
	ring->fd = syscall(SYS_io_uring_setup, entries, &ring->params);
	if (ring->fd < 0)
		return -errno;
	/* IORING_FEAT_SINGLE_MMAP, as in every kernel that ITME runs on. */
	sq_bytes = p->sq_off.array + p->sq_entries * sizeof(__u32);
	cq_bytes = p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe);
	ring->bytes = sq_bytes > cq_bytes ? sq_bytes : cq_bytes;
	ring->rings = mmap(NULL, ring->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd,
			   IORING_OFF_SQ_RING);
	ring->sqes = mmap(NULL, p->sq_entries * sizeof(*ring->sqes), PROT_READ | PROT_WRITE,
			  MAP_SHARED, ring->fd, IORING_OFF_SQES);
	if (ring->rings != MAP_FAILED && ring->sqes != MAP_FAILED)
		return 0;
	err = -errno;
	ring_close(ring);
	return err;
}

void ring_close(struct ring *ring)
{
	if (ring->sqes != MAP_FAILED)
		munmap(ring->sqes, ring->params.sq_entries * sizeof(*ring->sqes));
	if (ring->rings != MAP_FAILED)
		munmap(ring->rings, ring->bytes);
	close(ring->fd);
}

int ring_submit(struct ring *ring, const struct io_uring_sqe *sqe)
{
	__u32 tail = *field(ring, ring->params.sq_off.tail);
	__u32 slot = tail & *field(ring, ring->params.sq_off.ring_mask);

	ring->sqes[slot] = *sqe;
	field(ring, ring->params.sq_off.array)[slot] = slot;
	__atomic_store_n(field(ring, ring->params.sq_off.tail), tail + 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring->fd, 1, 0, 0, NULL, 0) != 1)
		return -errno;
	return 0;
}

int ring_wait(struct ring *ring, __u64 *user_data)
{
	__u32 head = *field(ring, ring->params.cq_off.head);
	const struct io_uring_cqe *cqe;
	int res;

	while (__atomic_load_n(field(ring, ring->params.cq_off.tail), __ATOMIC_ACQUIRE) == head)
		if (syscall(SYS_io_uring_enter, ring->fd, 0, 1, IORING_ENTER_GETEVENTS, NULL,
			    0) < 0 && errno != EINTR)
			return -errno;
	cqe = (struct io_uring_cqe *)(ring->rings + ring->params.cq_off.cqes);
	cqe += head & *field(ring, ring->params.cq_off.ring_mask);
	res = cqe->res;
	if (user_data)
		*user_data = cqe->user_data;
	__atomic_store_n(field(ring, ring->params.cq_off.head), head + 1, __ATOMIC_RELEASE);
	return res;
}

int ring_once(const struct io_uring_sqe *sqe)
{
	struct ring ring;
	int res = ring_open(&ring, 1);

	if (res)
		return res;
	res = ring_submit(&ring, sqe);
	if (!res)
		res = ring_wait(&ring, NULL);
	ring_close(&ring);
	return res;
}

int ring_register(struct ring *ring, const struct iovec *buffers, unsigned int count)
{
	return syscall(SYS_io_uring_register, ring->fd, IORING_REGISTER_BUFFERS, buffers, count) ?
		       -errno : 0;
}

int ring_unregister(struct ring *ring)
{
	return syscall(SYS_io_uring_register, ring->fd, IORING_UNREGISTER_BUFFERS, NULL, 0) ?
		       -errno : 0;
}
