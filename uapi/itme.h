/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR MIT */
/*
 * ITME: Inference Tiered Memory Expansion, user interface of the module.
 *
 * Copyright (C) 2026 The ITME authors
 */
#ifndef _UAPI_ITME_H
#define _UAPI_ITME_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * DOC: ioctl conventions
 *
 * Every argument struct begins with its own @size, set by the caller to
 * sizeof() of the struct it was built with, and with @flags. A module that is
 * newer than the caller takes the missing tail as zero; a module that is older
 * refuses a tail that is not zero. Numbers never change their meaning.
 *
 * INFO and ATTACH are issued on the root directory of a mount, HINT, WAIT,
 * RESIDENCY, STAT and SEAL on an open region; INFO works on both.
 *
 * Errors common to all commands:
 *
 *  - EFAULT: a pointer cannot be read or written.
 *  - EINVAL: @size is smaller than the first version of the struct, a
 *    reserved field is not zero, or a range lies outside the region.
 *  - E2BIG: @size is larger than the module knows and the tail is not zero.
 *  - EOPNOTSUPP: an unknown bit in @flags, or an operation, class or option
 *    that this module version does not carry out (see &struct itme_info).
 *  - ENOTTY: an unknown command, or one that does not belong to this file.
 *  - EPERM: the caller lacks the privilege that the command names.
 *  - EINTR: a signal ended a wait.
 *  - ENOMEM: no memory to describe what was asked for.
 */

/** define ITME_MAGIC - statfs() f_type of an itme mount: the letters "ITME" */
#define ITME_MAGIC 0x49544d45

#define ITME_IOC_TYPE 0xB7

/**
 * enum itme_tier - a tier of memory, as numbers in structs and trace events
 * @ITME_TIER_STORE: the store: a file or a block device
 * @ITME_TIER_CXL: CXL memory, a CPU-less NUMA node
 * @ITME_TIER_DRAM: host DRAM
 */
enum itme_tier {
	ITME_TIER_STORE = 0,
	ITME_TIER_CXL = 1,
	ITME_TIER_DRAM = 2,
};

/**
 * struct itme_info - ITME_IOC_INFO: what this instance is and can do
 * @size: (in) sizeof(struct itme_info); (out) the size that the module knows
 * @flags: (in) zero
 * @features: (out) bits ITME_FEATURE_*
 * @granule_bytes: (out) the unit of residency, in bytes
 * @dram_bytes: (out) budget of DRAM frames, in bytes
 * @cxl_bytes: (out) budget of CXL frames, in bytes
 * @window_bytes: (out) part of the budget kept for data in flight, in bytes
 * @version: (out) module version, 16 bits major, 16 bits minor
 * @hint_max: (out) most entries that one HINT takes
 * @hint_ops: (out) bit 1 << op for each &enum itme_hint_op that is carried out
 * @hint_classes: (out) bit 1 << class for each &enum itme_hint_class that is known
 * @instance: (out) name of the instance as in /sys/fs/itme, NUL-terminated
 * @inflight_bytes: (out) most bytes that hints have under way at a time
 * @pin_limit_bytes: (out) most bytes that pins keep, of all users together
 * @queue_max: (out) most entries of HINTs that an open file has outstanding
 * @cookie_max: (out) most completed cookies that an open file is remembered by WAIT
 */
struct itme_info {
	__u32 size;
	__u32 flags;
	__aligned_u64 features;
	__aligned_u64 granule_bytes;
	__aligned_u64 dram_bytes;
	__aligned_u64 cxl_bytes;
	__aligned_u64 window_bytes;
	__u32 version;
	__u32 hint_max;
	__u32 hint_ops;
	__u32 hint_classes;
	char instance[32];
	__aligned_u64 inflight_bytes;
	__aligned_u64 pin_limit_bytes;
	__u32 queue_max;
	__u32 cookie_max;
};

/** define ITME_IOC_INFO - read &struct itme_info; no privilege needed */
#define ITME_IOC_INFO _IO(ITME_IOC_TYPE, 0x80)

