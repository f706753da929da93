// SPDX-License-Identifier: GPL-2.0-only
/* An instance: one mounted tier set, from its options to its end. */
#include <linux/idr.h>
#include <linux/slab.h>
#include "itme.h"
#include "options.h"

static DEFINE_IDA(instance_ids);

/* The next itmeN that no other mount has been given. */
static int next_name(struct itme_instance *inst)
{
	int id = ida_alloc_min(&instance_ids, inst->id + 1, GFP_KERNEL);

	if (id < 0)
		return id;
	if (inst->id >= 0)
		ida_free(&instance_ids, inst->id);
	inst->id = id;
	snprintf(inst->name, sizeof(inst->name), "itme%d", id);
	return 0;
}

static int set_name(struct itme_instance *inst, const struct itme_options *opts)
{
	inst->id = -1;
	if (!opts->name[0])
		return next_name(inst);
	strscpy(inst->name, opts->name, sizeof(inst->name));
	return 0;
}

static int add_to_sysfs(struct fs_context *fc, struct itme_instance *inst)
{
	int err = itme_sysfs_add_instance(inst);

	/* Somebody's name= may be one that we would have given. */
	while (err == -EEXIST && inst->id >= 0)
		err = next_name(inst) ?: itme_sysfs_add_instance(inst);
	if (err == -EEXIST)
		errorf(fc, "itme: name=%s: an instance of that name is mounted", inst->name);
	return err;
}

static void trim_work(struct work_struct *work)
{
	struct itme_instance *inst = container_of(work, struct itme_instance, trim_work.work);

	mutex_lock(&inst->resize_mutex);
	itme_frames_trim(inst);
	mutex_unlock(&inst->resize_mutex);
}

static void init_pools(struct itme_instance *inst, const struct itme_options *opts)
{
	int tier;

	for (tier = 0; tier < ITME_TIERS; tier++) {
		struct itme_pool *pool = &inst->pool[tier];

		INIT_LIST_HEAD(&pool->free);
		INIT_LIST_HEAD(&pool->settled);
		INIT_LIST_HEAD(&pool->ahead);
		INIT_LIST_HEAD(&pool->pinned);
		pool->nodes = opts->nodes[tier];
	}
	INIT_LIST_HEAD(&inst->window);
	spin_lock_init(&inst->frame_lock);
	mutex_init(&inst->resize_mutex);
	INIT_DELAYED_WORK(&inst->trim_work, trim_work);
	init_waitqueue_head(&inst->frame_wait);
	itme_dirty_setup(inst);
	itme_queue_setup(inst);
	itme_pin_setup(inst);
}

static unsigned long top_tier_frames(const struct itme_instance *inst)
{
	return inst->pool[itme_victim_top_tier(inst)].target;
}

/*
 * A window costs frames that could hold residents, so it is small: enough for
 * a few threads that read side by side, at most a quarter of a small budget. Two
 * at least, for an instruction that reads across the border of two granules.
 */
static unsigned long default_window_frames(const struct itme_instance *inst)
{
	unsigned long frames = top_tier_frames(inst);

	return clamp(frames / 4, min(frames, 2UL), (unsigned long)ITME_WINDOW_DEFAULT_FRAMES);
}

static u64 all_frames(const struct itme_instance *inst)
{
	return (u64)inst->pool[ITME_TIER_DRAM].target + inst->pool[ITME_TIER_CXL].target;
}

/* resize_mutex is held, or the instance is new. */
static int set_window(struct itme_instance *inst, u64 bytes)
{
	u64 frames = bytes >> inst->granule_shift;
	unsigned long flags;

	if (!frames || frames > top_tier_frames(inst))
		return -EINVAL;
	if (frames > inst->window_frames && !itme_reserve_fits(inst, all_frames(inst), frames))
		return -EBUSY;
	spin_lock_irqsave(&inst->frame_lock, flags);
	inst->window_frames = frames;
	spin_unlock_irqrestore(&inst->frame_lock, flags);
	itme_pin_enforce(inst);
	itme_queue_kick(inst);
	return 0;
}

/**
 * itme_instance_set_window - set the part of the budget for data in flight, for sysfs
 * @inst: the instance
 * @bytes: at least one granule, at most the top tier's budget
 *
 * Return: 0; -EINVAL where @bytes is out of range; -EBUSY where pinnable regions would
 * be left with too few frames; -EINTR.
 */
