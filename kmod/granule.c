// SPDX-License-Identifier: GPL-2.0-only
/* The states of a granule: who may change them, and how to wait for them. */
#include <linux/hash.h>
#include <linux/sched/signal.h>
#include "itme.h"
#include "trace.h"

#define GRANULE_LOCK_BITS 8

/* Hashed, so that a granule costs no lock of its own. Never two at once. */
static struct granule_lock {
	spinlock_t lock;
	wait_queue_head_t wait;
} granule_locks[1 << GRANULE_LOCK_BITS];

static struct granule_lock *lock_of(struct itme_granule *g)
{
	return &granule_locks[hash_ptr(g, GRANULE_LOCK_BITS)];
}

/**
 * itme_granule_lock - the lock of a granule's fields
 * @g: the granule
 *
 * Innermost, irqsave: for what belongs to the granule and is described elsewhere.
 *
 * Return: the lock.
 */
spinlock_t *itme_granule_lock(struct itme_granule *g)
{
	return &lock_of(g)->lock;
}

#define with_granule_lock(g) guard(spinlock_irqsave)(&lock_of(g)->lock)

/**
 * itme_granule_init_locks - before the first granule
 */
void __init itme_granule_init_locks(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(granule_locks); i++) {
		spin_lock_init(&granule_locks[i].lock);
		init_waitqueue_head(&granule_locks[i].wait);
	}
}

/*
 * A new state ends the flags of the old one, but for @keep and those that last.
 * Returns the old flags.
 */
static u16 set_state(struct itme_granule *g, enum itme_state state, struct folio *folio,
		     enum itme_tier tier, u16 flags, u16 keep)
{
	u16 old;

	with_granule_lock(g);
	old = g->flags;
	if (old & ITME_GRANULE_DEMAND)
		flags &= ~ITME_GRANULE_AHEAD; /* somebody waits for it: not ahead of him */
	g->folio = folio;
	g->tier = tier;
	g->flags = (old & (keep | ITME_GRANULE_LASTING)) | flags;
	g->stamp = itme_ticks();
	WRITE_ONCE(g->state, state);
	return old;
}

/* Whoever waits for the granule, or has a hint that does, looks again. */
static void announce(struct itme_region *region, struct itme_granule *g)
{
	wake_up_all(&lock_of(g)->wait);
	if (atomic_long_read(&region->inst->nr_requests))
		itme_queue_kick(region->inst);
}

/**
 * itme_granule_resident - end of a fill or a move: the granule is in memory
 * @region: its region
 * @g: FILLING or MOVING, owned by the caller
 * @folio: its frame, bound
 * @tier: the frame's tier
 * @flags: new ITME_GRANULE_* flags
 *
 * A waiter that came meanwhile, and that nothing has touched it, stay noted.
 * Any context.
 *
 * Return: the flags that it had.
 */
u16 itme_granule_resident(struct itme_region *region, struct itme_granule *g,
			  struct folio *folio, enum itme_tier tier, u16 flags)
{
	u16 old = set_state(g, ITME_RESIDENT, folio, tier, flags,
			    ITME_GRANULE_DEMAND | ITME_GRANULE_AHEAD);

	announce(region, g);
	return old;
}

/**
 * itme_granule_absent - end of a failed fill, or of a drop
 * @region: its region
 * @g: FILLING or MOVING, owned by the caller
 * @flags: new ITME_GRANULE_* flags
 *
 * Any context.
 *
 * Return: the flags that it had.
 */
u16 itme_granule_absent(struct itme_region *region, struct itme_granule *g, u16 flags)
{
	u16 old = set_state(g, ITME_ABSENT, NULL, ITME_TIER_STORE, flags, 0);

	announce(region, g);
	return old;
}

/*
 * The granule is queued no more. Its promise ends, unless it is one of @keep: then
 * it is the caller's. Returns whether it is.
 */
