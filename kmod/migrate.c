// SPDX-License-Identifier: GPL-2.0-only
/* Taking a granule's frame away: drop it, or move its data to another frame. */
#include <linux/ktime.h>
#include <linux/pagemap.h>
#include <linux/rmap.h>
#include <linux/slab.h>
#include "itme.h"
#include "trace.h"

#define REVOKE_TRIES 100

static void unmap(struct itme_region *region, struct folio *folio)
{
	/* On some kernels a zap loses the dirty bit of a PMD. */
	if (region->writable && folio_mkclean(folio))
		folio_set_dirty(folio);
	unmap_mapping_pages(region->inode.i_mapping, folio->index, folio_nr_pages(folio), false);
}

/*
 * Unmap a claimed granule's frame and make sure that nobody else refers to it.
 * 0: the folio is locked and its reference count is frozen at zero.
 * -EBUSY: it is held; -EAGAIN: somebody has it locked, and @claim says not to wait. It
 * is unlocked, or the other's, and RESIDENT again. @refused is what a hint does not
 * get then.
 */
static int revoke(struct itme_region *region, struct itme_granule *g, struct folio *folio,
		  unsigned int claim, u64 refused)
{
	bool pinned;
	int tries;

	if (!(claim & ITME_CLAIM_NOWAIT)) {
		folio_lock(folio);
	} else if (!folio_trylock(folio)) {
		itme_granule_resident(region, g, folio, g->tier, 0);
		return -EAGAIN;
	}
	/* To unmap it to find out that DMA holds it for long would be paid for again and again. */
	pinned = region->pinnable && folio_maybe_dma_pinned(folio);
	if (!pinned)
		unmap(region, folio);
	/* Who only looks at it for a moment does not hold it. */
	for (tries = 0; !pinned && tries < REVOKE_TRIES; tries++) {
		if (folio_ref_freeze(folio, 1))
			return 0;
		cpu_relax();
	}
	itme_count_one(region, held_count);
	itme_count_add(region, refused_bytes, refused);
	itme_granule_resident(region, g, folio, g->tier, ITME_GRANULE_HELD);
	folio_unlock(folio);
	return -EBUSY;
}

/* After revoke(): the granule keeps its frame. */
static void give_back(struct itme_region *region, struct itme_granule *g, struct folio *folio)
{
	folio_ref_unfreeze(folio, 1);
	itme_granule_resident(region, g, folio, g->tier, 0);
	folio_unlock(folio);
}

/* The frame belongs to no granule any more: the caller's alone. */
static void release(struct folio *folio)
{
	itme_frame_unbind(folio);
	folio_ref_unfreeze(folio, 1);
	folio_unlock(folio);
}

/**
 * itme_migrate_drop - take a granule out of memory
 * @region: its region
 * @granule: its number
 * @folio: its frame, which the caller took off its list
 * @claim: ITME_CLAIM_* of what may be dropped too
 *
 * Return: 0, the frame is the caller's; -ENOENT where @folio is not its frame;
 * -EAGAIN where a waiter, a pin, a write to the store or, with ITME_CLAIM_NOWAIT, a
 * lock comes first; -EUCLEAN where it is dirty, unless @claim says so; -EBUSY where
 * the frame is held.
 */
int itme_migrate_drop(struct itme_region *region, u64 granule, struct folio *folio,
		      unsigned int claim)
{
	struct itme_granule *g = itme_region_granule(region, granule);
	enum itme_tier tier;
	bool wasted;
	int err;

	err = itme_granule_claim(region, g, folio, claim);
	if (err)
		return err;
	tier = g->tier;
	err = revoke(region, g, folio, claim, 0);
	if (err)
		return err;
	/* The last word: nobody else has a reference to write through any more. */
	if (region->writable && folio_test_dirty(folio) && !(claim & ITME_CLAIM_DIRTY)) {
		itme_dirty_note(region, g);
		give_back(region, g, folio);
		return -EUCLEAN;
	}
	if (region->writable)
		itme_dirty_forget(region, g);
	atomic_long_dec(&region->resident[tier]);
	itme_count_add(region, evict_bytes, itme_granule_bytes(region->inst));
	wasted = itme_granule_absent(region, g, 0) & ITME_GRANULE_AHEAD;
	release(folio);
	if (wasted)
		itme_count_add(region, wasted_bytes, itme_granule_valid_bytes(region, granule));
	trace_evict(region, granule, tier, wasted);
	return 0;
}

static void report(struct itme_region *region, u64 granule, enum itme_tier from,
		   enum itme_tier to, int err, u64 start_ns, enum itme_hint_class hint_class)
{
	if (trace_migrate_enabled())
		trace_migrate(region, granule, from, to, err,
			      start_ns ? ktime_get_ns() - start_ns : 0, hint_class);
}

/**
 * itme_migrate_move - move a granule to another frame
 * @region: its region
 * @granule: its number
 * @from: its frame, which the caller took off its list
 * @to: the new frame, the caller's alone
 * @to_tier: the new frame's tier
 * @claim: ITME_CLAIM_* of what may be moved too
 * @hint_class: of the hint that it is for, or 0
 *
 * Return: 0, @from is the caller's and @to is the granule's, for the caller to
 * put on a list; otherwise as itme_migrate_drop(), or -EHWPOISON where the
 * copy met poison: the granule is absent, to be read from the store again, @from
 * is retired, and @to is the caller's.
 */
