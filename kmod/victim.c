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
 * settles; nothing is dropped until both tiers are full. For a smaller CXL budget
 * residents move to free frames of DRAM likewise.
 *
 * What a hint has fetched ahead waits on a list of its own until it is touched,
 * and then passes through the window like a newcomer. What a hint may take
 * depends on how sure it is, see enum itme_taker. What is pinned is on no list
 * that a victim comes from.
 */
#include <linux/random.h>
#include "itme.h"

#define ITME_VICTIM_RENEWAL 32
/* What is held may be mapped: reclaim is not to unmap all of it again and again. */
#define ITME_PRESSURE_TRIES 8UL

struct victim {
	struct itme_region *region;
	u64 granule;
	struct folio *folio;
	enum itme_list list; /* that it was on */
};

/*
 * One search for a victim. What cannot go now is put behind the others of its
 * list, so a list has been tried in full when the first of these is met again.
 */
struct search {
	enum itme_taker taker;
	bool renewed; /* one renewal is enough */
	struct folio *failed[ITME_LISTS];
	bool tried[ITME_LISTS];
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

static struct itme_granule *granule_of(const struct folio *folio)
{
	struct itme_region *region = itme_region_of(folio->mapping->host);

	return itme_region_granule(region, folio->index >> itme_granule_order(region->inst));
}

static void unlist_locked(struct itme_instance *inst, struct folio *folio, enum itme_tier tier)
{
	lockdep_assert_held(&inst->frame_lock);
	if (folio->private == (void *)ITME_LIST_WINDOW)
		inst->nr_window--;
	else if (folio->private == (void *)ITME_LIST_SETTLED)
		inst->pool[tier].nr_settled--;
	else if (folio->private == (void *)ITME_LIST_AHEAD)
		inst->pool[tier].nr_ahead--;
	list_del_init(&folio->lru);
	folio->private = (void *)ITME_LIST_NONE;
}

/*
 * Put a resident's frame on @list, or where its granule's flags say. They may
 * change behind our back: who changes them calls itme_victim_relist() after.
 */
static void list_locked(struct itme_instance *inst, struct folio *folio, enum itme_tier tier,
			enum itme_list list)
{
	struct itme_pool *pool = &inst->pool[tier];
	u16 flags = READ_ONCE(granule_of(folio)->flags);

