// SPDX-License-Identifier: GPL-2.0-only
/* How the end of a hint is told: WAIT by cookie and by range, and eventfds. */
#include "test.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include "device.h"

#define GRANULES 12UL
#define BYTES (GRANULES * GRANULE)
#define SEED 51

FIXTURE(cookie)
{
	struct instance inst;
	struct itme_info info;
	struct device device;
	int region;
	int eventfd;
};

FIXTURE_SETUP(cookie)
{
	ASSERT_EQ(0, private_mounts());
	ASSERT_EQ(0, device_make(&self->device, BYTES, SEED));
	ASSERT_EQ(0, instance_mount(&self->inst, "dram=32M"));
	ASSERT_EQ(0, attach_path(&self->inst, self->device.path, "model"));
	self->region = region_open(&self->inst, "model", O_RDONLY);
	ASSERT_LE(0, self->region);
	self->info.size = sizeof(self->info);
	ASSERT_EQ(0, ioctl(self->region, ITME_IOC_INFO, &self->info));
	self->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ASSERT_LE(0, self->eventfd);
}

FIXTURE_TEARDOWN(cookie)
{
	device_go_on(&self->device);
	close(self->eventfd);
	close(self->region);
	EXPECT_EQ(0, instance_umount(&self->inst));
	EXPECT_EQ(0, device_remove(&self->device));
}

static struct itme_hint want(__u64 granule, __u64 count, __u64 cookie)
{
	return (struct itme_hint){
		.op = ITME_HINT_PREFETCH,
		.hint_class = ITME_CLASS_EXACT,
		.tier = ITME_TIER_DRAM,
		.offset = granule * GRANULE,
		.length = count * GRANULE,
		.cookie = cookie,
	};
}

/* What the eventfd has counted, waiting until it has counted something. */
static long long counted(int eventfd)
{
	struct pollfd pollfd = { .fd = eventfd, .events = POLLIN };
	__u64 count;

	if (poll(&pollfd, 1, 20000 * slowness()) != 1 ||
	    read(eventfd, &count, sizeof(count)) != sizeof(count))
		return -1;
	return count;
}

static bool silent(int eventfd)
{
	__u64 count;

	return read(eventfd, &count, sizeof(count)) == -1 && errno == EAGAIN;
}

TEST_F(cookie, of_several_entries_completes_once)
{
	struct itme_hint hints[] = { want(0, 2, 1), want(5, 1, 1), want(8, 3, 1) };
	struct itme_wait outcome;

	ASSERT_EQ(0, device_hang(&self->device));
	ASSERT_EQ(0, submit_with_eventfd(self->region, hints, 3, self->eventfd));
	EXPECT_TRUE(silent(self->eventfd));
	EXPECT_EQ(-ETIMEDOUT, wait_cookie(self->region, 1, 0, &outcome));
	EXPECT_EQ(-ETIMEDOUT, wait_cookie(self->region, 1, 0.05, &outcome));
	EXPECT_EQ(0, outcome.ready_bytes + outcome.failed_bytes + outcome.expired_bytes +
		  outcome.lost_bytes);
	ASSERT_EQ(0, device_go_on(&self->device));
	EXPECT_EQ(1, counted(self->eventfd));
	EXPECT_EQ(0, wait_cookie(self->region, 1, 0, &outcome));
	EXPECT_EQ(6 * GRANULE, outcome.ready_bytes);
	EXPECT_EQ(0, outcome.failed_bytes + outcome.expired_bytes + outcome.lost_bytes);
	EXPECT_EQ(6, count_tier(self->region, ITME_TIER_DRAM));
	/* It is told once. */
	EXPECT_EQ(-ENOENT, wait_cookie(self->region, 1, 0, NULL));
	EXPECT_TRUE(silent(self->eventfd));
}

TEST_F(cookie, of_several_vectors)
{
	struct itme_hint hints[] = { want(0, 1, 4), want(3, 2, 4) };
	struct itme_wait outcome;

	ASSERT_EQ(0, device_hang(&self->device));
	ASSERT_EQ(0, submit(self->region, &hints[0], 1));
	ASSERT_EQ(0, submit(self->region, &hints[1], 1));
	EXPECT_EQ(-ETIMEDOUT, wait_cookie(self->region, 4, 0, NULL));
	ASSERT_EQ(0, device_go_on(&self->device));
	EXPECT_EQ(0, wait_cookie(self->region, 4, 20, &outcome));
	EXPECT_EQ(3 * GRANULE, outcome.ready_bytes);
}

TEST_F(cookie, several_in_a_vector)
{
	struct itme_hint hints[] = { want(0, 1, 1), want(1, 1, 2), want(2, 1, 0), want(3, 1, 3) };
	struct itme_wait outcome;
	long long n = 0, more;

	ASSERT_EQ(0, submit_with_eventfd(self->region, hints, 4, self->eventfd));
	/* One for each cookie; the entry without one is not counted. */
	while (n < 3 && (more = counted(self->eventfd)) > 0)
		n += more;
	EXPECT_EQ(3, n);
	EXPECT_EQ(0, wait_cookie(self->region, 2, 20, &outcome));
	EXPECT_EQ(GRANULE, outcome.ready_bytes);
	EXPECT_EQ(0, wait_cookie(self->region, 1, 20, NULL));
	EXPECT_EQ(0, wait_cookie(self->region, 3, 20, NULL));
	EXPECT_EQ(0, wait_range(self->region, 0, BYTES, 20, NULL));
	EXPECT_TRUE(silent(self->eventfd));
}

