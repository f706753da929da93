/* SPDX-License-Identifier: MIT */
/*
 * libitme: what a runtime knows about its next reads, told to ITME.
 *
 * Copyright (C) 2026 The ITME authors
 */
#ifndef LIBITME_H
#define LIBITME_H

#include <stdint.h>

#include "itme.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * DOC: conventions
 *
 * Functions that can fail return 0 or a negative errno; each names those of its
 * own. Offsets and lengths are bytes of the file; ITME works in whole granules.
 * Nothing here changes data, and nothing has to be called: what was not told is
 * served on demand.
 *
 * A handle may be used by any number of threads at once, but not while it is
 * closed, and in a child after fork(2). Hints and cookies belong to the open
 * file, which a child shares with its parent: one that wants its own opens the
 * file again. No function changes signal handlers, starts a thread or keeps a
 * lock. Those that may wait say so.
 *
 * There are two kinds of declaration. NEED (itme_region_need()), FENCE
 * (itme_region_fence()) and their like go to the module, by ioctl(2) on the open
 * file, and tell what came of them. STEP, AT, DONE and GUESS are events for itmed: sent
 * and forgotten, never waited with, and lost where itmed does not run or does not
 * keep up (itme_region_lost_events()).
 *
 * itme_memory_declare() is about memory that is in no region, and asks itmed;
 * itme_memory_at() is an event about it.
 *
 * On a file that is no region of ITME hints become posix_fadvise(2), events
 * nothing, and what that cannot do is -EOPNOTSUPP. So a runtime need not know
 * where its file lies.
 */

/** struct itme_region - a handle of an open file, a region of ITME or not */
struct itme_region;

/**
 * struct itme_range - bytes of the file
 * @offset: first byte
 * @length: bytes, at least 1
 */
struct itme_range {
	uint64_t offset;
	uint64_t length;
};

/**
 * struct itme_want - how ranges are needed. All zero: exact, and at once
 * @hint_class: how sure that is, &enum itme_hint_class of itme.h; 0: ITME_CLASS_EXACT
 * @tier: where to, ITME_TIER_DRAM or ITME_TIER_CXL; 0: the fastest there is
 * @deadline_ns: CLOCK_MONOTONIC time after which a read need not begin any more;
 *	0: none
 * @cookie: a number of the caller's choice for itme_region_fence(); several calls
 *	may share one. 0: none
 */
struct itme_want {
	uint32_t hint_class;
	uint32_t tier;
	uint64_t deadline_ns;
	uint64_t cookie;
};

/**
 * struct itme_taken - what became of hints when they were given
 * @accepted_bytes: queued, or on their way already; of a release: dropped
 * @resident_bytes: as they should be already
 * @clipped_bytes: left alone: there is no room
 * @refused_bytes: cannot be moved: held by page references, or pinned
 *
 * Bytes of whole granules, the last one counted up to the end of the region.
 */
struct itme_taken {
	uint64_t accepted_bytes;
	uint64_t resident_bytes;
	uint64_t clipped_bytes;
	uint64_t refused_bytes;
};

/**
 * struct itme_outcome - what came of hints when they were complete
 * @ready_bytes: are in memory
 * @failed_bytes: the store could not give them
 * @expired_bytes: their deadline had passed; of a cookie only
 * @lost_bytes: the others: dropped again, cancelled, or without a frame
 */
struct itme_outcome {
	uint64_t ready_bytes;
	uint64_t failed_bytes;
	uint64_t expired_bytes;
	uint64_t lost_bytes;
};

/** define ITME_FOREVER - a timeout that never comes */
#define ITME_FOREVER UINT64_MAX

/** define ITME_NEXT_UNKNOWN - when a range is used again is not known */
#define ITME_NEXT_UNKNOWN 0
/** define ITME_NEXT_NEVER - a range is not used again */
#define ITME_NEXT_NEVER UINT32_MAX

/** define ITME_STREAM_MAX - longest name of a stream in bytes, without the NUL */
#define ITME_STREAM_MAX 63

