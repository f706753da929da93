// SPDX-License-Identifier: GPL-2.0-only
/* HINT and WAIT: a vector of hints, entry by entry, and what became of them. */
#include <linux/capability.h>
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/ktime.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>
#include "itme.h"
#include "trace.h"

/* Most granules of a request, so that nothing done to it under a lock takes long. */
#define REQUEST_GRANULES 4096

/*
 * Granules submitted before the queue hears of them. Its worker is woken for each
 * vector and not for each entry: a wake-up costs more than many hints, and what is
 * submitted together is begun in its order.
 */
#define KICK_GRANULES 64

/* What the queue has not heard of yet. */
struct batch {
	struct itme_instance *inst;
	u64 granules;
};

/* One entry while it is carried out. */
struct job {
	struct itme_opened *opened;
	struct itme_region *region;
	struct itme_hint *hint;
	struct batch *batch;
	u64 first, last; /* granules */
	struct itme_cookie *cookie; /* or NULL */
	struct itme_request *request; /* being put together, or NULL */
	u64 gap, gap_bytes; /* resident granules just behind it */
	u64 spanned_bytes; /* resident granules inside requests */
	u64 queued_bytes; /* accepted, and by no hint before */
	bool full; /* a granule was clipped: all behind it are */
};

static u64 bytes_of(const struct job *job, u64 granule)
{
	return itme_granule_valid_bytes(job->region, granule);
}

static u64 bytes_between(const struct itme_region *region, u64 first, u64 last)
{
	unsigned int shift = region->inst->granule_shift;

	return min((last + 1) << shift, region->bytes) - (first << shift);
}

static void refuse(struct job *job, u64 granule)
{
	job->hint->refused_bytes += bytes_of(job, granule);
	job->hint->error = -EBUSY;
}

static void kick(struct batch *batch)
{
	if (batch->granules)
		itme_queue_kick(batch->inst);
	batch->granules = 0;
}

/* Hand over what is put together; the next granule begins a request of its own. */
static void submit(struct job *job)
{
	struct itme_request *r = job->request;

	if (r) {
		job->batch->granules += r->last - r->first + 1;
		itme_queue_submit(r);
	}
	if (job->batch->granules >= KICK_GRANULES)
		kick(job->batch);
	job->request = NULL;
	job->gap = 0;
	job->gap_bytes = 0;
}

/* It is there already: a request may go on behind it. */
static void pass(struct job *job, u64 granule)
{
	struct itme_request *r = job->request;

	job->hint->resident_bytes += bytes_of(job, granule);
	if (r && r->last + 1 + job->gap == granule) {
		job->gap++;
		job->gap_bytes += bytes_of(job, granule);
	}
}

/* The queue is to bring @granule to @tier: 0, or -EAGAIN, -ENOMEM. */
static int want(struct job *job, u64 granule, enum itme_tier tier)
{
	struct itme_request *r = job->request;

	if (r && r->tier == tier && r->last + 1 + job->gap == granule &&
	    granule - r->first < REQUEST_GRANULES) {
		r->last = granule;
		job->spanned_bytes += job->gap_bytes;
		job->gap = 0;
		job->gap_bytes = 0;
		return 0;
	}
	submit(job);
	if (READ_ONCE(job->opened->nr_requests) >= ITME_QUEUE_MAX)
		return -EAGAIN;
	r = itme_queue_prepare(job->opened);
	if (!r)
		return -ENOMEM;
	r->first = granule;
	r->last = granule;
	r->tier = tier;
	r->pin = job->hint->op == ITME_HINT_PIN;
	r->hint_class = job->hint->hint_class;
	r->deadline_ns = job->hint->deadline_ns ?: U64_MAX;
	r->cookie = job->cookie;
	job->request = r;
	return 0;
}

/*
 * A frame for it, unless it is coming by itself. Returns whether it will be there;
 * @queued: whether this made it so.
 */
static bool promise(struct job *job, struct itme_granule *g, enum itme_tier tier, bool *queued)
{
	struct itme_instance *inst = job->region->inst;

	if (itme_granule_busy(g))
		return true;
	if (!itme_victim_promise(inst, tier, itme_victim_taker(job->hint->hint_class)))
		return false;
	atomic_long_inc(&job->region->nr_queued);
	*queued = itme_granule_enqueue(g, tier);
	if (!*queued) {
		atomic_long_dec(&job->region->nr_queued);
		itme_victim_unpromise(inst, tier);
	}
	return true;
}

