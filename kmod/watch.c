// SPDX-License-Identifier: GPL-2.0-only
/*
 * Watches: the next access to a granule is told by the tracepoint itme:touch. A
 * granule that is mapped is unmapped for it, so that the access faults.
 */
#include <linux/pagemap.h>
#include "itme.h"

static void unmap(struct itme_region *region, struct itme_granule *g)
{
	enum itme_tier tier;
	struct folio *folio = itme_granule_frame(g, &tier);

	if (!folio)
		return; /* absent, or on the move: then it is unmapped anyway */
	folio_lock(folio);
	if (folio->mapping)
		unmap_mapping_pages(folio->mapping, folio->index, folio_nr_pages(folio), false);
	folio_unlock(folio);
	folio_put(folio);
}

/**
 * itme_watch_add - watch a granule
 * @opened: the open file
 * @granule: its number; it is described
 *
 * A granule has one watch, and an open file that it belongs to.
 *
 * Return: 0; -EALREADY where it is watched, by whomever; -ENOMEM.
 */
int itme_watch_add(struct itme_opened *opened, u64 granule)
{
	struct itme_region *region = opened->region;
	struct itme_granule *g = itme_region_granule(region, granule);
	int err;

	if (itme_granule_snapshot(g).flags & ITME_GRANULE_WATCHED)
		return -EALREADY;
	/* A watch that has ended leaves its entry: it is ours now. */
	err = xa_err(xa_store(&region->watches, granule, opened, GFP_KERNEL_ACCOUNT));
	if (err)
		return err;
	if (itme_granule_set(g, ITME_GRANULE_WATCHED, 0) & ITME_GRANULE_WATCHED)
		return -EALREADY;
	unmap(region, g);
	return 0;
}

/**
 * itme_watch_remove - end the watches of an open file
 * @opened: the open file
 * @first: first granule
 * @last: last granule
 *
 * Return: bytes that were watched still.
 */
u64 itme_watch_remove(struct itme_opened *opened, u64 first, u64 last)
{
	struct itme_region *region = opened->region;
	unsigned long granule;
	u64 bytes = 0;
	void *entry;

	xa_for_each_range(&region->watches, granule, entry, first, last) {
		struct itme_granule *g = itme_region_granule(region, granule);

		cond_resched();
		if (entry != opened ||
		    xa_cmpxchg(&region->watches, granule, opened, NULL, GFP_KERNEL) != opened)
			continue;
		if (itme_granule_set(g, 0, ITME_GRANULE_WATCHED) & ITME_GRANULE_WATCHED)
			bytes += itme_granule_valid_bytes(region, granule);
	}
	return bytes;
}
