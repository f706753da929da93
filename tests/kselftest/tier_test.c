// SPDX-License-Identifier: GPL-2.0-only
/* Which tier a granule is in, how it gets there, and who goes when it is full. */
#include "test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>

#define BYTES (24 * GRANULE)
#define SEED 21

FIXTURE(tier)
{
	struct instance inst;
	int node;
	int region;
	char *addr;
};

FIXTURE_SETUP(tier)
{
	char path[256], options[64];

	self->node = cxl_node();
	if (self->node < 0)
		SKIP(return, "no node of CXL memory");
	ASSERT_EQ(0, private_mounts());
	ASSERT_EQ(0, store_path(path, sizeof(path), BYTES, SEED));
	snprintf(options, sizeof(options), "dram=16M,cxl=16M@%d,window=4M", self->node);
	ASSERT_EQ(0, instance_mount(&self->inst, options));
	ASSERT_EQ(0, attach_path(&self->inst, path, "model"));
	self->region = region_open(&self->inst, "model", O_RDONLY);
	ASSERT_LE(0, self->region);
	self->addr = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, self->region, 0);
	ASSERT_NE(MAP_FAILED, self->addr);
}

FIXTURE_TEARDOWN(tier)
{
	munmap(self->addr, BYTES);
	close(self->region);
	EXPECT_EQ(0, instance_umount(&self->inst));
}

static void touch_granules(const char *addr, size_t first, size_t count)
{
	size_t i;

	for (i = first; i < first + count; i++)
		touch(addr + i * GRANULE + 777);
}

/*
 * How many of the granules that are in memory are not on the node that their
 * tier says, seen by move_pages(2) of a mapping.
 */
static int misplaced(int region, const char *addr, int node)
{
	size_t granule;
	int wrong = 0;

	for (granule = 0; granule < BYTES / GRANULE; granule++) {
		int tier = residency(region, granule) & ITME_RESIDENCY_TIER_MASK;
		const char *page = addr + granule * GRANULE + GRANULE / 2;

		if (tier == ITME_TIER_STORE)
			continue;
		if (touch(page)) /* resident: maps it where it is */
			wrong++;
		wrong += node_of(page) != (tier == ITME_TIER_CXL ? node : 0);
	}
	return wrong;
}

TEST_F(tier, fills_go_to_dram_then_victims_to_cxl_then_away)
{
	struct itme_stat stat;

	touch_granules(self->addr, 0, 8);
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(16 * MIB, stat.dram_bytes);
	EXPECT_EQ(0, stat.cxl_bytes);
	EXPECT_EQ(0, stat.demote_bytes);

	touch_granules(self->addr, 8, 8);
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(16 * MIB, stat.dram_bytes);
	EXPECT_EQ(16 * MIB, stat.cxl_bytes);
	EXPECT_EQ(16 * MIB, stat.demote_bytes);
	EXPECT_EQ(0, stat.evict_bytes);
	EXPECT_EQ(8, count_tier(self->region, ITME_TIER_DRAM));
	EXPECT_EQ(8, count_tier(self->region, ITME_TIER_CXL));
	EXPECT_EQ(0, misplaced(self->region, self->addr, self->node));

	touch_granules(self->addr, 16, 8);
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(16 * MIB, stat.dram_bytes);
	EXPECT_EQ(16 * MIB, stat.cxl_bytes);
	EXPECT_EQ(16 * MIB, stat.evict_bytes);
	EXPECT_EQ(24, stat.fill_count);
	EXPECT_EQ(8, count_tier(self->region, ITME_TIER_STORE));
	EXPECT_EQ(0, misplaced(self->region, self->addr, self->node));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
}