/* One granule of a PREFETCH or a PIN. @g is NULL where it was never touched. */
static int fetch(struct job *job, u64 granule, struct itme_granule *g, enum itme_tier tier)
{
	struct itme_granule seen = {};
	u64 bytes = bytes_of(job, granule);
	bool queued = false;
	int err;

	if (g)
		seen = itme_granule_snapshot(g);
	if (seen.state == ITME_RESIDENT && seen.tier == tier) {
		pass(job, granule);
		return 0;
	}
	if (seen.state == ITME_RESIDENT && job->hint->op == ITME_HINT_PREFETCH &&
	    (seen.flags & ITME_GRANULE_PINNED)) {
		refuse(job, granule);
		return 0;
	}
	if (!job->full) {
		g = itme_region_granule_alloc(job->region, granule);
		if (!g)
			return -ENOMEM;
		job->full = !promise(job, g, tier, &queued);
	}
	if (job->full) {
		job->hint->clipped_bytes += bytes;
		return -ENOSPC;
	}
	err = want(job, granule, tier);
	if (err) {
		if (queued)
			itme_granule_dequeue(job->region, g);
		return err;
	}
	job->hint->accepted_bytes += bytes;
	job->queued_bytes += queued ? bytes : 0;
	return 0;
}

static int pin(struct job *job, u64 granule)
{
	struct itme_granule *g = itme_region_granule_alloc(job->region, granule);
	enum itme_tier tier = job->hint->tier;
	bool added;
	int err;

	if (!g)
		return -ENOMEM;
	err = itme_pin_add(job->opened, granule, &tier, &added);
	if (err == -ENOSPC)
		job->hint->clipped_bytes += bytes_of(job, granule);
	if (err)
		return err;
	err = fetch(job, granule, g, tier);
	if (err && added)
		itme_pin_remove(job->opened, granule);
	return err;
}

static int unpin(struct job *job, u64 granule)
{
	if (itme_pin_remove(job->opened, granule))
		job->hint->accepted_bytes += bytes_of(job, granule);
	else
		job->hint->resident_bytes += bytes_of(job, granule);
	return 0;
}

static int watch(struct job *job, u64 granule)
{
	int err;

	if (!itme_region_granule_alloc(job->region, granule))
		return -ENOMEM;
	err = itme_watch_add(job->opened, granule);
	if (err == -EALREADY)
		job->hint->resident_bytes += bytes_of(job, granule);
	else if (!err)
		job->hint->accepted_bytes += bytes_of(job, granule);
	return err == -EALREADY ? 0 : err;
}

static int release(struct job *job, u64 granule, struct itme_granule *g)
{
	struct itme_region *region = job->region;
	bool force = job->hint->flags & ITME_HINT_FORCE;
	struct itme_granule seen = {};
	struct folio *folio;
	enum itme_tier tier;
	int err;

	if (g)
		seen = itme_granule_snapshot(g);
	if (seen.state == ITME_ABSENT) {
		job->hint->resident_bytes += bytes_of(job, granule);
		return 0;
	}
	folio = NULL;
	if (force || !(seen.flags & ITME_GRANULE_PINNED))
		folio = itme_victim_await_granule(region->inst, g, &tier);
	if (!folio && READ_ONCE(g->state) == ITME_ABSENT) { /* somebody was faster */
		job->hint->resident_bytes += bytes_of(job, granule);
		return 0;
	}
	if (!folio) {
		refuse(job, granule);
		return 0;
	}
	err = itme_migrate_drop(region, granule, folio,
				ITME_CLAIM_UNSEEN | (force ? ITME_CLAIM_PINNED : 0));
	if (err) {
		itme_victim_list(region->inst, folio, tier, ITME_LIST_SETTLED);
		if (err == -EUCLEAN) /* another time, when the store has it */
			itme_writeback_start(region, granule);
		refuse(job, granule);
		return 0;
	}
	itme_frame_put(region->inst, tier, folio);
	job->hint->accepted_bytes += bytes_of(job, granule);
	return 0;
}

