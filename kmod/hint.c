// SPDX-License-Identifier: GPL-2.0-only
/* HINT: prefetch and release of ranges, complete when the call returns. */
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "itme.h"

struct hinted_range {
	struct itme_region *region;
	u64 first, last; /* granules */
	enum itme_tier tier;
	struct itme_hint *result;
};

static void refuse(struct hinted_range *range, u64 bytes, int err)
{
	range->result->refused_bytes += bytes;
	if (!range->result->error)
		range->result->error = err;
}

/* Move a resident granule to a free frame of the wanted tier. */
static void prefetch_resident(struct hinted_range *range, u64 granule, struct itme_granule *g)
{
	struct itme_instance *inst = range->region->inst;
	u64 bytes = itme_granule_valid_bytes(range->region, granule);
	struct folio *folio, *to;
	enum itme_tier tier;
	int err;

	folio = itme_granule_frame(g, &tier);
	if (folio)
		folio_put(folio);
	if (folio && tier == range->tier) {
		range->result->resident_bytes += bytes;
		return;
	}
	to = itme_frame_pop(inst, range->tier);
	if (!to) {
		range->result->clipped_bytes += bytes;
		return;
	}
	folio = itme_victim_take_granule(inst, g, &tier);
	if (!folio) {
		itme_frame_put(inst, range->tier, to);
		refuse(range, bytes, -EBUSY);
		return;
	}
	err = itme_migrate_move(range->region, granule, folio, to, range->tier, true);
	if (err) {
		itme_frame_put(inst, range->tier, to);
		itme_victim_settle(inst, folio, tier);
		refuse(range, bytes, err);
		return;
	}
	itme_frame_put(inst, tier, folio);
	itme_victim_settle(inst, to, range->tier);
	range->result->accepted_bytes += bytes;
}

/*
 * Start the fill of an absent granule into a free frame: a hint drops nothing
 * to make room. Returns whether a fill was started.
 */
static bool prefetch_absent(struct hinted_range *range, u64 granule, struct itme_granule *g)
{
	struct itme_instance *inst = range->region->inst;
	u64 bytes = itme_granule_valid_bytes(range->region, granule);
	struct folio *folio = itme_frame_pop(inst, range->tier);
	int err;

	if (!folio) {
		range->result->clipped_bytes += bytes;
		return false;
	}
	if (!itme_granule_start_fill(g, 0)) { /* somebody fills it right now */
		itme_frame_put(inst, range->tier, folio);
		range->result->resident_bytes += bytes;
		return false;
	}
	err = itme_fill_start(range->region, granule, g, folio, range->tier);
	if (err) {
		itme_frame_put(inst, range->tier, folio);
		refuse(range, bytes, err);
		return false;
	}
	range->result->accepted_bytes += bytes;
	return true;
}

/* The end of a fill that this hint has started. */
static int await_fill(struct hinted_range *range, u64 granule)
{
	struct itme_granule *g = itme_region_granule(range->region, granule);
	u64 bytes = itme_granule_valid_bytes(range->region, granule);
	int err = itme_granule_wait(range->region, g);

	if (!err && itme_granule_failed(g)) {
		range->result->accepted_bytes -= bytes;
		refuse(range, bytes, -EIO);
	}
	return err;
}

static int prefetch_granules(struct hinted_range *range, unsigned long *started)
{
	u64 granule;
	int err;

	for (granule = range->first; granule <= range->last; granule++) {
		struct itme_granule *g = itme_region_granule_alloc(range->region, granule);

		if (fatal_signal_pending(current))
			return -EINTR;
		if (!g)
			return -ENOMEM;
		/* Somebody else's fill or move: join it, then see where the granule is. */
		err = itme_granule_wait(range->region, g);
		if (err)
			return err;
		if (READ_ONCE(g->state) != ITME_ABSENT)
			prefetch_resident(range, granule, g);
		else if (prefetch_absent(range, granule, g))
			__set_bit(granule - range->first, started);
		cond_resched();
	}
	return 0;
}