/** define ITME_FEATURE_READ_ONLY - regions can be attached read-only */
#define ITME_FEATURE_READ_ONLY (1ULL << 0)
/** define ITME_FEATURE_HINT - ITME_IOC_HINT queues, ITME_IOC_WAIT waits */
#define ITME_FEATURE_HINT (1ULL << 1)
/** define ITME_FEATURE_FADVISE - posix_fadvise(2) and madvise(2) are hints */
#define ITME_FEATURE_FADVISE (1ULL << 2)

/** define ITME_FEATURE_READ_WRITE - regions can be attached for writing */
#define ITME_FEATURE_READ_WRITE (1ULL << 3)

/** define ITME_NAME_MAX - longest region name in bytes, without the NUL */
#define ITME_NAME_MAX 255

/** define ITME_ATTACH_MODE - &itme_attach.mode is given; else it is 0600 */
#define ITME_ATTACH_MODE (1U << 0)
/** define ITME_ATTACH_WRITE - the region can be written to, and the store is */
#define ITME_ATTACH_WRITE (1U << 1)

/**
 * struct itme_attach - ITME_IOC_ATTACH: make a region of a store
 * @size: (in) sizeof(struct itme_attach)
 * @flags: (in) bits ITME_ATTACH_*
 * @fd: (in) the store, open for reading, with ITME_ATTACH_WRITE also for writing: a
 *	regular file or a block device that can do O_DIRECT. The module reopens it; the
 *	descriptor may be closed after.
 * @mode: (in) permission bits of the region, 0 to 0777, with ITME_ATTACH_MODE
 * @name: (in) address of the region's name, @name_len bytes, no NUL needed.
 *	One path component: not empty, no '/', no control character, not "." or "..".
 * @name_len: (in) length of the name in bytes, 1 to ITME_NAME_MAX
 * @__reserved: zero
 * @region_bytes: (out) size of the new region, in bytes
 *
 * Needs CAP_SYS_ADMIN. The region belongs to the caller's fsuid and fsgid. A
 * regular file denies local writers (ETXTBSY to them) and a block device is
 * claimed for as long as the region lives. unlink(2) of the region detaches it.
 *
 * With ITME_ATTACH_WRITE the file's writers are not denied: who writes to it beside the
 * region sees and leaves behind any mixture. unlink(2) writes what is dirty first, and
 * fails with the store's error where that fails; the region then stays as it is.
 *
 * Errors beside the common ones:
 *
 *  - EBADF: @fd is not open for reading, or not for writing with ITME_ATTACH_WRITE,
 *    or is O_PATH.
 *  - EINVAL: with ITME_ATTACH_WRITE, the store's size is no multiple of 4096.
 *  - EISDIR: @fd is a directory.
 *  - EINVAL: @fd is no regular file or block device, cannot do O_DIRECT,
 *    or the name is not one path component.
 *  - ENODATA: the store is empty.
 *  - EFBIG: the store is larger than a file can be.
 *  - ENAMETOOLONG: @name_len is above ITME_NAME_MAX.
 *  - EEXIST: a region of that name is there.
 *  - EBUSY: the store is attached already, or the block device is in use.
 *  - ETXTBSY: the file is open for writing; or, with ITME_ATTACH_WRITE, is being
 *    executed or used for swap.
 *  - ELOOP: the store lies on an itme mount, or is a loop device while a
 *    region backs one.
 */
struct itme_attach {
	__u32 size;
	__u32 flags;
	__s32 fd;
	__u32 mode;
	__aligned_u64 name;
	__u32 name_len;
	__u32 __reserved;
	__aligned_u64 region_bytes;
};

/** define ITME_IOC_ATTACH - attach a store, &struct itme_attach */
#define ITME_IOC_ATTACH _IO(ITME_IOC_TYPE, 0x81)

