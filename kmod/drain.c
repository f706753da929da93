// SPDX-License-Identifier: GPL-2.0-only
/*
 * What keeps a tier above its budget: frames with page references of others (DMA,
 * io_uring buffers, vmsplice) stay until those are dropped, and keep their node online.
 */
#include <linux/dcache.h>
#include "itme.h"

#define NAMED_MAX 8 /* lines of the log: the first are enough to find who it is */

struct held {
	struct itme_region *region;
	u64 granule;
	int node, references;
};

/* Note the frames of a list, with their regions kept from eviction. */
static unsigned int collect(struct itme_instance *inst, struct list_head *list, struct held *held,
			    unsigned int n)
{
	struct folio *folio;

	lockdep_assert_held(&inst->frame_lock);
	list_for_each_entry(folio, list, lru) {
		if (n == NAMED_MAX)
			break;
		held[n] = (struct held){
			.region = itme_region_of(folio->mapping->host),
			.granule = folio->index >> itme_granule_order(inst),
			.node = folio_nid(folio),
			.references = folio_ref_count(folio) - 1 - folio_mapcount(folio),
		};
		itme_region_busy_get(held[n].region);
		n++;
	}
	return n;
}

static void name(struct itme_instance *inst, const char *tier, const struct held *held)
{
	struct dentry *dentry = d_find_alias(&held->region->inode);
	u64 offset = held->granule << inst->granule_shift;

	if (dentry)
		pr_warn("%s: %s: node %d: region %pd, offset %llu: %d page references\n",
			inst->name, tier, held->node, dentry, offset, held->references);
	else
		pr_warn("%s: %s: node %d: a detached region, offset %llu: %d page references\n",
			inst->name, tier, held->node, offset, held->references);
	dput(dentry);
}

/**
 * itme_drain_report - say in the kernel log which frames keep a tier above its budget
 * @inst: the instance
 * @tier: ITME_TIER_DRAM or ITME_TIER_CXL
 */
void itme_drain_report(struct itme_instance *inst, enum itme_tier tier)
{
	const char *key = tier == ITME_TIER_DRAM ? "dram" : "cxl";
	struct itme_pool *pool = &inst->pool[tier];
	struct held held[NAMED_MAX];
	unsigned long surplus;
	unsigned int i, n = 0;

	spin_lock_irq(&inst->frame_lock);
	surplus = pool->held - min(pool->held, pool->target);
	if (surplus) {
		n = collect(inst, &pool->settled, held, n);
		n = collect(inst, &pool->ahead, held, n);
		n = collect(inst, &pool->pinned, held, n);
	}
	spin_unlock_irq(&inst->frame_lock);
	if (!surplus)
		return;
	pr_warn("%s: %s: %lu frames above the budget stay until what holds them lets go (DMA, io_uring buffers, vmsplice)\n",
		inst->name, key, surplus);
	for (i = 0; i < n; i++) {
		/* With a budget left the others of the lists are residents like any. */
		if (held[i].references > 0)
			name(inst, key, &held[i]);
		itme_region_busy_put(held[i].region);
	}
}
