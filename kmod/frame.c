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
#define FRAME_GFP (GFP_KERNEL | __GFP_THISNODE | __GFP_NOWARN | __GFP_RETRY_MAYFAIL)

static const char *tier_key(enum itme_tier tier)
{
	return tier == ITME_TIER_DRAM ? "dram" : "cxl";
}

static struct folio *frame_alloc(struct itme_instance *inst, int node)
{
	struct folio *folio = __folio_alloc_node(FRAME_GFP, itme_granule_order(inst), node);

	if (folio) {
		INIT_LIST_HEAD(&folio->lru);
		folio->private = (void *)ITME_LIST_NONE;
	}
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

/* Allocate up to the target, one node after the other so that they interleave. */
static int grow(struct itme_instance *inst, enum itme_tier tier)
{
	struct itme_pool *pool = &inst->pool[tier];
	int node = first_node(pool->nodes);
	nodemask_t empty = NODE_MASK_NONE;

	while (READ_ONCE(pool->held) < pool->target) {
		struct folio *folio;

		if (fatal_signal_pending(current))
			return -EINTR;
		folio = node_isset(node, empty) ? NULL : frame_alloc(inst, node);
		if (folio)
			add_frame(inst, pool, folio);
		else
			node_set(node, empty);
		if (nodes_equal(empty, pool->nodes))
			return -ENOMEM;
		node = next_node_in(node, pool->nodes);
		cond_resched();
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

static void set_target(struct itme_instance *inst, struct itme_pool *pool, unsigned long frames)
{
	unsigned long flags;

	spin_lock_irqsave(&inst->frame_lock, flags);
	/* The window holds frames of the top tier only, which may change now. */
	itme_victim_settle_window(inst);
	pool->target = frames;
	spin_unlock_irqrestore(&inst->frame_lock, flags);
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
		grow(inst, tier); /* in place of what was retired */
		surplus = surplus || READ_ONCE(pool->held) > pool->target;
	}
	itme_pin_enforce(inst);
	if (surplus)
		schedule_delayed_work(&inst->trim_work, ITME_TRIM_INTERVAL);
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
		err = grow(inst, tier);
	if (err == -ENOMEM)
		pr_err("%s: %s: node %*pbl gave %lu of %lu frames of %llu bytes; free memory or lower the budget\n",
		       inst->name, tier_key(tier), nodemask_pr_args(&pool->nodes), pool->held,
		       want, itme_granule_bytes(inst));
	if (err)
		set_target(inst, pool, old);
	else if (want < old)
		err = shrink(inst, tier);
	itme_frames_trim(inst);
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
	grow(inst, tier);
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
