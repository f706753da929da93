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

/* itme:fault: bit of cause that says the fault had to wait for the store. */
#define ITME_RECORD_CAUSE_MISS 0x1

/**
 * struct itme_record_fault - faults that one CPU served since the program was attached
 * @fault_count: faults
 * @miss_count: those that had to wait for the store
 * @latency_sum_ns: time that all of them took
 * @latency_log2_count: how many took 2^index ns or more, but less than twice that
 */
struct itme_record_fault {
	__u64 fault_count;
	__u64 miss_count;
	__u64 latency_sum_ns;
	__u64 latency_log2_count[ITME_RECORD_LOG2_BUCKETS];
};

/* Both sides assert it. */
#define ITME_RECORD_FAULT_BYTES 536

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