/**
 * enum itme_hint_op - what a hint asks for
 * @ITME_HINT_PREFETCH: bring the range to &itme_hint.tier, from the store or
 *	from the other tier
 * @ITME_HINT_RELEASE: drop the range from memory; complete when HINT returns
 * @ITME_HINT_PIN: bring the range to &itme_hint.tier and keep it there, until
 *	UNPIN or the file is closed
 * @ITME_HINT_UNPIN: undo this open file's PIN of the range; complete when HINT
 *	returns
 * @ITME_HINT_WATCH: report the next access to each granule of the range by the
 *	tracepoint itme:touch, once; complete when HINT returns
 * @ITME_HINT_CANCEL: forget this open file's outstanding hints of
 *	&itme_hint.cookie, or, where that is zero, what they and its watches have in
 *	the range; reads under way end as they will. Complete when HINT returns
 *
 * Zero is no operation, so that an unset entry is caught.
 */
enum itme_hint_op {
	ITME_HINT_PREFETCH = 1,
	ITME_HINT_RELEASE = 2,
	ITME_HINT_PIN = 3,
	ITME_HINT_UNPIN = 4,
	ITME_HINT_WATCH = 5,
	ITME_HINT_CANCEL = 6,
};

/**
 * enum itme_hint_class - how sure a PREFETCH or a PIN is that the range is needed
 * @ITME_CLASS_EXACT: it will be read. Goes before the others, and takes the
 *	frame of any resident that is neither pinned nor waiting for its first use
 * @ITME_CLASS_LIKELY: predicted. Takes free frames and those that the window
 *	has been read past
 * @ITME_CLASS_MAYBE: perhaps, as whole-file WILLNEED. Takes free frames only
 *
 * A better class goes first; inside a class the earlier deadline, and then the
 * order of submission.
 */
enum itme_hint_class {
	ITME_CLASS_EXACT = 1,
	ITME_CLASS_LIKELY = 2,
	ITME_CLASS_MAYBE = 3,
};

/** define ITME_HINT_FORCE - RELEASE what pins keep too; needs CAP_SYS_ADMIN */
#define ITME_HINT_FORCE (1U << 0)

/**
 * struct itme_hint - one entry of a HINT vector
 * @op: (in) &enum itme_hint_op
 * @flags: (in) ITME_HINT_FORCE for RELEASE; else zero
 * @hint_class: (in) &enum itme_hint_class for PREFETCH and PIN; else zero
 * @tier: (in) for PREFETCH: ITME_TIER_DRAM or ITME_TIER_CXL; for PIN also zero:
 *	where it is, or the fastest tier; else zero
 * @offset: (in) first byte; rounded down to a granule
 * @length: (in) bytes, at least 1; rounded up to a granule; a range that ends
 *	past the region's end is refused with EINVAL. For CANCEL by cookie both are zero
 * @deadline_ns: (in) for PREFETCH and PIN: CLOCK_MONOTONIC time after which it need
 *	not begin any more: what is left of it then expires. Zero: none
 * @cookie: (in) for PREFETCH and PIN: a number of the caller's choice by which WAIT
 *	and CANCEL name it; several entries may share one. Zero: none
 * @accepted_bytes: (out) PREFETCH and PIN: bytes that are queued, or on their way
 *	already; for PIN these and @resident_bytes are pinned. RELEASE, UNPIN, WATCH,
 *	CANCEL: bytes done as asked
 * @resident_bytes: (out) bytes that were as they should be already
 * @clipped_bytes: (out) bytes left alone because the budget, or the limit of
 *	pins, has no room
 * @refused_bytes: (out) bytes that cannot be moved: held, or kept by a pin
 * @error: (out) 0 or a negative errno for this entry
 * @__reserved: zero
 *
 * The four sums add up to the whole granules of the range, the last one counted
 * up to the region's end; where @error is set they say how far it came. Only
 * @accepted_bytes of CANCEL counts what was cancelled, of each hint for itself.
 *
 * Errors of an entry:
 *
 *  - EINVAL: a field outside its range, or not zero where @op has no use for it.
 *  - EOPNOTSUPP: an @op, a @hint_class or a bit of @flags that is not known.
 *  - EPERM: ITME_HINT_FORCE without CAP_SYS_ADMIN.
 *  - EAGAIN: &itme_info.queue_max entries of this open file are outstanding; wait
 *    for some, or cancel them.
 *  - EBUSY: some of the range is in @refused_bytes.
 *  - ENOENT: CANCEL of a cookie that has nothing outstanding.
 *  - ENOMEM.
 */
