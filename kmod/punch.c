// SPDX-License-Identifier: GPL-2.0-only
/*
 * Holes: fallocate(FALLOC_FL_PUNCH_HOLE) and madvise(MADV_REMOVE). A hole reads as
 * zeros, and the store keeps nothing for it, where it can punch holes itself.
 */
#include <linux/fs.h>
#include <linux/falloc.h>
#include <linux/highmem.h>
#include <linux/pagemap.h>
#include <linux/rmap.h>
#include <linux/sched/signal.h>
#include "itme.h"

/* In memory: the zeros there are on their way to the store, as a hole. */
static int punch_resident(struct itme_region *region, u64 granule, struct itme_granule *g,
			  struct folio *folio)
{
	u64 bytes = itme_granule_valid_bytes(region, granule);
	int err;

	folio_lock(folio);
	itme_dirty_protect(region, folio);
	folio_zero_range(folio, 0, bytes);
	folio_unlock(folio);
	err = itme_store_punch(region, granule << region->inst->granule_shift, bytes);
	itme_writeback_disown(region, g, folio, err);
	return 0; /* else they are written as any zeros */
}

static int punch_granule(struct itme_region *region, u64 granule)
{
	struct itme_granule *g = itme_region_granule_alloc(region, granule);
	u64 bytes = itme_granule_valid_bytes(region, granule);
	u64 pos = granule << region->inst->granule_shift;
	struct folio *folio;
	int err;

	if (!g)
		return -ENOMEM;
	for (;;) {
		/* Absent: as its owner, so that nobody reads it from the store meanwhile. */
		if (itme_granule_start_fill(region, g, 0, ITME_TIER_STORE, NULL)) {
			err = itme_store_punch(region, pos, bytes);
			itme_granule_absent(region, g, 0);
			return err ? itme_write_zeros(region, pos, bytes) : 0;
		}
		folio = itme_writeback_own(region, g);
		if (folio)
			return punch_resident(region, granule, g, folio);
		err = itme_granule_wait(region, g) ?: itme_writeback_wait(region, g, true);
		if (err)
			return err == -ETIMEDOUT ? -EIO : err;
	}
}

static int punch(struct itme_region *region, u64 start, u64 end)
{
	unsigned int shift = region->inst->granule_shift;
	u64 mask = itme_granule_bytes(region->inst) - 1;
	u64 first = (start + mask) >> shift; /* that lies in the hole */
	u64 behind = end == region->bytes ? region->nr_granules : end >> shift;
	u64 granule;
	int err = 0;

	if (first >= behind) /* none does: parts of one or two */
		return itme_write_zeros(region, start, end - start);
	err = itme_write_zeros(region, start, (first << shift) - start);
	for (granule = first; !err && granule < behind; granule++) {
		err = fatal_signal_pending(current) ? -EINTR : punch_granule(region, granule);
		cond_resched();
	}
	if (!err && (behind << shift) < end)
		err = itme_write_zeros(region, behind << shift, end - (behind << shift));
	return err;
}

/**
 * itme_fallocate - fallocate(2) on a region
 * @file: the region, open for writing
 * @mode: FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
 * @offset: first byte
 * @bytes: bytes; what lies past the end of the region is left out
 *
 * Parts of granules at both ends are zeroed in memory. After an error some of the range
 * is a hole, and the rest as it was.
 *
 * Return: 0; -EPERM where it is sealed; -EOPNOTSUPP for another mode: a region has all the
 * space it will have; -EINTR, -ENOMEM, or as itme_write_iter().
 */
long itme_fallocate(struct file *file, int mode, loff_t offset, loff_t bytes)
{
	struct inode *inode = file_inode(file);
	struct itme_region *region = itme_region_of(inode);
	int err;

	if (mode != (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE))
		return -EOPNOTSUPP;
	if (offset >= region->bytes)
		return 0;
	inode_lock(inode);
	err = region->sealed ? -EPERM : file_modified(file);
	if (!err)
		err = punch(region, offset, min_t(u64, offset + bytes, region->bytes));
	inode_unlock(inode);
	return err;
}