/* Where there is nothing to do it is done at once, and told all the same. */
TEST_F(cookie, of_what_is_there_already)
{
	struct itme_hint hint = want(2, 2, 6);
	struct itme_wait outcome;

	ASSERT_EQ(0, prefetch(self->region, ITME_TIER_DRAM, 2 * GRANULE, 2 * GRANULE));
	ASSERT_EQ(0, submit_with_eventfd(self->region, &hint, 1, self->eventfd));
	EXPECT_EQ(2 * GRANULE, hint.resident_bytes);
	EXPECT_EQ(0, hint.accepted_bytes);
	EXPECT_EQ(1, counted(self->eventfd));
	EXPECT_EQ(0, wait_cookie(self->region, 6, 0, &outcome));
	EXPECT_EQ(0, outcome.failed_bytes + outcome.expired_bytes + outcome.lost_bytes);
	EXPECT_EQ(-ENOENT, wait_cookie(self->region, 6, 0, NULL));
}

TEST_F(cookie, of_a_refused_entry_is_none)
{
	struct itme_hint hint = want(0, GRANULES + 1, 6);

	ASSERT_EQ(0, submit_with_eventfd(self->region, &hint, 1, self->eventfd));
	EXPECT_EQ(-EINVAL, hint.error);
	EXPECT_EQ(-ENOENT, wait_cookie(self->region, 6, 0, NULL));
	EXPECT_TRUE(silent(self->eventfd));
}

TEST_F(cookie, belongs_to_its_open_file)
{
	struct itme_hint hint = want(0, 1, 1), cancel = { .op = ITME_HINT_CANCEL, .cookie = 1 };
	int second = region_open(&self->inst, "model", O_RDONLY), copy = dup(self->region);
	struct itme_wait outcome;

	ASSERT_LE(0, second);
	ASSERT_EQ(0, device_hang(&self->device));
	ASSERT_EQ(0, submit(self->region, &hint, 1));
	EXPECT_EQ(-ENOENT, wait_cookie(second, 1, 0, NULL));
	ASSERT_EQ(0, submit(second, &cancel, 1));
	EXPECT_EQ(-ENOENT, cancel.error);
	/* The same number of another is another. */
	hint = want(1, 2, 1);
	ASSERT_EQ(0, submit(second, &hint, 1));
	ASSERT_EQ(0, device_go_on(&self->device));
	EXPECT_EQ(0, wait_cookie(second, 1, 20, &outcome));
	EXPECT_EQ(2 * GRANULE, outcome.ready_bytes);
	/* And a copy of a descriptor is the same open file. */
	EXPECT_EQ(0, wait_cookie(copy, 1, 20, &outcome));
	EXPECT_EQ(GRANULE, outcome.ready_bytes);
	close(copy);
	close(second);
}

/* A range is waited for whoever has hinted it, and says what is in memory. */
TEST_F(cookie, wait_for_a_range)
{
	struct itme_hint hint = want(1, 3, 0);
	int second = region_open(&self->inst, "model", O_RDONLY);
	struct itme_wait outcome;

	ASSERT_LE(0, second);
	ASSERT_EQ(0, device_hang(&self->device));
	ASSERT_EQ(0, submit(second, &hint, 1));
	EXPECT_EQ(-ETIMEDOUT, wait_range(self->region, GRANULE + 5, 1, 0, &outcome));
	EXPECT_EQ(-ETIMEDOUT, wait_range(self->region, 0, BYTES, 0.05, NULL));
	EXPECT_EQ(0, wait_range(self->region, 4 * GRANULE, GRANULE, 0, &outcome));
	EXPECT_EQ(0, outcome.ready_bytes);
	EXPECT_EQ(GRANULE, outcome.lost_bytes);
	ASSERT_EQ(0, device_go_on(&self->device));
	EXPECT_EQ(0, wait_range(self->region, 3 * GRANULE - 1, 2, 20, &outcome));
	EXPECT_EQ(2 * GRANULE, outcome.ready_bytes);
	EXPECT_EQ(0, wait_range(self->region, 0, BYTES, 20, &outcome));
	EXPECT_EQ(3 * GRANULE, outcome.ready_bytes);
	EXPECT_EQ(BYTES - 3 * GRANULE, outcome.lost_bytes);
	close(second);
}

/* ---- waits that end early ---- */

static void ignore(int sig)
{
	(void)sig;
}

struct waiter {
	pthread_t thread;
	int region, result;
	bool by_cookie;
};

static void *wait_long(void *arg)
{
	struct waiter *w = arg;

	w->result = w->by_cookie ? wait_cookie(w->region, 1, 1000, NULL) :
				   wait_range(w->region, 0, GRANULE, 1000, NULL);
	return NULL;
}

