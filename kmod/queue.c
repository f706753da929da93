// SPDX-License-Identifier: GPL-2.0-only
/*
 * The queue: what hints want, in the order in which it is begun.
 *
 * A request is a range of granules that one hint wants, all of them accepted:
 * each had a frame promised when it was submitted, or was on its way already.
 * Requests stand in a tree by class, then deadline, then order of submission, and
 * those with a deadline in another, from which they expire in time.
 * One work item of the instance takes the first granule of the first request,
 * again and again, while fewer than the limit are under way and no demand fill
 * is waiting to reach the store. It begins a fill or a move and waits for none.
 *
 * The flag ITME_GRANULE_QUEUED of a granule only says that its promise is not
 * used yet: it makes a second hint for it cost nothing. It is not what makes the
 * queue begin it. That is the request alone, so that of two requests for one
 * granule either may be cancelled.
 *
 * When all of a request is begun it is finishing: a cursor walks over its
 * granules and stops at one that is busy. It has ended when the cursor is past
 * the last one, and what came of each is what the cursor has seen.
 */
#include <linux/ktime.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include "itme.h"

/* Granules that a cursor walks past, and requests looked at, while the lock is held. */
#define STEPS 256
#define LOOKS 64
/* Granules begun between two looks at what has ended. */
#define BEGINS 64

static struct kmem_cache *request_cache;

static struct itme_request *to_request(struct rb_node *node)
{
	return rb_entry(node, struct itme_request, node);
}

static bool goes_before(struct rb_node *a_node, const struct rb_node *b_node)
{
	const struct itme_request *a = to_request(a_node);
	const struct itme_request *b = rb_entry(b_node, struct itme_request, node);

	if (a->hint_class != b->hint_class)
		return a->hint_class < b->hint_class;
	if (a->deadline_ns != b->deadline_ns)
		return a->deadline_ns < b->deadline_ns;
	if (a->seq != b->seq)
		return a->seq < b->seq;
	return a->first < b->first; /* parts of one that was cut */
}

static struct itme_request *to_expiring(struct rb_node *node)
{
	return rb_entry(node, struct itme_request, expiry_node);
}

static bool expires_before(struct rb_node *a, const struct rb_node *b)
{
	return to_expiring(a)->deadline_ns <
	       rb_entry(b, struct itme_request, expiry_node)->deadline_ns;
}

/**
 * itme_queue_kick - something has changed that may let the queue go on
 * @inst: the instance
 *
 * Any context.
 */
void itme_queue_kick(struct itme_instance *inst)
{
	queue_work(inst->fill_wq, &inst->queue_work);
}

/**
 * itme_queue_ended - a fill or a move that the queue has begun is over
 * @inst: the instance
 *
 * Any context.
 */
void itme_queue_ended(struct itme_instance *inst)
{
	atomic_long_dec(&inst->nr_hinted);
	itme_queue_kick(inst);
}

/*
 * Half a window: a demand fill waits behind what is under way, and a few granules
 * keep any drive busy. But not less than 4, where the window has so many.
 */
static unsigned long default_limit(unsigned long window)
{
	return min(max(window / 2, 4UL), window);
}

/**
 * itme_queue_limit - most fills and moves that hints may have under way
 * @inst: the instance
 *
 * Return: granules, at least 1, at most the window.
 */
unsigned long itme_queue_limit(const struct itme_instance *inst)
{
	unsigned long window = max(READ_ONCE(inst->window_frames), 1UL);
	unsigned long limit = READ_ONCE(inst->inflight_frames);

	return limit ? min(limit, window) : default_limit(window);
}

static u64 bytes_of(struct itme_region *region, u64 first, u64 last)
{
	u64 shift = region->inst->granule_shift;

	return first > last ? 0 : min((last + 1) << shift, region->bytes) - (first << shift);
}

/*
 * Ranges of other requests that overlap with one: what is queued there stays so.
 * More than fit here count as one over all.
 */
struct others {
	unsigned int nr;
	struct {
		u64 first, last;
	} range[8];
};