int itme_instance_set_window(struct itme_instance *inst, u64 bytes)
{
	int err;

	if (mutex_lock_killable(&inst->resize_mutex))
		return -EINTR;
	err = set_window(inst, bytes);
	mutex_unlock(&inst->resize_mutex);
	return err;
}

/**
 * itme_instance_set_inflight - set the most bytes that hints may have under way
 * @inst: the instance
 * @bytes: rounded down to granules; 0 means the default, half the window; more than
 *	the window means the window
 *
 * Return: 0, or -EINVAL for less than a granule.
 */
int itme_instance_set_inflight(struct itme_instance *inst, u64 bytes)
{
	u64 frames = bytes >> inst->granule_shift;

	if (bytes && !frames)
		return -EINVAL;
	WRITE_ONCE(inst->inflight_frames, min_t(u64, frames, ULONG_MAX));
	itme_queue_kick(inst);
	return 0;
}

/**
 * itme_instance_set_floor - set what memory pressure leaves of the DRAM frames
 * @inst: the instance
 * @bytes: rounded down to granules; more than the budget means all of it
 *
 * Return: 0.
 */
int itme_instance_set_floor(struct itme_instance *inst, u64 bytes)
{
	WRITE_ONCE(inst->floor_frames, min_t(u64, bytes >> inst->granule_shift, ULONG_MAX));
	return 0;
}

/* Keep the window inside the top tier, whatever the budgets became. */
static void clamp_window(struct itme_instance *inst)
{
	unsigned long flags;

	spin_lock_irqsave(&inst->frame_lock, flags);
	inst->window_frames =
		clamp(inst->window_frames, 1UL, max(top_tier_frames(inst), 1UL));
	spin_unlock_irqrestore(&inst->frame_lock, flags);
}

static int resize(struct fs_context *fc, struct itme_instance *inst, enum itme_tier tier,
		  u64 bytes)
{
	int err = itme_frames_resize(inst, tier, bytes);

	if (err == -ENOMEM)
		errorf(fc, "itme: not enough free memory for %s=%llu; the kernel log says which node had how much",
		       tier == ITME_TIER_DRAM ? "dram" : "cxl", bytes);
	return err;
}

static int check_budget(struct itme_instance *inst, enum itme_tier tier, u64 bytes)
{
	struct itme_pool *other =
		&inst->pool[tier == ITME_TIER_DRAM ? ITME_TIER_CXL : ITME_TIER_DRAM];
	u64 frames = other->target + (bytes >> inst->granule_shift);

	if (bytes && other->target && nodes_intersects(inst->pool[tier].nodes, other->nodes)) {
		pr_err("%s: a node is named for both dram and cxl\n", inst->name);
		return -EINVAL;
	}
	if (frames < ITME_MIN_FRAMES) {
		pr_err("%s: the budgets would hold %llu granules, %u are needed\n", inst->name,
		       frames, ITME_MIN_FRAMES);
		return -EINVAL;
	}
	if (frames < all_frames(inst) && !itme_reserve_fits(inst, frames, inst->window_frames)) {
		pr_err("%s: the budgets would hold %llu granules, of which pinnable regions alone need %lu beside the window; detach one first\n",
		       inst->name, frames, itme_reserve_frames(inst));
		return -EBUSY;
	}
	return itme_frames_check(NULL, tier, bytes, &inst->pool[tier].nodes);
}

/**
 * itme_instance_set_budget - change the budget of a tier live, for sysfs
 * @inst: the instance
 * @tier: ITME_TIER_DRAM or ITME_TIER_CXL
 * @bytes: the budget; rounded down to granules
 *
 * Return: 0; -EINVAL where the nodes cannot have it or the instance would be
 * left with too few granules, -EBUSY where pinnable regions would be, with the reason
 * in the kernel log; -ENOMEM, -EINTR.
 */
int itme_instance_set_budget(struct itme_instance *inst, enum itme_tier tier, u64 bytes)
{
	int err;

	if (mutex_lock_killable(&inst->resize_mutex))
		return -EINTR;
	err = check_budget(inst, tier, bytes) ?: itme_frames_resize(inst, tier, bytes);
	clamp_window(inst);
	mutex_unlock(&inst->resize_mutex);
	return err;
}

