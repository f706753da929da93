/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The module's events as bpf/ sees them: its structs for typed tracepoints, of
 * which CO-RE finds the members, and the classic events as in
 * /sys/kernel/tracing/events/itme/NAME/format, which the agent compares with its own
 * table before it attaches (agent/lib/event_format.cpp).
 */
#ifndef ITME_EVENTS_H
#define ITME_EVENTS_H

#define ITME_RECORD_DRAM 2 /* the module's number of that tier */

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* Flavours of the kernel's own: those would bring all the types that they name. */
struct super_block___itme {
	__u32 s_dev;
};

struct inode___itme {
	struct super_block___itme *i_sb;
	unsigned long i_ino;
};

struct itme_instance {
	unsigned int granule_shift;
};

struct itme_region {
	struct inode___itme inode;
	struct itme_instance *inst;
	__u64 bytes;
};

struct itme_hint {
	__u32 hint_class;
	__u64 accepted_bytes;
	__u64 clipped_bytes;
};

#pragma clang attribute pop

struct itme_event_fault {
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

struct itme_event_fill {
	__u64 common;
	__u32 dev;
	__u32 tier;
	__u64 region;
	__u64 granule;
	__u64 bytes;
	__u64 latency_ns;
	__s32 error;
	__u32 hint_class;
};

struct itme_event_migrate {
	__u64 common;
	__u32 dev;
	__u32 from;
	__u32 to;
	__u64 region;
	__u64 granule;
	__s32 error;
	__u32 hint_class;
	__u64 latency_ns;
};

struct itme_event_evict {
	__u64 common;
	__u32 dev;
	__u32 tier;
	__u64 region;
	__u64 granule;
	__u32 wasted;
};

struct itme_event_hint {
	__u64 common;
	__u32 dev;
	__u32 op;
	__u32 hint_class;
	__u32 tier;
	__u64 region;
	__u64 offset;
	__u64 length;
	__u64 deadline_ns;
	__u64 cookie;
	__u64 accepted_bytes;
	__u64 resident_bytes;
	__u64 clipped_bytes;
};

struct itme_event_touch {
	__u64 common;
	__u32 dev;
	__u32 tier;
	__u64 region;
	__u64 granule;
};

struct itme_event_error {
	__u64 common;
	__u32 dev;
	__u64 region;
	__u64 granule;
	__s32 error;
};

#endif /* ITME_EVENTS_H */