int itme_migrate_move(struct itme_region *region, u64 granule, struct folio *from,
		      struct folio *to, enum itme_tier to_tier, unsigned int claim,
		      enum itme_hint_class hint_class)
{
	struct itme_granule *g = itme_region_granule(region, granule);
	u64 start_ns = trace_migrate_enabled() ? ktime_get_ns() : 0;
	u64 bytes = itme_granule_bytes(region->inst);
	/* Going down is no promise that it will be used. */
	u16 flags = hint_class && to_tier == ITME_TIER_DRAM ? ITME_GRANULE_AHEAD : 0;
	enum itme_tier from_tier;
	int err;

	err = itme_granule_claim(region, g, from, claim | ITME_CLAIM_DIRTY);
	if (err)
		return err;
	from_tier = g->tier;
	err = revoke(region, g, from, claim,
		     hint_class ? itme_granule_valid_bytes(region, granule) : 0);
	if (err) {
		report(region, granule, from_tier, to_tier, err, start_ns, hint_class);
		return err;
	}
	if (itme_poison_in_frame(from) || itme_poison_copy_fails() || folio_mc_copy(to, from)) {
		/* What the store does not have stays where it is, as far as it can be read. */
		if (region->writable && folio_test_dirty(from)) {
			give_back(region, g, from);
			return -EBUSY;
		}
		folio_ref_unfreeze(from, 1);
		itme_poison_retire_claimed(region, granule, from);
		folio_unlock(from);
		report(region, granule, from_tier, to_tier, -EHWPOISON, start_ns, hint_class);
		return -EHWPOISON;
	}
	itme_frame_bind(to, region, granule);
	if (region->writable && folio_test_dirty(from))
		folio_set_dirty(to);
	/* Counted first: whoever waits for the move reads the counters next. */
	atomic_long_dec(&region->resident[from_tier]);
	atomic_long_inc(&region->resident[to_tier]);
	if (to_tier == ITME_TIER_CXL)
		itme_count_add(region, demote_bytes, bytes);
	else
		itme_count_add(region, promote_bytes, bytes);
	itme_granule_resident(region, g, to, to_tier, flags);
	release(from);
	report(region, granule, from_tier, to_tier, 0, start_ns, hint_class);
	return 0;
}

/* A move that a hint has asked for, from one tier of memory to the other. */
struct hinted_move {
	struct work_struct work;
	struct itme_region *region;
	u64 granule;
	enum itme_tier tier; /* where to */
	enum itme_hint_class hint_class;
	bool pin;
};

/* No claim has ended it: nothing has come of it. */
static void give_up(struct hinted_move *m)
{
	itme_granule_dequeue(m->region, itme_region_granule(m->region, m->granule));
}

static void move(struct hinted_move *m)
{
	unsigned int claim = ITME_CLAIM_UNSEEN | (m->pin ? ITME_CLAIM_PINNED : 0);
	struct itme_region *region = m->region;
	struct itme_instance *inst = region->inst;
	struct folio *to, *from;
	enum itme_tier tier;
	int err;

	to = itme_victim_obtain_now(inst, m->tier, itme_victim_taker(m->hint_class));
	if (!to) {
		itme_count_add(region, clipped_bytes, itme_granule_valid_bytes(region, m->granule));
		give_up(m);
		return;
	}
	from = itme_victim_await_granule(inst, itme_region_granule(region, m->granule), &tier);
	if (!from || tier == m->tier) { /* it went away meanwhile, or came by itself */
		itme_frame_put(inst, m->tier, to);
		if (from)
			itme_victim_list(inst, from, tier, ITME_LIST_SETTLED);
		give_up(m);
		return;
	}
	err = itme_migrate_move(region, m->granule, from, to, m->tier, claim, m->hint_class);
	if (!err) {
		itme_frame_put(inst, tier, from);
		itme_victim_list(inst, to, m->tier, ITME_LIST_SETTLED);
		return;
	}
	itme_frame_put(inst, m->tier, to);
	if (err == -EHWPOISON)
		return;
	if (err == -EAGAIN || err == -ENOENT) {
		itme_count_add(region, refused_bytes,
			       itme_granule_valid_bytes(region, m->granule));
		give_up(m);
	}
	itme_victim_list(inst, from, tier, ITME_LIST_SETTLED);
}

static void move_work(struct work_struct *work)
{
	struct hinted_move *m = container_of(work, struct hinted_move, work);
	struct itme_region *region = m->region;

	move(m);
	itme_queue_ended(region->inst);
	kfree(m);
	itme_region_busy_put(region);
}

/**
 * itme_migrate_start - move a granule to the other tier of memory for a hint
 * @region: its region
 * @granule: its number
 * @tier: where to
 * @hint_class: of the hint: what it may take from others there
 * @pin: the hint is a PIN: what is pinned moves too
 *
 * Returns at once; itme_queue_ended() is called at the end.
 *
 * Return: 0 or -ENOMEM.
 */
int itme_migrate_start(struct itme_region *region, u64 granule, enum itme_tier tier,
		       enum itme_hint_class hint_class, bool pin)
{
	struct hinted_move *m = kmalloc(sizeof(*m), GFP_KERNEL);

	if (!m)
		return -ENOMEM;
	*m = (struct hinted_move){
		.region = region,
		.granule = granule,
		.tier = tier,
		.hint_class = hint_class,
		.pin = pin,
	};
	INIT_WORK(&m->work, move_work);
	itme_region_busy_get(region);
	queue_work(region->inst->fill_wq, &m->work);
	return 0;
}
