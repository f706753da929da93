// SPDX-License-Identifier: GPL-2.0-only
/* The stress test's hints, and those who are killed with some outstanding. */
#include "stress.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static struct itme_hint any_hint(struct actor *a, int r, __u32 op)
{
	struct itme_hint hint = { .op = op };

	hint.length = stress_range(a, r, 4 * GRANULE, &hint.offset);
	if (op == ITME_HINT_PREFETCH || op == ITME_HINT_PIN) {
		hint.hint_class = stress_below(a, 3) + 1;
		hint.tier = stress_below(a, 2) + ITME_TIER_CXL;
		hint.cookie = stress_below(a, 3) ? ++a->cookie : 0;
		switch (stress_below(a, 6)) {
		case 0:
			hint.deadline_ns = 1;
			break;
		case 1:
			hint.deadline_ns = (now() + stress_below(a, 1000) / 1e5) * 1e9;
			break;
		case 2:
			hint.deadline_ns = (now() + 100) * 1e9;
			break;
		}
	}
	return hint;
}

/* ---- hints ---- */

static bool sums_are_right(int r, const struct itme_hint *hint)
{
	__u64 first = hint->offset / GRANULE * GRANULE;
	__u64 end = round_up(hint->offset + hint->length, GRANULE);
	__u64 sum = hint->accepted_bytes + hint->resident_bytes + hint->clipped_bytes +
		    hint->refused_bytes;

	if (end > stress_regions[r].bytes)
		end = stress_regions[r].bytes;
	if (hint->error && hint->error != -EBUSY && hint->error != -EAGAIN)
		return stress_fail("operation %u gave error %d", hint->op, hint->error);
	return sum == end - first || hint->error == -EAGAIN ||
	       stress_fail("the sums of operation %u are %llu, not %llu", hint->op, sum,
			   end - first);
}

static bool submit_checked(struct actor *a, int r, struct itme_hint *hints, __u32 count)
{
	int err = stress_below(a, 2) ? submit(a->region[r], hints, count) :
				submit_with_eventfd(a->region[r], hints, count, a->eventfd);
	__u32 i;

	if (err)
		return stress_fail("HINT gave error %d", err);
	for (i = 0; i < count; i++)
		if (!sums_are_right(r, &hints[i]))
			return false;
	return true;
}

bool stress_prefetch(struct actor *a)
{
	int r = stress_below(a, REGIONS);
	__u32 i, count = stress_below(a, 4) + 1;
	struct itme_hint hints[4];

	for (i = 0; i < count; i++)
		hints[i] = any_hint(a, r, ITME_HINT_PREFETCH);
	return submit_checked(a, r, hints, count) && hints[0].accepted_bytes;
}

static bool one_hint(struct actor *a, __u32 op)
{
	int r = stress_below(a, REGIONS);
	struct itme_hint hint = any_hint(a, r, op);

	if (op == ITME_HINT_RELEASE && stress_below(a, 8) == 0)
		hint.flags = ITME_HINT_FORCE;
	return submit_checked(a, r, &hint, 1) && hint.accepted_bytes;
}

bool stress_pin(struct actor *a)
{
	return one_hint(a, ITME_HINT_PIN);
}

bool stress_unpin(struct actor *a)
{
	int r = stress_below(a, REGIONS);
	struct itme_hint hint = { .op = ITME_HINT_UNPIN, .length = stress_regions[r].bytes };

	return submit_checked(a, r, &hint, 1) && hint.accepted_bytes;
}

bool stress_watch(struct actor *a)
{
	return one_hint(a, ITME_HINT_WATCH);
}

bool stress_release(struct actor *a)
{
	return one_hint(a, ITME_HINT_RELEASE);
}

bool stress_cancel_range(struct actor *a)
{
	int r = stress_below(a, REGIONS);
	struct itme_hint hint = any_hint(a, r, ITME_HINT_CANCEL);

	if (stress_below(a, 2)) {
		hint.offset = 0;
		hint.length = stress_regions[r].bytes;
	}
	if (submit(a->region[r], &hint, 1) || hint.error)
		return stress_fail("CANCEL of a range gave error %d", hint.error);
	return hint.accepted_bytes;
}

bool stress_cancel_cookie(struct actor *a)
{
	int r = stress_below(a, REGIONS);
	struct itme_hint hint = any_hint(a, r, ITME_HINT_PREFETCH);
	struct itme_hint cancel = { .op = ITME_HINT_CANCEL, .cookie = ++a->cookie };

	hint.cookie = cancel.cookie;
	if (!submit_checked(a, r, &hint, 1))
		return false;
	if (submit(a->region[r], &cancel, 1) || (cancel.error && cancel.error != -ENOENT))
		return stress_fail("CANCEL of a cookie gave error %d", cancel.error);
	return !cancel.error;
}

