/* SPDX-License-Identifier: GPL-2.0-only */
/* A thread that reads pages of a mapped region at random, and compares them. */
#ifndef READER_H
#define READER_H

#include <linux/types.h>
#include <pthread.h>
#include <stdatomic.h>

struct reader {
	pthread_t thread;
	const char *addr;
	__u64 bytes, seed, random;
	atomic_bool stop;
	long long checked, wrong; /* pages; once it has stopped */
};

/*
 * Begin to read [addr, addr + bytes), which has the content of that seed; readers of other
 * numbers read in another order. 0 or -errno.
 */
int reader_start(struct reader *reader, const char *addr, __u64 bytes, __u64 seed, int number);
void reader_stop(struct reader *reader);

#endif /* READER_H */
