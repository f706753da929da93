// SPDX-License-Identifier: GPL-2.0-only
/*
 * Write-back: dirty granules on their way to the store.
 *
 * A run is a dirty granule and its dirty neighbours, written in one go by a worker.
 * Who needs data in the store (fsync, detach, the end of a region) starts the runs
 * of a range and waits for them. The background writer starts runs for what has been
 * dirty for long, and for more when much is dirty, the oldest first, in the order of
 * the file; it makes way for reads.
 *
 * What the store does not take stays dirty, and is tried again.
 */
#include <linux/bvec.h>
#include <linux/highmem.h>
#include <linux/ktime.h>
#include <linux/pagemap.h>
#include <linux/rmap.h>
#include <linux/slab.h>
#include <linux/uio.h>
#include "itme.h"
#include "trace.h"

/* A run is no longer than the largest granule. */
#define RUN_GRANULES (ITME_GRANULE_MAX / ITME_GRANULE_MIN)
/* Runs that the background writer has under way, and who waits for a range. */
#define WRITER_RUNS 4
#define SYNC_RUNS 32
/* While reads are about: how long they keep it careful, and a bite of a run. */
#define CAREFUL_TIME (HZ / 5)
#define CAREFUL_BYTES SZ_256K
/* So long it makes way for them before each bite; less where somebody waits for it. */
#define YIELD_TIME (HZ / 10)
#define YIELD_TIME_WANTED (HZ / 100)

/* Who waits for runs. */
struct sync {
	refcount_t refs;
	atomic_t pending;
	int error; /* any of theirs */
};

struct run {
	struct work_struct work;
	struct itme_region *region;
	struct sync *sync; /* NULL: nobody waits */
	bool background;
	unsigned int nr;
	u64 first;
	struct folio *folios[RUN_GRANULES];
};

static void put_sync(struct sync *sync)
{
	if (refcount_dec_and_test(&sync->refs))
		kfree(sync);
}

/**
 * itme_writeback_kick - have the background writer look
 * @inst: the instance
 * @delay: jiffies; 0: now
 *
 * Any context.
 */
void itme_writeback_kick(struct itme_instance *inst, unsigned long delay)
{
	if (delay)
		queue_delayed_work(system_unbound_wq, &inst->writer_work, delay);
	else
		mod_delayed_work(system_unbound_wq, &inst->writer_work, 0);
}

/**
 * itme_writeback_want_frame - a frame is needed, and none is clean
 * @inst: the instance
 */
void itme_writeback_want_frame(struct itme_instance *inst)
{
	if (!itme_dirty_any(inst))
		return;
	if (!atomic_xchg(&inst->writer_wanted, 1))
		itme_writeback_kick(inst, 0);
}

/* ---- a run ---- */

static bool reads_under_way(struct itme_instance *inst)
{
	return atomic_long_read(&inst->nr_reads);
}

/* Have reads been about lately? */
static bool is_careful(struct itme_instance *inst)
{
	return reads_under_way(inst) ||
	       time_before(jiffies, READ_ONCE(inst->read_at) + CAREFUL_TIME);
}

static bool is_wanted(struct itme_instance *inst)
{
	return atomic_read(&inst->writer_wanted) ||
	       atomic_long_read(&inst->nr_dirty) >= itme_dirty_limit(inst);
}

static void make_way(struct itme_instance *inst)
{
	wait_event_timeout(inst->read_wait, !reads_under_way(inst),
			   is_wanted(inst) ? YIELD_TIME_WANTED : YIELD_TIME);
}

/**
 * itme_writeback_read_begins - somebody waits for a read of a store, not to write
 * @inst: the instance
 *
 * Write-back makes way for it until itme_writeback_read_ended(). Any context.
 */
void itme_writeback_read_begins(struct itme_instance *inst)
{
	atomic_long_inc(&inst->nr_reads);
}

/**
 * itme_writeback_read_ended - end of itme_writeback_read_begins()
 * @inst: the instance
 *
 * Any context.
 */
void itme_writeback_read_ended(struct itme_instance *inst)
{
	WRITE_ONCE(inst->read_at, jiffies);
	if (atomic_long_dec_and_test(&inst->nr_reads))
		wake_up_all(&inst->read_wait);
}