struct itme_hint {
	__u32 op;
	__u32 flags;
	__u32 hint_class;
	__u32 tier;
	__aligned_u64 offset;
	__aligned_u64 length;
	__aligned_u64 deadline_ns;
	__aligned_u64 cookie;
	__aligned_u64 accepted_bytes;
	__aligned_u64 resident_bytes;
	__aligned_u64 clipped_bytes;
	__aligned_u64 refused_bytes;
	__s32 error;
	__u32 __reserved;
};

/** define ITME_HINT_VEC_EVENTFD - &itme_hint_vec.eventfd is given */
#define ITME_HINT_VEC_EVENTFD (1U << 0)

/**
 * struct itme_hint_vec - ITME_IOC_HINT: submit a vector of hints
 * @size: (in) sizeof(struct itme_hint_vec)
 * @flags: (in) bits ITME_HINT_VEC_*
 * @entries: (in) address of @count &struct itme_hint
 * @count: (in) entries, 1 to &itme_info.hint_max
 * @entry_size: (in) sizeof(struct itme_hint)
 * @done: (out) entries whose results were written
 * @eventfd: (in) with ITME_HINT_VEC_EVENTFD: an eventfd(2), to which 1 is added
 *	whenever a cookie of this vector completes, perhaps before the call returns.
 *	A cookie that is outstanding has one eventfd: the last that was given
 *
 * Needs the region open for reading. A bad entry gets its error in
 * &itme_hint.error and the others are carried out. PREFETCH and PIN never wait
 * for the store or for a frame. Hints never change data; the same hint again
 * costs nothing but its look-up. They belong to the open file: closing it
 * cancels what is outstanding, and drops its pins and watches.
 *
 * Errors beside the common ones:
 *
 *  - EINVAL: @count is zero or above the limit, or @entry_size is not as said.
 *  - EBADF: @eventfd is no descriptor; EINVAL: it is no eventfd.
 */
struct itme_hint_vec {
	__u32 size;
	__u32 flags;
	__aligned_u64 entries;
	__u32 count;
	__u32 entry_size;
	__u32 done;
	__s32 eventfd;
};

/** define ITME_IOC_HINT - submit hints, &struct itme_hint_vec */
#define ITME_IOC_HINT _IO(ITME_IOC_TYPE, 0x82)

/** define ITME_WAIT_COOKIE - wait for &itme_wait.cookie */
#define ITME_WAIT_COOKIE (1U << 0)
/** define ITME_WAIT_RANGE - wait for a range, whoever has hinted it */
#define ITME_WAIT_RANGE (1U << 1)

/**
 * struct itme_wait - ITME_IOC_WAIT: wait for hints to complete
 * @size: (in) sizeof(struct itme_wait)
 * @flags: (in) ITME_WAIT_COOKIE or ITME_WAIT_RANGE
 * @cookie: (in) of this open file; else zero
 * @offset: (in) first byte of the range; else zero
 * @length: (in) bytes of the range, at least 1; else zero
 * @timeout_ns: (in) longest wait: 0 looks only, ~0 waits without an end; (out) what
 *	is left of it
 * @ready_bytes: (out) bytes that are in memory
 * @failed_bytes: (out) bytes that the store could not give
 * @expired_bytes: (out) bytes whose deadline had passed; of a cookie only
 * @lost_bytes: (out) the others: dropped again, cancelled, or without a frame
 *
 * A cookie completes when nothing that was accepted under it is queued or under
 * way. What came of it is told once: the cookie is forgotten then, and also when
 * &itme_info.cookie_max younger ones have completed.
 * A range is complete when none of its granules is queued or under way.
 *
 * Errors beside the common ones:
 *
 *  - EINVAL: not one of the two flags, a zero cookie, or a field that is not zero
 *    where the flag has no use for it.
 *  - ENOENT: a cookie that was never given, or is forgotten.
 *  - ETIMEDOUT: not complete yet; the sums are zero.
 */
