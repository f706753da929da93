// SPDX-License-Identifier: GPL-2.0-only
/*
 * Frames: granule-sized folios of a tier, allocated when a budget is set and
 * given back when it shrinks. The only file that knows where frames come from.
 */
#include <linux/gfp.h>
#include <linux/mmzone.h>
#include <linux/sched/signal.h>
#include "itme.h"
#include "options.h"

/*
 * No __GFP_HARDWALL: frames serve every process, not the mounter's cpuset.
 * No __GFP_MOVABLE: a long-term pin of a folio that is on no LRU never ends in
 * ZONE_MOVABLE.
 */
#define FRAME_GFP_GENTLE (GFP_KERNEL | __GFP_THISNODE | __GFP_NOWARN | __GFP_NORETRY)
/* Somebody asks for it now: reclaim and compact as long as that gets on, but kill nobody. */
#define FRAME_GFP ((FRAME_GFP_GENTLE & ~__GFP_NORETRY) | __GFP_RETRY_MAYFAIL)

#define COMPACT_TRIES 64

static u64 free_bytes(int node)
{
	u64 pages = 0;
	int zone;

	for (zone = 0; zone < ZONE_MOVABLE; zone++)
		pages += zone_page_state(&NODE_DATA(node)->node_zones[zone], NR_FREE_PAGES);
	return pages << PAGE_SHIFT;
}

/* What the kernel wants to keep free of it. */
static u64 high_bytes(int node)
{
	u64 pages = 0;
	int zone;

	for (zone = 0; zone < ZONE_MOVABLE; zone++)
		pages += high_wmark_pages(&NODE_DATA(node)->node_zones[zone]);
	return pages << PAGE_SHIFT;
}

static const char *tier_key(enum itme_tier tier)
{
	return tier == ITME_TIER_DRAM ? "dram" : "cxl";
}

static struct folio *frame_alloc(struct itme_instance *inst, int node, gfp_t gfp)
{
	struct folio *folio = __folio_alloc_node(gfp, itme_granule_order(inst), node);

	if (folio) {
		INIT_LIST_HEAD(&folio->lru);
		folio->private = (void *)ITME_LIST_NONE;
	}
	return folio;
}

/* Has the node enough free memory for frames, if only it lay together? */
static bool is_in_pieces(const struct itme_instance *inst, int node)
{
	return free_bytes(node) > high_bytes(node) + 8 * itme_granule_bytes(inst);
}

/*
 * A compaction that fails puts off the next ones, up to 64 of them: an allocation that
 * meets this is refused although the next may succeed.
 */
static struct folio *frame_make(struct itme_instance *inst, int node, gfp_t gfp)
{
	int tries = gfp == FRAME_GFP ? COMPACT_TRIES : 1;
	struct folio *folio;

	do {
		folio = frame_alloc(inst, node, gfp);
		cond_resched();
	} while (!folio && --tries && is_in_pieces(inst, node) && !fatal_signal_pending(current));
	return folio;
}

/* The kernel must not have a frame with poison back: it would give it out again. */
static void frame_free(struct folio *folio)
{
	folio->private = NULL;
	if (!itme_poison_in_frame(folio))
		folio_put(folio);
}

/* Memory of @nodes in zones that frames may come from, and in ZONE_MOVABLE. */
static void count_memory(const nodemask_t *nodes, u64 *normal, u64 *movable)
{
	int node, zone;

	*normal = 0;
	*movable = 0;
	for_each_node_mask(node, *nodes) {
		for (zone = 0; zone < MAX_NR_ZONES; zone++) {
			u64 bytes = (u64)zone_managed_pages(&NODE_DATA(node)->node_zones[zone])
				    << PAGE_SHIFT;

			if (zone == ZONE_MOVABLE)
				*movable += bytes;
			else if (zone != ZONE_DEVICE)
				*normal += bytes;
		}
	}
}

/**
 * itme_frames_check - can these nodes have this budget?
 * @fc: a mount or remount under way, for its log; NULL logs to the kernel only
 * @tier: ITME_TIER_DRAM or ITME_TIER_CXL
 * @bytes: the budget
 * @nodes: where its frames would come from
 *
 * Return: 0, or -EINVAL with the reason logged.
 */