static void find_others(struct itme_instance *inst, const struct itme_request *r, u64 first,
			u64 last, struct others *others)
{
	struct rb_node *node;

	others->nr = 0;
	for (node = rb_first_cached(&inst->queue); node; node = rb_next(node)) {
		const struct itme_request *other = to_request(node);

		if (other == r || other->opened->region != r->opened->region ||
		    other->next > last || other->last < first)
			continue;
		if (others->nr == ARRAY_SIZE(others->range)) {
			others->range[0].first = first;
			others->range[0].last = last;
			return;
		}
		others->range[others->nr].first = other->next;
		others->range[others->nr++].last = other->last;
	}
}

static bool among(const struct others *others, u64 granule)
{
	unsigned int i;

	for (i = 0; i < others->nr; i++)
		if (granule >= others->range[i].first && granule <= others->range[i].last)
			return true;
	return false;
}

/* Take back what a request will not begin: [first, last] of it. */
static void dequeue_range(struct itme_instance *inst, struct itme_request *r, u64 first,
			  u64 last)
{
	struct itme_region *region = r->opened->region;
	struct others others;
	u64 granule;

	lockdep_assert_held(&inst->queue_lock);
	find_others(inst, r, first, last, &others);
	for (granule = first; granule <= last; granule++)
		if (!among(&others, granule))
			itme_granule_dequeue(region, itme_region_granule(region, granule));
}

/* Out of the queue: all of it is begun, or will not be. */
static void unqueue(struct itme_instance *inst, struct itme_request *r)
{
	if (RB_EMPTY_NODE(&r->node))
		return;
	rb_erase_cached(&r->node, &inst->queue);
	RB_CLEAR_NODE(&r->node);
	if (r->deadline_ns != U64_MAX)
		rb_erase_cached(&r->expiry_node, &inst->expiries);
}

static void begin_finishing(struct itme_instance *inst, struct itme_request *r)
{
	unqueue(inst, r);
	list_add_tail(&r->finishing_node, &inst->finishing);
	inst->nr_finishing++;
	r->next = r->first; /* from now on the finishing cursor */
}

/* The request has ended or is cancelled. Its cookie hears of it. */
static void remove_request(struct itme_instance *inst, struct itme_request *r)
{
	static const struct itme_outcome nothing;

	lockdep_assert_held(&inst->queue_lock);
	unqueue(inst, r);
	if (!list_empty(&r->finishing_node))
		inst->nr_finishing--;
	list_del(&r->finishing_node);
	list_del(&r->opened_node);
	r->opened->nr_requests--;
	atomic_long_dec(&inst->nr_requests);
	if (r->cookie)
		itme_cookie_put(r->opened, r->cookie, &nothing);
	kmem_cache_free(request_cache, r);
}

/* The deadline has passed: what is not begun will not be. */
static void expire(struct itme_instance *inst, struct itme_request *r)
{
	struct itme_region *region = r->opened->region;
	struct itme_outcome outcome = { .expired = bytes_of(region, r->next, r->last) };

	itme_count_add(region, expired_bytes, outcome.expired);
	if (r->cookie)
		itme_cookie_add(r->cookie, &outcome);
	dequeue_range(inst, r, r->next, r->last);
	if (r->next == r->first) {
		remove_request(inst, r);
		return;
	}
	r->last = r->next - 1;
	begin_finishing(inst, r);
}

/* Expire one request whose time has come. Returns whether there may be more. */
static bool expire_one(struct itme_instance *inst)
{
	struct rb_node *node;
	bool due = false;

	spin_lock(&inst->queue_lock);
	node = rb_first_cached(&inst->expiries);
	if (node) {
		u64 now = ktime_get_ns(), deadline = to_expiring(node)->deadline_ns;

		due = deadline < now;
		if (due)
			expire(inst, to_expiring(node));
		else
			mod_delayed_work(inst->fill_wq, &inst->expiry_work,
					 nsecs_to_jiffies64(min(deadline - now, NSEC_PER_SEC)) + 1);
	}
	spin_unlock(&inst->queue_lock);
	return due;
}

static void expire_all(struct itme_instance *inst)
{
	while (expire_one(inst))
		cond_resched();
}