/**
 * itme_region_open - open a file by its path, for reading
 * @path: the file
 * @region: (out) the handle, for itme_region_close()
 *
 * The environment's ITME_EVENTS names itmed's socket of events, else it is
 * /run/itme/events.sock; empty: no events are sent. (A set-user-ID program does not
 * look there.)
 *
 * Return: 0, or what open(2) says; -EINVAL: a directory, or no regular file or block
 * device; -ENOMEM.
 */
int itme_region_open(const char *path, struct itme_region **region);

/**
 * itme_region_open_fd - the same of a file that the caller has opened for reading
 * @fd: stays the caller's, who may close it at any time
 * @region: (out) the handle, for itme_region_close()
 *
 * Both are one open file: its hints end when @fd and the handle are closed.
 *
 * Return: as itme_region_open(); -EBADF: no descriptor, or not open for reading.
 */
int itme_region_open_fd(int fd, struct itme_region **region);

/**
 * itme_region_close - let go of a handle
 * @region: the handle, or NULL
 *
 * Where that was the open file's last descriptor, what it has outstanding is
 * cancelled, and its pins are dropped. Mappings stay.
 */
void itme_region_close(struct itme_region *region);

/**
 * itme_region_fd - the handle's own descriptor, for mmap(2), read(2) and ioctl(2)
 * @region: the handle
 *
 * Return: a descriptor that is closed with the handle, with FD_CLOEXEC.
 */
int itme_region_fd(const struct itme_region *region);

/**
 * itme_region_granule_bytes - is it a region, and what is its unit?
 * @region: the handle
 *
 * Return: bytes of a granule, a power of two from 64 KiB to 2 MiB; 0: no region.
 */
uint64_t itme_region_granule_bytes(const struct itme_region *region);

/**
 * itme_region_need - NEED: these ranges will be read
 * @region: the handle
 * @ranges: @count of them, in the order in which they are needed
 * @count: at least 1
 * @want: how; NULL: exact, and at once
 * @taken: (out) sums over all ranges; or NULL
 *
 * Does not wait for the store. A range that is refused does not keep off the others.
 *
 * No region: posix_fadvise(2) WILLNEED, and @taken counts the bytes it was given
 * for; class, tier and deadline have no effect, and a cookie is not known afterwards.
 *
 * Return: 0, or the first range's error: -EINVAL: no range, an empty one, one that
 * ends past the file's end, or a field of @want outside its range; -EAGAIN: the open
 * file has too much outstanding, wait for some of it; -ENOMEM; -ESPIPE.
 */
int itme_region_need(struct itme_region *region, const struct itme_range *ranges, uint32_t count,
		     const struct itme_want *want, struct itme_taken *taken);

/**
 * itme_region_prefetch - NEED of one range, exact and at once
 * @region: the handle
 * @offset: first byte
 * @length: bytes, at least 1
 *
 * Return: as itme_region_need().
 */
int itme_region_prefetch(struct itme_region *region, uint64_t offset, uint64_t length);

/**
 * itme_region_release - drop a range from memory, now
 * @region: the handle
 * @offset: first byte
 * @length: bytes, at least 1
 * @taken: (out) what was dropped and what was not; or NULL
 *
 * May wait for reads of the range that are under way. No region: posix_fadvise(2)
 * DONTNEED, and @taken counts the bytes it was given for.
 *
 * Return: 0; -EBUSY: some of it is pinned or held; -EINVAL: empty, or past the
 * file's end; -EINTR; -ENOMEM; -ESPIPE.
 */
int itme_region_release(struct itme_region *region, uint64_t offset, uint64_t length,
			struct itme_taken *taken);

