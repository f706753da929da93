// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fills: reading a granule from the store straight into a frame.
 *
 * A thread that waits for its granule submits the read itself, where there is a
 * frame without a copy and the store takes the read without waiting for a lock.
 * Else a worker does: it may have to move another granule to have the frame, and
 * to wait for locks of the store, of which that thread may hold some. It waits for
 * no read, so that a few workers keep many of them under way.
 */
#include <linux/bvec.h>
#include <linux/highmem.h>
#include <linux/ktime.h>
#include <linux/slab.h>
#include <linux/uio.h>
#include "itme.h"
#include "trace.h"

struct itme_fill {
	struct kiocb iocb;
	struct work_struct work;
	/*
	 * One reference of the submitter and one of the completion: a file
	 * system looks at the kiocb and its file after it has queued the read.
	 */
	refcount_t refs;
	struct bio_vec bvec;
	struct itme_region *region;
	struct itme_granule *g;
	u64 granule;
	struct folio *folio;
	enum itme_tier tier;
	enum itme_hint_class hint_class; /* 0: on demand */
	bool promised; /* of @tier, until there is a frame */
	bool pending; /* counted in nr_demand: the store does not have it yet */
	bool for_write; /* the same thread waits for it and for write-back */
	bool is_read; /* write-back makes way for it */
	bool nowait; /* the next submission must not wait for a lock of the store */
	u64 start_ns;
};

static struct kmem_cache *fill_cache;

static void put_fill(struct itme_fill *fill)
{
	struct itme_region *region = fill->region;

	if (!refcount_dec_and_test(&fill->refs))
		return;
	kmem_cache_free(fill_cache, fill);
	itme_region_busy_put(region);
}

/* The queue stands back while a demand fill is on its way to the store. */
static void set_pending(struct itme_fill *fill, bool pending)
{
	struct itme_instance *inst = fill->region->inst;

	if (fill->pending == pending)
		return;
	fill->pending = pending;
	if (pending)
		atomic_long_inc(&inst->nr_demand);
	else if (atomic_long_dec_and_test(&inst->nr_demand) &&
		 atomic_long_read(&inst->nr_requests))
		itme_queue_kick(inst);
}

/* A hint that is a guess goes behind write-back. */
static void begin_read(struct itme_fill *fill)
{
	if (fill->for_write || fill->is_read || fill->hint_class == ITME_CLASS_MAYBE)
		return;
	fill->is_read = true;
	itme_writeback_read_begins(fill->region->inst);
}

static void give_frame_back(struct itme_fill *fill)
{
	struct itme_instance *inst = fill->region->inst;

	if (!fill->folio)
		return;
	itme_frame_unbind(fill->folio);
	if (fill->hint_class)
		itme_frame_put(inst, fill->tier, fill->folio);
	else
		itme_victim_abandon(inst, fill->folio, fill->tier);
}

/*
 * With interrupts off: a BPF program that the end of another fill interrupts on its
 * CPU would not be run for that one.
 */
static void report(const struct itme_fill *fill, u64 bytes, int err)
{
	if (!trace_fill_enabled())
		return;
	guard(irqsave)();
	trace_fill(fill->region, fill->granule, fill->tier, bytes,
		   fill->start_ns ? ktime_get_ns() - fill->start_ns : 0, err, fill->hint_class);
}