TEST_F(tier, hints_move_and_residency_agrees_with_the_node)
{
	struct itme_hint result;
	struct itme_stat stat;

	ASSERT_EQ(0, hint(self->region, ITME_HINT_PREFETCH, ITME_TIER_CXL, 0, 4 * GRANULE,
			  &result));
	EXPECT_EQ(4 * GRANULE, result.accepted_bytes);
	EXPECT_EQ(4, count_tier(self->region, ITME_TIER_CXL));
	EXPECT_EQ(0, count_tier(self->region, ITME_TIER_DRAM));
	touch_granules(self->addr, 0, 4);
	EXPECT_EQ(0, misplaced(self->region, self->addr, self->node));
	EXPECT_EQ(4 * GRANULE, mapping_bytes(self->addr, "FilePmdMapped"));

	/* Two of them up; unaligned ranges are widened to granules. */
	ASSERT_EQ(0, hint(self->region, ITME_HINT_PREFETCH, ITME_TIER_DRAM, 2 * GRANULE - 1, 2,
			  &result));
	EXPECT_EQ(2 * GRANULE, result.accepted_bytes);
	EXPECT_EQ(ITME_TIER_CXL, residency(self->region, 0));
	EXPECT_EQ(ITME_TIER_DRAM, residency(self->region, 1));
	EXPECT_EQ(ITME_TIER_DRAM, residency(self->region, 2));
	EXPECT_EQ(ITME_TIER_CXL, residency(self->region, 3));
	EXPECT_EQ(0, misplaced(self->region, self->addr, self->node));
	/* And down again, all: two are there already. */
	ASSERT_EQ(0, hint(self->region, ITME_HINT_PREFETCH, ITME_TIER_CXL, 0, 4 * GRANULE,
			  &result));
	EXPECT_EQ(2 * GRANULE, result.accepted_bytes);
	EXPECT_EQ(2 * GRANULE, result.resident_bytes);
	EXPECT_EQ(0, misplaced(self->region, self->addr, self->node));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, 4 * GRANULE, SEED));

	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(4, stat.fill_count);
	EXPECT_EQ(0, stat.miss_count);
	EXPECT_EQ(2 * GRANULE, stat.promote_bytes);
	EXPECT_EQ(2 * GRANULE, stat.demote_bytes);

	/* Release drops; what is absent is where it should be. */
	ASSERT_EQ(0, hint(self->region, ITME_HINT_RELEASE, 0, GRANULE, 5 * GRANULE, &result));
	EXPECT_EQ(3 * GRANULE, result.accepted_bytes);
	EXPECT_EQ(2 * GRANULE, result.resident_bytes);
	EXPECT_EQ(1, count_tier(self->region, ITME_TIER_CXL));
	EXPECT_EQ(GRANULE, mapping_bytes(self->addr, "Rss"));
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(3 * GRANULE, stat.evict_bytes);
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
}

/* More than fits is clipped and told, and drops nothing. */
TEST_F(tier, hints_are_clipped_to_the_budget)
{
	struct itme_hint result;
	__u64 sum;

	ASSERT_EQ(0, prefetch(self->region, ITME_TIER_CXL, 20 * GRANULE, 4 * GRANULE));
	ASSERT_EQ(0, hint(self->region, ITME_HINT_PREFETCH, ITME_TIER_CXL, 0, 20 * GRANULE,
			  &result));
	EXPECT_EQ(4 * GRANULE, result.accepted_bytes);
	EXPECT_EQ(16 * GRANULE, result.clipped_bytes);
	EXPECT_EQ(8, count_tier(self->region, ITME_TIER_CXL));
	ASSERT_EQ(0, hint(self->region, ITME_HINT_PREFETCH, ITME_TIER_DRAM, 0, BYTES, &result));
	sum = result.accepted_bytes + result.resident_bytes + result.clipped_bytes +
	      result.refused_bytes;
	EXPECT_EQ(BYTES, sum);
	EXPECT_EQ(8 * GRANULE, result.accepted_bytes);
	EXPECT_EQ(16 * GRANULE, result.clipped_bytes);
	EXPECT_EQ(8, count_tier(self->region, ITME_TIER_DRAM));
	EXPECT_EQ(0, misplaced(self->region, self->addr, self->node));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
}

/* References of others forbid a move as they forbid a drop. */
/* What CXL memory held is not read again where DRAM has room for it. */
TEST_F(tier, a_drain_moves_what_there_is_room_for)
{
	struct itme_stat stat;

	ASSERT_EQ(0, prefetch(self->region, ITME_TIER_DRAM, 0, 5 * GRANULE));
	ASSERT_EQ(0, prefetch(self->region, ITME_TIER_CXL, 5 * GRANULE, 8 * GRANULE));
	ASSERT_EQ(8, count_tier(self->region, ITME_TIER_CXL));
	ASSERT_EQ(0, instance_write(&self->inst, "cxl_bytes", "0"));
	EXPECT_EQ(0, instance_number(&self->inst, "cxl_current_bytes"));
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(3 * GRANULE, stat.promote_bytes);
	EXPECT_EQ(5 * GRANULE, stat.evict_bytes);
	EXPECT_EQ(13, stat.fill_count);
	EXPECT_EQ(8, count_tier(self->region, ITME_TIER_DRAM));
	EXPECT_EQ(0, misplaced(self->region, self->addr, self->node));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
}

