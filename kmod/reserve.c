// SPDX-License-Identifier: GPL-2.0-only
/*
 * What pinnable regions keep of the budgets. All of such a region may be held at a
 * time, for as long as somebody likes. So there is a frame for each of its granules,
 * beside those that demand always finds in the end.
 */
#include "itme.h"

/**
 * itme_reserve_frames - frames that pinnable regions may need
 * @inst: the instance
 *
 * Return: frames, of both tiers together.
 */
unsigned long itme_reserve_frames(const struct itme_instance *inst)
{
	return atomic_long_read(&inst->nr_reserved);
}

static unsigned long closed_frames(unsigned long window)
{
	return window + ITME_PIN_RESERVE_FRAMES;
}

/**
 * itme_reserve_fits - would smaller budgets or a larger window leave them their frames?
 * @inst: the instance
 * @frames: of both budgets together
 * @window: frames of the window
 *
 * Return: whether they would.
 */
bool itme_reserve_fits(const struct itme_instance *inst, u64 frames, unsigned long window)
{
	unsigned long reserved = itme_reserve_frames(inst);

	return !reserved || frames >= reserved + closed_frames(window);
}

/**
 * itme_reserve_take - admit a pinnable region
 * @region: a new region, with its size
 *
 * Return: 0; -ENOSPC where the budgets have no room for it, said in the kernel log;
 * -EINTR.
 */
int itme_reserve_take(struct itme_region *region)
{
	struct itme_instance *inst = region->inst;
	u64 frames, taken;

	if (mutex_lock_killable(&inst->resize_mutex))
		return -EINTR;
	frames = inst->pool[ITME_TIER_DRAM].target + inst->pool[ITME_TIER_CXL].target;
	taken = itme_reserve_frames(inst) + closed_frames(inst->window_frames);
	if (taken + region->nr_granules > frames) {
		mutex_unlock(&inst->resize_mutex);
		pr_err("%s: a pinnable region of %llu granules does not fit: the budgets have %llu, and %llu of them are taken\n",
		       inst->name, region->nr_granules, frames, taken);
		return -ENOSPC;
	}
	region->pinnable = true;
	atomic_long_add(region->nr_granules, &inst->nr_reserved);
	itme_pin_enforce(inst);
	mutex_unlock(&inst->resize_mutex);
	return 0;
}

/**
 * itme_reserve_release - the region is gone
 * @region: a region; nothing happens where it is not pinnable
 */
void itme_reserve_release(struct itme_region *region)
{
	if (region->pinnable)
		atomic_long_sub(region->nr_granules, &region->inst->nr_reserved);
}