/* Publish what came of a fill; may run in interrupt context. @err: 0 or negative. */
static void finish(struct itme_fill *fill, int err)
{
	struct itme_region *region = fill->region;
	struct itme_instance *inst = region->inst;
	u64 bytes = itme_granule_valid_bytes(region, fill->granule);
	u16 old;

	report(fill, bytes, err);
	if (fill->is_read)
		itme_writeback_read_ended(inst);
	if (!fill->folio && fill->hint_class) { /* its frame has gone to a demand fill */
		itme_count_add(region, clipped_bytes, bytes);
		itme_granule_absent(region, fill->g, 0);
	} else if (err) {
		itme_count_one(region, error_count);
		trace_error(region, fill->granule, err);
		give_frame_back(fill);
		itme_granule_absent(region, fill->g, ITME_GRANULE_ERR);
	} else {
		itme_count_one(region, fill_count);
		itme_count_add(region, fill_bytes, bytes);
		if (fill->hint_class)
			itme_count_add(region, prefetch_bytes, bytes);
		atomic_long_inc(&region->resident[fill->tier]);
		old = itme_granule_resident(region, fill->g, fill->folio, fill->tier,
					    fill->hint_class ? ITME_GRANULE_AHEAD : 0);
		if (fill->hint_class && (old & ITME_GRANULE_DEMAND)) /* late, but used */
			itme_count_add(region, useful_bytes, bytes);
		/* On a list only now: what is listed can be claimed. */
		if (fill->hint_class)
			itme_victim_list(inst, fill->folio, fill->tier, ITME_LIST_WINDOW);
		else
			itme_victim_admit(inst, fill->folio, fill->tier);
	}
	if (fill->hint_class)
		itme_queue_ended(inst);
}

static void read_done(struct itme_fill *fill, long res)
{
	u64 valid = itme_granule_valid_bytes(fill->region, fill->granule);

	if (res >= 0 && res < valid) /* the store has become smaller */
		res = -EIO;
	if (res > 0) {
		/* The store's last block may hold anything past its end. */
		folio_zero_segment(fill->folio, valid, round_up(valid, PAGE_SIZE));
		itme_frame_bind(fill->folio, fill->region, fill->granule);
	}
	finish(fill, min(res, 0L));
}

static void fill_complete(struct kiocb *iocb, long res)
{
	struct itme_fill *fill = container_of(iocb, struct itme_fill, iocb);

	if ((res == -EAGAIN || res == -EOPNOTSUPP) && fill->nowait) {
		fill->nowait = false;
		queue_work(fill->region->inst->store_wq, &fill->work);
		return; /* the completion's reference is the work's now */
	}
	read_done(fill, res);
	put_fill(fill);
}

static void submit(struct itme_fill *fill)
{
	struct itme_region *region = fill->region;
	u64 granule_bytes = itme_granule_bytes(region->inst);
	u64 bytes = round_up(itme_granule_valid_bytes(region, fill->granule), PAGE_SIZE);
	struct iov_iter to;
	ssize_t res;

	if (bytes < granule_bytes)
		folio_zero_segment(fill->folio, bytes, granule_bytes);
	bvec_set_folio(&fill->bvec, fill->folio, bytes, 0);
	iov_iter_bvec(&to, ITER_DEST, &fill->bvec, 1, bytes);
	fill->iocb.ki_complete = fill_complete;
	refcount_inc(&fill->refs); /* the completion's */
	res = itme_store_submit(region, &fill->iocb, &to,
				fill->granule << region->inst->granule_shift,
				fill->nowait ? IOCB_NOWAIT : 0);
	set_pending(fill, false);
	if (res != -EIOCBQUEUED)
		fill_complete(&fill->iocb, res);
}

static struct folio *find_frame(struct itme_fill *fill)
{
	struct itme_instance *inst = fill->region->inst;

	if (fill->hint_class)
		return itme_victim_obtain_now(inst, fill->tier,
					      itme_victim_taker(fill->hint_class));
	return itme_victim_obtain(inst, &fill->tier);
}

/* A frame that has met poison since it was given out is of no use. */
static void obtain(struct itme_fill *fill)
{
	struct itme_instance *inst = fill->region->inst;

	for (;;) {
		if (!fill->folio)
			fill->folio = find_frame(fill);
		if (!fill->folio || !itme_poison_in_frame(fill->folio))
			return;
		itme_frame_retire(inst, fill->tier);
		itme_count_add(fill->region, retired_bytes, itme_granule_bytes(inst));
		if (!fill->hint_class)
			itme_victim_abandon(inst, NULL, fill->tier);
		fill->folio = NULL;
	}
}