static void protect(struct itme_region *region, struct folio *folio)
{
	folio_lock(folio);
	itme_dirty_protect(region, folio);
	folio_unlock(folio);
}

/* Those on their way to the store: what of the limit will be free again. */
static void count_writing(struct itme_region *region, int n)
{
	if (!region->pinnable)
		atomic_long_add(n, &region->inst->nr_writing);
}

/* How many of @n bytes at @pos come before a page with poison. */
static u64 healthy_bytes(const struct run *run, u64 pos, u64 n)
{
	unsigned int shift = run->region->inst->granule_shift;
	u64 at = pos, step;

	for (; at < pos + n; at += step) {
		struct folio *folio = run->folios[(at >> shift) - run->first];
		u64 offset = at & ((1ULL << shift) - 1);

		step = min(pos + n - at, (1ULL << shift) - offset);
		if (!itme_poison_at(folio, offset, step))
			continue;
		while (!itme_poison_at(folio, offset, PAGE_SIZE)) {
			offset += PAGE_SIZE;
			at += PAGE_SIZE;
		}
		return at - pos;
	}
	return n;
}

/* Bytes [pos, end) of the run, inside it. */
static int write_bytes(const struct run *run, u64 pos, u64 end)
{
	struct itme_region *region = run->region;
	unsigned int shift = region->inst->granule_shift;
	struct bio_vec bvecs[RUN_GRANULES];
	struct iov_iter from;
	unsigned int nr = 0;
	u64 at, n;

	for (at = pos; at < end; at += n) {
		u64 granule = at >> shift, offset = at - (granule << shift);

		n = min(end - at, itme_granule_bytes(region->inst) - offset);
		bvec_set_folio(&bvecs[nr++], run->folios[granule - run->first], n, offset);
	}
	iov_iter_bvec(&from, ITER_SOURCE, bvecs, nr, end - pos);
	return itme_store_write(region, pos, &from);
}

/* Granules [i, i + nr) of the run. */
static int write_granules(const struct run *run, unsigned int i, unsigned int nr)
{
	struct itme_region *region = run->region;
	struct itme_instance *inst = region->inst;
	u64 pos = (run->first + i) << inst->granule_shift;
	u64 end = min((run->first + i + nr) << inst->granule_shift, region->bytes);
	int err = 0;

	while (!err && pos < end) {
		u64 n = end - pos;

		if (run->background && is_careful(inst)) {
			make_way(inst);
			n = min_t(u64, n, CAREFUL_BYTES);
		}
		n = healthy_bytes(run, pos, n);
		if (n)
			err = write_bytes(run, pos, pos + n);
		pos += n ?: PAGE_SIZE;
	}
	return err;
}

/* Pages that poison has taken before the store had them. */
static void count_poisoned(struct itme_region *region, u64 granule, struct folio *folio)
{
	u64 offset, lost = 0;

	if (likely(!itme_poison_in_frame(folio)))
		return;
	for (offset = 0; offset < itme_granule_valid_bytes(region, granule); offset += PAGE_SIZE)
		lost += itme_poison_at(folio, offset, PAGE_SIZE) ? PAGE_SIZE : 0;
	itme_count_add(region, lost_bytes, lost);
	mapping_set_error(region->inode.i_mapping, -EIO);
	pr_err("%s: region %lu: poison has taken %llu bytes of granule %llu that the store did not have\n",
	       region->inst->name, region->inode.i_ino, lost, granule);
}

static void count_result(struct itme_region *region, u64 granule, int err, u64 start_ns)
{
	u64 bytes = itme_granule_valid_bytes(region, granule);

	if (err) {
		itme_count_one(region, writeback_error_count);
		WRITE_ONCE(region->retry_at, jiffies + ITME_RETRY_INTERVAL);
		mapping_set_error(region->inode.i_mapping, err);
		trace_error(region, granule, err);
	} else {
		itme_count_one(region, writeback_count);
		itme_count_add(region, writeback_bytes, bytes);
	}
	if (err && !READ_ONCE(region->write_error)) {
		WRITE_ONCE(region->refused_at, jiffies);
		pr_warn_ratelimited("%s: region %lu: the store refuses what is written (error %d); it stays in memory and is tried again\n",
				    region->inst->name, region->inode.i_ino, err);
	}
	WRITE_ONCE(region->write_error, err);
	trace_writeback(region, granule, bytes, start_ns ? ktime_get_ns() - start_ns : 0, err);
}

