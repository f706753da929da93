/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the test programs share: instances, regions, stores of known content.
 *
 * A function that can fail returns 0 (or a descriptor, or a count) or a
 * negative errno, so that a test can compare it with the one it wants.
 */
#ifndef UTIL_H
#define UTIL_H

#include <errno.h>
#include <fcntl.h>
#include <kselftest.h> /* __printf, ARRAY_SIZE */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/types.h>
#include "itme.h"

#define KIB 1024UL
#define MIB (1024 * KIB)
#define GRANULE (2 * MIB)
#define PAGE 4096UL

/* @step is a power of two. */
static inline size_t round_up(size_t n, size_t step)
{
	return (n + step - 1) & ~(step - 1);
}

/* ---- the guest: what tests/kselftest/run has set up ---- */

/* A folder on ext4 on the NVMe drive. */
const char *store_dir(void);
/* The node of CXL memory, or -1. */
int cxl_node(void);
/* 1 on a quick kernel; more on one that is slow by design. Multiplies time-outs. */
int slowness(void);
/* Run a shell command. Its status, or 256 + a signal. */
__printf(1, 2) int run(const char *fmt, ...);
/* Write @text to a file of sysfs, procfs or debugfs: 0 or a negative errno. */
int write_file(const char *path, const char *text);
/* Read a number, or a whole small file: the length or a negative errno. */
long long read_number(const char *path);
ssize_t read_text(const char *path, char *text, size_t size);
/* Memory of a node in bytes; and what is free after what is only cached was dropped. */
long long total_memory(int node);
long long high_watermarks(int node); /* that the kernel wants to keep free */
/* A number of a file in the form of /proc/meminfo or of a node's, and of that itself; or -1024. */
long long number_in(const char *path, const char *field);
long long meminfo(const char *field);
long long free_memory(int node);
/*
 * A CPU keeps up to an eighth of its share of memory on lists of its own, above all when a
 * hog has died there. Others cannot have that, nor is it whole for them; and the kernel calls
 * the OOM killer without a look at it.
 */
int keep_lists_short(bool yes);
/* A counter of /proc/vmstat, or -1. */
long long vmstat(const char *field);
/* The NUMA node that @address is mapped to, or a negative errno. */
int node_of(const void *address);
/* A number of /proc/self/smaps for the mapping at @address, in bytes. */
long long mapping_bytes(const void *address, const char *field);
/* Run @fn in a child as an ordinary user without capabilities: what it returns. */
#define NOBODY 65534
int as_user(int uid, int (*fn)(void *arg), void *arg);
/* Seconds since boot, as a double. */
double now(void);

/* ---- the kernel log ---- */

int kmsg_open(void); /* positioned at the end */
/* Was @text logged since kmsg_open() or the last call? */
bool kmsg_has(int kmsg, const char *text);

/* ---- instances ---- */

struct instance {
	char dir[64]; /* where it is mounted */
	char name[32];
	int root; /* the root directory, open */
};

/* A mount namespace of the caller's own: what it mounts goes with it. */
int private_mounts(void);
int instance_mount(struct instance *inst, const char *options);
/* Without regions in use; -EBUSY otherwise. */
int instance_umount(struct instance *inst);
int instance_remount(struct instance *inst, const char *options);
/* A file of /sys/fs/itme/<instance>/. */
long long instance_number(const struct instance *inst, const char *file);
int instance_write(const struct instance *inst, const char *file, const char *text);

/* ---- regions ---- */

int attach(const struct instance *inst, int fd, const char *name);
int attach_path(const struct instance *inst, const char *path, const char *name);
/* As a region that can be written to. */
int attach_writable(const struct instance *inst, const char *path, const char *name);
/* As one that DMA may hold for long, too. */
int attach_pinnable(const struct instance *inst, const char *path, const char *name);
int detach(const struct instance *inst, const char *name);
int region_open(const struct instance *inst, const char *name, int flags);
int region_stat(int region, struct itme_stat *stat);

/* ---- hints ---- */

/* Carry a vector of hints out: 0 where each has its result, else the call's error. */
int submit(int region, struct itme_hint *hints, __u32 count);
int submit_with_eventfd(int region, struct itme_hint *hints, __u32 count, int eventfd);
/*
 * One hint over a range, exact where it has a class, and for a prefetch or a pin
 * its end: the hint's own error, or the call's, or -EIO where the store failed.
 */
int hint(int region, __u32 op, __u32 tier, __u64 offset, __u64 length, struct itme_hint *result);
int prefetch(int region, __u32 tier, __u64 offset, __u64 length);
int release(int region, __u64 offset, __u64 length);
/* WAIT for at most @seconds (times slowness() where it is more than 0). @result may be NULL. */
int wait_range(int region, __u64 offset, __u64 length, double seconds, struct itme_wait *result);
int wait_cookie(int region, __u64 cookie, double seconds, struct itme_wait *result);
/* The byte of one granule, or a negative errno. */
int residency(int region, __u64 granule);
/* How many granules are in @tier. */
long long count_tier(int region, __u32 tier);
/* Wait until @count granules from @first on are in @tier, all of them: 0 or -ETIMEDOUT. */
int wait_for_tier(int region, __u64 first, __u64 count, __u32 tier);

/* ---- stores of known content ---- */

/*
 * A file of @bytes pseudo-random bytes in store_dir(), made where it is not
 * there; it stays for the tests that come. Nobody may write to it.
 */
int store_path(char *path, size_t size, __u64 bytes, __u64 seed);
int store_create(const char *path, __u64 bytes, __u64 seed);
void content_fill(void *buffer, __u64 offset, size_t bytes, __u64 seed);
/* The offset in @buffer of the first byte that is wrong, or -1. */
long long content_check(const void *buffer, __u64 offset, size_t bytes, __u64 seed);

/* ---- block devices ---- */

/* losetup: the new device's path. @options such as "-r", or "". */
int loop_add(char *device, size_t size, const char *path, const char *options);
int loop_remove(const char *device);

/* ---- access that may fault ---- */

/* Read a byte: 0, or the signal that it raised. Any thread. */
int touch(const void *address);
/* Store pseudo-random content there as content_fill(): 0, or the signal that it raised. */
int store_content(void *address, __u64 offset, size_t bytes, __u64 seed);
/* content_check() that survives a signal: -1 right, -2 a signal, else the offset. */
long long content_check_mapped(const void *buffer, __u64 offset, size_t bytes, __u64 seed);
/* A pseudo-random sequence of a thread's own. */
__u64 next_random(__u64 *state);

#endif /* UTIL_H */
