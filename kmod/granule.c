// SPDX-License-Identifier: GPL-2.0-only
/* The states of a granule: who may change them, and how to wait for them. */
#include <linux/hash.h>
#include <linux/jiffies.h>
#include <linux/sched/signal.h>
#include "itme.h"

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

static void set_state(struct itme_granule *g, enum itme_state state, struct folio *folio,
		      enum itme_tier tier, u8 flags)
{
	with_granule_lock(g);
	g->folio = folio;
	g->tier = tier;
	g->flags = flags;
	g->stamp = jiffies;
	WRITE_ONCE(g->state, state);
}

/**
 * itme_granule_resident - end of a fill or a move: the granule is in memory
 * @g: FILLING or MOVING, owned by the caller
 * @folio: its frame, bound
 * @tier: the frame's tier
 * @flags: new ITME_GRANULE_* flags
 *
 * Any context.
 */
void itme_granule_resident(struct itme_granule *g, struct folio *folio, enum itme_tier tier,
			   u8 flags)
{
	set_state(g, ITME_RESIDENT, folio, tier, flags);
	wake_up_all(&lock_of(g)->wait);
}

/**
 * itme_granule_absent - end of a failed fill, or of a drop
 * @g: FILLING or MOVING, owned by the caller
 * @flags: new ITME_GRANULE_* flags
 *
 * Any context.
 */
void itme_granule_absent(struct itme_granule *g, u8 flags)
{
	set_state(g, ITME_ABSENT, NULL, ITME_TIER_STORE, flags);
	wake_up_all(&lock_of(g)->wait);
}

/**
 * itme_granule_start_fill - become the owner of an absent granule's fill
 * @g: the granule
 * @flags: ITME_GRANULE_DEMAND or 0
 *
 * Return: false where the granule is not absent.
 */
bool itme_granule_start_fill(struct itme_granule *g, u8 flags)
{
	with_granule_lock(g);
	if (g->state != ITME_ABSENT)
		return false;
	g->flags = flags;
	WRITE_ONCE(g->state, ITME_FILLING);
	return true;
}

/**
 * itme_granule_claim - become the owner of a resident granule, to move it
 * @g: the granule
 * @folio: the frame that it is expected to have
 * @force: claim even what a waiter has not seen yet
 *
 * Return: 0; -ENOENT where it is not RESIDENT with @folio; -EAGAIN where a
 * waiter has not mapped it yet.
 */
int itme_granule_claim(struct itme_granule *g, struct folio *folio, bool force)
{
	with_granule_lock(g);
	if (g->state != ITME_RESIDENT || g->folio != folio)
		return -ENOENT;
	if (!force && (g->flags & ITME_GRANULE_DEMAND) &&
	    (u32)jiffies - g->stamp < ITME_DEMAND_GRACE)
		return -EAGAIN;
	WRITE_ONCE(g->state, ITME_MOVING);
	return 0;
}

/**
 * itme_granule_mapped - the fault handler's last look, under the folio lock
 * @g: the granule
 * @folio: the frame about to be mapped
 *
 * Return: whether @folio is the granule's memory. If so its waiter is served.
 */
bool itme_granule_mapped(struct itme_granule *g, struct folio *folio)
{
	with_granule_lock(g);
	if (g->state != ITME_RESIDENT || g->folio != folio)
		return false;
	g->flags &= ~ITME_GRANULE_DEMAND;
	return true;
}

/* Take a reference on the frame of a resident granule: NULL where it is not. */
static struct folio *get_resident(struct itme_granule *g, bool waiter, int *state, int *err)
{
	with_granule_lock(g);
	*state = g->state;
	*err = g->flags & ITME_GRANULE_ERR ? -EIO : 0;
	if (g->state != ITME_RESIDENT)
		return NULL;
	if (waiter)
		g->flags &= ~ITME_GRANULE_DEMAND;
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
	itme_count_one(region, expired_count);
	with_granule_lock(g);
	g->flags |= ITME_GRANULE_EXPIRED;
	g->stamp = jiffies;
	return -ETIMEDOUT;
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
	       (g->flags & (ITME_GRANULE_ERR | ITME_GRANULE_EXPIRED)) &&
	       (u32)jiffies - g->stamp < ITME_FAILURE_MEMORY;
}

/**
 * itme_granule_get - get a reference on a granule's frame, filling it if absent
 * @region: the region
 * @granule: number of the granule, inside the region
 * @flags: ITME_GET_*
 * @waited: (out) set where it takes the store to get it
 *
 * With ITME_GET_NOWAIT an absent granule's fill is started, but not waited for.
 *
 * Return: the frame, referenced; or an error pointer: -EAGAIN or -ENODATA as the
 * flags ask, -EIO where the store could not be read or no frame was found,
 * -EINTR, -ETIMEDOUT, -ENOMEM.
 */
struct folio *itme_granule_get(struct itme_region *region, u64 granule, unsigned int flags,
			       bool *waited)
{
	struct itme_granule *g = itme_region_granule_alloc(region, granule);
	bool tried = false;
	int err;

	if (!g)
		return ERR_PTR(-ENOMEM);
	for (;;) {
		int state, fill_err;
		struct folio *folio;

		folio = get_resident(g, !(flags & ITME_GET_NOWAIT), &state, &fill_err);
		if (folio)
			return folio;
		if (state == ITME_ABSENT) {
			if (flags & ITME_GET_NOFILL)
				return ERR_PTR(-ENODATA);
			if (tried && fill_err)
				return ERR_PTR(fill_err);
			if (itme_granule_start_fill(g, ITME_GRANULE_DEMAND)) {
				err = itme_fill_start(region, granule, g, NULL,
						      ITME_TIER_STORE);
				if (err)
					return ERR_PTR(err);
			}
		}
		if (state != ITME_MOVING)
			*waited = true;
		if (flags & ITME_GET_NOWAIT)
			return ERR_PTR(-EAGAIN);
		tried = true;
		err = itme_granule_wait(region, g);
		if (err)
			return ERR_PTR(err);
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
	u8 bits;

	with_granule_lock(g);
	bits = g->tier;
	if (g->state == ITME_FILLING || g->state == ITME_MOVING)
		bits |= ITME_RESIDENCY_BUSY;
	if (g->flags & ITME_GRANULE_HELD)
		bits |= ITME_RESIDENCY_HELD;
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