static void expiry_work_fn(struct work_struct *work)
{
	struct itme_instance *inst =
		container_of(work, struct itme_instance, expiry_work.work);

	expire_all(inst);
	itme_queue_kick(inst); /* the finishing of what was begun before */
}

/* What came of a granule that is busy no more. */
static void add_outcome(struct itme_outcome *outcome, struct itme_region *region, u64 granule,
			const struct itme_granule *seen)
{
	u64 bytes = itme_granule_valid_bytes(region, granule);

	if (seen->state == ITME_RESIDENT)
		outcome->ready += bytes;
	else if (seen->flags & ITME_GRANULE_ERR)
		outcome->failed += bytes;
	else
		outcome->lost += bytes;
}

/* Walk on. Returns whether STEPS were not enough. */
static bool walk(struct itme_instance *inst, struct itme_request *r)
{
	struct itme_region *region = r->opened->region;
	struct itme_outcome outcome = {};
	unsigned int steps = STEPS;

	while (r->next <= r->last && steps--) {
		struct itme_granule *g = itme_region_granule(region, r->next);
		struct itme_granule seen = itme_granule_snapshot(g);

		if ((seen.flags & ITME_GRANULE_QUEUED) || seen.state == ITME_FILLING ||
		    seen.state == ITME_MOVING)
			break;
		add_outcome(&outcome, region, r->next++, &seen);
	}
	if (r->cookie)
		itme_cookie_add(r->cookie, &outcome);
	if (r->next <= r->last)
		return steps == -1U;
	remove_request(inst, r);
	return false;
}

/* Look at each finishing request once. Those that have not ended go behind the others. */
static void walk_all(struct itme_instance *inst)
{
	unsigned long looks;

	spin_lock(&inst->queue_lock);
	for (looks = inst->nr_finishing; looks && inst->nr_finishing; looks--) {
		struct itme_request *r = list_first_entry(&inst->finishing, struct itme_request,
							  finishing_node);

		list_move_tail(&r->finishing_node, &inst->finishing);
		if (walk(inst, r)) {
			list_move(&r->finishing_node, &inst->finishing); /* go on with it */
			looks++;
			cond_resched_lock(&inst->queue_lock);
		} else if (looks % LOOKS == 0) {
			cond_resched_lock(&inst->queue_lock);
		}
	}
	spin_unlock(&inst->queue_lock);
}

struct next_granule {
	struct itme_region *region; /* busy */
	u64 granule;
	enum itme_hint_class hint_class;
	enum itme_tier tier;
	bool pin;
};

/* The granule that comes next, if one does. */
static bool take_next(struct itme_instance *inst, struct next_granule *next)
{
	struct rb_node *node;

	spin_lock(&inst->queue_lock);
	node = rb_first_cached(&inst->queue);
	if (node) {
		struct itme_request *r = to_request(node);

		*next = (struct next_granule){
			.region = r->opened->region,
			.granule = r->next++,
			.hint_class = r->hint_class,
			.tier = r->tier,
			.pin = r->pin,
		};
		if (r->next > r->last)
			begin_finishing(inst, r);
		/* The open file keeps the region only until the lock is let go. */
		itme_region_busy_get(next->region);
	}
	spin_unlock(&inst->queue_lock);
	return node;
}

/* Begin to bring a granule where it is wanted, unless it is there or on its way. */
static void begin(struct itme_instance *inst, const struct next_granule *next)
{
	struct itme_region *region = next->region;
	struct itme_granule *g = itme_region_granule(region, next->granule);
	struct itme_granule seen = itme_granule_snapshot(g);
	bool promised = false;
	struct itme_fill *fill;
	int err = 0;

	if (seen.state == ITME_ABSENT &&
	    itme_granule_start_fill(region, g, ITME_GRANULE_HINTED, next->tier, &promised)) {
		atomic_long_inc(&inst->nr_hinted);
		fill = itme_fill_prepare(region, next->granule, g, next->tier, next->hint_class,
					 promised);
		if (fill)
			itme_fill_queue(fill);
		else
			err = -ENOMEM;
	} else if (seen.state == ITME_RESIDENT && seen.tier != next->tier &&
		   (next->pin || !(seen.flags & ITME_GRANULE_PINNED))) {
		atomic_long_inc(&inst->nr_hinted);
		err = itme_migrate_start(region, next->granule, next->tier, next->hint_class,
					 next->pin);
	} else {
		itme_granule_dequeue(region, g);
	}
	if (err) {
		itme_granule_dequeue(region, g);
		itme_count_add(region, clipped_bytes,
			       itme_granule_valid_bytes(region, next->granule));
		atomic_long_dec(&inst->nr_hinted);
	}
	itme_region_busy_put(region);
}