int itme_frames_check(struct fs_context *fc, enum itme_tier tier, u64 bytes,
		      const nodemask_t *nodes)
{
	const char *key = tier_key(tier);
	u64 normal, movable;
	char reason[160];
	int node;

	if (!bytes)
		return 0;
	if (nodes_empty(*nodes)) {
		snprintf(reason, sizeof(reason), "%s: no node was named at mount", key);
		goto refuse;
	}
	for_each_node_mask(node, *nodes) {
		if (!node_state(node, N_MEMORY)) {
			snprintf(reason, sizeof(reason),
				 "%s: node %d has no memory online; see 'daxctl online-memory --no-movable'",
				 key, node);
			goto refuse;
		}
	}
	count_memory(nodes, &normal, &movable);
	if (bytes <= normal)
		return 0;
	if (movable >= bytes || (movable && !normal))
		snprintf(reason, sizeof(reason),
			 "%s: node %*pbl is ZONE_MOVABLE; online it with 'daxctl reconfigure-device -m system-ram --no-movable'",
			 key, nodemask_pr_args(nodes));
	else
		snprintf(reason, sizeof(reason),
			 "%s=%llu: larger than node %*pbl, which has %llu bytes", key, bytes,
			 nodemask_pr_args(nodes), normal);
refuse:
	if (fc)
		return itme_invalf(fc, "%s", reason);
	pr_err("%s\n", reason);
	return -EINVAL;
}

static void add_frame(struct itme_instance *inst, struct itme_pool *pool, struct folio *folio)
{
	unsigned long flags;

	spin_lock_irqsave(&inst->frame_lock, flags);
	list_add_tail(&folio->lru, &pool->free);
	folio->private = (void *)ITME_LIST_FREE;
	pool->nr_free++;
	pool->held++;
	spin_unlock_irqrestore(&inst->frame_lock, flags);
}

static bool is_short(const struct itme_pool *pool)
{
	return READ_ONCE(pool->held) + READ_ONCE(pool->lent) < pool->target;
}

/*
 * Allocate up to the target, less what the host was given under pressure, one node
 * after the other so that they interleave.
 */
static int grow(struct itme_instance *inst, enum itme_tier tier, gfp_t gfp)
{
	struct itme_pool *pool = &inst->pool[tier];
	int node = first_node(pool->nodes);
	nodemask_t empty = NODE_MASK_NONE;

	while (is_short(pool)) {
		struct folio *folio;

		if (fatal_signal_pending(current))
			return -EINTR;
		folio = node_isset(node, empty) ? NULL : frame_make(inst, node, gfp);
		if (folio)
			add_frame(inst, pool, folio);
		else
			node_set(node, empty);
		if (nodes_equal(empty, pool->nodes))
			return -ENOMEM;
		node = next_node_in(node, pool->nodes);
	}
	return 0;
}

/* A free frame to give back to the kernel, or NULL where none is over the target. */
static struct folio *take_surplus(struct itme_instance *inst, struct itme_pool *pool)
{
	struct folio *folio = NULL;
	unsigned long flags;

	spin_lock_irqsave(&inst->frame_lock, flags);
	if (pool->held > pool->target && pool->nr_free) {
		folio = list_first_entry(&pool->free, struct folio, lru);
		list_del_init(&folio->lru);
		folio->private = (void *)ITME_LIST_NONE;
		pool->nr_free--;
		pool->held--;
	}
	spin_unlock_irqrestore(&inst->frame_lock, flags);
	return folio;
}

/*
 * Give frames back down to the target. What is in flight or held stays until
 * it is put: a budget is a target, *_current_bytes is what is really there.
 */
static int shrink(struct itme_instance *inst, enum itme_tier tier)
{
	struct itme_pool *pool = &inst->pool[tier];

	while (READ_ONCE(pool->held) > pool->target) {
		struct folio *folio = take_surplus(inst, pool);

		if (folio) {
			frame_free(folio);
			continue;
		}
		if (fatal_signal_pending(current))
			return -EINTR;
		folio = itme_victim_reclaim(inst, tier, ITME_TAKER_BUDGET);
		if (!folio)
			break;
		itme_frame_put(inst, tier, folio);
		cond_resched();
	}
	return 0;
}

/* How much there was: a node with much free and no frame to give has it in pieces. */
static void report_shortage(struct itme_instance *inst, enum itme_tier tier)
{
	struct itme_pool *pool = &inst->pool[tier];
	int node;

	pr_err("%s: %s: node %*pbl gave %lu of %lu frames of %llu bytes; free memory or lower the budget\n",
	       inst->name, tier_key(tier), nodemask_pr_args(&pool->nodes), pool->held, pool->target,
	       itme_granule_bytes(inst));
	for_each_node_mask(node, pool->nodes)
		pr_err("%s: %s: node %d has %llu bytes free%s\n", inst->name, tier_key(tier), node,
		       free_bytes(node),
		       is_in_pieces(inst, node) ?
			       ", in pieces: echo 1 > /proc/sys/vm/compact_memory" : "");
}