/**
 * itme_region_wait - wait until nothing of a range is on its way, whoever hinted it
 * @region: the handle
 * @offset: first byte
 * @length: bytes, at least 1
 * @timeout_ns: longest wait; 0 looks only, ITME_FOREVER
 * @outcome: (out) where 0 or -EIO is returned; or NULL
 *
 * Return: 0: complete; -EIO: complete, but the store could not give @outcome's
 * failed_bytes; -ETIMEDOUT: not complete; -EINTR: a signal came; -EINVAL: empty, or
 * past the end; -EOPNOTSUPP: no region. The page cache cannot be waited for: read.
 */
int itme_region_wait(struct itme_region *region, uint64_t offset, uint64_t length,
		     uint64_t timeout_ns, struct itme_outcome *outcome);

/**
 * itme_region_fence - FENCE: wait until nothing of a cookie is on its way
 * @region: the handle
 * @cookie: as it was given to itme_region_need(), not 0
 * @timeout_ns: longest wait; 0 looks only, ITME_FOREVER
 * @outcome: (out) where 0 or -EIO is returned; or NULL
 *
 * The cookie is forgotten when its outcome was told.
 *
 * Return: as itme_region_wait(); -ENOENT: a cookie that was never given or whose
 * outcome was told, or (there is a limit) nobody asked for in time; -EINVAL: 0.
 */
int itme_region_fence(struct itme_region *region, uint64_t cookie, uint64_t timeout_ns,
		      struct itme_outcome *outcome);

/**
 * itme_region_residency - where granules are
 * @region: the handle
 * @first_granule: number of the first one wanted
 * @bytes: (out) one for each: bits ITME_RESIDENCY_* of itme.h
 * @count: granules wanted
 *
 * Each byte was true at some moment during the call.
 *
 * Return: bytes written, fewer than @count at the region's end; -EOPNOTSUPP: no
 * region.
 */
int64_t itme_region_residency(struct itme_region *region, uint64_t first_granule, uint8_t *bytes,
			      uint32_t count);

/**
 * itme_region_step - STEP: a pass of a stream begins
 * @region: the handle
 * @stream: name of the stream in the region's schedule, at most ITME_STREAM_MAX
 *	bytes; NULL: its first
 * @pass: number of the pass, from 1
 *
 * Return: 0, sent or lost; -EINVAL: pass 0, or too long a name.
 */
int itme_region_step(struct itme_region *region, const char *stream, uint64_t pass);

/**
 * itme_region_at - AT: where a stream is in its program
 * @region: the handle
 * @stream: as for itme_region_step()
 * @pass: number of the pass, from 1
 * @position: index into the steps of the program, from 0
 *
 * It tells all that STEP tells: a lost event is made good by the next one.
 *
 * Return: 0, sent or lost; -EINVAL: pass 0, or too long a name.
 */
int itme_region_at(struct itme_region *region, const char *stream, uint64_t pass,
		   uint32_t position);

/**
 * itme_region_done - DONE: this use of a range is over
 * @region: the handle
 * @offset: first byte
 * @length: bytes, at least 1
 * @next_use: in so many passes, from 1; ITME_NEXT_UNKNOWN; ITME_NEXT_NEVER: itmed
 *	releases it, where itmed follows the region (itme_region_release() does so by
 *	itself, and at once)
 *
 * No region: ITME_NEXT_NEVER is posix_fadvise(2) DONTNEED.
 *
 * Return: 0, sent or lost; -EINVAL: an empty range.
 */
int itme_region_done(struct itme_region *region, uint64_t offset, uint64_t length,
		     uint32_t next_use);

/**
 * itme_region_guess - GUESS: these ranges may be read, by a prediction
 * @region: the handle
 * @stream: as for itme_region_step(): whose prediction it is
 * @ranges: @count of them, the likeliest first
 * @count: at least 1
 *
 * An event, and no hint: itmed asks for them (ITME_CLASS_LIKELY) within what the plan
 * leaves of the store's time and of the window, drops what the run has passed by, and
 * takes no guesses for a while of a stream whose guesses are wasted rather than used.
 * Without itmed, or without a plan, nothing comes of it. Give it before the NEED of what
 * turns out to be read, which takes over what is on its way.
 *
 * Return: 0, sent or lost; -EINVAL: no range, an empty one, or too long a name.
 */