static bool end_queued(struct itme_region *region, u16 flags, enum itme_tier keep)
{
	enum itme_tier tier = flags & ITME_GRANULE_QUEUED_CXL ? ITME_TIER_CXL : ITME_TIER_DRAM;

	if (!(flags & ITME_GRANULE_QUEUED))
		return false;
	atomic_long_dec(&region->nr_queued);
	if (tier == keep)
		return true;
	itme_victim_unpromise(region->inst, tier);
	return false;
}

/**
 * itme_granule_start_fill - become the owner of an absent granule's fill
 * @region: its region
 * @g: the granule
 * @flags: ITME_GRANULE_DEMAND or ITME_GRANULE_HINTED
 * @keep: the tier of which the caller wants the promise, if it is queued; or
 *	ITME_TIER_STORE
 * @promised: (out) whether the caller has the promise now; NULL with ITME_TIER_STORE
 *
 * Return: false where the granule is not absent.
 */
bool itme_granule_start_fill(struct itme_region *region, struct itme_granule *g, u16 flags,
			     enum itme_tier keep, bool *promised)
{
	bool kept;
	u16 old;

	scoped_guard(spinlock_irqsave, &lock_of(g)->lock) {
		if (g->state != ITME_ABSENT)
			return false;
		old = g->flags;
		g->flags = (old & ITME_GRANULE_LASTING &
			    ~(ITME_GRANULE_QUEUED | ITME_GRANULE_QUEUED_CXL)) | flags;
		WRITE_ONCE(g->state, ITME_FILLING);
	}
	kept = end_queued(region, old, keep);
	if (promised)
		*promised = kept;
	return true;
}

/**
 * itme_granule_enqueue - note that a hint wants a granule
 * @g: the granule
 * @tier: ITME_TIER_DRAM or ITME_TIER_CXL, of which the caller has a promise
 *
 * Return: false where it is queued or busy already, or has come since the caller
 * looked; the promise is the caller's still.
 */
bool itme_granule_enqueue(struct itme_granule *g, enum itme_tier tier)
{
	with_granule_lock(g);
	if ((g->flags & ITME_GRANULE_QUEUED) || g->state == ITME_FILLING ||
	    g->state == ITME_MOVING || (g->state == ITME_RESIDENT && g->tier == tier))
		return false;
	g->flags |= ITME_GRANULE_QUEUED;
	if (tier == ITME_TIER_CXL)
		g->flags |= ITME_GRANULE_QUEUED_CXL;
	return true;
}

/**
 * itme_granule_dequeue - take back itme_granule_enqueue(), if it is queued
 * @region: its region
 * @g: the granule
 */
void itme_granule_dequeue(struct itme_region *region, struct itme_granule *g)
{
	u16 old = itme_granule_set(g, 0, ITME_GRANULE_QUEUED | ITME_GRANULE_QUEUED_CXL);

	end_queued(region, old, ITME_TIER_STORE);
	if (old & ITME_GRANULE_QUEUED)
		announce(region, g);
}

/**
 * itme_granule_set - change flags that last
 * @g: the granule
 * @set: flags to set
 * @clear: flags to clear
 *
 * Return: the flags before.
 */
u16 itme_granule_set(struct itme_granule *g, u16 set, u16 clear)
{
	u16 old;

	with_granule_lock(g);
	old = g->flags;
	g->flags = (old & ~clear) | set;
	return old;
}

/**
 * itme_granule_snapshot - all of a granule, as it was at one moment
 * @g: the granule
 *
 * Return: a copy; its folio may be somebody else's by now.
 */
struct itme_granule itme_granule_snapshot(struct itme_granule *g)
{
	with_granule_lock(g);
	return *g;
}

static bool is_busy(const struct itme_granule *g)
{
	return (g->flags & ITME_GRANULE_QUEUED) || g->state == ITME_FILLING ||
	       g->state == ITME_MOVING;
}

/**
 * itme_granule_busy - is a fill or a move of the granule queued or under way?
 * @g: the granule
 *
 * Return: whether it is.
 */
bool itme_granule_busy(struct itme_granule *g)
{
	with_granule_lock(g);
	return is_busy(g);
}