/* A granule that was WRITING is so no more. */
static void let_go(struct itme_region *region, struct itme_granule *g, struct folio *folio,
		   int err)
{
	enum itme_tier tier;
	bool unwanted;

	scoped_guard(spinlock_irqsave, itme_granule_lock(g)) {
		g->flags &= ~ITME_GRANULE_WRITING;
		g->stamp = itme_ticks();
		if (err)
			folio_set_dirty(folio);
		if (!itme_dirty_referenced(folio, 2) && !folio_test_dirty(folio))
			itme_dirty_clean_locked(region, g);
		tier = g->tier;
		unwanted = (g->flags & (ITME_GRANULE_NOREUSE | ITME_GRANULE_DIRTY)) ==
			   ITME_GRANULE_NOREUSE;
	}
	/* Our reference keeps it in its frame. */
	if (unwanted)
		itme_victim_next(region->inst, folio, tier);
	count_writing(region, -1);
	folio_put(folio);
}

/* One granule of a run has been written, or not. */
static void finish(struct itme_region *region, u64 granule, struct folio *folio, int err,
		   u64 start_ns)
{
	count_result(region, granule, err, start_ns);
	if (!err)
		count_poisoned(region, granule, folio);
	let_go(region, itme_region_granule(region, granule), folio, err);
}

/* What is written to a store past its end, or by a store that is gone, is EIO to all. */
static int public_error(int err)
{
	return !err || err == -ENOSPC || err == -EDQUOT || err == -ENOMEM ? err : -EIO;
}

static void run_work(struct work_struct *work)
{
	struct run *run = container_of(work, struct run, work);
	u64 start_ns = trace_writeback_enabled() ? ktime_get_ns() : 0;
	struct itme_region *region = run->region;
	struct itme_instance *inst = region->inst;
	int all, err = 0;
	unsigned int i;

	for (i = 0; i < run->nr; i++)
		protect(region, run->folios[i]);
	all = public_error(write_granules(run, 0, run->nr));
	for (i = 0; i < run->nr; i++) {
		int one = all;

		if (all && run->nr > 1) /* only what the store does not take stays behind */
			one = public_error(write_granules(run, i, 1));
		finish(region, run->first + i, run->folios[i], one, start_ns);
		err = err ?: one;
	}
	if (run->background)
		atomic_dec(&inst->nr_runs);
	if (run->sync) {
		if (err)
			WRITE_ONCE(run->sync->error, err);
		atomic_dec(&run->sync->pending);
		put_sync(run->sync);
	}
	wake_up_all(&inst->dirty_wait);
	wake_up_all(&inst->frame_wait);
	kfree(run);
	itme_region_busy_put(region);
}

/*
 * Take a dirty granule for a run, if it has been dirty for @age ticks. What was
 * kept as dirty only for somebody's reference is so no more when that has gone.
 * In the background what stays dirty is left alone: it would be written for ever.
 */
static struct folio *take(struct itme_region *region, struct itme_granule *g, u32 age,
			  bool background)
{
	struct folio *folio;

	if (!(READ_ONCE(g->flags) & ITME_GRANULE_DIRTY))
		return NULL;
	scoped_guard(spinlock_irqsave, itme_granule_lock(g)) {
		folio = g->folio;
		if (g->state != ITME_RESIDENT || !(g->flags & ITME_GRANULE_DIRTY) ||
		    (g->flags & ITME_GRANULE_WRITING) || itme_ticks() - g->stamp < age ||
		    (background && itme_dirty_stays(region, folio, 1)))
			return NULL;
		if (folio_test_dirty(folio)) {
			g->flags |= ITME_GRANULE_WRITING;
			folio_get(folio);
			count_writing(region, 1);
			return folio;
		}
		if (itme_dirty_referenced(folio, 1) || folio_test_dirty(folio))
			return NULL;
		itme_dirty_clean_locked(region, g);
	}
	wake_up_all(&region->inst->dirty_wait);
	return NULL;
}

/*
 * Start a run with @first, where that is to be written, and its neighbours up to
 * @last. Returns its granules.
 */
