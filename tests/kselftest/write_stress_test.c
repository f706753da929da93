// SPDX-License-Identifier: GPL-2.0-only
/*
 * Many writers of one region, by every way of writing, while granules move, are
 * dropped, punched, and written back. Each 4 KiB has a version, which says what is
 * in it. What is read is of the last version; what fsync acknowledges is in the store.
 * The region is sealed and detached every few seconds, and begins anew with what it left.
 */
#include "test.h"

#include <linux/falloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include "uring.h"

#define GRANULES 24UL
#define BYTES (GRANULES * GRANULE)
#define PAGES (BYTES / PAGE)
#define PINNABLE_GRANULES 9UL /* of 16 frames */
#define WRITERS 3
#define HELD 2 /* granules that a writer's DMA holds at a time */
#define ROUND_SECONDS 15.0
/* These versions are holes. */
#define IS_HOLE(version) ((version) % 16 == 15)

struct shared {
	struct instance inst;
	__u64 bytes; /* of the region */
	bool pinnable;
	int region, direct, store;
	int scratch; /* a page for each writer, from where DMA brings it */
	char *addr;
	/* Twice the version of each page; odd while it is being written. */
	_Atomic __u32 pages[PAGES];
	_Atomic bool stop;
	_Atomic long long writes, dma, reads, fsyncs, wrong;
	bool cxl;
};

struct worker {
	pthread_t thread;
	struct shared *shared;
	__u64 random;
	int id;
	char *buffer; /* a page for O_DIRECT */
	struct ring ring; /* of a writer */
	bool holds;
	__u64 held[HELD]; /* granules that are registered with it */
};

static void fill_page(void *buffer, __u64 page, __u32 version)
{
	if (IS_HOLE(version))
		memset(buffer, 0, PAGE);
	else
		content_fill(buffer, page * PAGE, PAGE, version);
}

static bool page_is(const char *at, __u64 page, __u32 version)
{
	if (IS_HOLE(version))
		return !*at && !memcmp(at, at + 1, PAGE - 1);
	return content_check(at, page * PAGE, PAGE, version) == -1;
}

static void complain(struct worker *w, const char *what, __u64 page, __u32 version)
{
	if (atomic_fetch_add(&w->shared->wrong, 1) < 5)
		printf("# %s: page %llu, version %u\n", what, page, version);
}

static bool write_page(struct worker *w, __u64 page, __u32 version)
{
	struct shared *s = w->shared;
	off_t at = page * PAGE;

	fill_page(w->buffer, page, version);
	if (IS_HOLE(version))
		return !fallocate(s->region, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, PAGE);
	switch (next_random(&w->random) % 4) {
	case 0:
		memcpy(s->addr + at, w->buffer, PAGE);
		return true;
	case 1:
		return pwrite(s->region, w->buffer, PAGE, at) == (ssize_t)PAGE;
	case 2:
		return pwrite(s->direct, w->buffer, PAGE, at) == (ssize_t)PAGE;
	default: /* DMA into the mapping */
		s->dma++;
		return pwrite(s->scratch, w->buffer, PAGE, w->id * PAGE) == (ssize_t)PAGE &&
		       pread(s->scratch, s->addr + at, PAGE, w->id * PAGE) == (ssize_t)PAGE;
	}
}

/* By DMA into a buffer that has been registered for long. */
static bool write_held(struct worker *w, __u64 page, __u32 version, unsigned int buffer)
{
	struct io_uring_sqe sqe = {
		.opcode = IORING_OP_READ_FIXED,
		.fd = w->shared->scratch,
		.addr = (uintptr_t)w->shared->addr + page * PAGE,
		.len = PAGE,
		.off = w->id * PAGE,
		.buf_index = buffer,
	};

	fill_page(w->buffer, page, version);
	w->shared->dma++;
	return pwrite(w->shared->scratch, w->buffer, PAGE, w->id * PAGE) == (ssize_t)PAGE &&
	       !ring_submit(&w->ring, &sqe) && ring_wait(&w->ring, NULL) == (int)PAGE;
}