TEST_F(tier, a_drain_moves_what_is_dirty)
{
	char path[256], *addr;
	int region;

	snprintf(path, sizeof(path), "%s/drained", store_dir());
	ASSERT_EQ(0, store_create(path, 4 * GRANULE, SEED));
	ASSERT_EQ(0, instance_write(&self->inst, "writeback_delay_ms", "3600000"));
	ASSERT_EQ(0, attach_writable(&self->inst, path, "state"));
	region = region_open(&self->inst, "state", O_RDWR);
	addr = mmap(NULL, 4 * GRANULE, PROT_READ | PROT_WRITE, MAP_SHARED, region, 0);
	ASSERT_NE(MAP_FAILED, addr);
	ASSERT_EQ(0, prefetch(region, ITME_TIER_CXL, 0, 4 * GRANULE));
	ASSERT_EQ(0, store_content(addr, 0, 4 * GRANULE, SEED + 1));
	ASSERT_EQ(4, count_tier(region, ITME_TIER_CXL));
	ASSERT_EQ(0, instance_write(&self->inst, "cxl_bytes", "0"));
	EXPECT_EQ(0, instance_number(&self->inst, "cxl_current_bytes"));
	EXPECT_EQ(4, count_tier(region, ITME_TIER_DRAM));
	EXPECT_EQ(4 * GRANULE, instance_number(&self->inst, "dirty_bytes"));
	EXPECT_EQ(0, instance_number(&self->inst, "writeback_bytes"));
	EXPECT_EQ(-1, content_check_mapped(addr, 0, 4 * GRANULE, SEED + 1));
	EXPECT_EQ(0, fsync(region));
	munmap(addr, 4 * GRANULE);
	close(region);
	unlink(path);
}

TEST_F(tier, a_held_frame_does_not_move)
{
	struct iovec piece = { self->addr, PAGE };
	struct itme_hint result;
	struct itme_stat stat;
	char buffer[PAGE];
	int pipes[2];

	ASSERT_EQ(0, pipe(pipes));
	touch_granules(self->addr, 0, 2);
	ASSERT_EQ(PAGE, vmsplice(pipes[1], &piece, 1, 0));
	/* Only the move itself finds out: it is accepted, and stays where it is. */
	EXPECT_EQ(0, hint(self->region, ITME_HINT_PREFETCH, ITME_TIER_CXL, 0, 2 * GRANULE,
			  &result));
	EXPECT_EQ(2 * GRANULE, result.accepted_bytes);
	EXPECT_EQ(ITME_TIER_DRAM | ITME_RESIDENCY_HELD, residency(self->region, 0));
	EXPECT_EQ(ITME_TIER_CXL, residency(self->region, 1));
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(1, stat.held_count);
	EXPECT_EQ(GRANULE, stat.refused_bytes);
	/* Others go round it, time and again. */
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
	EXPECT_EQ(ITME_TIER_DRAM, residency(self->region, 0) & ITME_RESIDENCY_TIER_MASK);
	ASSERT_EQ(PAGE, read(pipes[0], buffer, PAGE));
	EXPECT_EQ(-1, content_check(buffer, 0, PAGE, SEED));
	EXPECT_EQ(0, prefetch(self->region, ITME_TIER_CXL, 2 * GRANULE, GRANULE) &&
		  release(self->region, 0, BYTES));
	EXPECT_EQ(0, release(self->region, 0, BYTES));
	close(pipes[0]);
	close(pipes[1]);
}

