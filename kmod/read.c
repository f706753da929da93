// SPDX-License-Identifier: GPL-2.0-only
/* read(2) and its relatives on a region. */
#include <linux/ktime.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/uio.h>
#include "itme.h"
#include "trace.h"

/*
 * The user copy holds a reference on the frame and no lock: the buffer may be
 * a mapping of the same granule. The copy stops at poison as at a bad address.
 *
 * Return: bytes copied; -EFAULT; 0 where poison was met, for another try; -EIO where
 * it has taken the only copy.
 */
static ssize_t read_resident(struct itme_region *region, u64 granule, struct folio *folio,
			     size_t offset, size_t bytes, struct iov_iter *to)
{
	ssize_t copied = 0;

	if (!itme_poison_at(folio, offset, bytes))
		copied = _copy_mc_to_iter(folio_address(folio) + offset, bytes, to) ?: -EFAULT;
	if (unlikely(copied != bytes) && itme_poison_at(folio, offset, bytes)) {
		copied = max(copied, 0L);
		if (itme_poison_retire(region, granule, folio) == -EUCLEAN)
			copied = copied ?: -EIO;
	}
	folio_put(folio);
	return copied;
}

/* One granule's worth at most. 0 where poison was met, and is gone now. */
static ssize_t read_some(struct itme_region *region, struct kiocb *iocb, struct iov_iter *to)
{
	struct itme_instance *inst = region->inst;
	u64 granule = iocb->ki_pos >> inst->granule_shift;
	u64 offset = iocb->ki_pos & (itme_granule_bytes(inst) - 1);
	bool direct = iocb->ki_flags & IOCB_DIRECT;
	bool nowait = iocb->ki_flags & IOCB_NOWAIT;
	unsigned int flags = ITME_GET_READ;
	struct folio *folio;
	u64 start_ns = trace_fault_enabled() ? ktime_get_ns() : 0;
	u32 cause = 0;
	size_t bytes;

	if (direct)
		flags |= ITME_GET_NOFILL;
	if (nowait)
		flags |= ITME_GET_NOWAIT;
	bytes = min_t(u64, iov_iter_count(to), itme_granule_valid_bytes(region, granule) - offset);
	folio = itme_granule_get(region, granule, flags, &cause, NULL);
	if (cause & ITME_CAUSE_MISS)
		itme_count_one(region, miss_count);
	if (cause & ITME_CAUSE_LATE)
		itme_count_one(region, late_count);
	if (cause)
		trace_fault(region, granule,
			    READ_ONCE(itme_region_granule(region, granule)->tier),
			    cause | ITME_CAUSE_READ,
			    start_ns ? ktime_get_ns() - start_ns : 0, 0, 1);
	if (cause & (ITME_CAUSE_MISS | ITME_CAUSE_LATE))
		itme_advice_missed(iocb->ki_filp, granule, false);
	if (direct && PTR_ERR(folio) == -ENODATA)
		return itme_store_read_direct(region, iocb->ki_pos, to, nowait ? IOCB_NOWAIT : 0);
	if (PTR_ERR(folio) == -ETIMEDOUT)
		return -EIO;
	if (IS_ERR(folio))
		return PTR_ERR(folio);
	return read_resident(region, granule, folio, offset, bytes, to);
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
 * -EAGAIN for RWF_NOWAIT where it would wait (a fill is begun, so that a later
 * try succeeds), and with O_DIRECT what the store answers, as -EINVAL for a bad
 * alignment.
 */
ssize_t itme_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct itme_region *region = itme_region_of(file_inode(iocb->ki_filp));
	ssize_t total = 0;

	while (iov_iter_count(to) && iocb->ki_pos < region->bytes) {
		ssize_t n = read_some(region, iocb, to);

		if (n == 0 && fatal_signal_pending(current))
			n = -EINTR;
		if (n < 0)
			return total ?: n;
		iocb->ki_pos += n;
		total += n;
		cond_resched();
	}
	file_accessed(iocb->ki_filp);
	return total;
}