/* Hold other granules, or none. */
static void hold_or_not(struct worker *w)
{
	struct iovec buffers[HELD];
	int i, err;

	if (w->holds)
		ring_unregister(&w->ring);
	w->holds = !w->holds;
	if (!w->holds)
		return;
	for (i = 0; i < HELD; i++) {
		w->held[i] = next_random(&w->random) % PINNABLE_GRANULES;
		buffers[i] = (struct iovec){ w->shared->addr + w->held[i] * GRANULE, GRANULE };
	}
	err = ring_register(&w->ring, buffers, HELD);
	if (err)
		complain(w, "could not be held", w->held[0], -err);
	w->holds = !err;
}

/* A writer has every WRITERS-th page, so that granules are shared. */
static void *do_write(void *arg)
{
	struct worker *w = arg;
	struct shared *s = w->shared;

	if (ring_open(&w->ring, 2))
		complain(w, "has no ring", 0, 0);
	while (!s->stop) {
		__u64 page = next_random(&w->random) % (s->bytes / PAGE / WRITERS) * WRITERS + w->id;
		unsigned int buffer = next_random(&w->random) % HELD;
		bool held = w->holds && next_random(&w->random) % 2;
		__u32 version;

		if (s->pinnable && next_random(&w->random) % 64 == 0)
			hold_or_not(w);
		held = held && w->holds;
		if (held) {
			__u64 last = (w->held[buffer] + 1) * (GRANULE / PAGE) - 1;

			page = last - page % (GRANULE / PAGE - WRITERS);
			page -= (page + WRITERS - w->id) % WRITERS;
		}
		version = s->pages[page] / 2 + 1;

		if (!page_is(s->addr + page * PAGE, page, version - 1))
			complain(w, "not what its writer wrote", page, version - 1);
		s->pages[page] = 2 * version - 1;
		if (!(held ? write_held(w, page, version, buffer) : write_page(w, page, version)))
			complain(w, "could not be written", page, version);
		s->pages[page] = 2 * version;
		s->writes++;
	}
	ring_close(&w->ring);
	return NULL;
}

static void *do_read(void *arg)
{
	struct worker *w = arg;
	struct shared *s = w->shared;

	while (!s->stop) {
		__u64 page = next_random(&w->random) % (s->bytes / PAGE);
		int fd = next_random(&w->random) % 2 ? s->region : s->direct;
		__u32 before = s->pages[page];

		if (pread(fd, w->buffer, PAGE, page * PAGE) != (ssize_t)PAGE)
			complain(w, "could not be read", page, before / 2);
		else if (!(before & 1) && s->pages[page] == before &&
			 !page_is(w->buffer, page, before / 2))
			complain(w, "is not what was written", page, before / 2);
		s->reads++;
	}
	return NULL;
}

/* Is one of these versions in the store? A page that is being written there may be torn. */
static bool is_stored(struct worker *w, __u64 page, __u32 least)
{
	int tries;

	for (tries = 0; tries < 50; tries++) {
		__u32 version, most;

		/* Nobody keeps it from being written to while it is copied to the store. */
		if (w->shared->pinnable && w->shared->pages[page] != 2 * least)
			return true;

		if (pread(w->shared->store, w->buffer, PAGE, page * PAGE) != (ssize_t)PAGE)
			return false;
		most = (w->shared->pages[page] + 1) / 2;
		for (version = least; version <= most; version++)
			if (page_is(w->buffer, page, version))
				return true;
		usleep(1000);
	}
	return false;
}

