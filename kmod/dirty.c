// SPDX-License-Identifier: GPL-2.0-only
/*
 * Dirty granules: what the store may not have yet, how much of it there may be,
 * and who waits when there is too much.
 *
 * ITME_GRANULE_DIRTY is set before the first byte is written and cleared when the
 * store has all of the granule and nobody has a reference to write through. So what
 * has no flag is clean, and what has it is written if PG_dirty is set too.
 *
 * In a pinnable region stores and DMA cannot be seen. There a granule is made dirty
 * before it is mapped by who could write to it, and has PG_dirty for as long as that
 * lasts, or somebody refers to its frame. Its frames are its own (see reserve.c), so
 * no limit concerns it, and the background writer leaves it alone so long.
 */
#include <linux/pagemap.h>
#include <linux/rmap.h>
#include <linux/sched/signal.h>
#include "itme.h"

/**
 * itme_dirty_setup - nothing is dirty so far
 * @inst: a new instance
 */
void itme_dirty_setup(struct itme_instance *inst)
{
	init_waitqueue_head(&inst->dirty_wait);
	mutex_init(&inst->writable_mutex);
	INIT_LIST_HEAD(&inst->writable);
	inst->writeback_delay_ms = ITME_WRITEBACK_DELAY_MS;
}

static unsigned long total_frames(const struct itme_instance *inst)
{
	return itme_pool_frames(&inst->pool[ITME_TIER_DRAM]) +
	       itme_pool_frames(&inst->pool[ITME_TIER_CXL]);
}

/**
 * itme_dirty_limit - most granules that may be dirty
 * @inst: the instance
 *
 * Half of what the budgets have for tiered regions, or what was set; but demand finds
 * frames that are neither dirty nor pinned, whatever becomes of the store.
 *
 * Return: granules, at least 1.
 */
unsigned long itme_dirty_limit(const struct itme_instance *inst)
{
	unsigned long total = total_frames(inst);
	unsigned long reserved = itme_reserve_frames(inst);
	unsigned long closed = READ_ONCE(inst->window_frames) + ITME_PIN_RESERVE_FRAMES +
			       READ_ONCE(inst->nr_pinned) + reserved;
	u64 limit = READ_ONCE(inst->dirty_limit_frames) ?: (total - min(total, reserved)) / 2;

	return clamp(limit, 1, max(total - min(total, closed), 1UL));
}

/**
 * itme_dirty_background - so many dirty granules are left to age
 * @inst: the instance
 *
 * Return: granules: half the limit, or what was set; less than the limit, so that who
 * waits for that does not wait for nothing.
 */
unsigned long itme_dirty_background(const struct itme_instance *inst)
{
	unsigned long limit = itme_dirty_limit(inst);

	return min(READ_ONCE(inst->dirty_background_frames) ?: limit / 2, (u64)limit - 1);
}

/* What counts a region's dirty granules for its instance. */
static atomic_long_t *total_of(struct itme_region *region)
{
	return region->pinnable ? &region->inst->nr_dirty_pinnable : &region->inst->nr_dirty;
}

/**
 * itme_dirty_any - is anything dirty?
 * @inst: the instance
 *
 * Return: whether it is.
 */
bool itme_dirty_any(const struct itme_instance *inst)
{
	return atomic_long_read(&inst->nr_dirty) || atomic_long_read(&inst->nr_dirty_pinnable);
}

static bool add_within_limit(struct itme_region *region)
{
	struct itme_instance *inst = region->inst;

	if (atomic_long_inc_return(total_of(region)) <= itme_dirty_limit(inst) ||
	    region->pinnable)
		return true;
	atomic_long_dec(total_of(region));
	return false;
}

/* The granule was clean: the writer is to know of it in time. */
static void became_dirty(struct itme_region *region)
{
	struct itme_instance *inst = region->inst;
	unsigned long delay = msecs_to_jiffies(READ_ONCE(inst->writeback_delay_ms));

	itme_count_add(region, dirtied_bytes, itme_granule_bytes(inst));
	if (atomic_long_read(&inst->nr_dirty) > itme_dirty_background(inst))
		delay = 0;
	itme_writeback_kick(inst, delay);
}

/**
 * itme_dirty_mark - somebody is about to write to a granule's frame
 * @region: its region
 * @g: the granule
 * @folio: the frame, locked by the caller until it is written or mapped for writing
 *
 * Return: 0, it is dirty; -ENOENT where @folio is not its memory any more; -EAGAIN
 * where it is on its way to the store, -EDQUOT where too much is dirty: see
 * itme_dirty_wait().
 */
int itme_dirty_mark(struct itme_region *region, struct itme_granule *g, struct folio *folio)
{
	bool fresh;

	scoped_guard(spinlock_irqsave, itme_granule_lock(g)) {
		if (g->state != ITME_RESIDENT || g->folio != folio)
			return -ENOENT;
		if (g->flags & ITME_GRANULE_WRITING)
			return -EAGAIN;
		fresh = !(g->flags & ITME_GRANULE_DIRTY);
		if (fresh && !add_within_limit(region))
			return -EDQUOT;
		if (fresh) {
			atomic_long_inc(&region->nr_dirty);
			g->flags |= ITME_GRANULE_DIRTY;
			g->stamp = itme_ticks();
		}
		folio_set_dirty(folio);
	}
	if (fresh)
		became_dirty(region);
	return 0;
}

/**
 * itme_dirty_note - a granule was found dirty: it has been, whatever the limit
 * @region: its region
 * @g: the granule, owned by the caller
 */
void itme_dirty_note(struct itme_region *region, struct itme_granule *g)
{
	if (itme_granule_set(g, ITME_GRANULE_DIRTY, 0) & ITME_GRANULE_DIRTY)
		return;
	atomic_long_inc(total_of(region));
	atomic_long_inc(&region->nr_dirty);
	became_dirty(region);
}