struct itme_wait {
	__u32 size;
	__u32 flags;
	__aligned_u64 cookie;
	__aligned_u64 offset;
	__aligned_u64 length;
	__aligned_u64 timeout_ns;
	__aligned_u64 ready_bytes;
	__aligned_u64 failed_bytes;
	__aligned_u64 expired_bytes;
	__aligned_u64 lost_bytes;
};

/** define ITME_IOC_WAIT - wait for hints, &struct itme_wait */
#define ITME_IOC_WAIT _IO(ITME_IOC_TYPE, 0x85)

/** define ITME_RESIDENCY_TIER_MASK - bits of a residency byte with &enum itme_tier */
#define ITME_RESIDENCY_TIER_MASK 0x03
/** define ITME_RESIDENCY_BUSY - a fill or a move is queued or under way */
#define ITME_RESIDENCY_BUSY 0x04
/** define ITME_RESIDENCY_DIRTY - the store may not have all of it yet */
#define ITME_RESIDENCY_DIRTY 0x08
/** define ITME_RESIDENCY_PINNED - kept in its tier by a pin */
#define ITME_RESIDENCY_PINNED 0x10
/** define ITME_RESIDENCY_HELD - page references (DMA, GUP) forbade the last move */
#define ITME_RESIDENCY_HELD 0x20
/** define ITME_RESIDENCY_WATCHED - the next access is reported by itme:touch */
#define ITME_RESIDENCY_WATCHED 0x40

/**
 * struct itme_residency - ITME_IOC_RESIDENCY: where granules are
 * @size: (in) sizeof(struct itme_residency)
 * @flags: (in) zero
 * @first_granule: (in) number of the first granule wanted
 * @count: (in) granules wanted; (out) bytes written, fewer at the region's end;
 *	as it was after an error
 * @buffer: (in) address of @count bytes, one a granule: bits ITME_RESIDENCY_*
 * @__reserved: zero
 *
 * Needs the region open for reading. A snapshot without a lock over the whole:
 * each byte was true at some moment during the call. A @first_granule at or
 * past the end gives @count 0.
 */
struct itme_residency {
	__u32 size;
	__u32 flags;
	__aligned_u64 first_granule;
	__aligned_u64 count;
	__aligned_u64 buffer;
	__aligned_u64 __reserved;
};

/** define ITME_IOC_RESIDENCY - read residency, &struct itme_residency */
#define ITME_IOC_RESIDENCY _IO(ITME_IOC_TYPE, 0x83)

/**
 * struct itme_stat - ITME_IOC_STAT: counters of a region since it was attached
 * @size: (in) sizeof(struct itme_stat); (out) the size that the module knows
 * @flags: (in) zero
 * @region_bytes: (out) size of the region
 * @dram_bytes: (out) bytes of frames resident in DRAM now
 * @cxl_bytes: (out) bytes of frames resident in CXL memory now
 * @metadata_bytes: (out) memory used to describe the region's granules
 * @queued_bytes: (out) bytes of granules that hints have queued now
 * @pinned_bytes: (out) bytes of granules that are pinned now
 * @fault_count: (out) page faults that reached the module and were served
 * @miss_count: (out) faults and reads that had to wait for the store, where nothing
 *	had been hinted
 * @late_count: (out) faults and reads that had to wait although it had been hinted
 * @touch_count: (out) first accesses to watched granules
 * @fill_count: (out) granules read from the store, on demand and ahead
 * @fill_bytes: (out) bytes read from the store, on demand and ahead
 * @prefetch_bytes: (out) the part of @fill_bytes that was read ahead, for hints
 * @useful_bytes: (out) bytes fetched ahead, from the store or from CXL memory, and
 *	then touched
 * @wasted_bytes: (out) bytes fetched ahead and dropped before anything touched them
 * @direct_bytes: (out) bytes of O_DIRECT reads passed straight to the store
 * @error_count: (out) fills that failed
 * @demote_bytes: (out) bytes moved from DRAM to CXL memory
 * @promote_bytes: (out) bytes moved from CXL memory to DRAM
 * @evict_bytes: (out) bytes dropped from memory
 * @held_count: (out) moves and evictions given up because the frame was held
 * @timeout_count: (out) demand waits that ended without a frame or an answer
 * @accepted_bytes: (out) bytes that hints have queued since
 * @clipped_bytes: (out) bytes of hints for which there was no room
 * @refused_bytes: (out) bytes of hints that could not be moved
 * @expired_bytes: (out) bytes of hints whose deadline had passed
 * @cancelled_bytes: (out) bytes of hints that were cancelled
 * @degraded_bytes: (out) bytes that lost their pin or got it in a slower tier, for
 *	want of room
 * @retired_bytes: (out) bytes of frames taken out of use because of poison
 * @dirty_bytes: (out) bytes of granules that the store may not have all of now
 * @dirtied_bytes: (out) bytes of granules that have become dirty
 * @writeback_count: (out) granules written to the store
 * @writeback_bytes: (out) bytes written to the store
 * @writeback_error_count: (out) granules that the store did not take; they stay dirty
 * @throttle_count: (out) writes and stores that had to wait, because too much was
 *	dirty or the granule was on its way to the store
 * @lost_bytes: (out) dirty bytes that poison has taken, or that the store did not take
 *	when the region ended
 */