static struct workqueue_struct *make_workqueue(const char *name)
{
	return alloc_workqueue(name, WQ_UNBOUND | WQ_MEM_RECLAIM | WQ_HIGHPRI, WQ_MAX_ACTIVE);
}

static int create_frames(struct fs_context *fc, struct itme_instance *inst,
			 const struct itme_options *opts)
{
	int tier, err = 0;

	mutex_lock(&inst->resize_mutex);
	for (tier = ITME_TIER_CXL; !err && tier <= ITME_TIER_DRAM; tier++)
		err = itme_frames_check(fc, tier, opts->bytes[tier], &opts->nodes[tier]);
	for (tier = ITME_TIER_DRAM; !err && tier >= ITME_TIER_CXL; tier--)
		err = resize(fc, inst, tier, opts->bytes[tier]);
	mutex_unlock(&inst->resize_mutex);
	return err;
}

/**
 * itme_instance_create - make an instance and allocate its frames
 * @fc: the mount under way, for its log
 * @opts: checked options
 *
 * Return: the instance, or an error pointer: -EEXIST for a name in use,
 * -EINVAL for a budget that its nodes cannot have, -ENOMEM, -EINTR.
 */
struct itme_instance *itme_instance_create(struct fs_context *fc,
					   const struct itme_options *opts)
{
	struct itme_instance *inst;
	int err;

	inst = kzalloc(sizeof(*inst), GFP_KERNEL);
	if (!inst)
		return ERR_PTR(-ENOMEM);
	inst->granule_shift = ilog2(opts->granule_bytes);
	init_pools(inst, opts);
	err = set_name(inst, opts);
	if (err)
		goto err_free;
	err = -ENOMEM;
	inst->fill_wq = make_workqueue("itme_fill");
	if (!inst->fill_wq)
		goto err_name;
	/* Apart, so that fills with a frame never stand behind those that wait for one. */
	inst->store_wq = make_workqueue("itme_store");
	if (!inst->store_wq)
		goto err_fill_wq;
	err = itme_writeback_setup(inst);
	if (err)
		goto err_store_wq;
	err = create_frames(fc, inst, opts);
	if (err)
		goto err_frames;
	inst->window_frames = default_window_frames(inst);
	if (opts->window_given && set_window(inst, opts->window_bytes)) {
		err = itme_invalf(fc, "window=%llu: takes one granule to the whole budget of the fastest tier",
				  opts->window_bytes);
		goto err_frames;
	}
	err = itme_shrinker_add(inst);
	if (err)
		goto err_frames;
	err = add_to_sysfs(fc, inst);
	if (err)
		goto err_shrinker;
	return inst;

err_shrinker:
	itme_shrinker_remove(inst);
err_frames:
	cancel_delayed_work_sync(&inst->trim_work);
	itme_frames_free(inst);
	itme_writeback_teardown(inst);
err_store_wq:
	destroy_workqueue(inst->store_wq);
err_fill_wq:
	destroy_workqueue(inst->fill_wq);
err_name:
	if (inst->id >= 0)
		ida_free(&instance_ids, inst->id);
err_free:
	kfree(inst);
	return ERR_PTR(err);
}

/* mount(8) repeats the options in force: those may be clamped to a new budget. */
static bool window_changes(const struct itme_instance *inst, const struct itme_options *opts)
{
	return opts->window_given &&
	       opts->window_bytes >> inst->granule_shift != inst->window_frames;
}

