// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counts itme:fault: faults, and reads that waited; what they had to wait for and
 * how long, and how far ahead hints were. One program on the typed tracepoint, and one on the
 * classic tracepoint for a module without BTF; the agent loads one of them.
 */
#include <vmlinux.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "itme_record.h"

_Static_assert(sizeof(struct itme_record_fault) == ITME_RECORD_FAULT_BYTES, "record size");

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct itme_record_fault);
} faults SEC(".maps");

/* In .bss and not in a map, so that counting a drop cannot fail itself. */
__u64 drop_count[ITME_RECORD_DROP_REASONS];

struct itme_region;

/* The classic event, as in /sys/kernel/tracing/events/itme/fault/format, which the agent checks. */
struct fault_event {
	__u64 common;
	__u32 dev;
	__u32 tier;
	__u32 cause;
	__u32 count;
	__u64 region;
	__u64 granule;
	__u64 latency_ns;
	__u64 lead_ns;
};

static __u32 log2_bucket(__u64 value)
{
	__u32 bucket = 0;

	for (__u32 shift = ITME_RECORD_LOG2_BUCKETS / 2; shift; shift /= 2) {
		if (value >> shift) {
			value >>= shift;
			bucket += shift;
		}
	}
	return bucket;
}

static void count_in(__u64 *histogram, __u64 value)
{
	__u32 bucket = log2_bucket(value);

	if (bucket < ITME_RECORD_LOG2_BUCKETS)
		histogram[bucket]++;
}

static int count_fault(__u32 cause, __u64 latency_ns, __u64 lead_ns, __u32 count)
{
	__u32 key = 0;
	struct itme_record_fault *record = bpf_map_lookup_elem(&faults, &key);

	/* A read that did not wait is told for its first touch alone. */
	if ((cause & ITME_RECORD_CAUSE_READ) &&
	    !(cause & ~(ITME_RECORD_CAUSE_READ | ITME_RECORD_CAUSE_AHEAD)))
		return 0;
	if (!record) {
		__sync_fetch_and_add(&drop_count[ITME_RECORD_DROP_NO_SLOT], 1);
		return 0;
	}
	if (cause & ITME_RECORD_CAUSE_READ)
		record->read_count++;
	else
		record->fault_count += count;
	if (cause & ITME_RECORD_CAUSE_MISS)
		record->miss_count++;
	if (cause & ITME_RECORD_CAUSE_LATE)
		record->late_count++;
	if (latency_ns) {
		record->latency_sum_ns += latency_ns;
		count_in(record->latency_log2_count, latency_ns);
	}
	/* The lead of a read is not told. */
	if ((cause & ITME_RECORD_CAUSE_AHEAD) && !(cause & ITME_RECORD_CAUSE_READ)) {
		record->ahead_count++;
		record->lead_sum_ns += lead_ns;
		count_in(record->lead_log2_count, lead_ns);
	}
	return 0;
}

SEC("tp_btf/fault")
int BPF_PROG(fault_typed, const struct itme_region *region, __u64 granule, __u32 tier, __u32 cause,
	     __u64 latency_ns, __u64 lead_ns, __u32 count)
{
	return count_fault(cause, latency_ns, lead_ns, count);
}

SEC("tracepoint/itme/fault")
int fault_classic(struct fault_event *event)
{
	return count_fault(event->cause, event->latency_ns, event->lead_ns, event->count);
}