struct itme_stat {
	__u32 size;
	__u32 flags;
	__aligned_u64 region_bytes;
	__aligned_u64 dram_bytes;
	__aligned_u64 cxl_bytes;
	__aligned_u64 metadata_bytes;
	__aligned_u64 queued_bytes;
	__aligned_u64 pinned_bytes;
	__aligned_u64 fault_count;
	__aligned_u64 miss_count;
	__aligned_u64 late_count;
	__aligned_u64 touch_count;
	__aligned_u64 fill_count;
	__aligned_u64 fill_bytes;
	__aligned_u64 prefetch_bytes;
	__aligned_u64 useful_bytes;
	__aligned_u64 wasted_bytes;
	__aligned_u64 direct_bytes;
	__aligned_u64 error_count;
	__aligned_u64 demote_bytes;
	__aligned_u64 promote_bytes;
	__aligned_u64 evict_bytes;
	__aligned_u64 held_count;
	__aligned_u64 timeout_count;
	__aligned_u64 accepted_bytes;
	__aligned_u64 clipped_bytes;
	__aligned_u64 refused_bytes;
	__aligned_u64 expired_bytes;
	__aligned_u64 cancelled_bytes;
	__aligned_u64 degraded_bytes;
	__aligned_u64 retired_bytes;
	__aligned_u64 dirty_bytes;
	__aligned_u64 dirtied_bytes;
	__aligned_u64 writeback_count;
	__aligned_u64 writeback_bytes;
	__aligned_u64 writeback_error_count;
	__aligned_u64 throttle_count;
	__aligned_u64 lost_bytes;
};

/** define ITME_IOC_STAT - read &struct itme_stat */
#define ITME_IOC_STAT _IO(ITME_IOC_TYPE, 0x84)

/**
 * struct itme_seal - ITME_IOC_SEAL: make the region immutable from now on
 * @size: (in) sizeof(struct itme_seal)
 * @flags: (in) zero
 *
 * Needs the region open for writing. What is dirty is written to the store first. Then
 * write(2) and fallocate(2) give EPERM, as do open(2) for writing and mmap(2) of a
 * shared mapping that could be written to; no granule is dirty any more. Again: no harm.
 * It lasts until the region is detached.
 *
 * Errors beside the common ones:
 *
 *  - EBADF: the region is not open for writing.
 *  - EBUSY: it is mapped shared by who could write to it (unmap first), or DMA into it
 *    is under way.
 *  - EIO, ENOSPC, EDQUOT: the store does not take what is dirty.
 */
struct itme_seal {
	__u32 size;
	__u32 flags;
};

/** define ITME_IOC_SEAL - make a region immutable, &struct itme_seal */
#define ITME_IOC_SEAL _IO(ITME_IOC_TYPE, 0x86)

#endif /* _UAPI_ITME_H */
