/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The records that bpf/ writes and agent/lib/telemetry.cpp reads; nobody else
 * includes this. Time is summed in nanoseconds, never rounded on the way.
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
 * The event also tells of a read(2) that had to wait.
 */
#define ITME_RECORD_CAUSE_MISS 0x1
#define ITME_RECORD_CAUSE_LATE 0x2
#define ITME_RECORD_CAUSE_AHEAD 0x4
#define ITME_RECORD_CAUSE_READ 0x8

/**
 * struct itme_record_fault - what one CPU served since the program was attached
 * @fault_count: page faults
 * @read_count: reads that had to wait for the store
 * @miss_count: faults and reads that had to wait for it, with nothing hinted
 * @late_count: faults and reads that had to wait although it had been hinted
 * @ahead_count: faults that were the first touch of what a hint had fetched
 * @latency_sum_ns: time that @fault_count and @read_count took
 * @lead_sum_ns: time that what @ahead_count counts had been ready
 * @latency_log2_count: how many took 2^index ns or more, but less than twice that
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

/**
 * enum itme_record_drop - why an event was not counted
 * @ITME_RECORD_DROP_NO_SLOT: this CPU's slot of the map was not there
 * @ITME_RECORD_DROP_REASONS: number of reasons
 */
enum itme_record_drop {
	ITME_RECORD_DROP_NO_SLOT = 0,
	ITME_RECORD_DROP_REASONS = 1,
};

#endif /* ITME_RECORD_H */