int itme_region_guess(struct itme_region *region, const char *stream,
		      const struct itme_range *ranges, uint32_t count);

/**
 * itme_region_lost_events - how many events of this handle never reached itmed
 * @region: the handle
 *
 * Because itmed does not run, or its queue was full. Of a file that is no region
 * none is sent and none lost. A child begins with its parent's count.
 *
 * Return: events since the handle was opened.
 */
uint64_t itme_region_lost_events(const struct itme_region *region);

/**
 * struct itme_memory - bytes of the caller's own memory
 * @address: the first one, at a page's begin
 * @bytes: of whole pages of 4096, at least one
 */
struct itme_memory {
	const void *address;
	uint64_t bytes;
};

/** define ITME_MEMORY_UNORDERED - no order of reading is known: what is idle leaves DRAM first */
#define ITME_MEMORY_UNORDERED 1U

/** define ITME_MEMORY_RANGES_MAX - most ranges of a declaration */
#define ITME_MEMORY_RANGES_MAX 1024

/**
 * itme_memory_declare - have itmed keep own memory in DRAM and CXL memory
 * @ranges: @count of them, in the order in which each pass reads them; they do not overlap
 * @count: 1 to ITME_MEMORY_RANGES_MAX
 * @dram_bytes: at most so much of them in DRAM; the rest is moved to CXL memory
 * @flags: 0, or ITME_MEMORY_UNORDERED, if the order of the ranges means nothing
 *
 * For weights and caches in malloc or anonymous maps, which are in no region. Takes the
 * place of what the process has declared before. It lasts until itme_memory_forget(), or
 * the end of the process or of itmed; not over execve(2), nor for a child, and ranges that
 * are unmapped or moved are to be declared anew. Pages are moved later, in the background,
 * and only those that no other process maps, too.
 *
 * Asks itmed by a socket of its own, which the environment's ITME_MEMORY names, else it is
 * /run/itme/memory.sock. Waits for the answer, 10 s at most, so it is for whoever has set
 * up its memory, not for each pass.
 *
 * Return: 0; -ENOENT, -ECONNREFUSED: itmed does not run; -EOPNOTSUPP: there is no CXL
 * memory; -EINVAL: a count, a flag or a range is not as above; -EPERM: root has declared
 * the memory of this process, or what the caller's user has declared would be more than
 * the machine's memory; -ETIMEDOUT, -EINTR: no answer, it may count all the same;
 * -ECONNRESET: itmed has ended, or is of another version; -ENOMEM; what socket(2) says.
 */
int itme_memory_declare(const struct itme_memory *ranges, uint32_t count, uint64_t dram_bytes,
			uint32_t flags);

/**
 * itme_memory_at - the read of own memory begins here, now
 * @offset: a byte of the declared ranges, counted in their order; all before it is done with
 *
 * For who reads what he has declared in its order, pass by pass: told at each item of a pass,
 * a layer or less, itmed may move what comes next to DRAM just ahead, in the place of what
 * was just read, where it finds passes to be shorter by that. A pass ends where the offset
 * goes back from the second half of what is declared to the first. Whoever says nothing has
 * his memory placed, and left there.
 *
 * An event, sent and forgotten, and not waited with: what the next one tells is enough. Some
 * microseconds, for a socket of its own; the environment's ITME_EVENTS names itmed's.
 *
 * Return: 0: sent, whether it is of use or not; -ENOENT, -ECONNREFUSED: itmed does not run;
 * -EAGAIN: its queue is full; what socket(2) says.
 */
int itme_memory_at(uint64_t offset);

/**
 * itme_memory_forget - leave all that was declared to the kernel again, where it is
 *
 * Return: 0, also where nothing was declared; else as itme_memory_declare().
 */
int itme_memory_forget(void);

#ifdef __cplusplus
}
#endif

#endif /* LIBITME_H */