/* The work's reference is put here, at the end of each run. */
static void fill_work(struct work_struct *work)
{
	struct itme_fill *fill = container_of(work, struct itme_fill, work);
	struct itme_region *region = fill->region;

	if (fill->promised) {
		fill->folio = itme_frame_pop_promised(region->inst, fill->tier);
		fill->promised = !fill->folio;
	}
	obtain(fill);
	if (fill->promised)
		itme_victim_unpromise(region->inst, fill->tier);
	fill->promised = false;
	if (!fill->folio) {
		set_pending(fill, false);
		if (!fill->hint_class)
			itme_count_one(region, timeout_count);
		finish(fill, -ENOMEM);
	} else if (!fill->nowait && !itme_store_wait_unlocked(region)) {
		set_pending(fill, false);
		itme_count_one(region, timeout_count);
		finish(fill, -EDEADLK);
	} else {
		submit(fill);
	}
	put_fill(fill);
}

static bool takes_no_locks(const struct itme_fill *fill)
{
	return fill->nowait || fill->region->store_is_bdev;
}

/**
 * itme_fill_begin - begin a fill whose granule the caller waits for
 * @fill: a demand fill from itme_fill_prepare(); the caller has it no more
 *
 * Process context; the caller holds no lock of ours, nor mmap_lock. It may hold
 * locks of the store's file system.
 */
void itme_fill_begin(struct itme_fill *fill)
{
	struct itme_instance *inst = fill->region->inst;

	begin_read(fill);
	if (takes_no_locks(fill))
		fill->folio = itme_victim_obtain_quick(inst, &fill->tier);
	if (!fill->folio || itme_poison_in_frame(fill->folio)) {
		itme_fill_queue(fill);
		return;
	}
	submit(fill);
	put_fill(fill);
}

/**
 * itme_fill_queue - have a worker begin a fill
 * @fill: from itme_fill_prepare(); the caller has it no more
 */
void itme_fill_queue(struct itme_fill *fill)
{
	begin_read(fill);
	queue_work(fill->region->inst->fill_wq, &fill->work);
}

/**
 * itme_fill_prepare - the fill of a granule
 * @region: its region
 * @granule: its number
 * @g: the granule, FILLING, owned by the caller and from now on by the fill
 * @tier: the tier wanted; of a demand fill the fastest that has a frame to give
 * @hint_class: of the hint that it is for, or 0 for a demand fill
 * @promised: it has the promise of a frame of @tier
 *
 * Follow with itme_fill_begin() or itme_fill_queue().
 *
 * Return: the fill; NULL without memory, with the granule ABSENT again.
 */
struct itme_fill *itme_fill_prepare(struct itme_region *region, u64 granule,
				    struct itme_granule *g, enum itme_tier tier,
				    enum itme_hint_class hint_class, bool promised)
{
	struct itme_fill *fill = kmem_cache_zalloc(fill_cache, GFP_KERNEL);

	if (!fill) {
		if (promised)
			itme_victim_unpromise(region->inst, tier);
		itme_granule_absent(region, g, 0);
		return NULL;
	}
	INIT_WORK(&fill->work, fill_work);
	refcount_set(&fill->refs, 1);
	/* Only a file has a lock to meet; a block device would refuse for other reasons. */
	fill->nowait = !region->store_is_bdev && (region->store->f_mode & FMODE_NOWAIT);
	fill->region = region;
	fill->granule = granule;
	fill->g = g;
	fill->tier = tier;
	fill->hint_class = hint_class;
	fill->promised = promised;
	fill->start_ns = trace_fill_enabled() ? ktime_get_ns() : 0;
	itme_region_busy_get(region);
	set_pending(fill, !hint_class);
	return fill;
}

/**
 * itme_fill_for_write - write-back need not make way for a fill
 * @fill: from itme_fill_prepare(), for a write: its writer waits for write-back too
 */
void itme_fill_for_write(struct itme_fill *fill)
{
	fill->for_write = true;
}

/**
 * itme_fill_init - before the first fill
 *
 * Return: 0 or -ENOMEM.
 */
int __init itme_fill_init(void)
{
	fill_cache = KMEM_CACHE(itme_fill, SLAB_ACCOUNT);
	return fill_cache ? 0 : -ENOMEM;
}

/**
 * itme_fill_exit - after the last fill
 */
void itme_fill_exit(void)
{
	kmem_cache_destroy(fill_cache);
}