static int do_granule(struct job *job, u64 granule)
{
	struct itme_granule *g = itme_region_granule(job->region, granule);
	int err;

	switch (job->hint->op) {
	case ITME_HINT_PREFETCH:
		err = fetch(job, granule, g, job->hint->tier);
		return err == -ENOSPC ? 0 : err;
	case ITME_HINT_PIN:
		err = pin(job, granule);
		return err == -ENOSPC ? 0 : err;
	case ITME_HINT_UNPIN:
		return unpin(job, granule);
	case ITME_HINT_WATCH:
		return watch(job, granule);
	default:
		return release(job, granule, g);
	}
}

static void cancel(struct job *job)
{
	struct itme_hint *hint = job->hint;

	if (hint->cookie) {
		hint->accepted_bytes = itme_queue_cancel_cookie(job->opened, hint->cookie);
		if (!hint->accepted_bytes && !itme_cookie_outstanding(job->opened, hint->cookie))
			hint->error = -ENOENT;
	} else {
		hint->accepted_bytes = itme_queue_cancel(job->opened, job->first, job->last) +
				       itme_watch_remove(job->opened, job->first, job->last);
	}
}

/*
 * Where nothing was ever touched there may be millions with nothing to do: those
 * described together are passed at once. Returns whether they are; then @granule is
 * the last of them.
 */
static bool pass_untouched(struct job *job, u64 *granule)
{
	u64 last = min(itme_region_granule_last(*granule), job->last);
	u64 *sum = &job->hint->resident_bytes;

	if (job->hint->op == ITME_HINT_PREFETCH)
		sum = &job->hint->clipped_bytes;
	if (job->hint->op == ITME_HINT_PREFETCH ? !job->full :
						  job->hint->op != ITME_HINT_RELEASE)
		return false;
	*sum += bytes_between(job->region, *granule, last);
	*granule = last;
	return true;
}

/* An error ends the entry; a fatal signal ends the vector too. */
static int do_granules(struct job *job)
{
	u64 granule;
	int err = 0;

	for (granule = job->first; !err && granule <= job->last; granule++) {
		if (itme_region_granule(job->region, granule) || !pass_untouched(job, &granule))
			err = do_granule(job, granule);
		if (fatal_signal_pending(current))
			err = -EINTR;
		cond_resched();
	}
	submit(job);
	return err;
}

static void count(const struct job *job)
{
	itme_count_add(job->region, accepted_bytes, job->queued_bytes);
	itme_count_add(job->region, clipped_bytes, job->hint->clipped_bytes);
	itme_count_add(job->region, refused_bytes, job->hint->refused_bytes);
}

/* Carry one checked entry out; its results are in it. The open file's mutex is held. */
static int carry_out(struct itme_opened *opened, struct itme_hint *hint,
		     struct file *eventfd, struct batch *batch)
{
	struct itme_instance *inst = opened->region->inst;
	struct job job = {
		.opened = opened,
		.region = opened->region,
		.hint = hint,
		.batch = batch,
	};
	bool queues = hint->op == ITME_HINT_PREFETCH || hint->op == ITME_HINT_PIN;
	int err = 0;

	job.first = hint->offset >> inst->granule_shift;
	job.last = (hint->offset + max(hint->length, 1ULL) - 1) >> inst->granule_shift;
	if (!queues)
		kick(batch); /* it may wait */
	if (queues && hint->cookie) {
		job.cookie = itme_cookie_get(opened, hint->cookie, eventfd);
		if (!job.cookie)
			err = -ENOMEM;
	}
	if (!err && hint->op == ITME_HINT_CANCEL)
		cancel(&job);
	else if (!err)
		err = do_granules(&job);
	if (job.cookie) {
		/* What came of the requests is told by them. */
		struct itme_outcome outcome = {
			.ready = hint->resident_bytes - job.spanned_bytes,
		};

		spin_lock(&inst->queue_lock);
		itme_cookie_put(opened, job.cookie, &outcome);
		spin_unlock(&inst->queue_lock);
	}
	if (err)
		hint->error = err;
	count(&job);
	trace_hint(opened->region, hint);
	return err == -EINTR ? err : 0;
}

static int check_range(const struct itme_region *region, u64 offset, u64 length)
{
	if (!length || offset >= region->bytes || length > region->bytes - offset)
		return -EINVAL;
	return 0;
}

static int check_fetch(const struct itme_hint *hint)
{
	if (hint->hint_class < ITME_CLASS_EXACT)
		return -EINVAL;
	if (hint->hint_class > ITME_CLASS_MAYBE)
		return -EOPNOTSUPP;
	if (hint->tier > ITME_TIER_DRAM)
		return -EINVAL;
	return hint->op == ITME_HINT_PREFETCH && !hint->tier ? -EINVAL : 0;
}