TEST_F(cookie, a_signal_ends_a_wait)
{
	struct sigaction action = { .sa_handler = ignore };
	struct itme_hint hint = want(0, 1, 1);
	struct waiter waiters[2] = {
		{ .region = self->region, .by_cookie = true },
		{ .region = self->region },
	};
	size_t i;

	ASSERT_EQ(0, sigaction(SIGUSR1, &action, NULL));
	ASSERT_EQ(0, device_hang(&self->device));
	ASSERT_EQ(0, submit(self->region, &hint, 1));
	for (i = 0; i < ARRAY_SIZE(waiters); i++) {
		double end = now() + 20 * slowness();

		ASSERT_EQ(0, pthread_create(&waiters[i].thread, NULL, wait_long, &waiters[i]));
		/* It may not wait yet when the first signal comes. */
		do {
			pthread_kill(waiters[i].thread, SIGUSR1);
			usleep(10000);
		} while (pthread_tryjoin_np(waiters[i].thread, NULL) && now() < end);
		EXPECT_GT(end, now());
		EXPECT_EQ(-EINTR, waiters[i].result);
	}
	/* Nothing is lost by it. */
	ASSERT_EQ(0, device_go_on(&self->device));
	EXPECT_EQ(0, wait_cookie(self->region, 1, 20, NULL));
}

/* Several wait for one cookie: all are woken, one of them is told. */
TEST_F(cookie, several_waiters)
{
	struct itme_hint hint = want(0, 1, 1);
	struct waiter waiters[4];
	int told = 0;
	size_t i;

	ASSERT_EQ(0, device_hang(&self->device));
	ASSERT_EQ(0, submit(self->region, &hint, 1));
	for (i = 0; i < ARRAY_SIZE(waiters); i++) {
		waiters[i] = (struct waiter){ .region = self->region, .by_cookie = true };
		ASSERT_EQ(0, pthread_create(&waiters[i].thread, NULL, wait_long, &waiters[i]));
	}
	ASSERT_EQ(0, device_go_on(&self->device));
	for (i = 0; i < ARRAY_SIZE(waiters); i++) {
		pthread_join(waiters[i].thread, NULL);
		told += waiters[i].result == 0;
		EXPECT_TRUE(waiters[i].result == 0 || waiters[i].result == -ENOENT);
	}
	EXPECT_EQ(1, told);
}

/* ---- as many as there may be ---- */

TEST_F(cookie, the_oldest_is_forgotten)
{
	const __u64 most = self->info.cookie_max;
	__u64 i;

	ASSERT_EQ(0, prefetch(self->region, ITME_TIER_DRAM, 0, GRANULE));
	for (i = 1; i <= most + 10; i++) {
		struct itme_hint hint = want(0, 1, i);

		ASSERT_EQ(0, submit(self->region, &hint, 1));
	}
	EXPECT_EQ(-ENOENT, wait_cookie(self->region, 1, 0, NULL));
	EXPECT_EQ(-ENOENT, wait_cookie(self->region, 10, 0, NULL));
	for (i = 11; i <= most + 10; i++) {
		ASSERT_EQ(0, wait_cookie(self->region, i, 0, NULL))
			TH_LOG("cookie %llu", i);
	}
}

/* An open file cannot fill the kernel's memory; another one is not hindered by it. */
TEST_F(cookie, no_more_are_outstanding_than_queue_max)
{
	const __u32 n = self->info.hint_max;
	struct itme_hint *hints = calloc(n, sizeof(*hints)), last = want(1, 1, 0);
	int second = region_open(&self->inst, "model", O_RDONLY);
	__u64 accepted = 0, refused = 0, i;
	struct itme_wait outcome;

	ASSERT_NE(NULL, hints);
	ASSERT_LE(0, second);
	ASSERT_EQ(0, device_hang(&self->device));
	while (!refused && accepted <= self->info.queue_max) {
		for (i = 0; i < n; i++)
			hints[i] = want(0, 1, 1);
		ASSERT_EQ(0, submit(self->region, hints, n));
		for (i = 0; i < n; i++) {
			accepted += hints[i].error == 0;
			refused += hints[i].error == -EAGAIN;
			ASSERT_TRUE(hints[i].error == 0 || hints[i].error == -EAGAIN);
		}
	}
	EXPECT_EQ(self->info.queue_max, accepted);
	EXPECT_LT(0, refused);
	ASSERT_EQ(0, submit(second, &last, 1));
	EXPECT_EQ(0, last.error);
	ASSERT_EQ(0, device_go_on(&self->device));
	EXPECT_EQ(0, wait_cookie(self->region, 1, 60, &outcome));
	EXPECT_EQ(0, outcome.failed_bytes + outcome.expired_bytes + outcome.lost_bytes);
	/* And then there is room again. */
	last = want(2, 1, 2);
	ASSERT_EQ(0, submit(self->region, &last, 1));
	EXPECT_EQ(0, last.error);
	EXPECT_EQ(0, wait_cookie(self->region, 2, 60, NULL));
	close(second);
	free(hints);
}

TEST_HARNESS_MAIN
