// SPDX-License-Identifier: GPL-2.0-only
/* Taking a granule's frame away: drop it, or move its data to another frame. */
#include <linux/pagemap.h>
#include "itme.h"
#include "trace.h"

/*
 * Unmap a claimed granule's frame and make sure that nobody else refers to it.
 * 0: the folio is locked and its reference count is frozen at zero.
 * -EBUSY: it is held; it is unlocked and RESIDENT again.
 */
static int revoke(struct itme_region *region, struct itme_granule *g, struct folio *folio)
{
	folio_lock(folio);
	/*
	 * A region that can be written to calls folio_mkclean() here first: on
	 * some kernels a zap loses the dirty bit of a PMD. Read-only ones have
	 * none to lose.
	 */
	unmap_mapping_pages(region->inode.i_mapping, folio->index, folio_nr_pages(folio), false);
	if (folio_ref_freeze(folio, 1))
		return 0;
	itme_granule_resident(g, folio, g->tier, ITME_GRANULE_HELD);
	folio_unlock(folio);
	itme_count_one(region, held_count);
	return -EBUSY;
}

/* The frame belongs to no granule any more: the caller's alone. */
static void release(struct folio *folio)
{
	itme_frame_unbind(folio);
	folio_ref_unfreeze(folio, 1);
	folio_unlock(folio);
}

/**
 * itme_migrate_drop - take a clean granule out of memory
 * @region: its region
 * @granule: its number
 * @folio: its frame, which the caller took off its list
 * @force: even where a waiter has not seen it yet
 *
 * Return: 0, the frame is the caller's; -ENOENT where @folio is not its frame;
 * -EAGAIN where a waiter comes first; -EBUSY where the frame is held.
 */
int itme_migrate_drop(struct itme_region *region, u64 granule, struct folio *folio,
		      bool force)
{
	struct itme_granule *g = itme_region_granule(region, granule);
	enum itme_tier tier;
	int err;

	err = itme_granule_claim(g, folio, force);
	if (err)
		return err;
	tier = g->tier;
	err = revoke(region, g, folio);
	if (err)
		return err;
	itme_granule_absent(g, 0);
	release(folio);
	atomic_long_dec(&region->resident[tier]);
	itme_count_add(region, evict_bytes, itme_granule_bytes(region->inst));
	trace_evict(region, granule, tier);
	return 0;
}

/**
 * itme_migrate_move - move a granule to another frame
 * @region: its region
 * @granule: its number
 * @from: its frame, which the caller took off its list
 * @to: the new frame, the caller's alone
 * @to_tier: the new frame's tier
 * @force: even where a waiter has not seen it yet
 *
 * Return: 0, @from is the caller's and @to is the granule's, for the caller to
 * put on a list; otherwise as itme_migrate_drop(), or -EHWPOISON where the
 * copy met poison, and nothing changed.
 */
int itme_migrate_move(struct itme_region *region, u64 granule, struct folio *from,
		      struct folio *to, enum itme_tier to_tier, bool force)
{
	struct itme_granule *g = itme_region_granule(region, granule);
	u64 bytes = itme_granule_bytes(region->inst);
	enum itme_tier from_tier;
	int err;

	err = itme_granule_claim(g, from, force);
	if (err)
		return err;
	from_tier = g->tier;
	err = revoke(region, g, from);
	if (err) {
		trace_migrate(region, granule, from_tier, to_tier, err);
		return err;
	}
	err = folio_mc_copy(to, from);
	if (err) {
		folio_ref_unfreeze(from, 1);
		itme_granule_resident(g, from, from_tier, 0);
		folio_unlock(from);
		trace_migrate(region, granule, from_tier, to_tier, err);
		return err;
	}
	itme_frame_bind(to, region, granule);
	itme_granule_resident(g, to, to_tier, 0);
	release(from);
	atomic_long_dec(&region->resident[from_tier]);
	atomic_long_inc(&region->resident[to_tier]);
	if (to_tier == ITME_TIER_CXL)
		itme_count_add(region, demote_bytes, bytes);
	else
		itme_count_add(region, promote_bytes, bytes);
	trace_migrate(region, granule, from_tier, to_tier, 0);
	return 0;
}