static void *do_fsync(void *arg)
{
	struct worker *w = arg;
	struct shared *s = w->shared;
	__u32 *acknowledged = malloc(PAGES * sizeof(*acknowledged));
	__u64 page;
	int i;

	while (acknowledged && !s->stop) {
		for (page = 0; page < s->bytes / PAGE; page++)
			acknowledged[page] = s->pages[page] / 2;
		if (next_random(&w->random) % 2 ? fsync(s->region) :
						  msync(s->addr, s->bytes, MS_SYNC))
			complain(w, "fsync failed", 0, errno);
		for (i = 0; i < 200; i++) {
			page = next_random(&w->random) % (s->bytes / PAGE);
			if (!is_stored(w, page, acknowledged[page]))
				complain(w, "acknowledged and not in the store", page,
					 acknowledged[page]);
		}
		s->fsyncs++;
		usleep(50000);
	}
	free(acknowledged);
	return NULL;
}

/* Nothing of this may change any data. */
static void *do_disturb(void *arg)
{
	struct worker *w = arg;
	struct shared *s = w->shared;

	while (!s->stop) {
		__u64 granule = next_random(&w->random) % (s->bytes / GRANULE);
		struct itme_hint result = {};

		switch (next_random(&w->random) % 7) {
		case 0:
			release(s->region, granule * GRANULE, GRANULE);
			break;
		case 1:
			hint(s->region, ITME_HINT_PREFETCH, ITME_TIER_DRAM, granule * GRANULE,
			     GRANULE, &result);
			break;
		case 2:
			if (s->cxl)
				hint(s->region, ITME_HINT_PREFETCH, ITME_TIER_CXL,
				     granule * GRANULE, GRANULE, &result);
			break;
		case 3:
			hint(s->region, ITME_HINT_WATCH, 0, granule * GRANULE, GRANULE, &result);
			break;
		case 4:
			hint(s->region, ITME_HINT_PIN, 0, granule * GRANULE, GRANULE, &result);
			break;
		case 5:
			hint(s->region, ITME_HINT_UNPIN, 0, granule * GRANULE, GRANULE, &result);
			break;
		default:
			instance_write(&s->inst, "dram_bytes",
				       next_random(&w->random) % 2 ? "16777216" : "25165824");
		}
		usleep(2000);
	}
	return NULL;
}

static void *(*const jobs[])(void *arg) = {
	do_write, do_write, do_write, do_read, do_fsync, do_disturb,
};

static int open_all(struct shared *s)
{
	s->region = region_open(&s->inst, "state", O_RDWR);
	s->direct = region_open(&s->inst, "state", O_RDWR | O_DIRECT);
	if (s->region < 0 || s->direct < 0)
		return -EIO;
	s->addr = mmap(NULL, s->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, s->region, 0);
	return s->addr == MAP_FAILED ? -errno : 0;
}

/* All that was written is there: first in the region that is sealed, then in its store. */
static bool verify(struct shared *s, int fd)
{
	const __u64 pages = GRANULE / PAGE;
	char *buffer = aligned_alloc(GRANULE, GRANULE);
	bool right = buffer;
	__u64 page;

	/* Not by mmap: lockdep dislikes the page cache of a drive that is shut down. */
	for (page = 0; right && page < s->bytes / PAGE; page++) {
		right = page % pages ||
			pread(fd, buffer, GRANULE, page * PAGE) == (ssize_t)GRANULE;
		right = right && page_is(buffer + page % pages * PAGE, page, s->pages[page] / 2);
		if (!right)
			printf("# page %llu is not of version %u\n", page, s->pages[page] / 2);
	}
	free(buffer);
	return right;
}

static bool seal_and_detach(struct shared *s)
{
	struct itme_seal args = { .size = sizeof(args) };
	double end = now() + 20 * slowness();
	bool right;

	munmap(s->addr, s->bytes);
	/* References of rings that are closed go in their own time. */
	while (ioctl(s->region, ITME_IOC_SEAL, &args)) {
		if (errno != EBUSY || now() > end) {
			printf("# seal: error %d\n", errno);
			return false;
		}
		usleep(10000);
	}
	right = pwrite(s->region, "x", 1, 0) == -1 && errno == EPERM && verify(s, s->region) &&
		instance_number(&s->inst, "dirty_bytes") == 0;
	close(s->region);
	close(s->direct);
	return !detach(&s->inst, "state") && right && verify(s, s->store);
}