static int prefetch_range(struct hinted_range *range)
{
	u64 i, count = range->last - range->first + 1;
	unsigned long *started;
	int err;

	started = kvcalloc(BITS_TO_LONGS(count), sizeof(long), GFP_KERNEL | __GFP_NOWARN);
	if (!started)
		return -ENOMEM;
	err = prefetch_granules(range, started);
	for_each_set_bit(i, started, count)
		err = err ?: await_fill(range, range->first + i);
	kvfree(started);
	return err;
}

static void release_granule(struct hinted_range *range, u64 granule, struct itme_granule *g)
{
	struct itme_region *region = range->region;
	u64 bytes = itme_granule_valid_bytes(region, granule);
	struct folio *folio;
	enum itme_tier tier;
	int err;

	folio = itme_victim_take_granule(region->inst, g, &tier);
	if (!folio) {
		refuse(range, bytes, -EBUSY);
		return;
	}
	err = itme_migrate_drop(region, granule, folio, true);
	if (err) {
		itme_victim_settle(region->inst, folio, tier);
		refuse(range, bytes, err);
		return;
	}
	itme_frame_put(region->inst, tier, folio);
	range->result->accepted_bytes += bytes;
}

static int release_range(struct hinted_range *range)
{
	u64 granule;

	for (granule = range->first; granule <= range->last; granule++) {
		struct itme_granule *g = itme_region_granule(range->region, granule);

		if (fatal_signal_pending(current))
			return -EINTR;
		if (!g || READ_ONCE(g->state) == ITME_ABSENT)
			range->result->resident_bytes +=
				itme_granule_valid_bytes(range->region, granule);
		else
			release_granule(range, granule, g);
		cond_resched();
	}
	return 0;
}

static int check(const struct itme_region *region, const struct itme_hint *hint)
{
	if (hint->__reserved)
		return -EINVAL;
	if (hint->op != ITME_HINT_PREFETCH && hint->op != ITME_HINT_RELEASE)
		return -EOPNOTSUPP;
	if (hint->op == ITME_HINT_PREFETCH && hint->tier != ITME_TIER_DRAM &&
	    hint->tier != ITME_TIER_CXL)
		return -EINVAL;
	if (hint->op == ITME_HINT_RELEASE && hint->tier)
		return -EINVAL;
	if (!hint->length || hint->offset >= region->bytes ||
	    hint->length > region->bytes - hint->offset)
		return -EINVAL;
	return 0;
}

/* Carry one entry out; its results are in it. An error here ends the vector. */
static int carry_out(struct itme_region *region, struct itme_hint *hint)
{
	unsigned int shift = region->inst->granule_shift;
	struct hinted_range range = { .region = region, .result = hint };

	hint->accepted_bytes = 0;
	hint->resident_bytes = 0;
	hint->clipped_bytes = 0;
	hint->refused_bytes = 0;
	hint->error = check(region, hint);
	if (hint->error)
		return 0;
	range.first = hint->offset >> shift;
	range.last = (hint->offset + hint->length - 1) >> shift;
	range.tier = hint->tier;
	return hint->op == ITME_HINT_PREFETCH ? prefetch_range(&range) : release_range(&range);
}

/**
 * itme_hint - carry out a vector of hints
 * @region: the region
 * @vec: checked for flags and reserved fields; done is set
 *
 * Return: 0 or an error of &struct itme_hint_vec.
 */
long itme_hint(struct itme_region *region, struct itme_hint_vec *vec)
{
	struct itme_hint __user *entries = u64_to_user_ptr(vec->entries);

	if (!vec->count || vec->count > ITME_HINT_VECTOR_MAX ||
	    vec->entry_size != sizeof(struct itme_hint))
		return -EINVAL;
	for (vec->done = 0; vec->done < vec->count; vec->done++) {
		struct itme_hint hint;
		int err;

		if (copy_from_user(&hint, &entries[vec->done], sizeof(hint)))
			return -EFAULT;
		err = carry_out(region, &hint);
		if (copy_to_user(&entries[vec->done], &hint, sizeof(hint)))
			return -EFAULT;
		if (err)
			return err;
	}
	return 0;
}