/**
 * itme_dirty_clean_locked - the store has all of it, and nobody writes to it
 * @region: its region
 * @g: the granule, dirty; its lock is held
 *
 * The caller wakes instance->dirty_wait, without the lock.
 */
void itme_dirty_clean_locked(struct itme_region *region, struct itme_granule *g)
{
	lockdep_assert_held(itme_granule_lock(g));
	g->flags &= ~ITME_GRANULE_DIRTY;
	atomic_long_dec(&region->nr_dirty);
	atomic_long_dec(total_of(region));
}

/**
 * itme_dirty_forget - a granule's memory goes: it is dirty no more
 * @region: its region
 * @g: the granule, owned by the caller
 *
 * Return: whether it was dirty.
 */
bool itme_dirty_forget(struct itme_region *region, struct itme_granule *g)
{
	scoped_guard(spinlock_irqsave, itme_granule_lock(g)) {
		if (!(g->flags & ITME_GRANULE_DIRTY))
			return false;
		itme_dirty_clean_locked(region, g);
	}
	wake_up_all(&region->inst->dirty_wait);
	return true;
}

/**
 * itme_dirty_referenced - has anybody a reference to write to a frame through?
 * @folio: the frame
 * @own: references that the caller knows of
 *
 * Mappings do not count: folio_mkclean() makes them fault. May err to yes.
 *
 * Return: whether somebody has.
 */
bool itme_dirty_referenced(const struct folio *folio, int own)
{
	int refs = folio_ref_count(folio);

	smp_rmb(); /* who lets go of a reference sets PG_dirty before that */
	return refs > folio_mapcount(folio) + own;
}

/**
 * itme_dirty_stays - will a granule be dirty again as soon as it is written?
 * @region: its region
 * @folio: its frame; for a reliable answer locked, and WRITING
 * @own: references that the caller knows of
 *
 * May err to yes.
 *
 * Return: whether it will: it may be written to without a word to us.
 */
bool itme_dirty_stays(struct itme_region *region, const struct folio *folio, int own)
{
	if (!region->pinnable || list_empty_careful(&region->writable_node))
		return false; /* after its last user nothing of it can be acknowledged */
	return (folio_mapped(folio) && mapping_writably_mapped(region->inode.i_mapping)) ||
	       itme_dirty_referenced(folio, own);
}

/**
 * itme_dirty_protect - who writes to a frame from now on faults first, or waits
 * @region: its region
 * @folio: the frame, locked; its granule is WRITING, by itme_writeback_own() or its like
 *
 * Where that cannot be it stays dirty.
 */
void itme_dirty_protect(struct itme_region *region, struct folio *folio)
{
	if (itme_dirty_stays(region, folio, 2))
		return;
	folio_mkclean(folio);
	folio_clear_dirty(folio);
}

/*
 * A store that takes nothing must not fill memory with what it does not take: the
 * other regions have half of the limit to themselves.
 */
static int refused(struct itme_region *region)
{
	struct itme_instance *inst = region->inst;
	int err = READ_ONCE(region->write_error);

	if (err && atomic_long_read(&region->nr_dirty) >= (itme_dirty_limit(inst) + 1) / 2)
		return err;
	return 0;
}

/**
 * itme_dirty_may_write - may somebody begin to write to a granule now?
 * @region: its region
 * @g: the granule
 *
 * Return: 0; -EAGAIN where he has to wait; the store's error where it has refused so
 * much that no more is taken.
 */
int itme_dirty_may_write(struct itme_region *region, struct itme_granule *g)
{
	u16 flags = READ_ONCE(g->flags);
	int err;

	if (flags & ITME_GRANULE_WRITING)
		return -EAGAIN;
	if ((flags & ITME_GRANULE_DIRTY) || region->pinnable)
		return 0;
	err = refused(region);
	if (err)
		return err;
	return atomic_long_read(&region->inst->nr_dirty) < itme_dirty_limit(region->inst) ?
		       0 : -EAGAIN;
}

static bool may_stop_waiting(struct itme_region *region, struct itme_granule *g, int *err)
{
	*err = itme_dirty_may_write(region, g);
	return *err != -EAGAIN;
}

/**
 * itme_dirty_wait - wait until somebody may begin to write to a granule
 * @region: its region
 * @g: the granule
 *
 * Return: 0; the store's error as itme_dirty_may_write(); -EINTR for a fatal signal;
 * -ETIMEDOUT after ITME_DEMAND_TIMEOUT.
 */
int itme_dirty_wait(struct itme_region *region, struct itme_granule *g)
{
	struct itme_instance *inst = region->inst;
	long left;
	int err;

	if (may_stop_waiting(region, g, &err))
		return err;
	itme_count_one(region, throttle_count);
	itme_writeback_kick(inst, 0);
	left = wait_event_killable_timeout(inst->dirty_wait, may_stop_waiting(region, g, &err),
					   ITME_DEMAND_TIMEOUT);
	if (left < 0)
		return -EINTR;
	if (left)
		return err;
	itme_count_one(region, timeout_count);
	WRITE_ONCE(region->gave_up_at, itme_ticks());
	return -ETIMEDOUT;
}

/**
 * itme_dirty_gave_up - has a wait to write ended by its time-out just now?
 * @region: the region
 *
 * For a fault that was told to retry after it: it must not wait again and again.
 *
 * Return: whether one has.
 */
bool itme_dirty_gave_up(const struct itme_region *region)
{
	u32 at = READ_ONCE(region->gave_up_at);

	return at && itme_ticks() - at < ITME_FAILURE_MEMORY;
}