static unsigned int start_run(struct itme_region *region, u64 first, u64 last, u32 age,
			      struct sync *sync, bool background)
{
	struct itme_instance *inst = region->inst;
	unsigned int nr, most = ITME_GRANULE_MAX >> inst->granule_shift;
	struct itme_granule *g = itme_region_granule(region, first);
	struct folio *folio = g ? take(region, g, age, background) : NULL;
	struct run *run;

	if (!folio)
		return 0;
	run = kmalloc(sizeof(*run), GFP_KERNEL | __GFP_NOFAIL);
	INIT_WORK(&run->work, run_work);
	run->region = region;
	run->sync = sync;
	run->background = background;
	run->first = first;
	run->folios[0] = folio;
	run->nr = 1;
	while (run->nr < most && first + run->nr <= last) {
		g = itme_region_granule(region, first + run->nr);
		folio = g ? take(region, g, age, background) : NULL;
		if (!folio)
			break;
		run->folios[run->nr++] = folio;
	}
	if (sync) {
		refcount_inc(&sync->refs);
		atomic_inc(&sync->pending);
	}
	if (background)
		atomic_inc(&inst->nr_runs);
	itme_region_busy_get(region);
	nr = run->nr;
	queue_work(inst->write_wq, &run->work); /* which may end, and free it, at once */
	return nr;
}

/**
 * itme_writeback_start - write a granule to the store, if it is dirty
 * @region: its region
 * @granule: its number
 *
 * Waits for nothing.
 */
void itme_writeback_start(struct itme_region *region, u64 granule)
{
	start_run(region, granule, granule, 0, NULL, false);
}

/**
 * itme_writeback_own - do with a resident granule what write-back does
 * @region: its region
 * @g: the granule
 *
 * Until itme_writeback_disown() nobody writes to it, nor moves or drops it. It counts
 * as dirty. Clear PG_dirty, under the folio lock, where the store will have all of it.
 *
 * Return: its frame, referenced; NULL where it is not RESIDENT, or WRITING already.
 */
struct folio *itme_writeback_own(struct itme_region *region, struct itme_granule *g)
{
	struct folio *folio;

	scoped_guard(spinlock_irqsave, itme_granule_lock(g)) {
		if (g->state != ITME_RESIDENT || (g->flags & ITME_GRANULE_WRITING))
			return NULL;
		g->flags |= ITME_GRANULE_WRITING;
		folio = g->folio;
		folio_get(folio);
	}
	count_writing(region, 1);
	itme_dirty_note(region, g);
	return folio;
}

/**
 * itme_writeback_disown - end of itme_writeback_own()
 * @region: its region
 * @g: the granule
 * @folio: its frame; the reference is dropped
 * @err: 0, the store has all of it; else it stays dirty
 */
void itme_writeback_disown(struct itme_region *region, struct itme_granule *g,
			   struct folio *folio, int err)
{
	let_go(region, g, folio, err);
	wake_up_all(&region->inst->dirty_wait);
}

/* ---- a range, for who waits ---- */

static bool is_pending(struct sync *sync, unsigned int most)
{
	return atomic_read(&sync->pending) > most;
}

static int wait_pending(struct itme_region *region, struct sync *sync, unsigned int most,
			bool killable)
{
	struct itme_instance *inst = region->inst;

	if (killable)
		return wait_event_killable(inst->dirty_wait, !is_pending(sync, most)) ? -EINTR : 0;
	wait_event(inst->dirty_wait, !is_pending(sync, most));
	return 0;
}

static bool can_take(struct itme_granule *g)
{
	return READ_ONCE(g->state) != ITME_MOVING &&
	       !(READ_ONCE(g->flags) & ITME_GRANULE_WRITING);
}

/**
 * itme_writeback_wait - wait while a granule is moved, or on its way to the store
 * @region: its region
 * @g: the granule
 * @killable: a fatal signal ends the wait
 *
 * Return: 0 or -EINTR.
 */
