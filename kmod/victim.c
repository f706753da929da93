// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which frame goes when one is needed.
 *
 * The rule is bimodal insertion (Qureshi et al., "Adaptive insertion policies
 * for high performance caching", ISCA 2007). New residents pass through the
 * window, a short FIFO; what leaves it when memory is full is dropped, and the
 * settled residents stay. So a cyclic scan of W bytes over C bytes of memory
 * reads about W - C a pass, where LRU would read W. One time in
 * ITME_VICTIM_RENEWAL the oldest settled resident goes instead and the newcomer
 * settles, so that a changed working set comes in.
 *
 * While the CXL tier has free frames, what leaves the window moves there and
 * settles; nothing is dropped until both tiers are full.
 */
#include <linux/random.h>
#include "itme.h"

#define ITME_VICTIM_RENEWAL 32

struct victim {
	struct itme_region *region;
	u64 granule;
	struct folio *folio;
};

/**
 * itme_victim_top_tier - the tier that demand fills go to
 * @inst: the instance
 *
 * Return: ITME_TIER_DRAM, or ITME_TIER_CXL where there is no DRAM budget.
 */
enum itme_tier itme_victim_top_tier(const struct itme_instance *inst)
{
	return READ_ONCE(inst->pool[ITME_TIER_DRAM].target) ? ITME_TIER_DRAM : ITME_TIER_CXL;
}

static void settle_locked(struct itme_instance *inst, struct folio *folio, enum itme_tier tier)
{
	lockdep_assert_held(&inst->frame_lock);
	list_add_tail(&folio->lru, &inst->pool[tier].settled);
	folio->private = (void *)ITME_LIST_SETTLED;
	inst->pool[tier].nr_settled++;
}

static void unlist_locked(struct itme_instance *inst, struct folio *folio, enum itme_tier tier)
{
	lockdep_assert_held(&inst->frame_lock);
	if (folio->private == (void *)ITME_LIST_WINDOW)
		inst->nr_window--;
	else
		inst->pool[tier].nr_settled--;
	list_del_init(&folio->lru);
	folio->private = (void *)ITME_LIST_NONE;
}

static void settle_oldest_of_window(struct itme_instance *inst, enum itme_tier tier)
{
	struct folio *folio = list_first_entry(&inst->window, struct folio, lru);

	unlist_locked(inst, folio, tier);
	settle_locked(inst, folio, tier);
}

/**
 * itme_victim_settle_window - settle all of the window
 * @inst: the instance; frame_lock is held
 */
void itme_victim_settle_window(struct itme_instance *inst)
{
	lockdep_assert_held(&inst->frame_lock);
	while (inst->nr_window)
		settle_oldest_of_window(inst, itme_victim_top_tier(inst));
}

/**
 * itme_victim_admit - put a frame that a demand fill has filled into the window
 * @inst: the instance
 * @folio: a frame of the top tier from itme_victim_obtain(), bound, RESIDENT
 * @tier: the frame's tier
 */
void itme_victim_admit(struct itme_instance *inst, struct folio *folio, enum itme_tier tier)
{
	unsigned long flags;

	spin_lock_irqsave(&inst->frame_lock, flags);
	inst->nr_inflight--;
	if (tier != itme_victim_top_tier(inst)) { /* the budgets changed meanwhile */
		settle_locked(inst, folio, tier);
	} else {
		list_add_tail(&folio->lru, &inst->window);
		folio->private = (void *)ITME_LIST_WINDOW;
		inst->nr_window++;
		while (inst->nr_window > inst->window_frames)
			settle_oldest_of_window(inst, tier);
	}
	spin_unlock_irqrestore(&inst->frame_lock, flags);
	wake_up_all(&inst->frame_wait);
}

/**
 * itme_victim_settle - put a frame among the settled residents of its tier
 * @inst: the instance
 * @folio: a frame that the caller owns, bound, RESIDENT
 * @tier: the frame's tier
 */
void itme_victim_settle(struct itme_instance *inst, struct folio *folio, enum itme_tier tier)
{
	unsigned long flags;

	spin_lock_irqsave(&inst->frame_lock, flags);
	settle_locked(inst, folio, tier);
	spin_unlock_irqrestore(&inst->frame_lock, flags);
	wake_up_all(&inst->frame_wait);
}

/**
 * itme_victim_take_granule - take a certain granule's frame off its list, to own it
 * @inst: the instance
 * @g: the granule
 * @tier: (out) the frame's tier
 *
 * Return: the frame, or NULL where the granule is not RESIDENT or somebody else
 * owns its frame.
 */
struct folio *itme_victim_take_granule(struct itme_instance *inst, struct itme_granule *g,
				       enum itme_tier *tier)
{
	/* While we have this reference no mover can give the frame to another granule. */
	struct folio *folio = itme_granule_frame(g, tier);
	unsigned long flags;
	bool listed;

	if (!folio)
		return NULL;
	spin_lock_irqsave(&inst->frame_lock, flags);
	listed = folio->private == (void *)ITME_LIST_WINDOW ||
		 folio->private == (void *)ITME_LIST_SETTLED;
	if (listed)
		unlist_locked(inst, folio, *tier);
	spin_unlock_irqrestore(&inst->frame_lock, flags);
	folio_put(folio);
	return listed ? folio : NULL;
}

static struct folio *oldest(struct list_head *list)
{
	return list_first_entry_or_null(list, struct folio, lru);
}

/*
 * The settled resident that goes for a renewal, from both tiers in proportion
 * to their residents.
 */
static struct folio *renewal_victim(struct itme_instance *inst, enum itme_tier *tier)
{
	unsigned long dram = inst->pool[ITME_TIER_DRAM].nr_settled;
	unsigned long cxl = inst->pool[ITME_TIER_CXL].nr_settled;

	if (dram + cxl == 0)
		return NULL;
	*tier = get_random_u32_below(dram + cxl) < dram ? ITME_TIER_DRAM : ITME_TIER_CXL;
	return oldest(&inst->pool[*tier].settled);
}

/*
 * Choose a victim of *@tier and own it. For a renewal *@tier may become the
 * other tier: its frame then makes room for what leaves the window.
 */
static bool take_victim(struct itme_instance *inst, enum itme_tier *tier, bool for_fill,
			struct victim *v)
{
	struct itme_pool *pool = &inst->pool[*tier];
	struct folio *folio = NULL;
	enum itme_tier top;
	unsigned long flags;

	spin_lock_irqsave(&inst->frame_lock, flags);
	top = itme_victim_top_tier(inst);
	if (*tier == top && inst->nr_window) {
		bool full = !inst->pool[ITME_TIER_CXL].nr_free || top == ITME_TIER_CXL;
		bool renew = for_fill && full &&
			     get_random_u32_below(ITME_VICTIM_RENEWAL) == 0;

		if (renew)
			folio = renewal_victim(inst, tier);
		if (folio && *tier == top)
			settle_oldest_of_window(inst, top);
		/* The window keeps its size; frames being filled are part of it. */
		if (!folio && inst->nr_window + inst->nr_inflight > inst->window_frames)
			folio = oldest(&inst->window);
	}
	if (!folio)
		folio = oldest(&pool->settled);
	if (!folio && *tier == top)
		folio = oldest(&inst->window);
	if (folio) {
		v->folio = folio;
		v->region = itme_region_of(folio->mapping->host);
		v->granule = folio->index >> itme_granule_order(inst);
		unlist_locked(inst, folio, *tier);
		/* The region cannot be evicted while one of its frames is listed. */
		itme_region_busy_get(v->region);
	}
	spin_unlock_irqrestore(&inst->frame_lock, flags);
	return folio;
}

/* Move a DRAM victim to a free CXL frame. -ENOSPC where there is none. */
static int demote(struct itme_instance *inst, struct victim *v)
{
	struct folio *to = itme_frame_pop(inst, ITME_TIER_CXL);
	int err;

	if (!to)
		return -ENOSPC;
	err = itme_migrate_move(v->region, v->granule, v->folio, to, ITME_TIER_CXL, false);
	if (err)
		itme_frame_put(inst, ITME_TIER_CXL, to);
	else
		itme_victim_settle(inst, to, ITME_TIER_CXL);
	return err;
}

/**
 * itme_victim_reclaim - free a frame of a tier by moving or dropping a resident
 * @inst: the instance
 * @tier: ITME_TIER_DRAM or ITME_TIER_CXL
 * @for_fill: the frame is for a demand fill; the renewal rule applies
 *
 * Return: an unbound frame that the caller owns, or NULL where no resident of
 * the tier can go now. Process context, no lock held.
 */
struct folio *itme_victim_reclaim(struct itme_instance *inst, enum itme_tier tier,
				  bool for_fill)
{
	unsigned long tries = READ_ONCE(inst->nr_window) +
			      READ_ONCE(inst->pool[tier].nr_settled) + 1;

	while (tries--) {
		enum itme_tier from = tier;
		struct victim v;
		int err;

		if (!take_victim(inst, &from, for_fill, &v))
			return NULL;
		err = from == ITME_TIER_DRAM ? demote(inst, &v) : -ENOSPC;
		if (err == -ENOSPC)
			err = itme_migrate_drop(v.region, v.granule, v.folio, false);
		if (err) /* behind the others; also out of the window, so as not to block it */
			itme_victim_settle(inst, v.folio, from);
		itme_region_busy_put(v.region);
		if (err)
			continue;
		if (from == tier)
			return v.folio;
		itme_frame_put(inst, from, v.folio);
		for_fill = false; /* one renewal is enough */
	}
	return NULL;
}

static bool is_surplus(struct itme_instance *inst, enum itme_tier tier)
{
	struct itme_pool *pool = &inst->pool[tier];

	return READ_ONCE(pool->held) > READ_ONCE(pool->target);
}

static struct folio *find_frame(struct itme_instance *inst, enum itme_tier tier)
{
	struct folio *folio = itme_frame_pop(inst, tier);

	while (!folio) {
		folio = itme_victim_reclaim(inst, tier, true);
		if (!folio)
			return NULL;
		if (!is_surplus(inst, tier))
			break;
		itme_frame_put(inst, tier, folio); /* back to the kernel */
		folio = NULL;
	}
	return folio;
}

static void add_inflight(struct itme_instance *inst, int n)
{
	unsigned long flags;

	spin_lock_irqsave(&inst->frame_lock, flags);
	inst->nr_inflight += n;
	spin_unlock_irqrestore(&inst->frame_lock, flags);
}

/**
 * itme_victim_obtain - get a frame for a demand fill, freeing one where needed
 * @inst: the instance
 * @tier: (out) the frame's tier: the fastest that has one to give
 *
 * Waits up to ITME_FRAME_TIMEOUT while every frame is held or in flight.
 * Follow with itme_victim_admit() or itme_victim_abandon().
 *
 * Return: an unbound frame that the caller owns, or NULL.
 */
struct folio *itme_victim_obtain(struct itme_instance *inst, enum itme_tier *tier)
{
	unsigned long deadline = jiffies + ITME_FRAME_TIMEOUT;
	struct folio *folio;

	add_inflight(inst, 1); /* first, so that fills side by side respect the window */
	for (;;) {
		*tier = itme_victim_top_tier(inst);
		folio = find_frame(inst, *tier);
		if (!folio && *tier == ITME_TIER_DRAM) {
			*tier = ITME_TIER_CXL;
			folio = find_frame(inst, *tier);
		}
		if (folio)
			return folio;
		if (time_after(jiffies, deadline))
			break;
		/* A held frame is released without a word to us: look again soon. */
		wait_event_timeout(inst->frame_wait, READ_ONCE(inst->pool[*tier].nr_free),
				   msecs_to_jiffies(5));
	}
	add_inflight(inst, -1);
	return NULL;
}

/**
 * itme_victim_abandon - give back a frame whose demand fill failed
 * @inst: the instance
 * @folio: a frame from itme_victim_obtain(), unbound
 * @tier: the frame's tier
 */
void itme_victim_abandon(struct itme_instance *inst, struct folio *folio, enum itme_tier tier)
{
	add_inflight(inst, -1);
	itme_frame_put(inst, tier, folio);
}