/**
 * itme_granule_claim - become the owner of a resident granule, to move it
 * @region: its region
 * @g: the granule
 * @folio: the frame that it is expected to have
 * @claim: ITME_CLAIM_* of what may be claimed too
 *
 * If it is queued, this is its turn: it is so no more.
 *
 * Return: 0; -ENOENT where it is not RESIDENT with @folio; -EAGAIN where a
 * waiter has not mapped it yet, it is pinned, or on its way to the store; -EUCLEAN
 * where it is dirty.
 */
int itme_granule_claim(struct itme_region *region, struct itme_granule *g, struct folio *folio,
		       unsigned int claim)
{
	u16 old;

	scoped_guard(spinlock_irqsave, &lock_of(g)->lock) {
		old = g->flags;
		if (g->state != ITME_RESIDENT || g->folio != folio)
			return -ENOENT;
		if ((old & ITME_GRANULE_PINNED) && !(claim & ITME_CLAIM_PINNED))
			return -EAGAIN;
		if (old & ITME_GRANULE_WRITING)
			return -EAGAIN;
		if ((old & ITME_GRANULE_DIRTY) && !(claim & ITME_CLAIM_DIRTY) &&
		    folio_test_dirty(folio))
			return -EUCLEAN;
		if (!(claim & ITME_CLAIM_UNSEEN) && (old & ITME_GRANULE_DEMAND) &&
		    itme_ticks() - g->stamp < ITME_DEMAND_GRACE)
			return -EAGAIN;
		g->flags &= ~(ITME_GRANULE_QUEUED | ITME_GRANULE_QUEUED_CXL);
		WRITE_ONCE(g->state, ITME_MOVING);
	}
	end_queued(region, old, ITME_TIER_STORE);
	return 0;
}

/* What its first use tells: taken from the flags, with the granule lock held. */
static u16 use(struct itme_granule *g)
{
	u16 used = g->flags & (ITME_GRANULE_AHEAD | ITME_GRANULE_WATCHED);

	g->flags &= ~(ITME_GRANULE_DEMAND | ITME_GRANULE_AHEAD | ITME_GRANULE_WATCHED);
	return used;
}

/**
 * itme_granule_mapped - the fault handler's last look, under the folio lock
 * @g: the granule
 * @folio: the frame about to be mapped
 * @used: (out) flags for itme_granule_used()
 *
 * Return: whether @folio is the granule's memory. If so its waiter is served.
 */
bool itme_granule_mapped(struct itme_granule *g, struct folio *folio, u16 *used)
{
	with_granule_lock(g);
	if (g->state != ITME_RESIDENT || g->folio != folio)
		return false;
	*used = use(g);
	return true;
}

/*
 * Take a reference on the frame of a resident granule: NULL where it is not.
 * A waiter that finds its fill under way makes it no victim when it ends.
 */
static struct folio *get_resident(struct itme_granule *g, unsigned int flags,
				  struct itme_granule *seen, u16 *used)
{
	with_granule_lock(g);
	*seen = *g;
	if (g->state == ITME_FILLING && !(flags & ITME_GET_NOFILL))
		g->flags |= ITME_GRANULE_DEMAND;
	if (g->state != ITME_RESIDENT)
		return NULL;
	*used = flags & ITME_GET_READ ? use(g) : 0;
	/* RESIDENT: no mover has frozen the reference count. */
	folio_get(g->folio);
	return g->folio;
}

static bool settled(struct itme_granule *g)
{
	int state = READ_ONCE(g->state);

	return state == ITME_RESIDENT || state == ITME_ABSENT;
}

/**
 * itme_granule_wait - wait until a granule is neither filling nor moving
 * @region: its region
 * @g: the granule
 *
 * No lock is held, but mmap_lock where a fault must not drop it.
 *
 * Return: 0, -EINTR for a fatal signal, -ETIMEDOUT after ITME_DEMAND_TIMEOUT.
 */