static void set_target(struct itme_instance *inst, struct itme_pool *pool, unsigned long frames)
{
	unsigned long flags;

	spin_lock_irqsave(&inst->frame_lock, flags);
	/* The window holds frames of the top tier only, which may change now. */
	itme_victim_settle_window(inst);
	/* A smaller budget leaves the host what it has; a larger one wants all. */
	pool->lent = frames < pool->target ?
			     pool->lent - min(pool->lent, pool->target - frames) : 0;
	pool->target = frames;
	spin_unlock_irqrestore(&inst->frame_lock, flags);
}

/*
 * Bytes of a node that are free or as good as free, beyond what the kernel wants to
 * keep free and a sixteenth for whoever comes next.
 */
static u64 room_on(int node)
{
	struct pglist_data *pgdat = NODE_DATA(node);
	u64 have = free_bytes(node), kept = high_bytes(node);

	have += (u64)atomic_long_read(&pgdat->vm_stat[NR_INACTIVE_FILE]) << PAGE_SHIFT >> 1;
	kept += (u64)pgdat->node_present_pages / 16 << PAGE_SHIFT;
	return have - min(have, kept);
}

/* What the host does not give is as if it had asked for it: it comes when there is room. */
static void lend_missing(struct itme_instance *inst, struct itme_pool *pool)
{
	unsigned long flags;

	spin_lock_irqsave(&inst->frame_lock, flags);
	pool->lent = pool->target - min(pool->target, pool->held);
	spin_unlock_irqrestore(&inst->frame_lock, flags);
}

/* Take some of what the host was given back, where it has asked for none for a while. */
static void take_back(struct itme_instance *inst)
{
	struct itme_pool *pool = &inst->pool[ITME_TIER_DRAM];
	unsigned long flags, frames;
	u64 room = 0;
	int node;

	if (!READ_ONCE(pool->lent))
		return;
	schedule_delayed_work(&inst->trim_work, ITME_RETURN_INTERVAL / 2);
	if (time_before(jiffies, READ_ONCE(inst->lent_at) + ITME_RETURN_INTERVAL))
		return;
	for_each_node_mask(node, pool->nodes)
		room += room_on(node);
	frames = min_t(u64, room >> inst->granule_shift, ITME_RETURN_FRAMES);
	spin_lock_irqsave(&inst->frame_lock, flags);
	frames = min(frames, pool->lent);
	pool->lent -= frames;
	spin_unlock_irqrestore(&inst->frame_lock, flags);
	if (!frames || !grow(inst, ITME_TIER_DRAM, FRAME_GFP_GENTLE))
		return;
	lend_missing(inst, pool); /* too much in pieces: not now */
}

/**
 * itme_frames_trim - give back frames above the budgets that can go by now
 * @inst: the instance; resize_mutex is held
 *
 * Frames in flight and held ones stay when a budget shrinks. This looks again
 * until the last is gone.
 */
void itme_frames_trim(struct itme_instance *inst)
{
	bool surplus = false;
	int tier;

	lockdep_assert_held(&inst->resize_mutex);
	for (tier = ITME_TIER_CXL; tier <= ITME_TIER_DRAM; tier++) {
		struct itme_pool *pool = &inst->pool[tier];

		shrink(inst, tier);
		grow(inst, tier, FRAME_GFP); /* in place of what was retired */
		surplus = surplus || READ_ONCE(pool->held) > pool->target;
	}
	take_back(inst);
	itme_pin_enforce(inst);
	if (surplus)
		mod_delayed_work(system_wq, &inst->trim_work, ITME_TRIM_INTERVAL);
}

/**
 * itme_frames_resize - set the budget of a tier and allocate or free its frames
 * @inst: the instance; resize_mutex is held
 * @tier: ITME_TIER_DRAM or ITME_TIER_CXL
 * @bytes: the budget, checked by itme_frames_check(); rounded down to granules
 *
 * Return: 0; -ENOMEM or -EINTR where it could not grow, with the old budget in
 * force and, for -ENOMEM, what the nodes had in the kernel log; -EINTR where a
 * smaller budget is in force and not all frames are back yet.
 */