static bool may_begin(struct itme_instance *inst)
{
	return !atomic_long_read(&inst->nr_demand) &&
	       atomic_long_read(&inst->nr_hinted) < itme_queue_limit(inst);
}

static void queue_work_fn(struct work_struct *work)
{
	struct itme_instance *inst = container_of(work, struct itme_instance, queue_work);
	struct next_granule next;
	unsigned int begins = 0;

	expire_all(inst);
	walk_all(inst);
	while (may_begin(inst) && take_next(inst, &next)) {
		begin(inst, &next);
		cond_resched();
		if (++begins % BEGINS == 0) {
			expire_all(inst);
			walk_all(inst);
		}
	}
	walk_all(inst); /* what was there already has ended with its beginning */
}

/**
 * itme_queue_prepare - memory for a request
 * @opened: the open file that submits it
 *
 * Return: a request to fill in; NULL without memory. Follow with
 * itme_queue_submit() or itme_queue_discard().
 */
struct itme_request *itme_queue_prepare(struct itme_opened *opened)
{
	struct itme_request *r = kmem_cache_zalloc(request_cache, GFP_KERNEL_ACCOUNT);

	if (!r)
		return NULL;
	RB_CLEAR_NODE(&r->node);
	INIT_LIST_HEAD(&r->finishing_node);
	r->opened = opened;
	return r;
}

/**
 * itme_queue_discard - a request is not needed after all
 * @request: from itme_queue_prepare()
 */
void itme_queue_discard(struct itme_request *request)
{
	kmem_cache_free(request_cache, request);
}

static void insert(struct itme_instance *inst, struct itme_request *r)
{
	lockdep_assert_held(&inst->queue_lock);
	if (r->cookie)
		itme_cookie_hold(r->cookie);
	rb_add_cached(&r->node, &inst->queue, goes_before);
	if (r->deadline_ns != U64_MAX)
		rb_add_cached(&r->expiry_node, &inst->expiries, expires_before);
	list_add_tail(&r->opened_node, &r->opened->requests);
	r->opened->nr_requests++;
	atomic_long_inc(&inst->nr_requests);
}

/**
 * itme_queue_submit - put a request in its place
 * @request: from itme_queue_prepare(), with its range, class, tier, deadline and
 *	cookie; the granules of the range are described
 *
 * Follow with itme_queue_kick(), which may be one for several: it wakes a worker.
 */
void itme_queue_submit(struct itme_request *request)
{
	struct itme_instance *inst = request->opened->region->inst;

	request->next = request->first;
	spin_lock(&inst->queue_lock);
	request->seq = inst->request_seq++;
	insert(inst, request);
	spin_unlock(&inst->queue_lock);
}

/* What is behind the middle of a request that is cancelled: a request of its own. */
static bool split_off(struct itme_instance *inst, struct itme_request *r, u64 first)
{
	struct itme_request *tail = NULL;

	if (r->opened->nr_requests < ITME_QUEUE_MAX)
		tail = kmem_cache_zalloc(request_cache, GFP_NOWAIT | __GFP_NOWARN);
	if (!tail)
		return false;
	*tail = *r;
	RB_CLEAR_NODE(&tail->node);
	INIT_LIST_HEAD(&tail->finishing_node);
	tail->first = first;
	tail->next = first;
	insert(inst, tail);
	return true;
}