int itme_granule_wait(struct itme_region *region, struct itme_granule *g)
{
	long left = wait_event_killable_timeout(lock_of(g)->wait, settled(g),
						ITME_DEMAND_TIMEOUT);

	if (left < 0)
		return -EINTR;
	if (left)
		return 0;
	itme_count_one(region, timeout_count);
	with_granule_lock(g);
	g->flags |= ITME_GRANULE_TIMEOUT;
	g->stamp = itme_ticks();
	return -ETIMEDOUT;
}

/**
 * itme_granule_wait_idle - wait until a granule is not busy, not even queued
 * @g: the granule
 * @timeout: jiffies that are left; updated
 *
 * Return: 0, -ERESTARTSYS for a signal, -ETIMEDOUT.
 */
int itme_granule_wait_idle(struct itme_granule *g, long *timeout)
{
	long left = wait_event_interruptible_timeout(lock_of(g)->wait, !itme_granule_busy(g),
						     *timeout);

	if (left < 0)
		return left;
	if (!left)
		return -ETIMEDOUT;
	*timeout = left;
	return 0;
}

/**
 * itme_granule_failed - has a fill of the granule failed, or a wait ended, just now?
 * @g: the granule
 *
 * For a fault that was told to retry after a wait: it must not wait again and
 * again for a store that is gone. The next fill forgets the failure.
 *
 * Return: whether it did.
 */
bool itme_granule_failed(struct itme_granule *g)
{
	with_granule_lock(g);
	return g->state != ITME_RESIDENT &&
	       (g->flags & (ITME_GRANULE_ERR | ITME_GRANULE_TIMEOUT)) &&
	       itme_ticks() - g->stamp < ITME_FAILURE_MEMORY;
}

/* Why one waits that has found the granule like this: bits ITME_CAUSE_*. */
static u32 cause_of_wait(const struct itme_granule *seen)
{
	if (seen->state == ITME_MOVING)
		return ITME_CAUSE_MOVE;
	return seen->flags & (ITME_GRANULE_HINTED | ITME_GRANULE_QUEUED) ? ITME_CAUSE_LATE :
									    ITME_CAUSE_MISS;
}

/*
 * A thread that waits has one fill under way. One that does not wait (RWF_NOWAIT)
 * could begin any number: it begins none while a window of others is on its way.
 */
static bool too_many_begun(struct itme_instance *inst, unsigned int flags)
{
	unsigned int mask = ITME_GET_NOWAIT | ITME_GET_READ;

	return (flags & mask) == mask &&
	       atomic_long_read(&inst->nr_demand) >= READ_ONCE(inst->window_frames);
}

/* Who waits for the fill begins it, here or where the caller has let go of its locks. */
static int begin_fill(struct itme_region *region, u64 granule, struct itme_granule *g,
		      unsigned int flags, struct itme_fill **out)
{
	struct itme_fill *fill =
		itme_fill_prepare(region, granule, g, ITME_TIER_STORE, 0, false);

	if (!fill)
		return -ENOMEM;
	if (flags & ITME_GET_WRITE)
		itme_fill_for_write(fill);
	if (!(flags & ITME_GET_NOWAIT))
		itme_fill_begin(fill);
	else if (out)
		*out = fill;
	else
		itme_fill_queue(fill);
	return 0;
}

/**
 * itme_granule_get - get a reference on a granule's frame, filling it if absent
 * @region: the region
 * @granule: number of the granule, inside the region
 * @flags: ITME_GET_*
 * @cause: (out) ITME_CAUSE_* added where it has to be waited for, or was fetched ahead
 *
 * @fill: (out) with ITME_GET_NOWAIT, where an absent granule's fill is to begin: the
 *	caller does that; NULL where a worker is to
 *
 *
 * Return: the frame, referenced; or an error pointer: -EAGAIN or -ENODATA as the
 * flags ask, -EIO where the store could not be read or no frame was found,
 * -EINTR, -ETIMEDOUT, -ENOMEM.
 */
