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
 * INFO and ATTACH are issued on the root directory of a mount, HINT, RESIDENCY
 * and STAT on an open region; INFO works on both.
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
 *  - EINTR: a fatal signal ended a wait.
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
 * @__reserved: zero
 * @instance: (out) name of the instance as in /sys/fs/itme, NUL-terminated
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
	__u32 __reserved;
	char instance[32];
};

/** define ITME_IOC_INFO - read &struct itme_info; no privilege needed */
#define ITME_IOC_INFO _IO(ITME_IOC_TYPE, 0x80)

/** define ITME_FEATURE_READ_ONLY - regions can be attached read-only */
#define ITME_FEATURE_READ_ONLY (1ULL << 0)
/** define ITME_FEATURE_HINT - ITME_IOC_HINT is there, and completes before it returns */
#define ITME_FEATURE_HINT (1ULL << 1)

/** define ITME_NAME_MAX - longest region name in bytes, without the NUL */
#define ITME_NAME_MAX 255

/** define ITME_ATTACH_MODE - &itme_attach.mode is given; else it is 0600 */
#define ITME_ATTACH_MODE (1U << 0)

/**
 * struct itme_attach - ITME_IOC_ATTACH: make a region of a store
 * @size: (in) sizeof(struct itme_attach)
 * @flags: (in) bits ITME_ATTACH_*
 * @fd: (in) the store, open for reading: a regular file or a block device that
 *	can do O_DIRECT. The module reopens it; the descriptor may be closed after.
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
 * Errors beside the common ones:
 *
 *  - EBADF: @fd is not open for reading, or is O_PATH.
 *  - EISDIR: @fd is a directory.
 *  - EINVAL: @fd is no regular file or block device, cannot do O_DIRECT,
 *    or the name is not one path component.
 *  - ENODATA: the store is empty.
 *  - EFBIG: the store is larger than a file can be.
 *  - ENAMETOOLONG: @name_len is above ITME_NAME_MAX.
 *  - EEXIST: a region of that name is there.
 *  - EBUSY: the store is attached already, or the block device is in use.
 *  - ETXTBSY: the file is open for writing.
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
 * @ITME_HINT_RELEASE: drop the range from memory
 *
 * Zero is no operation, so that an unset entry is caught.
 */
enum itme_hint_op {
	ITME_HINT_PREFETCH = 1,
	ITME_HINT_RELEASE = 2,
};

/**
 * struct itme_hint - one entry of a HINT vector
 * @op: (in) &enum itme_hint_op
 * @tier: (in) for PREFETCH: ITME_TIER_DRAM or ITME_TIER_CXL; else zero
 * @offset: (in) first byte; rounded down to a granule
 * @length: (in) bytes, at least 1; rounded up to a granule; a range that ends
 *	past the region's end is refused with EINVAL
 * @accepted_bytes: (out) bytes moved as asked
 * @resident_bytes: (out) bytes that were where they should be already
 * @clipped_bytes: (out) bytes left alone because the budget has no room
 * @refused_bytes: (out) bytes that could not be moved: held, or the store failed
 * @error: (out) 0 or a negative errno for this entry
 * @__reserved: zero
 */
struct itme_hint {
	__u32 op;
	__u32 tier;
	__aligned_u64 offset;
	__aligned_u64 length;
	__aligned_u64 accepted_bytes;
	__aligned_u64 resident_bytes;
	__aligned_u64 clipped_bytes;
	__aligned_u64 refused_bytes;
	__s32 error;
	__u32 __reserved;
};

/**
 * struct itme_hint_vec - ITME_IOC_HINT: carry out a vector of hints
 * @size: (in) sizeof(struct itme_hint_vec)
 * @flags: (in) zero
 * @entries: (in) address of @count &struct itme_hint
 * @count: (in) entries, 1 to &itme_info.hint_max
 * @entry_size: (in) sizeof(struct itme_hint)
 * @done: (out) entries whose results were written
 * @__reserved: zero
 *
 * Needs the region open for reading. A bad entry gets its error in
 * &itme_hint.error and the others are carried out. The call returns when the
 * last entry is complete. Hints never change data.
 *
 * Errors beside the common ones:
 *
 *  - EINVAL: @count is zero or above the limit.
 *  - ETIMEDOUT: the store did not answer in 120 s.
 */
struct itme_hint_vec {
	__u32 size;
	__u32 flags;
	__aligned_u64 entries;
	__u32 count;
	__u32 entry_size;
	__u32 done;
	__u32 __reserved;
};

/** define ITME_IOC_HINT - carry out hints, &struct itme_hint_vec */
#define ITME_IOC_HINT _IO(ITME_IOC_TYPE, 0x82)

/** define ITME_RESIDENCY_TIER_MASK - bits of a residency byte with &enum itme_tier */
#define ITME_RESIDENCY_TIER_MASK 0x03
/** define ITME_RESIDENCY_BUSY - a fill or a move is under way */
#define ITME_RESIDENCY_BUSY 0x04
/** define ITME_RESIDENCY_DIRTY - not yet written back (no read-only region has it) */
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
 * @fault_count: (out) page faults that reached the module and were served
 * @miss_count: (out) faults and reads that had to wait for the store
 * @fill_count: (out) granules read from the store
 * @fill_bytes: (out) bytes read from the store
 * @direct_bytes: (out) bytes of O_DIRECT reads passed straight to the store
 * @error_count: (out) fills that failed
 * @demote_bytes: (out) bytes moved from DRAM to CXL memory
 * @promote_bytes: (out) bytes moved from CXL memory to DRAM
 * @evict_bytes: (out) bytes dropped from memory
 * @held_count: (out) moves and evictions given up because the frame was held
 * @expired_count: (out) demand waits that ended without a frame or an answer
 * @metadata_bytes: (out) memory used to describe the region's granules
 */
struct itme_stat {
	__u32 size;
	__u32 flags;
	__aligned_u64 region_bytes;
	__aligned_u64 dram_bytes;
	__aligned_u64 cxl_bytes;
	__aligned_u64 fault_count;
	__aligned_u64 miss_count;
	__aligned_u64 fill_count;
	__aligned_u64 fill_bytes;
	__aligned_u64 direct_bytes;
	__aligned_u64 error_count;
	__aligned_u64 demote_bytes;
	__aligned_u64 promote_bytes;
	__aligned_u64 evict_bytes;
	__aligned_u64 held_count;
	__aligned_u64 expired_count;
	__aligned_u64 metadata_bytes;
};

/** define ITME_IOC_STAT - read &struct itme_stat */
#define ITME_IOC_STAT _IO(ITME_IOC_TYPE, 0x84)

#endif /* _UAPI_ITME_H */