/* Cancel what of [first, last] is in @r and not begun. Returns bytes. */
static u64 cancel_in(struct itme_instance *inst, struct itme_request *r, u64 first, u64 last)
{
	struct itme_region *region = r->opened->region;
	struct itme_outcome outcome = {};

	first = max(first, r->next);
	last = min(last, r->last);
	if (RB_EMPTY_NODE(&r->node) || first > last)
		return 0;
	/* Without room for the rest the rest is cancelled too. */
	if (last < r->last && !split_off(inst, r, last + 1))
		last = r->last;
	dequeue_range(inst, r, first, last);
	outcome.lost = bytes_of(region, first, last);
	itme_count_add(region, cancelled_bytes, outcome.lost);
	if (r->cookie)
		itme_cookie_add(r->cookie, &outcome);
	if (first == r->first) {
		remove_request(inst, r);
	} else {
		r->last = first - 1;
		if (first == r->next)
			begin_finishing(inst, r);
	}
	return outcome.lost;
}

/* Each request of the open file once; the others may end meanwhile. */
static u64 cancel(struct itme_opened *opened, u64 first, u64 last, u64 number)
{
	struct itme_instance *inst = opened->region->inst;
	u64 bytes = 0;
	unsigned long looks;

	spin_lock(&inst->queue_lock);
	for (looks = opened->nr_requests; looks && opened->nr_requests; looks--) {
		struct itme_request *r = list_first_entry(&opened->requests, struct itme_request,
							  opened_node);

		list_move_tail(&r->opened_node, &opened->requests);
		if (!number || (r->cookie && itme_cookie_number(r->cookie) == number))
			bytes += cancel_in(inst, r, first, last);
		cond_resched_lock(&inst->queue_lock);
	}
	spin_unlock(&inst->queue_lock);
	itme_queue_kick(inst);
	return bytes;
}

/**
 * itme_queue_cancel - forget what an open file's hints have queued of a range
 * @opened: the open file
 * @first: first granule
 * @last: last granule
 *
 * What is under way ends as it will.
 *
 * Return: bytes that were not begun yet.
 */
u64 itme_queue_cancel(struct itme_opened *opened, u64 first, u64 last)
{
	return cancel(opened, first, last, 0);
}

/**
 * itme_queue_cancel_cookie - forget what is queued under a cookie
 * @opened: the open file
 * @number: the cookie, not zero
 *
 * Return: bytes that were not begun yet.
 */
u64 itme_queue_cancel_cookie(struct itme_opened *opened, u64 number)
{
	return cancel(opened, 0, opened->region->nr_granules - 1, number);
}

/**
 * itme_queue_end_all - the open file goes: its requests go with it
 * @opened: the open file; nobody submits any more
 */
void itme_queue_end_all(struct itme_opened *opened)
{
	struct itme_instance *inst = opened->region->inst;
	struct itme_request *r;

	itme_queue_cancel(opened, 0, opened->region->nr_granules - 1);
	spin_lock(&inst->queue_lock);
	while ((r = list_first_entry_or_null(&opened->requests, struct itme_request,
					     opened_node))) {
		remove_request(inst, r);
		cond_resched_lock(&inst->queue_lock);
	}
	spin_unlock(&inst->queue_lock);
}

/**
 * itme_queue_setup - prepare the queue of a new instance
 * @inst: the instance
 */
void itme_queue_setup(struct itme_instance *inst)
{
	spin_lock_init(&inst->queue_lock);
	inst->queue = RB_ROOT_CACHED;
	inst->expiries = RB_ROOT_CACHED;
	INIT_DELAYED_WORK(&inst->expiry_work, expiry_work_fn);
	INIT_LIST_HEAD(&inst->finishing);
	INIT_WORK(&inst->queue_work, queue_work_fn);
}

/**
 * itme_queue_teardown - undo itme_queue_setup()
 * @inst: an instance without regions
 */
void itme_queue_teardown(struct itme_instance *inst)
{
	cancel_delayed_work_sync(&inst->expiry_work);
}

/**
 * itme_queue_init - before the first request
 *
 * Return: 0 or -ENOMEM.
 */
int __init itme_queue_init(void)
{
	request_cache = KMEM_CACHE(itme_request, SLAB_ACCOUNT);
	return request_cache ? 0 : -ENOMEM;
}

/**
 * itme_queue_exit - after the last request
 */
void itme_queue_exit(void)
{
	kmem_cache_destroy(request_cache);
}