int itme_writeback_wait(struct itme_region *region, struct itme_granule *g, bool killable)
{
	struct itme_instance *inst = region->inst;
	int err = 0;

	/* A move wakes others than us; it is short. */
	while (!err && !can_take(g)) {
		if (killable)
			err = wait_event_killable_timeout(inst->dirty_wait, can_take(g), HZ / 50);
		else
			wait_event_timeout(inst->dirty_wait, can_take(g), HZ / 50);
		err = min(err, 0);
	}
	return err ? -EINTR : 0;
}

static bool is_left(struct itme_granule *g)
{
	guard(spinlock_irqsave)(itme_granule_lock(g));
	return (g->flags & ITME_GRANULE_DIRTY) &&
	       (g->state == ITME_MOVING || (g->flags & ITME_GRANULE_WRITING) ||
		folio_test_dirty(g->folio));
}

static int start_range(struct itme_region *region, u64 first, u64 last, struct sync *sync,
		       bool killable)
{
	u64 granule = first;
	int err = 0;

	while (!err && granule <= last) {
		struct itme_granule *g = itme_region_granule(region, granule);
		unsigned int nr;

		cond_resched();
		if (!g) {
			granule = itme_region_granule_last(granule) + 1;
			continue;
		}
		if (!(READ_ONCE(g->flags) & ITME_GRANULE_DIRTY)) {
			granule++;
			continue;
		}
		/* A write under way may not be one of what was written last. */
		err = itme_writeback_wait(region, g, killable) ?:
		      wait_pending(region, sync, SYNC_RUNS, killable);
		if (err)
			break;
		nr = start_run(region, granule, last, 0, sync, false);
		/* Not taken: it is clean by now, or another has been faster. */
		if (nr || !is_left(g))
			granule += nr ?: 1;
	}
	return err;
}

/**
 * itme_writeback_sync - write what is dirty in a range, and wait for it
 * @region: the region
 * @first: first granule
 * @last: last granule
 * @killable: a fatal signal ends the wait; what was started goes on
 *
 * Return: 0, all that was written to the range before the call is written to the
 * store, which may have it in a cache of its own; or the store's error: -EIO,
 * -ENOSPC, -EDQUOT, and what it concerns stays dirty; -ENOMEM; -EINTR.
 */
int itme_writeback_sync(struct itme_region *region, u64 first, u64 last, bool killable)
{
	struct sync *sync;
	int err;

	if (!atomic_long_read(&region->nr_dirty))
		return 0;
	sync = kzalloc(sizeof(*sync), GFP_KERNEL | __GFP_NOFAIL);
	refcount_set(&sync->refs, 1);
	err = start_range(region, first, last, sync, killable);
	if (!err)
		err = wait_pending(region, sync, 0, killable);
	if (!err)
		err = READ_ONCE(sync->error);
	put_sync(sync);
	return err;
}

/**
 * itme_writeback_flush - have the store keep all that was written to a region
 * @region: the region, writable
 *
 * Return: 0, or an error of itme_writeback_sync() or itme_store_sync().
 */
int itme_writeback_flush(struct itme_region *region)
{
	return itme_writeback_sync(region, 0, region->nr_granules - 1, true) ?:
	       itme_store_sync(region, 0, LLONG_MAX, 0);
}

/* ---- the background writer ---- */

static struct itme_region *next_region(struct itme_instance *inst, struct itme_region *prev)
{
	struct itme_region *next = NULL;

	mutex_lock(&inst->writable_mutex);
	if (!prev)
		next = list_first_entry_or_null(&inst->writable, struct itme_region,
						writable_node);
	else if (!list_empty(&prev->writable_node) && !list_is_last(&prev->writable_node,
								     &inst->writable))
		next = list_next_entry(prev, writable_node);
	if (next)
		itme_region_busy_get(next);
	mutex_unlock(&inst->writable_mutex);
	if (prev)
		itme_region_busy_put(prev);
	return next;
}

/* So many granules more than may are dirty, and not on their way; or fewer: negative. */
static long surplus(struct itme_instance *inst)
{
	return atomic_long_read(&inst->nr_dirty) - atomic_long_read(&inst->nr_writing) -
	       (long)itme_dirty_background(inst);
}

static bool too_much_is_dirty(struct itme_instance *inst)
{
	return surplus(inst) > 0;
}

/* A store that has just refused is left alone for a while. */
static bool has_work(struct itme_region *region)
{
	return atomic_long_read(&region->nr_dirty) &&
	       !(READ_ONCE(region->write_error) &&
		 time_before(jiffies, READ_ONCE(region->retry_at)));
}

