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


#define show_tier(tier)                                                      \
	__print_symbolic(tier, { ITME_TIER_STORE, "store" }, { ITME_TIER_CXL, "cxl" }, \
			 { ITME_TIER_DRAM, "dram" })

#define show_class(class)                                                         \
	__print_symbolic(class, { 0, "demand" }, { ITME_CLASS_EXACT, "exact" },      \
			 { ITME_CLASS_LIKELY, "likely" }, { ITME_CLASS_MAYBE, "maybe" })

#define show_op(op)                                                                  \
	__print_symbolic(op, { ITME_HINT_PREFETCH, "prefetch" },                     \
			 { ITME_HINT_RELEASE, "release" }, { ITME_HINT_PIN, "pin" },  \
			 { ITME_HINT_UNPIN, "unpin" }, { ITME_HINT_WATCH, "watch" }, \
			 { ITME_HINT_CANCEL, "cancel" })

/*
 * A fault was served; one that waited is reported when its wait ends. The first touch
 * of what a hint had fetched has lead_ns, how long it had been ready (not of reads). Of
 * reads only these are reported: those that waited, and first touches. Of faults that
 * were neither, one stands for count of them: see fault_sample in fault.c. These are
 * not timed: latency_ns is 0.
 */
TRACE_EVENT(fault,
	TP_PROTO(const struct itme_region *region, u64 granule, u32 tier, u32 cause,
		 u64 latency_ns, u64 lead_ns, u32 count),
	TP_ARGS(region, granule, tier, cause, latency_ns, lead_ns, count),
	TP_STRUCT__entry(
		__field(u32, dev)
		__field(u32, tier)
		__field(u32, cause)
		__field(u32, count)
		__field(u64, region)
		__field(u64, granule)
		__field(u64, latency_ns)
		__field(u64, lead_ns)
	),
	TP_fast_assign(
		__entry->dev = region->inode.i_sb->s_dev;
		__entry->tier = tier;
		__entry->cause = cause;
		__entry->count = count;
		__entry->region = region->inode.i_ino;
		__entry->granule = granule;
		__entry->latency_ns = latency_ns;
		__entry->lead_ns = lead_ns;
	),
	TP_printk("dev=%u:%u region=%llu granule=%llu tier=%s cause=%s latency_ns=%llu lead_ns=%llu count=%u",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->region, __entry->granule,
		  show_tier(__entry->tier),
		  __print_flags(__entry->cause, "|", { ITME_CAUSE_MISS, "miss" },
				{ ITME_CAUSE_LATE, "late" }, { ITME_CAUSE_AHEAD, "ahead" },
				{ ITME_CAUSE_READ, "read" }, { ITME_CAUSE_MOVE, "move" }),
		  __entry->latency_ns, __entry->lead_ns, __entry->count)
);

/*
 * A read from the store ended; bytes is what was wanted, class that of the hint
 * that it was for.
 */
TRACE_EVENT(fill,
	TP_PROTO(const struct itme_region *region, u64 granule, u32 tier, u64 bytes,
		 u64 latency_ns, int error, u32 class),
	TP_ARGS(region, granule, tier, bytes, latency_ns, error, class),
	TP_STRUCT__entry(
		__field(u32, dev)
		__field(u32, tier)
		__field(u64, region)
		__field(u64, granule)
		__field(u64, bytes)
		__field(u64, latency_ns)
		__field(s32, error)
		__field(u32, class)
	),
	TP_fast_assign(
		__entry->dev = region->inode.i_sb->s_dev;
		__entry->tier = tier;
		__entry->region = region->inode.i_ino;
		__entry->granule = granule;
		__entry->bytes = bytes;
		__entry->latency_ns = latency_ns;
		__entry->error = error;
		__entry->class = class;
	),
	TP_printk("dev=%u:%u region=%llu granule=%llu tier=%s bytes=%llu latency_ns=%llu error=%d class=%s",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->region, __entry->granule,
		  show_tier(__entry->tier), __entry->bytes, __entry->latency_ns,
		  __entry->error, show_class(__entry->class))
);

/*
 * A granule moved between frames, or could not; class is that of the hint that
 * asked for it.
 */
TRACE_EVENT(migrate,
	TP_PROTO(const struct itme_region *region, u64 granule, u32 from, u32 to, int error,
		 u64 latency_ns, u32 class),
	TP_ARGS(region, granule, from, to, error, latency_ns, class),
	TP_STRUCT__entry(
		__field(u32, dev)
		__field(u32, from)
		__field(u32, to)
		__field(u64, region)
		__field(u64, granule)
		__field(s32, error)
		__field(u32, class)
		__field(u64, latency_ns)
	),
	TP_fast_assign(
		__entry->dev = region->inode.i_sb->s_dev;
		__entry->from = from;
		__entry->to = to;
		__entry->region = region->inode.i_ino;
		__entry->granule = granule;
		__entry->error = error;
		__entry->class = class;
		__entry->latency_ns = latency_ns;
	),
	TP_printk("dev=%u:%u region=%llu granule=%llu from=%s to=%s error=%d latency_ns=%llu class=%s",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->region, __entry->granule,
		  show_tier(__entry->from), show_tier(__entry->to), __entry->error,
		  __entry->latency_ns, __entry->class ? show_class(__entry->class) : "none")
);