static int check_flags(const struct itme_hint *hint)
{
	if (hint->flags & ~ITME_HINT_FORCE)
		return -EOPNOTSUPP;
	if (!hint->flags)
		return 0;
	if (hint->op != ITME_HINT_RELEASE)
		return -EOPNOTSUPP;
	return capable(CAP_SYS_ADMIN) ? 0 : -EPERM;
}

static int check(const struct itme_region *region, const struct itme_hint *hint)
{
	bool by_cookie = hint->op == ITME_HINT_CANCEL && hint->cookie;
	int err;

	if (hint->__reserved)
		return -EINVAL;
	if (hint->op < ITME_HINT_PREFETCH || hint->op > ITME_HINT_CANCEL)
		return -EOPNOTSUPP;
	err = check_flags(hint);
	if (err)
		return err;
	if (by_cookie && (hint->offset || hint->length))
		return -EINVAL;
	if (hint->op == ITME_HINT_PREFETCH || hint->op == ITME_HINT_PIN)
		err = check_fetch(hint);
	else if (hint->hint_class || hint->tier || hint->deadline_ns ||
		 (hint->cookie && !by_cookie))
		err = -EINVAL;
	if (!err && !by_cookie)
		err = check_range(region, hint->offset, hint->length);
	return err;
}

static int do_entry(struct itme_opened *opened, struct itme_hint __user *entry,
		    struct file *eventfd, struct batch *batch)
{
	struct itme_hint hint;
	int err = 0;

	if (copy_from_user(&hint, entry, sizeof(hint)))
		return -EFAULT;
	hint.accepted_bytes = 0;
	hint.resident_bytes = 0;
	hint.clipped_bytes = 0;
	hint.refused_bytes = 0;
	hint.error = check(opened->region, &hint);
	if (!hint.error) {
		if (mutex_lock_killable(&opened->mutex))
			return -EINTR;
		err = carry_out(opened, &hint, eventfd, batch);
		mutex_unlock(&opened->mutex);
	}
	if (copy_to_user(entry, &hint, sizeof(hint)))
		return -EFAULT;
	return err;
}

static struct file *get_eventfd(int fd)
{
	struct file *file = fget(fd);
	struct eventfd_ctx *ctx;

	if (!file)
		return ERR_PTR(-EBADF);
	ctx = eventfd_ctx_fileget(file);
	if (IS_ERR(ctx)) {
		fput(file);
		return ERR_CAST(ctx);
	}
	eventfd_ctx_put(ctx);
	return file;
}

/**
 * itme_hint - carry out a vector of hints
 * @opened: the open file
 * @vec: checked for flags; done is set
 *
 * Return: 0 or an error of &struct itme_hint_vec.
 */
long itme_hint(struct itme_opened *opened, struct itme_hint_vec *vec)
{
	struct itme_hint __user *entries = u64_to_user_ptr(vec->entries);
	struct batch batch = { .inst = opened->region->inst };
	struct file *eventfd = NULL;
	int err = 0;

	vec->done = 0;
	if (!vec->count || vec->count > ITME_HINT_VECTOR_MAX ||
	    vec->entry_size != sizeof(struct itme_hint))
		return -EINVAL;
	if (vec->flags & ITME_HINT_VEC_EVENTFD) {
		eventfd = get_eventfd(vec->eventfd);
		if (IS_ERR(eventfd))
			return PTR_ERR(eventfd);
	}
	for (; !err && vec->done < vec->count; vec->done += !err)
		err = do_entry(opened, &entries[vec->done], eventfd, &batch);
	kick(&batch);
	if (eventfd)
		fput(eventfd);
	return err;
}

static int wait_range(struct itme_opened *opened, const struct itme_wait *args, long timeout,
		      struct itme_outcome *outcome)
{
	struct itme_region *region = opened->region;
	unsigned int shift = region->inst->granule_shift;
	u64 granule, last = (args->offset + args->length - 1) >> shift;

