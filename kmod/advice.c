// SPDX-License-Identifier: GPL-2.0-only
/*
 * posix_fadvise(2), madvise(2) and readahead(2): the hints that runtimes give
 * already. What they advise about the order of reading is followed at a miss.
 */
#include <linux/fadvise.h>
#include <linux/fs.h>
#include <linux/sched/signal.h>
#include "itme.h"

struct granules {
	u64 first, last; /* granules */
	bool empty;
	bool whole; /* of the region */
};

/* The granules that a byte range touches, or, with @inside, those that lie in it. */
static struct granules granules_of(const struct itme_region *region, u64 offset, u64 len,
				bool inside)
{
	unsigned int shift = region->inst->granule_shift;
	u64 mask = itme_granule_bytes(region->inst) - 1;
	u64 end = len && len < region->bytes - offset ? offset + len : region->bytes;
	struct granules range = { .whole = !offset && end == region->bytes };

	if (inside) {
		offset = (offset + mask) & ~mask;
		end = end == region->bytes ? end : end & ~mask;
	}
	range.empty = offset >= end;
	range.first = offset >> shift;
	range.last = (end - 1) >> shift;
	return range;
}

static void will_need(struct itme_opened *opened, const struct granules *range)
{
	itme_hint_prefetch(opened, range->first, range->last,
			   range->whole ? ITME_CLASS_MAYBE : ITME_CLASS_LIKELY, false);
}

static int set_noreuse(struct itme_region *region, const struct granules *range, bool on)
{
	u64 granule;

	for (granule = range->first; granule <= range->last; granule++) {
		struct itme_granule *g = itme_region_granule(region, granule);

		cond_resched();
		if (fatal_signal_pending(current))
			return -EINTR;
		if (!g && !on) {
			granule = itme_region_granule_last(granule);
			continue;
		}
		if (!g)
			g = itme_region_granule_alloc(region, granule);
		if (!g)
			return -ENOMEM;
		itme_granule_set(g, on ? ITME_GRANULE_NOREUSE : 0,
				 on ? 0 : ITME_GRANULE_NOREUSE);
	}
	return 0;
}

/**
 * itme_fadvise - posix_fadvise(2) on a region; madvise(MADV_WILLNEED) and
 * readahead(2) come here as POSIX_FADV_WILLNEED
 * @file: the open file
 * @offset: first byte
 * @len: bytes; 0 means to the end
 * @advice: POSIX_FADV_*
 *
 * Return: 0; -EBADF where the file is not open for reading; -EINVAL for an advice that is
 * not known, or a negative range; -ENOMEM; -EINTR.
 */
int itme_fadvise(struct file *file, loff_t offset, loff_t len, int advice)
{
	struct itme_opened *opened = file->private_data;
	struct itme_region *region = opened->region;
	struct granules range;

	if (offset < 0 || len < 0)
		return -EINVAL;
	if (!(file->f_mode & FMODE_READ)) /* hints need the right to read */
		return -EBADF;
	if (offset >= region->bytes)
		range = (struct granules){ .empty = true };
	else
		range = granules_of(region, offset, len, advice == POSIX_FADV_DONTNEED);
	switch (advice) {
	case POSIX_FADV_NORMAL:
	case POSIX_FADV_RANDOM:
		WRITE_ONCE(opened->sequential, false);
		return range.empty ? 0 : set_noreuse(region, &range, false);
	case POSIX_FADV_SEQUENTIAL:
		WRITE_ONCE(opened->sequential, true);
		return 0;
	case POSIX_FADV_WILLNEED:
		if (!range.empty)
			will_need(opened, &range);
		return 0;
	case POSIX_FADV_DONTNEED:
		if (!range.empty)
			itme_hint_release(opened, range.first, range.last);
		return 0;
	case POSIX_FADV_NOREUSE:
		return range.empty ? 0 : set_noreuse(region, &range, true);
	default:
		return -EINVAL;
	}
}

/**
 * itme_advice_missed - a reader has to wait for a granule: fetch those behind it?
 * @file: the open file
 * @granule: the granule
 * @sequential: the mapping was advised so; else the open file's own advice counts
 *
 * Half a window of granules is fetched where it reads in order. A submission by
 * another thread at this moment comes first: then nothing is.
 */
void itme_advice_missed(struct file *file, u64 granule, bool sequential)
{
	struct itme_opened *opened = file->private_data;
	struct itme_region *region = opened->region;
	u64 last;

	if (!sequential && !READ_ONCE(opened->sequential))
		return;
	last = min(granule + max(READ_ONCE(region->inst->window_frames) / 2, 1UL),
		   region->nr_granules - 1);
	if (granule < last)
		itme_hint_prefetch(opened, granule + 1, last, ITME_CLASS_LIKELY, true);
}