struct folio *itme_granule_get(struct itme_region *region, u64 granule, unsigned int flags,
			       u32 *cause, struct itme_fill **fill)
{
	struct itme_granule *g = itme_region_granule_alloc(region, granule);
	bool tried = false;
	int err;

	if (!g)
		return ERR_PTR(-ENOMEM);
	for (;;) {
		struct itme_granule seen;
		struct folio *folio;
		u16 used;

		folio = get_resident(g, flags, &seen, &used);
		if (folio) {
			if (used)
				itme_granule_used(region, granule, folio, used, NULL);
			if (used & ITME_GRANULE_AHEAD)
				*cause |= ITME_CAUSE_AHEAD;
			return folio;
		}
		if (seen.state == ITME_ABSENT) {
			if (flags & ITME_GET_NOFILL)
				return ERR_PTR(-ENODATA);
			if (tried && (seen.flags & ITME_GRANULE_ERR))
				return ERR_PTR(-EIO);
			if (too_many_begun(region->inst, flags))
				return ERR_PTR(-EAGAIN);
			/* Whose fill has just begun is to know that somebody waits for it. */
			if (!itme_granule_start_fill(region, g, ITME_GRANULE_DEMAND,
						     ITME_TIER_STORE, NULL))
				continue;
			err = begin_fill(region, granule, g, flags, fill);
			if (err)
				return ERR_PTR(err);
		}
		/* The first finding says what was missing; a move may end in a drop. */
		if (!(*cause & ~ITME_CAUSE_MOVE))
			*cause |= cause_of_wait(&seen);
		if (flags & ITME_GET_NOWAIT)
			return ERR_PTR(-EAGAIN);
		tried = true;
		err = itme_granule_wait(region, g);
		if (err)
			return ERR_PTR(err);
	}
}

/**
 * itme_granule_used - account for the first use of what was fetched or watched
 * @region: the region
 * @granule: number of the granule
 * @folio: its frame, referenced or locked by the caller
 * @used: from itme_granule_mapped()
 * @lead_ns: (out) how long it had been ready, where it was fetched ahead; or NULL
 */
void itme_granule_used(struct itme_region *region, u64 granule, struct folio *folio, u16 used,
		       u64 *lead_ns)
{
	struct itme_granule seen = itme_granule_snapshot(itme_region_granule(region, granule));

	if (used & ITME_GRANULE_AHEAD) {
		itme_count_add(region, useful_bytes, itme_granule_valid_bytes(region, granule));
		itme_victim_relist(region->inst, folio, seen.tier);
		if (lead_ns)
			*lead_ns = (u64)(itme_ticks() - seen.stamp) << ITME_TICK_SHIFT;
	}
	if (used & ITME_GRANULE_WATCHED) {
		itme_count_one(region, touch_count);
		trace_touch(region, granule, seen.tier);
	}
}

/**
 * itme_granule_residency - the granule's byte for ITME_IOC_RESIDENCY
 * @g: the granule
 *
 * Return: bits ITME_RESIDENCY_*.
 */
u8 itme_granule_residency(struct itme_granule *g)
{
	struct itme_granule seen = itme_granule_snapshot(g);
	u8 bits = seen.tier;

	if (is_busy(&seen))
		bits |= ITME_RESIDENCY_BUSY;
	if (seen.flags & ITME_GRANULE_DIRTY)
		bits |= ITME_RESIDENCY_DIRTY;
	if (seen.flags & ITME_GRANULE_HELD)
		bits |= ITME_RESIDENCY_HELD;
	if (seen.flags & ITME_GRANULE_PINNED)
		bits |= ITME_RESIDENCY_PINNED;
	if (seen.flags & ITME_GRANULE_WATCHED)
		bits |= ITME_RESIDENCY_WATCHED;
	return bits;
}

/**
 * itme_granule_frame - the frame of a resident granule, with a reference
 * @g: the granule
 * @tier: (out) the frame's tier
 *
 * Return: NULL where the granule is not RESIDENT.
 */
struct folio *itme_granule_frame(struct itme_granule *g, enum itme_tier *tier)
{
	with_granule_lock(g);
	if (g->state != ITME_RESIDENT)
		return NULL;
	*tier = g->tier;
	folio_get(g->folio);
	return g->folio;
}