	for (granule = args->offset >> shift; granule <= last; granule++) {
		struct itme_granule *g = itme_region_granule(region, granule);
		struct itme_granule seen = {};
		int err;

		if (!g) { /* never touched, nor are its neighbours */
			granule = itme_region_granule_last(granule);
			continue;
		}
		err = itme_granule_wait_idle(g, &timeout);
		if (err)
			return err;
		seen = itme_granule_snapshot(g);
		if (seen.state == ITME_RESIDENT)
			outcome->ready += itme_granule_valid_bytes(region, granule);
		else if (seen.flags & ITME_GRANULE_ERR)
			outcome->failed += itme_granule_valid_bytes(region, granule);
		if (signal_pending(current))
			return -ERESTARTSYS;
		cond_resched();
	}
	outcome->lost = bytes_between(region, args->offset >> shift, last) - outcome->ready -
			outcome->failed;
	return 0;
}

static long timeout_jiffies(u64 ns)
{
	if (ns == U64_MAX)
		return MAX_SCHEDULE_TIMEOUT;
	/* Rounded up; longer than a year is for ever. */
	return min_t(u64, nsecs_to_jiffies64(min_t(u64, ns, 365 * 86400 * NSEC_PER_SEC)) + !!ns,
		     MAX_SCHEDULE_TIMEOUT - 1);
}

/**
 * itme_wait - wait for hints to complete
 * @opened: the open file
 * @args: its results are set
 *
 * Return: 0 or an error of &struct itme_wait.
 */
long itme_wait(struct itme_opened *opened, struct itme_wait *args)
{
	long timeout = timeout_jiffies(args->timeout_ns);
	struct itme_outcome outcome = {};
	u64 start_ns = ktime_get_ns();
	int err;

	if (args->flags & ~(ITME_WAIT_COOKIE | ITME_WAIT_RANGE))
		return -EOPNOTSUPP;
	if (args->flags == ITME_WAIT_COOKIE) {
		if (!args->cookie || args->offset || args->length)
			return -EINVAL;
		err = itme_cookie_wait(opened, args->cookie, timeout, &outcome);
	} else if (args->flags == ITME_WAIT_RANGE) {
		if (args->cookie || check_range(opened->region, args->offset, args->length))
			return -EINVAL;
		err = wait_range(opened, args, timeout, &outcome);
	} else {
		return -EINVAL;
	}
	if (err)
		outcome = (struct itme_outcome){};
	/* The call may begin again after a signal: then with what is left. */
	if (args->timeout_ns != U64_MAX)
		args->timeout_ns -= min(args->timeout_ns, ktime_get_ns() - start_ns);
	args->ready_bytes = outcome.ready;
	args->failed_bytes = outcome.failed;
	args->expired_bytes = outcome.expired;
	args->lost_bytes = outcome.lost;
	return err;
}

/* A hint that comes from an ordinary call: what becomes of it is not told. */
static void hint_quietly(struct itme_opened *opened, u64 first, u64 last,
			 struct itme_hint *hint, bool nowait)
{
	unsigned int shift = opened->region->inst->granule_shift;
	struct batch batch = { .inst = opened->region->inst };

	hint->offset = first << shift;
	hint->length = min((last + 1) << shift, opened->region->bytes) - hint->offset;
	if (nowait ? !mutex_trylock(&opened->mutex) : mutex_lock_killable(&opened->mutex))
		return;
	carry_out(opened, hint, NULL, &batch);
	mutex_unlock(&opened->mutex);
	kick(&batch);
}

/**
 * itme_hint_prefetch - prefetch to the fastest tier, for posix_fadvise(2)
 * @opened: the open file
 * @first: first granule
 * @last: last granule, inside the region
 * @hint_class: how sure it is
 * @nowait: rather do nothing than wait for another submission
 */
void itme_hint_prefetch(struct itme_opened *opened, u64 first, u64 last,
			enum itme_hint_class hint_class, bool nowait)
{
	struct itme_hint hint = {
		.op = ITME_HINT_PREFETCH,
		.hint_class = hint_class,
		.tier = itme_victim_top_tier(opened->region->inst),
	};

	hint_quietly(opened, first, last, &hint, nowait);
}

/**
 * itme_hint_release - drop granules from memory, for posix_fadvise(2)
 * @opened: the open file
 * @first: first granule
 * @last: last granule, inside the region
 */
void itme_hint_release(struct itme_opened *opened, u64 first, u64 last)
{
	struct itme_hint hint = { .op = ITME_HINT_RELEASE };

	hint_quietly(opened, first, last, &hint, false);
}
