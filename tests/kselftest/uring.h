/* SPDX-License-Identifier: GPL-2.0-only */
/* A small io_uring, by system calls: no library is needed for the few that tests submit. */
#ifndef URING_H
#define URING_H

#include <linux/io_uring.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

struct ring {
	int fd;
	struct io_uring_params params;
	char *rings; /* the submission and the completion ring, in one mapping */
	size_t bytes;
	struct io_uring_sqe *sqes;
};

/* 0 or a negative errno. */
int ring_open(struct ring *ring, unsigned int entries);
void ring_close(struct ring *ring);
/* Submit one; nobody waits. No more than the ring's entries may be outstanding. */
int ring_submit(struct ring *ring, const struct io_uring_sqe *sqe);
/* Wait for the next completion: its result, and in @user_data whose it is. */
int ring_wait(struct ring *ring, __u64 *user_data);
/* One entry from submission to its result, on a ring of its own. */
int ring_once(const struct io_uring_sqe *sqe);
/* Buffers that stay pinned until they are unregistered. 0 or a negative errno. */
int ring_register(struct ring *ring, const struct iovec *buffers, unsigned int count);
int ring_unregister(struct ring *ring);

#endif /* URING_H */