	lockdep_assert_held(&inst->frame_lock);
	if (flags & ITME_GRANULE_PINNED)
		list = ITME_LIST_PINNED;
	else if (flags & ITME_GRANULE_AHEAD)
		list = ITME_LIST_AHEAD;
	else if (list == ITME_LIST_WINDOW && tier != itme_victim_top_tier(inst))
		list = ITME_LIST_SETTLED;
	folio->private = (void *)list;
	switch (list) {
	case ITME_LIST_PINNED:
		list_add_tail(&folio->lru, &pool->pinned);
		break;
	case ITME_LIST_AHEAD:
		list_add_tail(&folio->lru, &pool->ahead);
		pool->nr_ahead++;
		break;
	case ITME_LIST_WINDOW:
		list_add_tail(&folio->lru, &inst->window);
		inst->nr_window++;
		break;
	default:
		list_add_tail(&folio->lru, &pool->settled);
		pool->nr_settled++;
		break;
	}
}

static void settle_oldest_of_window(struct itme_instance *inst, enum itme_tier tier)
{
	struct folio *folio = list_first_entry(&inst->window, struct folio, lru);

	unlist_locked(inst, folio, tier);
	list_locked(inst, folio, tier, ITME_LIST_SETTLED);
	/* Not worth keeping: the next to go. */
	if (folio->private == (void *)ITME_LIST_SETTLED &&
	    (READ_ONCE(granule_of(folio)->flags) & ITME_GRANULE_NOREUSE))
		list_move(&folio->lru, &inst->pool[tier].settled);
}

static void settle_surplus_of_window(struct itme_instance *inst)
{
	while (inst->nr_window > inst->window_frames)
		settle_oldest_of_window(inst, itme_victim_top_tier(inst));
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
 * @folio: a frame from itme_victim_obtain(), bound, RESIDENT
 * @tier: the frame's tier
 */
void itme_victim_admit(struct itme_instance *inst, struct folio *folio, enum itme_tier tier)
{
	unsigned long flags;

	spin_lock_irqsave(&inst->frame_lock, flags);
	inst->nr_inflight--;
	list_locked(inst, folio, tier, ITME_LIST_WINDOW);
	settle_surplus_of_window(inst);
	spin_unlock_irqrestore(&inst->frame_lock, flags);
	wake_up_all(&inst->frame_wait);
}

/**
 * itme_victim_list - put the frame of a resident on the list that it belongs to
 * @inst: the instance
 * @folio: a frame that the caller owns, bound, RESIDENT
 * @tier: the frame's tier
 * @list: ITME_LIST_WINDOW for a newcomer, else ITME_LIST_SETTLED
 */
void itme_victim_list(struct itme_instance *inst, struct folio *folio, enum itme_tier tier,
		      enum itme_list list)
{
	unsigned long flags;

	spin_lock_irqsave(&inst->frame_lock, flags);
	list_locked(inst, folio, tier, list);
	settle_surplus_of_window(inst);
	spin_unlock_irqrestore(&inst->frame_lock, flags);
	wake_up_all(&inst->frame_wait);
}

/**
 * itme_victim_relist - the granule's flags have changed: its frame may belong elsewhere
 * @inst: the instance
 * @folio: its frame, referenced or locked by the caller
 * @tier: the frame's tier
 *
 * What comes off the list of the pinned or of those fetched ahead is a newcomer.
 */
void itme_victim_relist(struct itme_instance *inst, struct folio *folio, enum itme_tier tier)
{
	enum itme_list list;
	unsigned long flags;

	spin_lock_irqsave(&inst->frame_lock, flags);
	list = (enum itme_list)(unsigned long)folio->private;
	if (list != ITME_LIST_NONE && list != ITME_LIST_FREE) { /* else its owner lists it */
		unlist_locked(inst, folio, tier);
		list_locked(inst, folio, tier,
			    list == ITME_LIST_SETTLED ? ITME_LIST_SETTLED : ITME_LIST_WINDOW);
		settle_surplus_of_window(inst);
	}
	spin_unlock_irqrestore(&inst->frame_lock, flags);
	wake_up_all(&inst->frame_wait);
}

/**
 * itme_victim_next - a resident that is not worth keeping has become clean
 * @inst: the instance
 * @folio: its frame, referenced by the caller
 * @tier: the frame's tier
 *
 * While it was dirty it could not go. If it has settled it is the next to go now.
 */
void itme_victim_next(struct itme_instance *inst, struct folio *folio, enum itme_tier tier)
{
	unsigned long flags;

	spin_lock_irqsave(&inst->frame_lock, flags);
	if (folio->private == (void *)ITME_LIST_SETTLED)
		list_move(&folio->lru, &inst->pool[tier].settled);
	spin_unlock_irqrestore(&inst->frame_lock, flags);
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
	listed = folio->private != (void *)ITME_LIST_NONE &&
		 folio->private != (void *)ITME_LIST_FREE;
	if (listed)
		unlist_locked(inst, folio, *tier);
	spin_unlock_irqrestore(&inst->frame_lock, flags);
	folio_put(folio);
	return listed ? folio : NULL;
}

static bool take_or_gone(struct itme_instance *inst, struct itme_granule *g,
			 enum itme_tier *tier, struct folio **folio)
{
	*folio = itme_victim_take_granule(inst, g, tier);
	return *folio || READ_ONCE(g->state) == ITME_ABSENT;
}

/**
 * itme_victim_await_granule - itme_victim_take_granule(), when its owner lets go
 * @inst: the instance
 * @g: the granule
 * @tier: (out) the frame's tier
 *
 * Waits up to ITME_OWNER_TIMEOUT for the end of a fill or a move.
 *
 * Return: the frame, or NULL where the granule is absent or stays somebody else's.
 */
struct folio *itme_victim_await_granule(struct itme_instance *inst, struct itme_granule *g,
					enum itme_tier *tier)
{
	struct folio *folio;

	if (!take_or_gone(inst, g, tier, &folio))
		wait_event_killable_timeout(inst->frame_wait,
					    take_or_gone(inst, g, tier, &folio),
					    ITME_OWNER_TIMEOUT);
	return folio;
}

static struct folio *oldest(struct list_head *list)
{
	return list_first_entry_or_null(list, struct folio, lru);
}

/* The oldest of a list that the search has not tried in full. */
static struct folio *untried(struct search *search, struct list_head *list,
			     enum itme_list which)
{
	struct folio *folio = search->tried[which] ? NULL : oldest(list);

	if (folio && folio == search->failed[which]) {
		search->tried[which] = true;
		folio = NULL;
	}
	return folio;
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

static struct folio *from_window(struct itme_instance *inst, struct search *search,
				 unsigned long keep)
{
	return inst->nr_window > keep ? untried(search, &inst->window, ITME_LIST_WINDOW) : NULL;
}

/* Newcomers of the top tier: by the rule above. */
static struct folio *newcomer_victim(struct itme_instance *inst, enum itme_tier *tier,
				     struct search *search)
{
	enum itme_tier top = *tier;
	bool full = !inst->pool[ITME_TIER_CXL].nr_free || top == ITME_TIER_CXL;
	struct folio *folio = NULL;

	if (search->taker >= ITME_TAKER_DEMAND && full && !search->renewed &&
	    get_random_u32_below(ITME_VICTIM_RENEWAL) == 0)
		folio = renewal_victim(inst, tier);
	if (folio) {
		if (*tier == top)
			settle_oldest_of_window(inst, top);
		return folio;
	}
	/*
	 * The window keeps its size; frames being filled are part of it. Of two
	 * that an instruction needs one must not drive out the other for ever: the
	 * newest stays, or, in a window of one, comes to settle now and then.
	 */
	if (inst->nr_window + inst->nr_inflight > inst->window_frames)
		folio = from_window(inst, search,
				    inst->window_frames > 1 || !inst->pool[top].nr_settled);
	return folio;
}

/*
 * What the window has been read past; the newest may be what is being read. All
 * that is in the window has been touched.
 */
static struct folio *read_past(struct itme_instance *inst, enum itme_tier tier,
			       struct search *search)
{
	return tier == itme_victim_top_tier(inst) ? from_window(inst, search, 1) : NULL;
}

static bool is_stale(const struct folio *folio)
{
	return itme_ticks() - READ_ONCE(granule_of(folio)->stamp) >= ITME_AHEAD_GRACE;
}

/* Fetched ahead long ago: nobody may be coming for it. */
static struct folio *stale(struct itme_pool *pool, struct search *search)
{
	struct folio *folio = untried(search, &pool->ahead, ITME_LIST_AHEAD);

	return folio && is_stale(folio) ? folio : NULL;
}

static struct folio *choose_for_hint(struct itme_instance *inst, enum itme_tier tier,
				     struct search *search)
{
	struct itme_pool *pool = &inst->pool[tier];
	struct folio *folio;

	if (search->taker == ITME_TAKER_HINT_MAYBE)
		return NULL;
	folio = read_past(inst, tier, search);
	if (folio || search->taker == ITME_TAKER_HINT_LIKELY)
		return folio;
	return untried(search, &pool->settled, ITME_LIST_SETTLED) ?: stale(pool, search);
}

/* Not worth keeping: settle_oldest_of_window() and itme_victim_next() put it first. */
static struct folio *unwanted(struct itme_pool *pool, struct search *search)
{
	struct folio *folio = untried(search, &pool->settled, ITME_LIST_SETTLED);

	return folio && (READ_ONCE(granule_of(folio)->flags) & ITME_GRANULE_NOREUSE) ? folio : NULL;
}

/*
 * For demand, and for a smaller budget. What was fetched ahead is wanted soon; but
 * the newest of the window are in use now, perhaps several by one instruction.
 */
static struct folio *choose(struct itme_instance *inst, enum itme_tier *tier,
			    struct search *search)
{
	struct itme_pool *pool = &inst->pool[*tier];
	bool top = *tier == itme_victim_top_tier(inst);
	struct folio *folio;

	if (search->taker < ITME_TAKER_PRESSURE)
		return choose_for_hint(inst, *tier, search);
	folio = unwanted(pool, search);
	if (!folio && top && inst->nr_window)
		folio = newcomer_victim(inst, tier, search);
	if (!folio)
		folio = untried(search, &pool->settled, ITME_LIST_SETTLED) ?:
			stale(pool, search);
	if (!folio && top)
		folio = from_window(inst, search, ITME_MIN_FRAMES);
	if (!folio)
		folio = untried(search, &pool->ahead, ITME_LIST_AHEAD);
	if (!folio && top)
		folio = from_window(inst, search, 0);
	if (!folio && search->taker == ITME_TAKER_BUDGET)
		folio = untried(search, &pool->pinned, ITME_LIST_PINNED);
	return folio;
}

/*
 * Choose a victim of *@tier and own it. For a renewal *@tier may become the
 * other tier: its frame then makes room for what leaves the window.
 */
static bool take_victim(struct itme_instance *inst, enum itme_tier *tier,
			struct search *search, struct victim *v)
{
	struct folio *folio;
	unsigned long flags;

	spin_lock_irqsave(&inst->frame_lock, flags);
	folio = choose(inst, tier, search);
	if (folio) {
		v->folio = folio;
		v->region = itme_region_of(folio->mapping->host);
		v->granule = folio->index >> itme_granule_order(inst);
		v->list = (enum itme_list)(unsigned long)folio->private;
		unlist_locked(inst, folio, *tier);
		/* The region cannot be evicted while one of its frames is listed. */
		itme_region_busy_get(v->region);
	}
	spin_unlock_irqrestore(&inst->frame_lock, flags);
	return folio;
}

/**
 * itme_victim_taker - what a hint may take from others
 * @hint_class: its class
 *
 * Return: ITME_TAKER_HINT_*.
 */
enum itme_taker itme_victim_taker(enum itme_hint_class hint_class)
{
	switch (hint_class) {
	case ITME_CLASS_EXACT:
		return ITME_TAKER_HINT_EXACT;
	case ITME_CLASS_LIKELY:
		return ITME_TAKER_HINT_LIKELY;
	default:
		return ITME_TAKER_HINT_MAYBE;
	}
}

/**
 * itme_victim_promise - promise a hint a frame, if it could have one now
 * @inst: the instance
 * @tier: ITME_TIER_DRAM or ITME_TIER_CXL
 * @taker: ITME_TAKER_HINT_*
 *
 * Between promise and fill a demand fill may take the frame all the same.
 *
 * Return: whether it is promised; itme_victim_unpromise() ends it.
 */
bool itme_victim_promise(struct itme_instance *inst, enum itme_tier tier, enum itme_taker taker)
{
	struct itme_pool *pool = &inst->pool[tier];
	unsigned long flags, room;
	bool promised;

	spin_lock_irqsave(&inst->frame_lock, flags);
	room = pool->nr_free;
	if (taker >= ITME_TAKER_HINT_LIKELY && tier == itme_victim_top_tier(inst) &&
	    inst->nr_window)
		room += inst->nr_window - 1;
	if (taker >= ITME_TAKER_HINT_EXACT) {
		struct folio *folio;

		while (pool->promised >= room + pool->nr_settled &&
		       (folio = oldest(&pool->ahead)) && is_stale(folio)) {
			unlist_locked(inst, folio, tier);
			list_add(&folio->lru, &pool->settled);
			folio->private = (void *)ITME_LIST_SETTLED;
			pool->nr_settled++;
		}
		room += pool->nr_settled;
	}
	promised = pool->promised < room;
	pool->promised += promised;
	spin_unlock_irqrestore(&inst->frame_lock, flags);
	return promised;
}

/**
 * itme_victim_unpromise - end a promise
 * @inst: the instance
 * @tier: its tier
 */
void itme_victim_unpromise(struct itme_instance *inst, enum itme_tier tier)
{
	unsigned long flags;

	spin_lock_irqsave(&inst->frame_lock, flags);
	inst->pool[tier].promised--;
	spin_unlock_irqrestore(&inst->frame_lock, flags);
}

static bool is_surplus(struct itme_instance *inst, enum itme_tier tier)
{
	struct itme_pool *pool = &inst->pool[tier];

	return READ_ONCE(pool->held) > READ_ONCE(pool->target);
}

/* Move a victim to a free frame of the other tier. -ENOSPC where there is none to keep. */
static int move_over(struct itme_instance *inst, struct victim *v, enum itme_tier to_tier,
		     unsigned int claim)
{
	struct folio *to = is_surplus(inst, to_tier) ? NULL : itme_frame_pop(inst, to_tier);
	int err;

	if (!to)
		return -ENOSPC;
	err = itme_migrate_move(v->region, v->granule, v->folio, to, to_tier, claim, 0);
	if (err)
		itme_frame_put(inst, to_tier, to);
	else
		itme_victim_list(inst, to, to_tier, ITME_LIST_SETTLED);
	return err;
}

static bool may_demote(struct itme_instance *inst, enum itme_tier from)
{
	return from == ITME_TIER_DRAM && READ_ONCE(inst->pool[ITME_TIER_CXL].nr_free) &&
	       !is_surplus(inst, ITME_TIER_CXL);
}

static unsigned int claim_of(enum itme_taker taker)
{
	if (taker == ITME_TAKER_BUDGET)
		return ITME_CLAIM_PINNED;
	return taker == ITME_TAKER_PRESSURE ? ITME_CLAIM_NOWAIT : 0;
}

/**
 * itme_victim_reclaim - free a frame of a tier by moving or dropping a resident
 * @inst: the instance
 * @tier: ITME_TIER_DRAM or ITME_TIER_CXL
 * @taker: whom it is for
 *
 * Return: an unbound frame that the caller owns, or NULL where no resident of
 * the tier can go now. Process context, no lock held.
 */
struct folio *itme_victim_reclaim(struct itme_instance *inst, enum itme_tier tier,
				  enum itme_taker taker)
{
	struct search search = { .taker = taker };
	bool dirty = false;
	unsigned int claim = claim_of(taker);
	unsigned long tries = READ_ONCE(inst->pool[tier].held) + ITME_LISTS;

	if (taker == ITME_TAKER_PRESSURE)
		tries = min(tries, ITME_PRESSURE_TRIES);
	while (tries--) {
		enum itme_tier from = tier;
		struct victim v;
		int err;

		if (taker == ITME_TAKER_FAULT && may_demote(inst, tier))
			return NULL;
		if (!take_victim(inst, &from, &search, &v))
			break;
		if (from == ITME_TIER_DRAM)
			err = move_over(inst, &v, ITME_TIER_CXL, claim);
		else if (taker == ITME_TAKER_BUDGET) /* a drain keeps what there is room for */
			err = move_over(inst, &v, ITME_TIER_DRAM, claim);
		else
			err = -ENOSPC;
		if (err == -ENOSPC)
			err = itme_migrate_drop(v.region, v.granule, v.folio, claim);
		if (err == -EHWPOISON) { /* both gone, the frame is retired */
			itme_region_busy_put(v.region);
			continue;
		}
		dirty = dirty || err == -EUCLEAN;
		if (err) { /* behind the others; also out of the window, so as not to block it */
			if (from == tier && !search.failed[v.list])
				search.failed[v.list] = v.folio;
			if (v.list == ITME_LIST_WINDOW && !search.failed[ITME_LIST_SETTLED])
				search.failed[ITME_LIST_SETTLED] = v.folio;
			itme_victim_list(inst, v.folio, from, ITME_LIST_SETTLED);
		}
		itme_region_busy_put(v.region);
		if (err)
			continue;
		if (from == tier)
			return v.folio;
		itme_frame_put(inst, from, v.folio);
		search.renewed = true;
	}
	if (dirty && taker >= ITME_TAKER_PRESSURE)
		itme_writeback_want_frame(inst);
	return NULL;
}

/**
 * itme_victim_obtain_now - get a frame of a tier, or not
 * @inst: the instance
 * @tier: ITME_TIER_DRAM or ITME_TIER_CXL
 * @taker: whom it is for
 *
 * Waits for nothing but the copy where a victim moves to the other tier.
 *
 * Return: an unbound frame that the caller owns, or NULL.
 */
struct folio *itme_victim_obtain_now(struct itme_instance *inst, enum itme_tier tier,
				     enum itme_taker taker)
{
	struct folio *folio = itme_frame_pop(inst, tier);

	while (!folio) {
		folio = itme_victim_reclaim(inst, tier, taker);
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
		folio = itme_victim_obtain_now(inst, *tier, ITME_TAKER_DEMAND);
		if (!folio && *tier == ITME_TIER_DRAM) {
			*tier = ITME_TIER_CXL;
			folio = itme_victim_obtain_now(inst, *tier, ITME_TAKER_DEMAND);
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
 * itme_victim_obtain_quick - get a frame for a demand fill, if no copy is needed for it
 * @inst: the instance
 * @tier: (out) the frame's tier
 *
 * For the thread that waits for the fill. Otherwise as itme_victim_obtain().
 *
 * Return: an unbound frame that the caller owns, or NULL.
 */
struct folio *itme_victim_obtain_quick(struct itme_instance *inst, enum itme_tier *tier)
{
	struct folio *folio;

	*tier = itme_victim_top_tier(inst);
	add_inflight(inst, 1);
	folio = itme_victim_obtain_now(inst, *tier, ITME_TAKER_FAULT);
	if (!folio)
		add_inflight(inst, -1);
	return folio;
}

/**
 * itme_victim_abandon - give back a frame whose demand fill failed
 * @inst: the instance
 * @folio: a frame from itme_victim_obtain(), unbound; NULL where it is retired
 * @tier: the frame's tier
 */
void itme_victim_abandon(struct itme_instance *inst, struct folio *folio, enum itme_tier tier)
{
	add_inflight(inst, -1);
	if (folio)
		itme_frame_put(inst, tier, folio);
}
