// SPDX-License-Identifier: GPL-2.0-only
/*
 * Many writers of one region, by every way of writing, while granules move, are
 * dropped, punched, and written back. Each 4 KiB has a version, which says what is
 * in it. What is read is of the last version; what fsync acknowledges is in the store.
 */
#include "test.h"

#include <linux/falloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

#define GRANULES 24UL
#define BYTES (GRANULES * GRANULE)
#define PAGES (BYTES / PAGE)
#define WRITERS 3
/* These versions are holes. */
#define IS_HOLE(version) ((version) % 16 == 15)

struct shared {
	struct instance inst;
	int region, direct, store;
	char *addr;
	/* Twice the version of each page; odd while it is being written. */
	_Atomic __u32 pages[PAGES];
	_Atomic bool stop;
	_Atomic long long writes, reads, fsyncs, wrong;
	bool cxl;
};

struct worker {
	pthread_t thread;
	struct shared *shared;
	__u64 random;
	int id;
	char *buffer; /* a page for O_DIRECT, and more */
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
	switch (next_random(&w->random) % 3) {
	case 0:
		memcpy(s->addr + at, w->buffer, PAGE);
		return true;
	case 1:
		return pwrite(s->region, w->buffer, PAGE, at) == (ssize_t)PAGE;
	default:
		return pwrite(s->direct, w->buffer, PAGE, at) == (ssize_t)PAGE;
	}
}

/* A writer has every WRITERS-th page, so that granules are shared. */
static void *do_write(void *arg)
{
	struct worker *w = arg;
	struct shared *s = w->shared;

	while (!s->stop) {
		__u64 page = next_random(&w->random) % (PAGES / WRITERS) * WRITERS + w->id;
		__u32 version = s->pages[page] / 2 + 1;

		if (!page_is(s->addr + page * PAGE, page, version - 1))
			complain(w, "not what its writer wrote", page, version - 1);
		s->pages[page] = 2 * version - 1;
		if (!write_page(w, page, version))
			complain(w, "could not be written", page, version);
		s->pages[page] = 2 * version;
		s->writes++;
	}
	return NULL;
}

static void *do_read(void *arg)
{
	struct worker *w = arg;
	struct shared *s = w->shared;

	while (!s->stop) {
		__u64 page = next_random(&w->random) % PAGES;
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
		for (page = 0; page < PAGES; page++)
			acknowledged[page] = s->pages[page] / 2;
		if (next_random(&w->random) % 2 ? fsync(s->region) :
						  msync(s->addr, BYTES, MS_SYNC))
			complain(w, "fsync failed", 0, errno);
		for (i = 0; i < 200; i++) {
			page = next_random(&w->random) % PAGES;
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
		__u64 granule = next_random(&w->random) % GRANULES;
		struct itme_hint result = {};

		switch (next_random(&w->random) % 5) {
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
		default:
			instance_write(&s->inst, "dram_bytes",
				       next_random(&w->random) % 2 ? "16777216" : "25165824");
		}
		usleep(2000);
	}
	return NULL;
}

static void start(struct worker *w, struct shared *s, int id, void *(*fn)(void *arg))
{
	w->shared = s;
	w->id = id;
	w->random = 1000 * id + 7;
	w->buffer = aligned_alloc(PAGE, PAGE);
	pthread_create(&w->thread, NULL, fn, w);
}

TEST(whatever_is_written_is_read_and_acknowledged_is_stored)
{
	void *(*others[])(void *arg) = { do_read, do_fsync, do_disturb };
	const char *seconds = getenv("ITME_STRESS_SECONDS");
	struct shared *s = calloc(1, sizeof(*s));
	struct worker workers[WRITERS + 3];
	char path[256], options[64];
	long long lost;
	size_t i, page;
	double end;

	ASSERT_NE(NULL, s);
	ASSERT_EQ(0, private_mounts());
	snprintf(path, sizeof(path), "%s/stressed", store_dir());
	ASSERT_EQ(0, store_create(path, BYTES, 0));
	s->cxl = cxl_node() >= 0;
	snprintf(options, sizeof(options), s->cxl ? "dram=24M,cxl=8M@%d" : "dram=24M", cxl_node());
	ASSERT_EQ(0, instance_mount(&s->inst, options));
	ASSERT_EQ(0, instance_write(&s->inst, "writeback_delay_ms", "200"));
	ASSERT_EQ(0, attach_writable(&s->inst, path, "state"));
	s->region = region_open(&s->inst, "state", O_RDWR);
	s->direct = region_open(&s->inst, "state", O_RDWR | O_DIRECT);
	s->store = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	ASSERT_LE(0, s->region);
	ASSERT_LE(0, s->direct);
	ASSERT_LE(0, s->store);
	s->addr = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, s->region, 0);
	ASSERT_NE(MAP_FAILED, s->addr);
	for (i = 0; i < ARRAY_SIZE(workers); i++)
		start(&workers[i], s, i, i < WRITERS ? do_write : others[i - WRITERS]);
	end = now() + (seconds ? atoi(seconds) : 20);
	while (now() < end && !s->wrong)
		usleep(100000);
	s->stop = true;
	for (i = 0; i < ARRAY_SIZE(workers); i++) {
		pthread_join(workers[i].thread, NULL);
		free(workers[i].buffer);
	}
	printf("# %lld writes, %lld reads, %lld fsyncs, %lld MiB written back\n", s->writes,
	       s->reads, s->fsyncs, instance_number(&s->inst, "writeback_bytes") >> 20);
	EXPECT_EQ(0, s->wrong);
	EXPECT_LT(0, s->writes);
	EXPECT_LT(0, s->fsyncs);
	lost = instance_number(&s->inst, "lost_bytes");
	EXPECT_EQ(0, lost);
	munmap(s->addr, BYTES);
	close(s->region);
	close(s->direct);
	ASSERT_EQ(0, instance_umount(&s->inst));
	s->addr = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, s->store, 0);
	ASSERT_NE(MAP_FAILED, s->addr);
	for (page = 0; page < PAGES; page++)
		ASSERT_TRUE(page_is(s->addr + page * PAGE, page, s->pages[page] / 2))
			TH_LOG("page %zu of version %u", page, s->pages[page] / 2);
	munmap(s->addr, BYTES);
	close(s->store);
	unlink(path);
	free(s);
}

TEST_HARNESS_MAIN