bool stress_wait_cookie(struct actor *a)
{
	int r = stress_below(a, REGIONS);
	struct itme_hint hint = any_hint(a, r, ITME_HINT_PREFETCH);
	struct itme_wait outcome;
	__u64 sum;
	int err;

	hint.cookie = ++a->cookie;
	if (!submit_checked(a, r, &hint, 1) || hint.error == -EAGAIN)
		return false;
	/* io_uring's task work looks like a signal to those who wait. */
	do {
		err = wait_cookie(a->region[r], hint.cookie, 60, &outcome);
	} while (err == -EINTR);
	if (err)
		return stress_fail("WAIT for a cookie gave error %d", err);
	sum = outcome.ready_bytes + outcome.expired_bytes + outcome.lost_bytes;
	if (outcome.failed_bytes || sum < hint.accepted_bytes)
		return stress_fail("of %llu bytes %llu ended and %llu failed", hint.accepted_bytes,
				   sum, (__u64)outcome.failed_bytes);
	return hint.accepted_bytes;
}

bool stress_wait_range(struct actor *a)
{
	int r = stress_below(a, REGIONS), err;
	__u64 offset;
	size_t bytes = stress_range(a, r, 4 * GRANULE, &offset);

	err = wait_range(a->region[r], offset, bytes, stress_below(a, 3) ? 5 : 0, NULL);
	if (err && err != -ETIMEDOUT && err != -EINTR)
		return stress_fail("WAIT for a range gave error %d", err);
	return !err;
}

bool stress_eventfd(struct actor *a)
{
	__u64 count;

	return read(a->eventfd, &count, sizeof(count)) == sizeof(count);
}

/* There and back again, whatever keeps it from arriving. */
bool stress_migrate(struct actor *a)
{
	int r = stress_below(a, REGIONS);
	__u64 granule = stress_below(a, stress_regions[r].bytes / GRANULE);
	__u32 tier = stress_below(a, 2) + ITME_TIER_CXL;
	int err = prefetch(a->region[r], tier, granule * GRANULE, GRANULE);

	if (err && err != -EBUSY && err != -EINTR)
		return stress_fail("a prefetch gave error %d", err);
	return (residency(a->region[r], granule) & ITME_RESIDENCY_TIER_MASK) == (int)tier;
}

bool stress_advise(struct actor *a)
{
	static const int advices[] = {
		POSIX_FADV_NORMAL, POSIX_FADV_RANDOM, POSIX_FADV_SEQUENTIAL, POSIX_FADV_WILLNEED,
		POSIX_FADV_DONTNEED, POSIX_FADV_NOREUSE,
	};
	static const int madvices[] = {
		MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED, MADV_DONTNEED,
		MADV_COLD, MADV_PAGEOUT, MADV_POPULATE_READ,
	};
	int r = stress_below(a, REGIONS), err;
	__u64 offset;
	size_t bytes = stress_range(a, r, GRANULE, &offset);

	err = posix_fadvise(a->region[r], offset, stress_below(a, 4) ? bytes : 0,
			    advices[stress_below(a, ARRAY_SIZE(advices))]);
	if (err)
		return stress_fail("posix_fadvise gave %d", err);
	offset &= ~(PAGE - 1);
	if (madvise(a->addr[r] + offset, bytes, madvices[stress_below(a, ARRAY_SIZE(madvices))]))
		return stress_fail("madvise gave %d", errno);
	return true;
}

/* ---- the end of a process ---- */

/* A process that is killed with hints, pins, watches and a fault outstanding. */
bool stress_kill(struct actor *a)
{
	int r = stress_below(a, REGIONS), status;
	struct itme_hint hints[] = {
		any_hint(a, r, ITME_HINT_PREFETCH), any_hint(a, r, ITME_HINT_PIN),
		any_hint(a, r, ITME_HINT_WATCH),
	};
	__u64 offset = stress_below(a, stress_regions[r].bytes);
	useconds_t pause = stress_below(a, 3000);
	pid_t child = fork();

	if (child == 0) {
		int region = region_open(&stress.inst, stress_regions[r].name, O_RDONLY);

		if (submit(region, hints, ARRAY_SIZE(hints)))
			_exit(1);
		touch(a->addr[r] + offset);
		for (;;)
			wait_range(region, 0, stress_regions[r].bytes, 10, NULL);
	}
	if (child < 0)
		return stress_fail("fork failed with %d", errno);
	usleep(pause);
	kill(child, SIGKILL);
	if (waitpid(child, &status, 0) != child || !WIFSIGNALED(status))
		return stress_fail("a child that was killed ended with %#x", status);
	return true;
}