int itme_frames_resize(struct itme_instance *inst, enum itme_tier tier, u64 bytes)
{
	struct itme_pool *pool = &inst->pool[tier];
	unsigned long old = pool->target, want = bytes >> inst->granule_shift;
	int err = 0;

	lockdep_assert_held(&inst->resize_mutex);
	set_target(inst, pool, want);
	itme_pin_enforce(inst);
	if (want >= old)
		err = grow(inst, tier, FRAME_GFP);
	if (err == -ENOMEM)
		report_shortage(inst, tier);
	if (err) {
		set_target(inst, pool, old);
		if (tier == ITME_TIER_DRAM)
			lend_missing(inst, pool);
	} else if (want < old) {
		err = shrink(inst, tier);
	}
	itme_frames_trim(inst);
	itme_drain_report(inst, tier);
	wake_up_all(&inst->frame_wait);
	return err;
}

/**
 * itme_frames_refill - replace frames that were lost, as far as memory allows
 * @inst: the instance
 * @tier: ITME_TIER_DRAM or ITME_TIER_CXL
 */
void itme_frames_refill(struct itme_instance *inst, enum itme_tier tier)
{
	/* A resize under way grows to the target itself. */
	if (!mutex_trylock(&inst->resize_mutex))
		return;
	grow(inst, tier, FRAME_GFP);
	mutex_unlock(&inst->resize_mutex);
}

/**
 * itme_frames_free - give back all frames of an instance without regions
 * @inst: the instance
 */
void itme_frames_free(struct itme_instance *inst)
{
	int tier;

	for (tier = 0; tier < ITME_TIERS; tier++) {
		struct itme_pool *pool = &inst->pool[tier];
		struct folio *folio;

		set_target(inst, pool, 0);
		while ((folio = take_surplus(inst, pool)))
			frame_free(folio);
	}
}

static struct folio *pop_locked(struct itme_pool *pool)
{
	struct folio *folio = NULL;

	if (pool->nr_free) {
		folio = list_first_entry(&pool->free, struct folio, lru);
		list_del_init(&folio->lru);
		folio->private = (void *)ITME_LIST_NONE;
		pool->nr_free--;
	}
	return folio;
}

/**
 * itme_frame_pop - take a free frame
 * @inst: the instance
 * @tier: ITME_TIER_DRAM or ITME_TIER_CXL
 *
 * Return: a frame with one reference that the caller owns, or NULL.
 */
struct folio *itme_frame_pop(struct itme_instance *inst, enum itme_tier tier)
{
	struct folio *folio;
	unsigned long flags;

	spin_lock_irqsave(&inst->frame_lock, flags);
	folio = pop_locked(&inst->pool[tier]);
	spin_unlock_irqrestore(&inst->frame_lock, flags);
	return folio;
}

/**
 * itme_frame_pop_promised - take a free frame for the holder of a promise
 * @inst: the instance
 * @tier: ITME_TIER_DRAM or ITME_TIER_CXL
 *
 * Frame and promise go together: one after the other, a hint that comes between
 * them would be clipped although there is room for it.
 *
 * Return: a frame as of itme_frame_pop(), and the promise is ended; or NULL, and
 * it is not.
 */
struct folio *itme_frame_pop_promised(struct itme_instance *inst, enum itme_tier tier)
{
	struct folio *folio;
	unsigned long flags;

	spin_lock_irqsave(&inst->frame_lock, flags);
	folio = pop_locked(&inst->pool[tier]);
	if (folio)
		inst->pool[tier].promised--;
	spin_unlock_irqrestore(&inst->frame_lock, flags);
	return folio;
}

/**
 * itme_frame_put - give a frame back to its pool
 * @inst: the instance
 * @tier: the frame's tier
 * @folio: unbound, with one reference, on no list
 *
 * A frame above the budget goes back to the kernel. Any context.
 */
void itme_frame_put(struct itme_instance *inst, enum itme_tier tier, struct folio *folio)
{
	struct itme_pool *pool = &inst->pool[tier];
	unsigned long flags;
	bool surplus;

	spin_lock_irqsave(&inst->frame_lock, flags);
	surplus = pool->held > pool->target;
	if (surplus) {
		pool->held--;
	} else {
		list_add(&folio->lru, &pool->free); /* the warmest goes out first */
		folio->private = (void *)ITME_LIST_FREE;
		pool->nr_free++;
	}
	spin_unlock_irqrestore(&inst->frame_lock, flags);
	if (surplus)
		frame_free(folio);
	wake_up_all(&inst->frame_wait);
}