/* A granule was dropped from memory; wasted: it was fetched ahead and never touched. */
TRACE_EVENT(evict,
	TP_PROTO(const struct itme_region *region, u64 granule, u32 tier, bool wasted),
	TP_ARGS(region, granule, tier, wasted),
	TP_STRUCT__entry(
		__field(u32, dev)
		__field(u32, tier)
		__field(u64, region)
		__field(u64, granule)
		__field(u32, wasted)
	),
	TP_fast_assign(
		__entry->dev = region->inode.i_sb->s_dev;
		__entry->tier = tier;
		__entry->region = region->inode.i_ino;
		__entry->granule = granule;
		__entry->wasted = wasted;
	),
	TP_printk("dev=%u:%u region=%llu granule=%llu tier=%s wasted=%u", MAJOR(__entry->dev),
		  MINOR(__entry->dev), __entry->region, __entry->granule,
		  show_tier(__entry->tier), __entry->wasted)
);

/* A granule was written to the store, or could not be; latency is that of its run. */
TRACE_EVENT(writeback,
	TP_PROTO(const struct itme_region *region, u64 granule, u64 bytes, u64 latency_ns,
		 int error),
	TP_ARGS(region, granule, bytes, latency_ns, error),
	TP_STRUCT__entry(
		__field(u32, dev)
		__field(s32, error)
		__field(u64, region)
		__field(u64, granule)
		__field(u64, bytes)
		__field(u64, latency_ns)
	),
	TP_fast_assign(
		__entry->dev = region->inode.i_sb->s_dev;
		__entry->error = error;
		__entry->region = region->inode.i_ino;
		__entry->granule = granule;
		__entry->bytes = bytes;
		__entry->latency_ns = latency_ns;
	),
	TP_printk("dev=%u:%u region=%llu granule=%llu bytes=%llu latency_ns=%llu error=%d",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->region, __entry->granule,
		  __entry->bytes, __entry->latency_ns, __entry->error)
);

/* One entry of a HINT, with its results; cookie as the caller gave it. */
TRACE_EVENT(hint,
	TP_PROTO(const struct itme_region *region, const struct itme_hint *hint),
	TP_ARGS(region, hint),
	TP_STRUCT__entry(
		__field(u32, dev)
		__field(u32, op)
		__field(u32, class)
		__field(u32, tier)
		__field(u64, region)
		__field(u64, offset)
		__field(u64, length)
		__field(u64, deadline_ns)
		__field(u64, cookie)
		__field(u64, accepted_bytes)
		__field(u64, resident_bytes)
		__field(u64, clipped_bytes)
		__field(u64, refused_bytes)
		__field(s32, error)
	),
	TP_fast_assign(
		__entry->dev = region->inode.i_sb->s_dev;
		__entry->op = hint->op;
		__entry->class = hint->hint_class;
		__entry->tier = hint->tier;
		__entry->region = region->inode.i_ino;
		__entry->offset = hint->offset;
		__entry->length = hint->length;
		__entry->deadline_ns = hint->deadline_ns;
		__entry->cookie = hint->cookie;
		__entry->accepted_bytes = hint->accepted_bytes;
		__entry->resident_bytes = hint->resident_bytes;
		__entry->clipped_bytes = hint->clipped_bytes;
		__entry->refused_bytes = hint->refused_bytes;
		__entry->error = hint->error;
	),
	TP_printk("dev=%u:%u region=%llu op=%s class=%s tier=%s offset=%llu length=%llu deadline_ns=%llu cookie=%llu accepted=%llu resident=%llu clipped=%llu refused=%llu error=%d",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->region,
		  show_op(__entry->op), show_class(__entry->class), show_tier(__entry->tier),
		  __entry->offset, __entry->length, __entry->deadline_ns, __entry->cookie,
		  __entry->accepted_bytes, __entry->resident_bytes, __entry->clipped_bytes,
		  __entry->refused_bytes, __entry->error)
);

/* A watched granule was accessed, by the current task; the watch has ended. */
TRACE_EVENT(touch,
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

/*
 * Something could not be had: the errno of a fill, or -EHWPOISON for a frame that
 * was retired.
 */
TRACE_EVENT(error,
	TP_PROTO(const struct itme_region *region, u64 granule, int error),
	TP_ARGS(region, granule, error),
	TP_STRUCT__entry(
		__field(u32, dev)
		__field(u64, region)
		__field(u64, granule)
		__field(s32, error)
	),
	TP_fast_assign(
		__entry->dev = region->inode.i_sb->s_dev;
		__entry->region = region->inode.i_ino;
		__entry->granule = granule;
		__entry->error = error;
	),
	TP_printk("dev=%u:%u region=%llu granule=%llu error=%d", MAJOR(__entry->dev),
		  MINOR(__entry->dev), __entry->region, __entry->granule, __entry->error)
);

#endif /* ITME_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