static int check_reconfigure(struct fs_context *fc, struct itme_instance *inst,
			     const struct itme_options *opts)
{
	nodemask_t nodes[ITME_TIERS];
	u64 target[ITME_TIERS], frames;
	int tier;

	if (opts->name[0] && strcmp(opts->name, inst->name))
		return itme_invalf(fc, "name= cannot change on remount");
	if (opts->granule_given && opts->granule_bytes != itme_granule_bytes(inst))
		return itme_invalf(fc, "granule= cannot change on remount");
	for (tier = ITME_TIER_CXL; tier <= ITME_TIER_DRAM; tier++) {
		const nodemask_t *want = &opts->nodes[tier];
		struct itme_pool *pool = &inst->pool[tier];

		target[tier] = opts->given[tier] ? opts->bytes[tier] >> inst->granule_shift :
						   pool->target;
		nodes[tier] = pool->nodes;
		if (!opts->given[tier] || nodes_empty(*want) || nodes_equal(*want, pool->nodes))
			continue;
		nodes[tier] = *want;
		if (pool->target)
			return itme_invalf(fc, "the nodes of a tier cannot change while it has frames; set its budget to 0 first");
	}
	for (tier = ITME_TIER_CXL; tier <= ITME_TIER_DRAM; tier++) {
		int err = 0;

		if (opts->given[tier])
			err = itme_frames_check(fc, tier, opts->bytes[tier], &nodes[tier]);
		if (err)
			return err;
	}
	if (target[ITME_TIER_DRAM] && target[ITME_TIER_CXL] &&
	    nodes_intersects(nodes[ITME_TIER_DRAM], nodes[ITME_TIER_CXL]))
		return itme_invalf(fc, "a node is named for both dram and cxl");
	frames = target[ITME_TIER_DRAM] + target[ITME_TIER_CXL];
	if (frames < ITME_MIN_FRAMES)
		return itme_invalf(fc, "the budgets would hold %llu granules, %u are needed",
				   frames, ITME_MIN_FRAMES);
	if (frames < all_frames(inst) && !itme_reserve_fits(inst, frames, inst->window_frames)) {
		errorf(fc, "itme: the budgets would hold %llu granules, of which pinnable regions alone need %lu beside the window; detach one first",
		       frames, itme_reserve_frames(inst));
		return -EBUSY;
	}
	frames = opts->window_bytes >> inst->granule_shift;
	if (window_changes(inst, opts) &&
	    (!frames || frames > (target[ITME_TIER_DRAM] ?: target[ITME_TIER_CXL])))
		return itme_invalf(fc, "window=%llu: takes one granule to the whole budget of the fastest tier",
				   opts->window_bytes);
	return 0;
}

/* Set the budgets that are given: first those that grow, so that frames never run out. */
static int resize_given(struct fs_context *fc, struct itme_instance *inst,
			const struct itme_options *opts)
{
	int grows, tier, err = 0;

	for (grows = 1; grows >= 0; grows--) {
		/* DRAM first: when both shrink, its residents may still go to CXL memory. */
		for (tier = ITME_TIER_DRAM; !err && tier >= ITME_TIER_CXL; tier--) {
			struct itme_pool *pool = &inst->pool[tier];
			u64 want = opts->bytes[tier] >> inst->granule_shift;

			if (!opts->given[tier] || (want >= pool->target) != grows)
				continue;
			if (!nodes_empty(opts->nodes[tier]))
				pool->nodes = opts->nodes[tier];
			err = resize(fc, inst, tier, opts->bytes[tier]);
		}
	}
	return err;
}

/**
 * itme_instance_reconfigure - change budgets live, for remount
 * @fc: the remount under way, for its log
 * @inst: the instance
 * @opts: parsed options; what is not given stays
 *
 * Return: 0, or an error as for itme_instance_create(). After -EINVAL nothing has
 * changed; after -ENOMEM or -EINTR a budget that grew before the failure is as
 * asked, and those that were to shrink are as they were.
 */
int itme_instance_reconfigure(struct fs_context *fc, struct itme_instance *inst,
			      const struct itme_options *opts)
{
	bool changes_window;
	int err;

	if (mutex_lock_killable(&inst->resize_mutex))
		return -EINTR;
	changes_window = window_changes(inst, opts);
	err = check_reconfigure(fc, inst, opts);
	if (!err) {
		err = resize_given(fc, inst, opts);
		clamp_window(inst);
	}
	if (!err && changes_window)
		err = set_window(inst, opts->window_bytes);
	mutex_unlock(&inst->resize_mutex);
	return err;
}

/**
 * itme_instance_destroy - give everything back
 * @inst: an instance without regions
 */
void itme_instance_destroy(struct itme_instance *inst)
{
	itme_shrinker_remove(inst);
	cancel_delayed_work_sync(&inst->trim_work);
	itme_queue_teardown(inst);
	itme_writeback_teardown(inst);
	destroy_workqueue(inst->store_wq);
	destroy_workqueue(inst->fill_wq);
	itme_frames_free(inst);
	if (inst->id >= 0)
		ida_free(&instance_ids, inst->id);
	kfree(inst);
}
