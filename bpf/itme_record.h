/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The records that bpf/ writes and agent/lib/telemetry.cpp, probe.cpp and counts.cpp
 * read; nobody else includes this. Time is summed in nanoseconds, never rounded on
 * the way.
 */
#ifndef ITME_RECORD_H
#define ITME_RECORD_H

/* bpf/ has the fixed-width types from vmlinux.h. */
#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

/* Buckets of a histogram: bucket b counts values v with 2^b <= v < 2^(b+1); 0 is in bucket 0. */
#define ITME_RECORD_LOG2_BUCKETS 64

/*
 * itme:fault: bits of cause. A fault had to wait for the store and nothing was
 * hinted; or it had been, but the data was not there yet; or it was the first
 * touch of what a hint had fetched: then lead_ns says how long that was ready.
 * The event also tells of a read(2) that had to wait. Of faults with none of this one
 * event stands for count of them, and its latency_ns is 0.
 */
#define ITME_RECORD_CAUSE_MISS 0x1
#define ITME_RECORD_CAUSE_LATE 0x2
#define ITME_RECORD_CAUSE_AHEAD 0x4
/* It was a read, no page fault; and what was waited for was a move. */
#define ITME_RECORD_CAUSE_READ 0x8
#define ITME_RECORD_CAUSE_MOVE 0x10

/**
 * struct itme_record_fault - what one CPU served since the program was attached
 * @fault_count: page faults
 * @read_count: reads that had to wait for the store
 * @miss_count: faults and reads that had to wait for it, with nothing hinted
 * @late_count: faults and reads that had to wait although it had been hinted
 * @ahead_count: faults that were the first touch of what a hint had fetched
 * @latency_sum_ns: time that those of @fault_count and @read_count took that waited
 * @lead_sum_ns: time that what @ahead_count counts had been ready
 * @latency_log2_count: how many of these took 2^index ns or more, but less than twice that
 * @lead_log2_count: for how many of @ahead_count it had been ready so long
 */
struct itme_record_fault {
	__u64 fault_count;
	__u64 read_count;
	__u64 miss_count;
	__u64 late_count;
	__u64 ahead_count;
	__u64 latency_sum_ns;
	__u64 lead_sum_ns;
	__u64 latency_log2_count[ITME_RECORD_LOG2_BUCKETS];
	__u64 lead_log2_count[ITME_RECORD_LOG2_BUCKETS];
};

/* Both sides assert it. */
#define ITME_RECORD_FAULT_BYTES 1080

/* ---- bpf/telemetry.bpf.c and agent/lib/probe.cpp ---- */

/* Indexes, in the agent's order: snapshot.hpp has the same. */
enum itme_record_stall_cause {
	ITME_RECORD_STALL_MISS,
	ITME_RECORD_STALL_LATE,
	ITME_RECORD_STALL_PROMOTE,
	ITME_RECORD_STALL_DEMOTE,
	ITME_RECORD_STALLS,
};

/* The first four are the class of the hint, as the module numbers it. */
enum itme_record_byte_cause {
	ITME_RECORD_BYTES_DEMAND,
	ITME_RECORD_BYTES_EXACT,
	ITME_RECORD_BYTES_LIKELY,
	ITME_RECORD_BYTES_MAYBE,
	ITME_RECORD_BYTES_PROMOTE,
	ITME_RECORD_BYTES_DEMOTE,
	ITME_RECORD_BYTE_CAUSES,
};

/* Numbers of entries that an index is cut to: powers of two, for the verifier. */
#define ITME_RECORD_TIERS 4   /* store, cxl, dram, unused */
#define ITME_RECORD_CLASSES 4 /* unknown, exact, likely, maybe */

struct itme_record_region_key {
	__u32 dev;
	__u32 zero;
	__u64 inode;
};

/**
 * struct itme_record_stall - waits for one cause
 * @count: waits that have ended
 * @bytes: of the granules that were waited for; 0 for one whose size is not known
 * @ns: time
 */
struct itme_record_stall {
	__u64 count;
	__u64 bytes;
	__u64 ns;
};

struct itme_record_histogram {
	__u64 sum;
	__u64 log2_count[ITME_RECORD_LOG2_BUCKETS];
};

/**
 * struct itme_record_prefetch - what came of the hints of one class
 * @accepted_bytes: taken on when they were submitted; pins too
 * @clipped_bytes: for which there was no room then
 * @fetched_bytes: brought to a tier
 * @useful_bytes: of these, touched
 * @wasted_bytes: of these, dropped untouched
 */
struct itme_record_prefetch {
	__u64 accepted_bytes;
	__u64 clipped_bytes;
	__u64 fetched_bytes;
	__u64 useful_bytes;
	__u64 wasted_bytes;
};

/**
 * struct itme_record_region - what one CPU has seen of a region
 * @granule_bytes: size of its granules; 0 where it is not known
 * @region_bytes: its size; the same
 * @fault_count: page faults, and waits in them
 * @waited_read_count: reads that waited
 * @touch_count: of watched granules
 * @error_count: of itme:error
 * @stall: by enum itme_record_stall_cause
 * @latency_ns: of those of @fault_count and @waited_read_count that waited
 * @lead_ns: of what was ready in time
 * @fill_ns: reads from the store
 * @tier_bytes: that came into a tier, by enum itme_record_byte_cause
 * @dropped_bytes: that left memory from a tier
 * @prefetch: by class
 * @promote_ns: copies to DRAM
 * @demote_ns: copies to CXL memory
 * @held_count: copies that were given up
 */