TEST_F(tier, sysfs_counters_are_the_sum_of_the_regions)
{
	static const struct {
		const char *file;
		size_t offset;
	} counters[] = {
#define COUNTER(name) { #name, offsetof(struct itme_stat, name) }
		COUNTER(fault_count), COUNTER(miss_count), COUNTER(fill_count),
		COUNTER(fill_bytes), COUNTER(direct_bytes), COUNTER(error_count),
		COUNTER(demote_bytes), COUNTER(promote_bytes), COUNTER(evict_bytes),
		COUNTER(held_count), COUNTER(timeout_count),
	};
	struct itme_stat one, two;
	char path[256], file[128];
	int second;
	size_t i;

	ASSERT_EQ(0, store_path(path, sizeof(path), 4 * GRANULE, SEED));
	ASSERT_EQ(0, attach_path(&self->inst, path, "second"));
	second = region_open(&self->inst, "second", O_RDONLY);
	ASSERT_LE(0, second);
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
	EXPECT_EQ(0, release(self->region, 0, BYTES));
	EXPECT_EQ(0, prefetch(second, ITME_TIER_CXL, 0, 4 * GRANULE));
	EXPECT_EQ(0, prefetch(second, ITME_TIER_DRAM, 0, GRANULE));
	ASSERT_EQ(0, region_stat(self->region, &one));
	ASSERT_EQ(0, region_stat(second, &two));
	for (i = 0; i < ARRAY_SIZE(counters); i++) {
		__u64 a, b;

		memcpy(&a, (char *)&one + counters[i].offset, sizeof(a));
		memcpy(&b, (char *)&two + counters[i].offset, sizeof(b));
		EXPECT_EQ(a + b, instance_number(&self->inst, counters[i].file))
			TH_LOG("for %s", counters[i].file);
		snprintf(file, sizeof(file), "regions/second/%s", counters[i].file);
		EXPECT_EQ(b, instance_number(&self->inst, file))
			TH_LOG("for %s", file);
	}
	EXPECT_EQ(two.cxl_bytes, instance_number(&self->inst, "regions/second/cxl_resident_bytes"));
	EXPECT_EQ(3 * GRANULE, two.cxl_bytes);
	EXPECT_EQ(two.dram_bytes,
		  instance_number(&self->inst, "regions/second/dram_resident_bytes"));
	EXPECT_EQ(GRANULE, two.dram_bytes);
	EXPECT_EQ(16 * MIB - 3 * GRANULE, instance_number(&self->inst, "cxl_free_bytes"));
	EXPECT_EQ(16 * MIB - GRANULE, instance_number(&self->inst, "dram_free_bytes"));
	close(second);
}

TEST_F(tier, metadata_is_small)
{
	struct itme_stat stat;

	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_GE(PAGE, stat.metadata_bytes);
	touch_granules(self->addr, 0, 24);
	ASSERT_EQ(0, region_stat(self->region, &stat));
	/* Allocated by the page: one describes 128 granules at least. */
	EXPECT_GE(2 * PAGE, stat.metadata_bytes);
}

/* ---- readers, movers and evictors at once ---- */

struct mover {
	pthread_t thread;
	int region;
	const char *addr;
	atomic_bool *stop;
	__u64 random;
	long long rounds, wrong;
};

static void *verify(void *arg)
{
	struct mover *m = arg;

	while (!atomic_load(m->stop)) {
		__u64 offset = next_random(&m->random) % (BYTES / PAGE) * PAGE;

		m->wrong += content_check_mapped(m->addr + offset, offset, PAGE, SEED) != -1;
		m->rounds++;
	}
	return NULL;
}

static void *move(void *arg)
{
	struct mover *m = arg;

	while (!atomic_load(m->stop)) {
		__u64 granule = next_random(&m->random) % (BYTES / GRANULE);

		switch (next_random(&m->random) % 4) {
		case 0:
			release(m->region, granule * GRANULE, GRANULE);
			break;
		case 1:
			prefetch(m->region, ITME_TIER_CXL, granule * GRANULE, GRANULE);
			break;
		default:
			prefetch(m->region, ITME_TIER_DRAM, granule * GRANULE, GRANULE);
		}
		m->rounds++;
	}
	return NULL;
}

static void *map_and_unmap(void *arg)
{
	struct mover *m = arg;

	while (!atomic_load(m->stop)) {
		__u64 granule = next_random(&m->random) % (BYTES / GRANULE);
		char *addr = mmap(NULL, 2 * GRANULE, PROT_READ | PROT_WRITE, MAP_PRIVATE,
				  m->region, granule * GRANULE);

		if (addr == MAP_FAILED)
			break;
		m->wrong += content_check_mapped(addr + PAGE, granule * GRANULE + PAGE, PAGE,
						 SEED) != -1;
		addr[3 * PAGE] = 1;
		munmap(addr, 2 * GRANULE);
		m->rounds++;
	}
	return NULL;
}

static void *resize(void *arg)
{
	struct mover *m = arg;
	const struct instance *inst = (const void *)m->addr;
	int i;

	for (i = 0; !atomic_load(m->stop); i++) {
		m->wrong += instance_write(inst, "dram_bytes", i % 2 ? "16777216" : "8388608") != 0;
		m->wrong += instance_write(inst, "cxl_bytes", i % 3 ? "16777216" : "8388608") != 0;
		m->rounds++;
		usleep(20000);
	}
	return NULL;
}