static bool round_of(struct shared *s, double seconds)
{
	struct worker workers[ARRAY_SIZE(jobs)] = {};
	double end = now() + seconds;
	size_t i;

	s->stop = false;
	for (i = 0; i < ARRAY_SIZE(jobs); i++) {
		workers[i].shared = s;
		workers[i].id = i;
		workers[i].random = s->writes + 1000 * i + 7;
		workers[i].buffer = aligned_alloc(PAGE, PAGE);
		pthread_create(&workers[i].thread, NULL, jobs[i], &workers[i]);
	}
	while (now() < end && !s->wrong)
		usleep(100000);
	s->stop = true;
	for (i = 0; i < ARRAY_SIZE(jobs); i++) {
		pthread_join(workers[i].thread, NULL);
		free(workers[i].buffer);
	}
	return !s->wrong;
}

static int attach_state(struct shared *s, const char *path)
{
	return s->pinnable ? attach_pinnable(&s->inst, path, "state") :
			     attach_writable(&s->inst, path, "state");
}

static void stress(struct __test_metadata *_metadata, bool pinnable)
{
	const char *text = getenv("ITME_STRESS_SECONDS");
	const double seconds = (text ? atoi(text) : 30 * slowness()) / 2.0;
	struct shared *s = calloc(1, sizeof(*s));
	char path[256], scratch[300], options[64];
	const double end = now() + seconds;
	int rounds = 0;

	ASSERT_NE(NULL, s);
	ASSERT_EQ(0, private_mounts());
	s->pinnable = pinnable;
	s->bytes = (pinnable ? PINNABLE_GRANULES : GRANULES) * GRANULE;
	snprintf(path, sizeof(path), "%s/stressed", store_dir());
	snprintf(scratch, sizeof(scratch), "%s-scratch", path);
	ASSERT_EQ(0, store_create(path, s->bytes, 0));
	ASSERT_EQ(0, store_create(scratch, WRITERS * PAGE, 0));
	s->store = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	s->scratch = open(scratch, O_RDWR | O_DIRECT | O_CLOEXEC);
	ASSERT_LE(0, s->store);
	ASSERT_LE(0, s->scratch);
	s->cxl = cxl_node() >= 0;
	snprintf(options, sizeof(options), s->cxl ? "dram=24M,cxl=8M@%d" : "dram=32M", cxl_node());
	ASSERT_EQ(0, instance_mount(&s->inst, options));
	ASSERT_EQ(0, instance_write(&s->inst, "writeback_delay_ms", "200"));
	while (now() < end || !rounds) {
		double left = end - now();

		ASSERT_EQ(0, attach_state(s, path));
		ASSERT_EQ(0, open_all(s));
		EXPECT_TRUE(round_of(s, left > ROUND_SECONDS ? ROUND_SECONDS : left));
		ASSERT_TRUE(seal_and_detach(s));
		rounds++;
	}
	printf("# %d rounds, %lld writes, %lld of them DMA, %lld reads, %lld fsyncs, %lld MiB written back\n",
	       rounds, s->writes, s->dma, s->reads, s->fsyncs,
	       instance_number(&s->inst, "writeback_bytes") >> 20);
	EXPECT_EQ(0, s->wrong);
	EXPECT_LT(100, s->writes);
	EXPECT_LT(10, s->dma);
	EXPECT_LT(0, s->fsyncs);
	EXPECT_EQ(0, instance_number(&s->inst, "lost_bytes"));
	EXPECT_EQ(0, instance_number(&s->inst, "pinned_bytes"));
	ASSERT_EQ(0, instance_umount(&s->inst));
	EXPECT_TRUE(verify(s, s->store));
	close(s->store);
	close(s->scratch);
	unlink(path);
	unlink(scratch);
	free(s);
}

TEST(tiered)
{
	stress(_metadata, false);
}

TEST(pinnable)
{
	stress(_metadata, true);
}

TEST_HARNESS_MAIN
