// SPDX-License-Identifier: GPL-2.0-only
/* write(2), fsync(2) and their relatives on a region. */
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/uio.h>
#include "itme.h"

/* Bytes copied under one hold of the folio lock. */
#define COPY_BYTES SZ_64K

/* The granule's frame, referenced, when it may be written to. */
static struct folio *get_to_write(struct itme_region *region, u64 granule, bool nowait)
{
	unsigned int flags = ITME_GET_READ | ITME_GET_WRITE | (nowait ? ITME_GET_NOWAIT : 0);
	struct itme_granule *g = itme_region_granule_alloc(region, granule);
	struct folio *folio;
	u32 cause = 0;
	int err;

	if (!g)
		return ERR_PTR(-ENOMEM);
	err = nowait ? itme_dirty_may_write(region, g) : itme_dirty_wait(region, g);
	if (err)
		return ERR_PTR(err);
	folio = itme_granule_get(region, granule, flags, &cause, NULL);
	if (cause & ITME_CAUSE_MISS)
		itme_count_one(region, miss_count);
	if (cause & ITME_CAUSE_LATE)
		itme_count_one(region, late_count);
	return folio;
}

/*
 * The frame is locked while it is written to, so that no write to the store begins
 * meanwhile. What is copied from is in memory, or the copy ends early: it may be a
 * mapping of the same granule. @from: NULL for zeros.
 *
 * Return: bytes copied; 0 for another try; -EAGAIN to wait as itme_dirty_mark() says.
 */
static ssize_t copy(struct itme_region *region, u64 granule, struct folio *folio, size_t offset,
		    size_t bytes, struct iov_iter *from)
{
	ssize_t copied;
	int err;

	folio_lock(folio);
	err = itme_dirty_mark(region, itme_region_granule(region, granule), folio);
	if (!err && !from) {
		folio_zero_range(folio, offset, bytes);
		copied = bytes;
	} else if (!err) {
		copied = copy_folio_from_iter_atomic(folio, offset, bytes, from);
	} else {
		copied = err == -ENOENT ? 0 : -EAGAIN;
	}
	folio_unlock(folio);
	return copied;
}

/* A piece of a granule at most. 0 for another try. @from: NULL for zeros. */
static ssize_t write_some(struct itme_region *region, u64 pos, u64 most, struct iov_iter *from,
			  bool nowait)
{
	struct itme_instance *inst = region->inst;
	u64 granule = pos >> inst->granule_shift;
	u64 offset = pos & (itme_granule_bytes(inst) - 1);
	struct folio *folio;
	ssize_t copied;
	size_t bytes;

	/* Pieces do not cross a border of granules, nor of COPY_BYTES inside one. */
	bytes = min_t(u64, most, COPY_BYTES - (offset & (COPY_BYTES - 1)));
	if (from && fault_in_iov_iter_readable(from, bytes) == bytes)
		return -EFAULT;
	folio = get_to_write(region, granule, nowait);
	if (IS_ERR(folio))
		return PTR_ERR(folio) == -ETIMEDOUT ? -EIO : PTR_ERR(folio);
	if (unlikely(itme_poison_at(folio, offset, bytes)))
		copied = itme_poison_retire(region, granule, folio) == -EUCLEAN ? -EIO : 0;
	else
		copied = copy(region, granule, folio, offset, bytes, from);
	folio_put(folio);
	return copied == -EAGAIN && !nowait ? 0 : copied;
}

static ssize_t write_all(struct itme_region *region, struct kiocb *iocb, struct iov_iter *from)
{
	ssize_t total = 0;

	while (iov_iter_count(from)) {
		ssize_t n = write_some(region, iocb->ki_pos, iov_iter_count(from), from,
				       iocb->ki_flags & IOCB_NOWAIT);

		if (n == 0 && fatal_signal_pending(current))
			n = -EINTR;
		if (n < 0)
			return total ?: n;
		iocb->ki_pos += n;
		total += n;
		cond_resched();
	}
	return total;
}

/**
 * itme_write_zeros - write zeros to memory
 * @region: the region
 * @pos: first byte
 * @bytes: bytes, inside the region
 *
 * Return: 0 or an error as itme_write_iter().
 */
int itme_write_zeros(struct itme_region *region, u64 pos, u64 bytes)
{
	while (bytes) {
		ssize_t n = write_some(region, pos, bytes, NULL, false);

		if (n == 0 && fatal_signal_pending(current))
			n = -EINTR;
		if (n < 0)
			return n;
		pos += n;
		bytes -= n;
		cond_resched();
	}
	return 0;
}

static int lock_to_write(struct inode *inode, bool exclusive, bool nowait)
{
	if (nowait)
		return (exclusive ? inode_trylock(inode) : inode_trylock_shared(inode)) ? 0 : -EAGAIN;
	if (exclusive)
		inode_lock(inode);
	else
		inode_lock_shared(inode);
	return 0;
}

/**
 * itme_write_iter - write to memory, and from there to the store in time
 * @iocb: position and flags
 * @from: what to write
 *
 * A write with O_DIRECT is one into memory too: a resident copy always wins. With
 * O_SYNC, O_DSYNC and their RWF_* it is in the store before it returns. No short write
 * but at the end of the region, at a bad address and after an error. Writes side by
 * side are not ordered against each other.
 *
 * Return: bytes written; -EPERM where it is sealed; -ENOSPC at the end of the region, or
 * where the store is full and no more of this may stay in memory; -EIO where the store could not be read, or
 * refuses; -EFAULT, -EINTR, -ENOMEM, -EAGAIN for RWF_NOWAIT where it would wait.
 */
ssize_t itme_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	struct itme_region *region = itme_region_of(inode);
	/* Privileges that a write takes away are changed under the lock alone. */
	bool exclusive = inode->i_mode & (S_ISUID | S_ISGID);
	ssize_t n;
	int err;

	err = lock_to_write(inode, exclusive, iocb->ki_flags & IOCB_NOWAIT);
	if (err)
		return err;
	n = region->sealed ? -EPERM : generic_write_checks(iocb, from);
	if (n > 0 && iocb->ki_pos >= region->bytes)
		n = -ENOSPC;
	if (n > 0) {
		iov_iter_truncate(from, region->bytes - iocb->ki_pos);
		err = exclusive ? file_modified(iocb->ki_filp) : file_update_time(iocb->ki_filp);
		n = err ?: write_all(region, iocb, from);
	}
	if (exclusive)
		inode_unlock(inode);
	else
		inode_unlock_shared(inode);
	return n > 0 ? generic_write_sync(iocb, n) : n;
}

/**
 * itme_fsync - fsync(2), fdatasync(2) and msync(2): have the store keep what was written
 * @file: the open region
 * @start: first byte
 * @end: last byte
 * @datasync: of no account: of the store it is the data that is wanted, and not when
 *	it was written to last, which would cost its file system a journal's commit
 *
 * Return: 0; an error of itme_writeback_sync() or of the store's own fsync; or one
 * that has been met since this open file was last told.
 */
int itme_fsync(struct file *file, loff_t start, loff_t end, int datasync)
{
	struct itme_region *region = itme_region_of(file_inode(file));
	unsigned int shift = region->inst->granule_shift;
	int err, earlier;

	if (!region->writable || start >= region->bytes)
		return file_check_and_advance_wb_err(file);
	end = min_t(u64, end, region->bytes - 1);
	err = itme_writeback_sync(region, start >> shift, end >> shift, true);
	if (!err)
		err = itme_store_sync(region, start, end, 1);
	earlier = file_check_and_advance_wb_err(file);
	return err ?: earlier;
}