TEST_F(tier, data_is_right_whatever_moves)
{
	void *(*const work[])(void *) = {
		verify, verify, verify, move, move, map_and_unmap, resize,
	};
	struct mover movers[ARRAY_SIZE(work)] = {};
	const size_t last = ARRAY_SIZE(work) - 1;
	atomic_bool stop = false;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(work); i++) {
		movers[i].region = self->region;
		movers[i].addr = i == last ? (const char *)&self->inst : self->addr;
		movers[i].stop = &stop;
		movers[i].random = i * 1000000;
		ASSERT_EQ(0, pthread_create(&movers[i].thread, NULL, work[i], &movers[i]));
	}
	/* Long enough to meet, not a wait for something. */
	sleep(5);
	atomic_store(&stop, true);
	for (i = 0; i < ARRAY_SIZE(work); i++) {
		pthread_join(movers[i].thread, NULL);
		EXPECT_EQ(0, movers[i].wrong)
			TH_LOG("in thread %zu of %lld rounds", i, movers[i].rounds);
		EXPECT_LT(0, movers[i].rounds);
	}
	EXPECT_EQ(0, instance_write(&self->inst, "dram_bytes", "16777216"));
	EXPECT_EQ(0, instance_write(&self->inst, "cxl_bytes", "16777216"));
	EXPECT_EQ(0, misplaced(self->region, self->addr, self->node));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
	/* No frame was lost on the way. */
	EXPECT_EQ(0, release(self->region, 0, BYTES));
	EXPECT_EQ(16 * MIB, instance_number(&self->inst, "dram_free_bytes"));
	EXPECT_EQ(16 * MIB, instance_number(&self->inst, "cxl_free_bytes"));
}

/* ---- scans ---- */

/*
 * A cyclic scan of W bytes over C bytes of memory must read about W - C a pass.
 * LRU would read all W.
 */
FIXTURE(scan)
{
	struct instance inst;
	int region;
	char *addr;
	__u64 bytes; /* W */
};

FIXTURE_VARIANT(scan)
{
	const char *options; /* without the node of cxl= */
	__u64 granule, memory;
};

FIXTURE_VARIANT_ADD(scan, of_2m_granules)
{
	.options = "window=2M,dram=16M,cxl=16M",
	.granule = 2 * MIB,
	.memory = 32 * MIB,
};

FIXTURE_VARIANT_ADD(scan, of_64k_granules)
{
	.options = "granule=64K,dram=8M,cxl=8M",
	.granule = 64 * KIB,
	.memory = 16 * MIB,
};

FIXTURE_SETUP(scan)
{
	char path[256], options[64];

	if (cxl_node() < 0)
		SKIP(return, "no node of CXL memory");
	ASSERT_EQ(0, private_mounts());
	self->bytes = 2 * variant->memory;
	ASSERT_EQ(0, store_path(path, sizeof(path), self->bytes, SEED));
	snprintf(options, sizeof(options), "%s@%d", variant->options, cxl_node());
	ASSERT_EQ(0, instance_mount(&self->inst, options));
	ASSERT_EQ(0, attach_path(&self->inst, path, "model"));
	self->region = region_open(&self->inst, "model", O_RDONLY);
	ASSERT_LE(0, self->region);
	self->addr = mmap(NULL, self->bytes, PROT_READ, MAP_SHARED, self->region, 0);
	ASSERT_NE(MAP_FAILED, self->addr);
}

FIXTURE_TEARDOWN(scan)
{
	munmap(self->addr, self->bytes);
	close(self->region);
	EXPECT_EQ(0, instance_umount(&self->inst));
}

TEST_F(scan, cyclic_passes_keep_what_fits)
{
	const __u64 granules = self->bytes / variant->granule;
	const __u64 least = granules - variant->memory / variant->granule;
	struct itme_stat before, after;
	double fills;
	__u64 g;
	int pass;

	for (pass = 0; pass < 6; pass++) {
		if (pass == 1) /* the first one warms up */
			ASSERT_EQ(0, region_stat(self->region, &before));
		for (g = 0; g < granules; g++)
			ASSERT_EQ(0, touch(self->addr + g * variant->granule + pass * PAGE));
	}
	ASSERT_EQ(0, region_stat(self->region, &after));
	fills = (after.fill_count - before.fill_count) / 5.0;
	EXPECT_GE(least * 1.15, fills);
	/* And it cannot be less: every other granule is not there. */
	EXPECT_LE(least, fills);
	ksft_print_msg("%.1f fills a pass of %llu granules; at least %llu, and %llu by LRU\n",
		       fills, granules, least, granules);
}

TEST_HARNESS_MAIN