struct itme_record_region {
	__u64 granule_bytes;
	__u64 region_bytes;
	__u64 fault_count;
	__u64 waited_read_count;
	__u64 touch_count;
	__u64 error_count;
	struct itme_record_stall stall[ITME_RECORD_STALLS];
	struct itme_record_histogram latency_ns;
	struct itme_record_histogram lead_ns;
	struct itme_record_histogram fill_ns;
	__u64 tier_bytes[ITME_RECORD_TIERS][ITME_RECORD_BYTE_CAUSES];
	__u64 dropped_bytes[ITME_RECORD_TIERS];
	struct itme_record_prefetch prefetch[ITME_RECORD_CLASSES];
	__u64 promote_ns;
	__u64 demote_ns;
	__u64 held_count;
};

#define ITME_RECORD_REGION_BYTES 2112

/**
 * struct itme_record_thread - a thread that has waited; the key is its tgid << 32 | tid
 * @first_ns: when its first wait began
 * @last_ns: when its last one ended
 * @cgroup_id: of its cgroup2, at its first wait
 * @stall: by enum itme_record_stall_cause
 * @comm: its name, at its first wait
 */
struct itme_record_thread {
	__u64 first_ns;
	__u64 last_ns;
	__u64 cgroup_id;
	struct itme_record_stall stall[ITME_RECORD_STALLS];
	char comm[16];
};

#define ITME_RECORD_THREAD_BYTES 136

struct itme_record_granule_key {
	struct itme_record_region_key region;
	__u64 granule;
};

/**
 * struct itme_record_granule - a granule that something has happened to
 * @fault_count: page faults, and reads that waited or were the first of it
 * @fill_count: reads from the store that succeeded
 * @touch_count: touches while it was watched
 * @stall_ns: by enum itme_record_stall_cause
 * @bytes: of it inside the region; 0 where it is not known
 * @fetched_class: class of the hint that has fetched it last; 0 for none or not known
 * @zero: nothing
 */
struct itme_record_granule {
	__u64 fault_count;
	__u64 fill_count;
	__u64 touch_count;
	__u64 stall_ns[ITME_RECORD_STALLS];
	__u64 bytes;
	__u32 fetched_class;
	__u32 zero;
};

#define ITME_RECORD_GRANULE_BYTES 72

enum itme_record_event_kind {
	ITME_RECORD_EVENT_TOUCH = 1,
	ITME_RECORD_EVENT_STALL = 2,
	ITME_RECORD_EVENT_PASS_BEGIN = 3,
	ITME_RECORD_EVENT_PASS_END = 4,
	ITME_RECORD_EVENT_USE = 5,
};

/**
 * struct itme_record_event - one record of the ring buffer
 * @time_ns: CLOCK_MONOTONIC
 * @kind: enum itme_record_event_kind
 * @pid: tgid, in the initial PID name space
 * @tid: thread, the same
 * @dev: region, of touch, stall and use
 * @inode: region, of touch, stall and use
 * @granule: of touch, stall and use
 * @value: of stall, its ns; of use, for how many ns it had been ready; of pass begin,
 *	tokens or 0; of pass end, what it returned
 * @cause: of stall, enum itme_record_stall_cause
 * @zero: nothing
 */
struct itme_record_event {
	__u64 time_ns;
	__u32 kind;
	__u32 pid;
	__u32 tid;
	__u32 dev;
	__u64 inode;
	__u64 granule;
	__s64 value;
	__u32 cause;
	__u32 zero;
};

#define ITME_RECORD_EVENT_BYTES 56

/**
 * enum itme_record_drop - why an event was not counted, or not in full
 * @ITME_RECORD_DROP_NO_SLOT: this CPU's slot of the map was not there
 * @ITME_RECORD_DROP_REGIONS_FULL: more regions than there is room for
 * @ITME_RECORD_DROP_THREADS_FULL: the same of threads: by region it was counted
 * @ITME_RECORD_DROP_GRANULES_FULL: the same of granules
 * @ITME_RECORD_DROP_RING_FULL: an event for the agent, which did not read fast enough
 * @ITME_RECORD_DROP_NO_REGION: a typed event without its region
 * @ITME_RECORD_DROP_NO_BYTES: it was counted, but the granule's size is not known
 * @ITME_RECORD_DROP_REASONS: number of reasons
 */
enum itme_record_drop {
	ITME_RECORD_DROP_NO_SLOT = 0,
	ITME_RECORD_DROP_REGIONS_FULL = 1,
	ITME_RECORD_DROP_THREADS_FULL = 2,
	ITME_RECORD_DROP_GRANULES_FULL = 3,
	ITME_RECORD_DROP_RING_FULL = 4,
	ITME_RECORD_DROP_NO_REGION = 5,
	ITME_RECORD_DROP_NO_BYTES = 6,
	ITME_RECORD_DROP_REASONS = 7,
};

#endif /* ITME_RECORD_H */