static unsigned long spare_locked(const struct itme_instance *inst)
{
	const struct itme_pool *pool = &inst->pool[ITME_TIER_DRAM];
	unsigned long idle = pool->nr_free + pool->nr_settled + pool->nr_ahead;
	/* Demand finds a frame in the end, whatever is pinned, now or later, and dirty. */
	unsigned long kept = READ_ONCE(inst->window_frames) + ITME_PIN_RESERVE_FRAMES +
			     READ_ONCE(pool->nr_pinned) + itme_reserve_frames(inst) +
			     atomic_long_read(&inst->nr_dirty);

	if (itme_victim_top_tier(inst) == ITME_TIER_DRAM)
		idle += inst->nr_window;
	kept = max(kept, READ_ONCE(inst->floor_frames));
	return min(idle - min(idle, pool->promised), pool->held - min(pool->held, kept));
}

/**
 * itme_frames_spare - DRAM frames that the host could have under pressure
 * @inst: the instance
 *
 * Those among them that turn out to be held, or in use at that moment, stay.
 *
 * Return: frames.
 */
unsigned long itme_frames_spare(struct itme_instance *inst)
{
	unsigned long flags, spare;

	spin_lock_irqsave(&inst->frame_lock, flags);
	spare = spare_locked(inst);
	spin_unlock_irqrestore(&inst->frame_lock, flags);
	return spare;
}

/**
 * itme_frame_give - give the host a DRAM frame, because it is short of memory
 * @inst: the instance
 *
 * Waits for nothing, but for the copy where a resident moves to CXL memory. What was
 * given comes back when the pressure is over.
 *
 * Return: whether there was one to give.
 */
bool itme_frame_give(struct itme_instance *inst)
{
	struct itme_pool *pool = &inst->pool[ITME_TIER_DRAM];
	struct folio *folio = NULL;
	unsigned long flags;
	bool spare;

	spin_lock_irqsave(&inst->frame_lock, flags);
	spare = spare_locked(inst) > 0;
	if (spare && pool->nr_free > pool->promised)
		folio = pop_locked(pool);
	spin_unlock_irqrestore(&inst->frame_lock, flags);
	if (spare && !folio)
		folio = itme_victim_reclaim(inst, ITME_TIER_DRAM, ITME_TAKER_PRESSURE);
	if (!folio)
		return false;
	spin_lock_irqsave(&inst->frame_lock, flags);
	pool->held--;
	if (pool->held + pool->lent < pool->target)
		pool->lent++;
	spin_unlock_irqrestore(&inst->frame_lock, flags);
	WRITE_ONCE(inst->lent_at, jiffies);
	atomic_long_inc(&inst->nr_returned);
	schedule_delayed_work(&inst->trim_work, ITME_RETURN_INTERVAL);
	frame_free(folio);
	return true;
}

/**
 * itme_frame_lost - a frame outlives its region by references of others
 * @inst: the instance
 * @tier: the frame's tier
 *
 * The last reference frees it; the tier is one frame short until a refill.
 */
void itme_frame_lost(struct itme_instance *inst, enum itme_tier tier)
{
	unsigned long flags;

	spin_lock_irqsave(&inst->frame_lock, flags);
	inst->pool[tier].held--;
	spin_unlock_irqrestore(&inst->frame_lock, flags);
}

/**
 * itme_frame_retire - a frame has met poison: it stays allocated and is never used again
 * @inst: the instance
 * @tier: the frame's tier
 *
 * The tier is one frame short until it is replaced, by the trim work. Any context.
 */
void itme_frame_retire(struct itme_instance *inst, enum itme_tier tier)
{
	itme_frame_lost(inst, tier);
	schedule_delayed_work(&inst->trim_work, 0);
}

/**
 * itme_frame_bind - make a frame the memory of a granule
 * @folio: a frame that nobody else can reach yet
 * @region: the region
 * @granule: its granule
 *
 * The core needs both fields to map the folio, and to find it by.
 */
void itme_frame_bind(struct folio *folio, struct itme_region *region, u64 granule)
{
	folio->index = granule << itme_granule_order(region->inst);
	folio->mapping = region->inode.i_mapping;
}

/**
 * itme_frame_unbind - undo itme_frame_bind()
 * @folio: a frame that is unmapped; locked, or reachable by nobody
 */
void itme_frame_unbind(struct folio *folio)
{
	folio->mapping = NULL;
	folio->index = 0;
	folio_clear_dirty(folio);
	folio_clear_referenced(folio);
}
