// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory pressure: clean DRAM frames go back to the host when it is short of
 * memory, and come back when it is not any more.
 *
 * Runs inside reclaim, so in any thread that allocates: it takes folio locks by
 * trylock only, does no I/O, allocates nothing and waits for no granule (see
 * ITME_CLAIM_NOWAIT). Pinned, held and dirty frames stay, and what is promised to a hint.
 */
#include <linux/oom.h>
#include <linux/sched/mm.h>
#include <linux/shrinker.h>
#include <linux/swap.h>
#include "itme.h"

/* The least that reclaim asks for at a time: a huge page. */
#define BATCH_PAGES (ITME_GRANULE_MAX >> PAGE_SHIFT)
/*
 * In its last attempts reclaim takes twice what there is, however little it needs: tell
 * it of a part at a time, and it looks again between two.
 */
#define TOLD_PART 8
#define TOLD_LEAST_PAGES (16 * BATCH_PAGES)
/* Before somebody is killed, the writer has so long to clean a frame; looked at so often. */
#define LAST_WAIT (HZ / 2)
#define LAST_LOOK (HZ / 50)

static unsigned long count(struct shrinker *shrinker, struct shrink_control *sc)
{
	struct itme_instance *inst = shrinker->private_data;
	unsigned long pages;

	if (!node_isset(sc->nid, inst->pool[ITME_TIER_DRAM].nodes))
		return 0;
	pages = itme_frames_spare(inst) << itme_granule_order(inst);
	return min(pages, max(pages / TOLD_PART, TOLD_LEAST_PAGES));
}

/*
 * Several threads reclaim at once, and each goes on until its round is over, whatever
 * the others have got: a node that has what the kernel wants to keep free needs no more.
 */
static bool is_balanced(int nid)
{
	int i;

	for (i = 0; i < ZONE_MOVABLE; i++) {
		struct zone *zone = &NODE_DATA(nid)->node_zones[i];

		if (zone_managed_pages(zone) &&
		    zone_page_state(zone, NR_FREE_PAGES) >
			    high_wmark_pages(zone) + zone->lowmem_reserve[ZONE_MOVABLE])
			return true;
	}
	return false;
}

/* Try to give frames of so many pages, to @nid until it is balanced. Returns pages. */
static unsigned long give(struct itme_instance *inst, int nid, unsigned long pages,
			  unsigned long *tried)
{
	unsigned long freed = 0;

	while (*tried < pages && (nid == NUMA_NO_NODE || !is_balanced(nid))) {
		*tried += 1UL << itme_granule_order(inst);
		if (itme_frame_give(inst))
			freed += 1UL << itme_granule_order(inst);
	}
	/* What is dirty is kept: the host may have it when it is written. */
	if (freed < pages && (nid == NUMA_NO_NODE || !is_balanced(nid)))
		itme_writeback_want_frame(inst);
	return freed;
}

static unsigned long scan(struct shrinker *shrinker, struct shrink_control *sc)
{
	struct itme_instance *inst = shrinker->private_data;
	unsigned long freed, tried = 0;

	/*
	 * Who reclaims has PF_MEMALLOC. /proc/sys/vm/drop_caches has not: it is to drop
	 * caches, and frames are a budget that somebody has set.
	 */
	if (!(sc->gfp_mask & __GFP_FS) || !(current->flags & PF_MEMALLOC))
		return SHRINK_STOP;
	/* A budget that grows would lose here what it has just got. */
	if (mutex_is_locked(&inst->resize_mutex))
		return SHRINK_STOP;
	freed = give(inst, sc->nid, sc->nr_to_scan, &tried);
	sc->nr_scanned = tried;
	/* Else reclaim would see no progress in it, and call for the OOM killer. */
	mm_account_reclaimed_pages(freed);
	return freed ?: SHRINK_STOP;
}

/* It comes again if this was not enough; what is missing may be one large piece. */
static unsigned long give_last(struct itme_instance *inst)
{
	unsigned long spare = itme_frames_spare(inst) << itme_granule_order(inst);
	unsigned long tried = 0;

	return give(inst, NUMA_NO_NODE, min(spare, TOLD_LEAST_PAGES), &tried);
}

/* Is there anything that time gives us? */
static bool is_worth_waiting(struct itme_instance *inst)
{
	return itme_frames_spare(inst) || itme_dirty_any(inst);
}

/*
 * Nothing else is left to reclaim. What can still go goes, and the kernel log gets to
 * know what does not: frames are in no line of the kernel's own report. Reclaim does not
 * wait for the writer as it does for that of the page cache, so it is waited for here,
 * once and for a bounded time: the writer may need what this thread has locked.
 */
static int oom(struct notifier_block *nb, unsigned long unused, void *freed)
{
	struct itme_instance *inst = container_of(nb, struct itme_instance, oom_notifier);
	struct itme_pool *dram = &inst->pool[ITME_TIER_DRAM], *cxl = &inst->pool[ITME_TIER_CXL];
	unsigned long end = jiffies + LAST_WAIT;
	unsigned long pages = give_last(inst);

	while (!pages && is_worth_waiting(inst) && time_before(jiffies, end)) {
		itme_writeback_want_frame(inst);
		schedule_timeout_uninterruptible(LAST_LOOK);
		pages = give_last(inst);
	}
	*(unsigned long *)freed += pages;
	pr_info_ratelimited("%s: holds %llu kB of DRAM (%llu kB pinned, %llu kB were just given back) and %llu kB of CXL memory\n",
			    inst->name, (u64)READ_ONCE(dram->held) << inst->granule_shift >> 10,
			    (u64)READ_ONCE(dram->nr_pinned) << inst->granule_shift >> 10,
			    (u64)pages << PAGE_SHIFT >> 10,
			    (u64)READ_ONCE(cxl->held) << inst->granule_shift >> 10);
	return NOTIFY_OK;
}

/**
 * itme_shrinker_add - let the host have frames of an instance when it needs memory
 * @inst: the instance, with its name and frames
 *
 * Return: 0 or -ENOMEM.
 */
int itme_shrinker_add(struct itme_instance *inst)
{
	struct shrinker *shrinker = shrinker_alloc(SHRINKER_NUMA_AWARE, "itme:%s", inst->name);

	if (!shrinker)
		return -ENOMEM;
	shrinker->count_objects = count;
	shrinker->scan_objects = scan;
	shrinker->batch = BATCH_PAGES;
	shrinker->private_data = inst;
	inst->shrinker = shrinker;
	shrinker_register(shrinker);
	inst->oom_notifier.notifier_call = oom;
	register_oom_notifier(&inst->oom_notifier);
	return 0;
}

/**
 * itme_shrinker_remove - undo itme_shrinker_add(), if it was done
 * @inst: the instance
 *
 * After this nobody takes frames of the instance.
 */
void itme_shrinker_remove(struct itme_instance *inst)
{
	if (!inst->shrinker)
		return;
	unregister_oom_notifier(&inst->oom_notifier);
	shrinker_free(inst->shrinker);
}