/* One more run is under way when this returns. */
static void wait_for_turn(struct itme_instance *inst)
{
	wait_event(inst->dirty_wait,
		   atomic_read(&inst->nr_runs) < (is_careful(inst) ? 1 : WRITER_RUNS));
}

/* Write what of a region is dirty for @age ticks. Returns runs; stops after @most. */
static unsigned int write_region(struct itme_region *region, u32 age, bool all,
				 unsigned int most)
{
	struct itme_instance *inst = region->inst;
	unsigned int runs = 0;
	u64 granule = 0;

	if (!has_work(region))
		return 0;
	while (granule < region->nr_granules && runs < most &&
	       (all || too_much_is_dirty(inst))) {
		struct itme_granule *g = itme_region_granule(region, granule);
		unsigned int nr = 0;

		cond_resched();
		if (!g) {
			granule = itme_region_granule_last(granule) + 1;
			continue;
		}
		if (READ_ONCE(g->flags) & ITME_GRANULE_DIRTY) {
			wait_for_turn(inst);
			nr = start_run(region, granule, region->nr_granules - 1, age, NULL, true);
			runs += nr > 0;
		}
		granule += nr ?: 1;
	}
	return runs;
}

static unsigned int write_regions(struct itme_instance *inst, u32 age, bool all,
				  unsigned int most)
{
	struct itme_region *region = NULL;
	unsigned int runs = 0;

	while ((region = next_region(inst, region)))
		runs += write_region(region, age, all, most - min(most, runs));
	return runs;
}

/*
 * What is dirty, by its age, in quarters of octaves. Of neighbours that are filled one
 * after the other only the youngest is still written to: to write that one now would be
 * to write it twice.
 */
#define AGES (4 * 32)
#define YOUNGEST (4 * 2) /* that there is */

static unsigned int class_of_age(u32 age)
{
	unsigned int octave;

	age = max(age, 4U);
	octave = fls(age) - 1;
	return 4 * octave + ((age >> (octave - 2)) & 3);
}

static u32 least_age(unsigned int class)
{
	return (4U | (class & 3)) << (class / 4 - 2);
}

/* It may have become dirty since the clock was read. */
static u32 age_of(const struct itme_granule *g)
{
	u32 now = itme_ticks();

	return max_t(s32, now - READ_ONCE(g->stamp), 0);
}

static void count_ages(struct itme_region *region, unsigned long *counts)
{
	u64 granule;

	if (region->pinnable || !has_work(region)) /* no limit concerns the one */
		return;
	for (granule = 0; granule < region->nr_granules; granule++) {
		struct itme_granule *g = itme_region_granule(region, granule);

		cond_resched();
		if (!g)
			granule = itme_region_granule_last(granule);
		else if ((READ_ONCE(g->flags) & (ITME_GRANULE_DIRTY | ITME_GRANULE_WRITING)) ==
			 ITME_GRANULE_DIRTY)
			counts[class_of_age(age_of(g))]++;
	}
}

/* So old the @nr oldest are, at least; 0 where there are fewer. */
static u32 age_of_oldest(struct itme_instance *inst, unsigned long nr)
{
	unsigned long counts[AGES] = {}, sum = 0;
	struct itme_region *region = NULL;
	unsigned int class = AGES;

	while ((region = next_region(inst, region)))
		count_ages(region, counts);
	while (class > YOUNGEST && sum < nr)
		sum += counts[--class];
	return class == YOUNGEST ? 0 : least_age(class);
}

static u32 delay_ticks(const struct itme_instance *inst)
{
	u64 ticks = ((u64)READ_ONCE(inst->writeback_delay_ms) * NSEC_PER_MSEC) >> ITME_TICK_SHIFT;

	return min_t(u64, ticks, S32_MAX);
}

