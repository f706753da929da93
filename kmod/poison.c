// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory errors. The data of a clean granule is in the store too: where its frame has
 * met poison it becomes absent, is read into another frame by the next who wants it,
 * and the frame is retired, allocated for ever. A dirty granule is not given up: what
 * is poisoned of it cannot be read, and the rest is written to the store first.
 */
#include <linux/debugfs.h>
#include <linux/fault-inject.h>
#include <linux/pagemap.h>
#include "itme.h"
#include "trace.h"

/**
 * itme_poison_at - is a part of a frame known to be poisoned?
 * @folio: the frame
 * @offset: first byte
 * @bytes: bytes, at least 1
 *
 * Return: whether a page of it is.
 */
bool itme_poison_at(struct folio *folio, size_t offset, size_t bytes)
{
	size_t page, last = (offset + bytes - 1) >> PAGE_SHIFT;

	if (!IS_ENABLED(CONFIG_MEMORY_FAILURE))
		return false;
	for (page = offset >> PAGE_SHIFT; page <= last; page++)
		if (PageHWPoison(folio_page(folio, page)))
			return true;
	return false;
}

/**
 * itme_poison_in_frame - is any page of a frame known to be poisoned?
 * @folio: the frame
 *
 * Return: whether one is.
 */
bool itme_poison_in_frame(struct folio *folio)
{
	return itme_poison_at(folio, 0, folio_size(folio));
}

/**
 * itme_poison_retire_claimed - take a poisoned frame from a granule
 * @region: the region
 * @granule: its number; MOVING, owned by the caller
 * @folio: its frame, unmapped and locked by the caller, who leaves it then
 *
 * References of others may be left: the frame is never freed.
 */
void itme_poison_retire_claimed(struct itme_region *region, u64 granule, struct folio *folio)
{
	struct itme_granule *g = itme_region_granule(region, granule);
	struct itme_instance *inst = region->inst;
	enum itme_tier tier = g->tier;

	itme_frame_unbind(folio);
	itme_dirty_forget(region, g);
	/* Counted first: whoever waits for the granule reads the counters next. */
	atomic_long_dec(&region->resident[tier]);
	itme_count_add(region, retired_bytes, itme_granule_bytes(inst));
	itme_frame_retire(inst, tier);
	itme_granule_absent(region, g, 0);
	trace_error(region, granule, -EHWPOISON);
	pr_warn_ratelimited("%s: a %s frame of region %lu met poison and is retired\n", inst->name,
			    tier == ITME_TIER_DRAM ? "dram" : "cxl", region->inode.i_ino);
}

/**
 * itme_poison_retire - a reader has found poison in a granule's frame
 * @region: the region
 * @granule: its number
 * @folio: its frame, referenced by the caller
 *
 * Does nothing where somebody else owns the frame just now: the reader looks
 * again. Process context, no folio lock held.
 *
 * Return: 0; -EUCLEAN where the granule is dirty: it keeps the frame until what can
 * be read of it is in the store, which is begun.
 */
int itme_poison_retire(struct itme_region *region, u64 granule, struct folio *folio)
{
	struct itme_granule *g = itme_region_granule(region, granule);
	struct folio *own;
	enum itme_tier tier;
	int err = -ENOENT;

	own = itme_victim_take_granule(region->inst, g, &tier);
	if (!own)
		return 0;
	if (own == folio)
		err = itme_granule_claim(region, g, folio, ITME_CLAIM_UNSEEN | ITME_CLAIM_PINNED);
	if (err) {
		itme_victim_list(region->inst, own, tier, ITME_LIST_SETTLED);
		if (err == -EUCLEAN)
			itme_writeback_start(region, granule);
		return err == -EUCLEAN ? err : 0;
	}
	folio_lock(folio);
	unmap_mapping_pages(region->inode.i_mapping, folio->index, folio_nr_pages(folio), false);
	itme_poison_retire_claimed(region, granule, folio);
	folio_unlock(folio);
	return 0;
}

#ifdef CONFIG_FAULT_INJECTION_DEBUG_FS
/* debugfs itme/fail_copy: copies between frames that meet poison, for the tests. */
static DECLARE_FAULT_ATTR(fail_copy);
static struct dentry *debugfs_dir;

bool itme_poison_copy_fails(void)
{
	return should_fail(&fail_copy, 1);
}

void __init itme_poison_init(void)
{
	debugfs_dir = debugfs_create_dir("itme", NULL);
	fault_create_debugfs_attr("fail_copy", debugfs_dir, &fail_copy);
}

void itme_poison_exit(void)
{
	debugfs_remove(debugfs_dir);
}
#else
/**
 * itme_poison_copy_fails - does the kernel's fault injection want this copy to fail?
 *
 * Return: whether it does.
 */
bool itme_poison_copy_fails(void)
{
	return false;
}

/**
 * itme_poison_init - offer what the tests need, where the kernel can inject faults
 */
void __init itme_poison_init(void)
{
}

/**
 * itme_poison_exit - undo itme_poison_init()
 */
void itme_poison_exit(void)
{
}
#endif
