/* SPDX-License-Identifier: GPL-2.0-only */
/* What the parts of stress_test share: its actors, and what each of them may do. */
#ifndef STRESS_H
#define STRESS_H

#include <pthread.h>
#include <stdatomic.h>
#include "uring.h"
#include "util.h"

#define REGIONS 2
/*
 * So many actors may hold a frame while they wait for another one, one each. With the least
 * budget (9 frames, no CXL memory) and window (1) pins leave 3 frames; if all of these were
 * held so, the waits would end with an error, as they should (ITME_FRAME_TIMEOUT).
 */
#define HOLDERS 2
#define STRESS_DRAM (24 * MIB)
#define STRESS_CXL (16 * MIB)
#define STRESS_BUFFER (GRANULE + 3 * PAGE)

extern const struct stress_region {
	const char *name;
	__u64 bytes, seed;
} stress_regions[REGIONS];

/* A region that comes and goes, of a store of its own. */
#define SPARE "spare"
#define SPARE_BYTES (2 * GRANULE + 777)
#define SPARE_SEED 103

extern struct stress {
	struct instance inst;
	atomic_bool stop;
	atomic_int wrong;
	pthread_mutex_t one; /* resizing, and the spare region */
	char first_wrong[256];
} stress;

struct actor {
	pthread_t thread;
	int id;
	__u64 random;
	int region[REGIONS], direct[REGIONS];
	char *addr[REGIONS];
	char *buffer; /* aligned */
	__u64 cookie; /* the last one given */
	int eventfd, pipes[2];
	int held; /* the region of what is in the pipe, or -1 */
	__u64 held_at;
	struct ring ring;
	long *counts; /* of each operation that did what it is for */
};

__u64 stress_below(struct actor *a, __u64 n);
static inline bool stress_may_hold(const struct actor *a)
{
	return a->id < HOLDERS && a->held < 0;
}
/* A range of up to @most bytes, anywhere: its length. */
size_t stress_range(struct actor *a, int r, size_t most, __u64 *offset);
/* The first that is wrong is told in the end, and all stop. Always false. */
__printf(1, 2) bool stress_fail(const char *fmt, ...);
/* Is what @how gave the data of region @r? */
bool stress_check(int r, const char *how, const void *buffer, __u64 offset, size_t bytes);
/* Set a file of sysfs, one of all actors at a time. */
bool stress_write(const char *file, __u64 number);

/*
 * One operation at random. True where it did what it is for, which is what is
 * counted; false where there was nothing to do, or something is wrong.
 */
bool stress_read(struct actor *a);
bool stress_read_direct(struct actor *a);
bool stress_ring(struct actor *a);
bool stress_touch(struct actor *a);
bool stress_process_vm_readv(struct actor *a);
bool stress_map(struct actor *a);
bool stress_hold(struct actor *a);
bool stress_fork(struct actor *a);
bool stress_kill(struct actor *a);
bool stress_prefetch(struct actor *a);
bool stress_pin(struct actor *a);
bool stress_unpin(struct actor *a);
bool stress_watch(struct actor *a);
bool stress_release(struct actor *a);
bool stress_cancel_range(struct actor *a);
bool stress_cancel_cookie(struct actor *a);
bool stress_wait_cookie(struct actor *a);
bool stress_wait_range(struct actor *a);
bool stress_eventfd(struct actor *a);
bool stress_migrate(struct actor *a);
bool stress_advise(struct actor *a);
bool stress_resize(struct actor *a);
bool stress_query(struct actor *a);
bool stress_reopen(struct actor *a);
bool stress_attach(struct actor *a);

#endif /* STRESS_H */
