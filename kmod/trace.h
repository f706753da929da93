/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints itme:*, the interface that bpf/ attaches to. Regions are named
 * by their device and inode number, times are nanoseconds, sizes bytes.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM itme

#if !defined(ITME_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define ITME_TRACE_H

#include <linux/tracepoint.h>
#include "itme.h"

/* Bits of the fault event's cause. */
#define ITME_CAUSE_MISS 0x01 /* the thread waited for the store */

#define show_tier(tier)                                                      \
	__print_symbolic(tier, { ITME_TIER_STORE, "store" }, { ITME_TIER_CXL, "cxl" }, \
			 { ITME_TIER_DRAM, "dram" })

/* A fault was served; one that waited is reported when its wait ends. */
TRACE_EVENT(fault,
	TP_PROTO(const struct itme_region *region, u64 granule, u32 tier, u32 cause,
		 u64 latency_ns),
	TP_ARGS(region, granule, tier, cause, latency_ns),
	TP_STRUCT__entry(
		__field(u32, dev)
		__field(u32, tier)
		__field(u32, cause)
		__field(u64, region)
		__field(u64, granule)
		__field(u64, latency_ns)
	),
	TP_fast_assign(
		__entry->dev = region->inode.i_sb->s_dev;
		__entry->tier = tier;
		__entry->cause = cause;
		__entry->region = region->inode.i_ino;
		__entry->granule = granule;
		__entry->latency_ns = latency_ns;
	),
	TP_printk("dev=%u:%u region=%llu granule=%llu tier=%s miss=%u latency_ns=%llu",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->region, __entry->granule,
		  show_tier(__entry->tier), __entry->cause & ITME_CAUSE_MISS,
		  __entry->latency_ns)
);

/* A read from the store ended; bytes is what was wanted. */
TRACE_EVENT(fill,
	TP_PROTO(const struct itme_region *region, u64 granule, u32 tier, u64 bytes,
		 u64 latency_ns, int error),
	TP_ARGS(region, granule, tier, bytes, latency_ns, error),
	TP_STRUCT__entry(
		__field(u32, dev)
		__field(u32, tier)
		__field(u64, region)
		__field(u64, granule)
		__field(u64, bytes)
		__field(u64, latency_ns)
		__field(s32, error)
	),
	TP_fast_assign(
		__entry->dev = region->inode.i_sb->s_dev;
		__entry->tier = tier;
		__entry->region = region->inode.i_ino;
		__entry->granule = granule;
		__entry->bytes = bytes;
		__entry->latency_ns = latency_ns;
		__entry->error = error;
	),
	TP_printk("dev=%u:%u region=%llu granule=%llu tier=%s bytes=%llu latency_ns=%llu error=%d",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->region, __entry->granule,
		  show_tier(__entry->tier), __entry->bytes, __entry->latency_ns,
		  __entry->error)
);

/* A granule moved between frames, or could not. */
TRACE_EVENT(migrate,
	TP_PROTO(const struct itme_region *region, u64 granule, u32 from, u32 to, int error),
	TP_ARGS(region, granule, from, to, error),
	TP_STRUCT__entry(
		__field(u32, dev)
		__field(u32, from)
		__field(u32, to)
		__field(u64, region)
		__field(u64, granule)
		__field(s32, error)
	),
	TP_fast_assign(
		__entry->dev = region->inode.i_sb->s_dev;
		__entry->from = from;
		__entry->to = to;
		__entry->region = region->inode.i_ino;
		__entry->granule = granule;
		__entry->error = error;
	),
	TP_printk("dev=%u:%u region=%llu granule=%llu from=%s to=%s error=%d",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->region, __entry->granule,
		  show_tier(__entry->from), show_tier(__entry->to), __entry->error)
);

/* A granule was dropped from memory. */
TRACE_EVENT(evict,
	TP_PROTO(const struct itme_region *region, u64 granule, u32 tier),
	TP_ARGS(region, granule, tier),
	TP_STRUCT__entry(
		__field(u32, dev)
		__field(u32, tier)
		__field(u64, region)
		__field(u64, granule)
	),
	TP_fast_assign(
		__entry->dev = region->inode.i_sb->s_dev;
		__entry->tier = tier;
		__entry->region = region->inode.i_ino;
		__entry->granule = granule;
	),
	TP_printk("dev=%u:%u region=%llu granule=%llu tier=%s", MAJOR(__entry->dev),
		  MINOR(__entry->dev), __entry->region, __entry->granule,
		  show_tier(__entry->tier))
);

#endif /* ITME_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