static void writer_work_fn(struct work_struct *work)
{
	struct itme_instance *inst = container_of(work, struct itme_instance, writer_work.work);
	bool wanted = atomic_xchg(&inst->writer_wanted, 0);
	unsigned long delay = msecs_to_jiffies(READ_ONCE(inst->writeback_delay_ms));
	unsigned int runs, all;
	bool idle = false;

	all = write_regions(inst, delay_ticks(inst), true, UINT_MAX);
	/* Then the oldest of the others, as far as it takes. */
	while (too_much_is_dirty(inst) || (wanted && !all)) {
		long nr = wanted ? WRITER_RUNS : surplus(inst);
		u32 age = idle ? 0 : age_of_oldest(inst, max(nr, 1L));

		runs = write_regions(inst, age, wanted, wanted ? WRITER_RUNS : UINT_MAX);
		if (!runs && !age)
			break;
		idle = !runs; /* the oldest cannot be written now: any of the others */
		all += runs;
	}
	if (!itme_dirty_any(inst))
		return;
	if (too_much_is_dirty(inst))
		delay = ITME_RETRY_INTERVAL;
	itme_writeback_kick(inst, clamp(delay / 4, 1UL, (unsigned long)ITME_RETRY_INTERVAL));
}

/* ---- regions and instances ---- */

/**
 * itme_writeback_setup - make ready to write
 * @inst: a new instance
 *
 * Return: 0 or -ENOMEM.
 */
int itme_writeback_setup(struct itme_instance *inst)
{
	INIT_DELAYED_WORK(&inst->writer_work, writer_work_fn);
	init_waitqueue_head(&inst->read_wait);
	inst->read_at = jiffies - CAREFUL_TIME;
	/* On the CPU of who waits: to wake another costs more than all that a run computes. */
	inst->write_wq = alloc_workqueue("itme_write", WQ_MEM_RECLAIM | WQ_HIGHPRI, SYNC_RUNS);
	return inst->write_wq ? 0 : -ENOMEM;
}

/**
 * itme_writeback_teardown - undo itme_writeback_setup()
 * @inst: an instance without regions
 */
void itme_writeback_teardown(struct itme_instance *inst)
{
	cancel_delayed_work_sync(&inst->writer_work);
	destroy_workqueue(inst->write_wq);
}

/**
 * itme_writeback_add_region - a region can be written to from now on
 * @region: a new region
 */
void itme_writeback_add_region(struct itme_region *region)
{
	struct itme_instance *inst = region->inst;

	mutex_lock(&inst->writable_mutex);
	list_add_tail(&region->writable_node, &inst->writable);
	mutex_unlock(&inst->writable_mutex);
}

/**
 * itme_writeback_remove_region - the last user is gone: write what is dirty
 * @region: a region whose inode is being evicted
 *
 * What the store does not take is counted when it is dropped.
 */
void itme_writeback_remove_region(struct itme_region *region)
{
	struct itme_instance *inst = region->inst;
	int err;

	mutex_lock(&inst->writable_mutex);
	list_del_init(&region->writable_node);
	mutex_unlock(&inst->writable_mutex);
	err = itme_writeback_sync(region, 0, region->nr_granules - 1, false);
	err = itme_store_sync(region, 0, LLONG_MAX, 0) ?: err;
	if (err)
		pr_err("%s: region %lu: its last write to the store failed with error %d\n",
		       inst->name, region->inode.i_ino, err);
}

/* As next_region(), for who waits long: the region stays whole. */
static struct itme_region *next_held(struct itme_instance *inst, struct itme_region *prev)
{
	struct itme_region *region, *next = NULL;
	bool found = !prev;

	mutex_lock(&inst->writable_mutex);
	list_for_each_entry(region, &inst->writable, writable_node) {
		if (found && igrab(&region->inode)) {
			next = region;
			break;
		}
		found = found || region == prev;
	}
	mutex_unlock(&inst->writable_mutex);
	if (prev)
		iput(&prev->inode);
	return next;
}

/**
 * itme_writeback_all - sync(2) and syncfs(2): write all that is dirty
 * @inst: the instance
 * @wait: for it; else only begin
 *
 * Return: 0 or the first error of itme_writeback_sync() or of a store's fsync.
 */
int itme_writeback_all(struct itme_instance *inst, bool wait)
{
	struct itme_region *region = NULL;
	int err = 0, one;

	if (!wait) {
		itme_writeback_kick(inst, 0);
		return 0;
	}
	while ((region = next_held(inst, region))) {
		one = itme_writeback_flush(region);
		err = err ?: one;
	}
	return err;
}
