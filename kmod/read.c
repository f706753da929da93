// SPDX-License-Identifier: GPL-2.0-only
/* read(2) and its relatives on a region. */
#include <linux/pagemap.h>
#include <linux/uio.h>
#include "itme.h"

/*
 * The user copy holds a reference on the frame and no lock: the buffer may be
 * a mapping of the same granule. The copy stops at poison as at a bad address.
 */
static ssize_t read_resident(struct folio *folio, size_t offset, size_t bytes,
			     struct iov_iter *to)
{
	ssize_t copied = _copy_mc_to_iter(folio_address(folio) + offset, bytes, to);

	folio_put(folio);
	return copied ?: -EFAULT;
}

/* One granule's worth at most. 0 at the end of the region. */
static ssize_t read_some(struct itme_region *region, struct kiocb *iocb, struct iov_iter *to)
{
	struct itme_instance *inst = region->inst;
	u64 granule = iocb->ki_pos >> inst->granule_shift;
	u64 offset = iocb->ki_pos & (itme_granule_bytes(inst) - 1);
	bool direct = iocb->ki_flags & IOCB_DIRECT;
	bool waited = false;
	struct folio *folio;
	size_t bytes;

	if (iocb->ki_pos >= region->bytes)
		return 0;
	bytes = min_t(u64, iov_iter_count(to), itme_granule_valid_bytes(region, granule) - offset);
	folio = itme_granule_get(region, granule, direct ? ITME_GET_NOFILL : 0, &waited);
	if (waited)
		itme_count_one(region, miss_count);
	if (direct && PTR_ERR(folio) == -ENODATA)
		return itme_store_read_direct(region, iocb->ki_pos, to);
	if (PTR_ERR(folio) == -ETIMEDOUT)
		return -EIO;
	if (IS_ERR(folio))
		return PTR_ERR(folio);
	return read_resident(folio, offset, bytes, to);
}

/**
 * itme_read_iter - read from memory, or with O_DIRECT from the store
 * @iocb: position and flags
 * @to: where to
 *
 * A resident copy always wins; an O_DIRECT read of an absent granule goes to
 * the store and fills nothing. No short read but at the end of the region, at
 * a bad address and after an error.
 *
 * Return: bytes read, or -EIO for a store that cannot be read, -EFAULT, -EINTR,
 * and with O_DIRECT what the store answers, as -EINVAL for a bad alignment.
 */
ssize_t itme_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct itme_region *region = itme_region_of(file_inode(iocb->ki_filp));
	ssize_t total = 0;

	while (iov_iter_count(to)) {
		ssize_t n = read_some(region, iocb, to);

		if (n <= 0)
			return total ?: n;
		iocb->ki_pos += n;
		total += n;
		cond_resched();
	}
	file_accessed(iocb->ki_filp);
	return total;
}
