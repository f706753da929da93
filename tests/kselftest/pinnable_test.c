// SPDX-License-Identifier: GPL-2.0-only
/* Pinnable regions: DMA may hold all of one for long, and nothing that it writes is lost. */
#include "test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include "uring.h"

#define GRANULES 8UL
#define BYTES (GRANULES * GRANULE)
#define OLD 111
#define NEW 112
#define OPTIONS "dram=32M" /* 16 granules: a window of 4, 2 for demand, 10 to hold */
#define MOST (10 * GRANULE)

FIXTURE(pinnable)
{
	struct instance inst;
	char path[256], other[256];
	int region, store, source[2];
	char *addr, *buffer;
	struct ring ring;
	bool umounted;
};

FIXTURE_SETUP(pinnable)
{
	char path[256];
	int i;

	ASSERT_EQ(0, private_mounts());
	snprintf(self->path, sizeof(self->path), "%s/pinnable", store_dir());
	ASSERT_EQ(0, store_create(self->path, BYTES, OLD));
	ASSERT_EQ(0, store_path(self->other, sizeof(self->other), 3 * BYTES, OLD + 1));
	for (i = 0; i < 2; i++) { /* what DMA brings */
		ASSERT_EQ(0, store_path(path, sizeof(path), BYTES, NEW + i));
		self->source[i] = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
		ASSERT_LE(0, self->source[i]);
	}
	ASSERT_EQ(0, instance_mount(&self->inst, OPTIONS));
	ASSERT_EQ(0, instance_write(&self->inst, "writeback_delay_ms", "3600000"));
	ASSERT_EQ(0, attach_pinnable(&self->inst, self->path, "arena"));
	self->region = region_open(&self->inst, "arena", O_RDWR);
	ASSERT_LE(0, self->region);
	self->addr = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, self->region, 0);
	ASSERT_NE(MAP_FAILED, self->addr);
	self->store = open(self->path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	ASSERT_LE(0, self->store);
	self->buffer = aligned_alloc(GRANULE, GRANULE);
	ASSERT_NE(NULL, self->buffer);
	ASSERT_EQ(0, ring_open(&self->ring, 16));
}

static void let_go(struct _test_data_pinnable *self)
{
	if (self->addr)
		munmap(self->addr, BYTES);
	if (self->region >= 0)
		close(self->region);
	self->addr = NULL;
	self->region = -1;
}

FIXTURE_TEARDOWN(pinnable)
{
	ring_close(&self->ring);
	let_go(self);
	close(self->store);
	close(self->source[0]);
	close(self->source[1]);
	free(self->buffer);
	if (!self->umounted)
		EXPECT_EQ(0, instance_umount(&self->inst));
	unlink(self->path);
}

/* Has the store all of it, of this seed? */
static bool stored(struct _test_data_pinnable *self, size_t first, size_t count, __u64 seed)
{
	size_t g;

	for (g = first; g < first + count; g++)
		if (pread(self->store, self->buffer, GRANULE, g * GRANULE) != (ssize_t)GRANULE ||
		    content_check(self->buffer, g * GRANULE, GRANULE, seed) != -1)
			return false;
	return true;
}

/* Pin all of it, a buffer a granule. */
static int hold(struct _test_data_pinnable *self)
{
	struct iovec buffers[GRANULES];
	size_t g;

	for (g = 0; g < GRANULES; g++)
		buffers[g] = (struct iovec){ self->addr + g * GRANULE, GRANULE };
	return ring_register(&self->ring, buffers, GRANULES);
}

/* DMA into granules that are held; they need not be mapped any more. */
static int bring(struct _test_data_pinnable *self, char *addr, size_t first, size_t count,
		 int source)
{
	size_t g;
	int res;

	for (g = first; g < first + count; g++) {
		struct io_uring_sqe sqe = {
			.opcode = IORING_OP_READ_FIXED,
			.fd = self->source[source],
			.addr = (uintptr_t)addr + g * GRANULE,
			.len = GRANULE,
			.off = g * GRANULE,
			.buf_index = g,
		};

		res = ring_submit(&self->ring, &sqe);
		res = res ?: ring_wait(&self->ring, NULL);
		if (res != (int)GRANULE)
			return res < 0 ? res : -EIO;
	}
	return 0;
}

static long long dirty(struct _test_data_pinnable *self)
{
	return instance_number(&self->inst, "dirty_bytes") / (long long)GRANULE;
}

static int wait_until_clean(struct _test_data_pinnable *self)
{
	double end = now() + 20 * slowness();

	while (dirty(self) && now() < end)
		usleep(10000);
	return dirty(self) ? -ETIMEDOUT : 0;
}

TEST_F(pinnable, dma_that_lasts_comes_to_the_store)
{
	char mode[32];
	char path[128];

	snprintf(path, sizeof(path), "/sys/fs/itme/%s/regions/arena/mode", self->inst.name);
	ASSERT_LT(0, read_text(path, mode, sizeof(mode)));
	EXPECT_STREQ("pinnable\n", mode);
	ASSERT_EQ(0, hold(self));
	EXPECT_EQ((long long)GRANULES, dirty(self));
	EXPECT_EQ(-1, content_check(self->addr, 0, BYTES, OLD));
	ASSERT_EQ(0, bring(self, self->addr, 0, GRANULES, 0));
	EXPECT_EQ(-1, content_check(self->addr, 0, BYTES, NEW));
	ASSERT_EQ(0, fsync(self->region));
	EXPECT_TRUE(stored(self, 0, GRANULES, NEW));
	/* Nobody saw that it was written to again. */
	ASSERT_EQ(0, bring(self, self->addr, 2, 3, 1));
	ASSERT_EQ(0, fdatasync(self->region));
	EXPECT_TRUE(stored(self, 0, 2, NEW));
	EXPECT_TRUE(stored(self, 2, 3, NEW + 1));
	EXPECT_TRUE(stored(self, 5, 3, NEW));
	/* The last mapping goes, and then what holds it. */
	let_go(self);
	ASSERT_EQ(0, ring_unregister(&self->ring));
	ASSERT_EQ(0, instance_write(&self->inst, "writeback_delay_ms", "20"));
	EXPECT_EQ(0, wait_until_clean(self));
	EXPECT_TRUE(stored(self, 2, 3, NEW + 1));
}

TEST_F(pinnable, dma_after_the_last_mapping)
{
	char *addr = self->addr;

	ASSERT_EQ(0, hold(self));
	munmap(self->addr, BYTES);
	self->addr = NULL;
	ASSERT_EQ(0, fsync(self->region));
	ASSERT_EQ(0, bring(self, addr, 0, GRANULES, 0));
	ASSERT_EQ(0, fsync(self->region));
	EXPECT_TRUE(stored(self, 0, GRANULES, NEW));
	ASSERT_EQ(0, bring(self, addr, 0, 4, 1));
	ASSERT_EQ(0, ring_unregister(&self->ring));
	ASSERT_EQ(0, fsync(self->region));
	EXPECT_TRUE(stored(self, 0, 4, NEW + 1));
	EXPECT_EQ(0, dirty(self));
}

TEST_F(pinnable, what_is_held_stays_and_demand_goes_on)
{
	int other, nodes[GRANULES];
	size_t g;
	char *addr;

	ASSERT_EQ(0, attach_path(&self->inst, self->other, "model"));
	other = region_open(&self->inst, "model", O_RDONLY);
	ASSERT_LE(0, other);
	addr = mmap(NULL, 3 * BYTES, PROT_READ, MAP_SHARED, other, 0);
	ASSERT_NE(MAP_FAILED, addr);
	ASSERT_EQ(0, hold(self));
	for (g = 0; g < GRANULES; g++)
		nodes[g] = node_of(self->addr + g * GRANULE);
	EXPECT_EQ(-EBUSY, release(self->region, 0, BYTES));
	EXPECT_EQ(-1, content_check_mapped(addr, 0, 3 * BYTES, OLD + 1));
	ASSERT_EQ(0, bring(self, self->addr, 0, GRANULES, 0));
	EXPECT_EQ(-1, content_check(self->addr, 0, BYTES, NEW));
	for (g = 0; g < GRANULES; g++)
		EXPECT_EQ(nodes[g], node_of(self->addr + g * GRANULE));
	munmap(addr, 3 * BYTES);
	close(other);
}

TEST_F(pinnable, does_not_move_while_held)
{
	char options[64];

	if (cxl_node() < 0)
		SKIP(return, "no node of CXL memory");
	snprintf(options, sizeof(options), OPTIONS ",cxl=32M@%d", cxl_node());
	ASSERT_EQ(0, instance_remount(&self->inst, options));
	ASSERT_EQ(0, store_content(self->addr, 0, GRANULE, NEW));
	EXPECT_EQ(0, prefetch(self->region, ITME_TIER_CXL, 0, GRANULE)); /* mapped only */
	EXPECT_EQ(cxl_node(), node_of(self->addr + (touch(self->addr), 0)));
	ASSERT_EQ(0, hold(self));
	EXPECT_EQ(0, instance_number(&self->inst, "held_count"));
	prefetch(self->region, ITME_TIER_DRAM, 0, GRANULE);
	EXPECT_LT(0, instance_number(&self->inst, "held_count"));
	EXPECT_EQ(cxl_node(), node_of(self->addr));
	prefetch(self->region, ITME_TIER_CXL, GRANULE, GRANULE);
	EXPECT_EQ(ITME_TIER_DRAM, residency(self->region, 1) & ITME_RESIDENCY_TIER_MASK);
	EXPECT_EQ(-1, content_check(self->addr, 0, GRANULE, NEW));
	ASSERT_EQ(0, ring_unregister(&self->ring));
	EXPECT_EQ(0, prefetch(self->region, ITME_TIER_CXL, 0, BYTES));
	EXPECT_EQ(-1, content_check(self->addr, 0, GRANULE, NEW));
	EXPECT_EQ(-1, content_check(self->addr + GRANULE, GRANULE, BYTES - GRANULE, OLD));
	ASSERT_EQ(0, fsync(self->region));
	EXPECT_TRUE(stored(self, 0, 1, NEW));
}

TEST_F(pinnable, what_is_mapped_by_who_could_write_is_dirty)
{
	char *reader;
	int fd;

	/* A read maps it for writing too; or mprotect does, without a fault. */
	ASSERT_EQ(0, touch(self->addr + GRANULE));
	EXPECT_EQ(1, dirty(self));
	ASSERT_EQ(0, mprotect(self->addr, BYTES, PROT_READ));
	ASSERT_EQ(0, touch(self->addr + 2 * GRANULE));
	EXPECT_EQ(2, dirty(self));
	ASSERT_EQ(0, fsync(self->region));
	EXPECT_EQ(2, dirty(self));
	ASSERT_EQ(0, mprotect(self->addr, BYTES, PROT_READ | PROT_WRITE));
	ASSERT_EQ(0, store_content(self->addr + GRANULE, GRANULE, 2 * GRANULE, NEW));
	ASSERT_EQ(0, fsync(self->region));
	EXPECT_TRUE(stored(self, 1, 2, NEW));
	ASSERT_EQ(0, store_content(self->addr + GRANULE, GRANULE, GRANULE, NEW + 1));
	/* The writer leaves it alone until then. */
	ASSERT_EQ(0, instance_write(&self->inst, "writeback_delay_ms", "20"));
	usleep(300000);
	EXPECT_EQ(2, dirty(self));
	munmap(self->addr, BYTES);
	self->addr = NULL;
	EXPECT_EQ(0, wait_until_clean(self));
	EXPECT_TRUE(stored(self, 1, 1, NEW + 1));
	EXPECT_TRUE(stored(self, 2, 1, NEW));
	/* Who cannot write makes nothing dirty, and clean ones can go. */
	fd = region_open(&self->inst, "arena", O_RDONLY);
	ASSERT_LE(0, fd);
	reader = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, reader);
	EXPECT_EQ(-1, content_check_mapped(reader + 3 * GRANULE, 3 * GRANULE, GRANULE, OLD));
	EXPECT_EQ(0, dirty(self));
	EXPECT_EQ(0, release(fd, 0, BYTES));
	munmap(reader, BYTES);
	close(fd);
	/* write(2) needs no mapping. */
	ASSERT_EQ(100, pwrite(self->region, self->buffer, 100, 0));
	EXPECT_EQ(0, wait_until_clean(self));
}

TEST_F(pinnable, must_fit_the_budgets)
{
	struct itme_attach args = {
		.size = sizeof(args),
		.flags = ITME_ATTACH_PINNABLE,
		.fd = self->source[0],
		.name = (uintptr_t)"x",
		.name_len = 1,
	};
	char small[300], large[300], text[32];
	int kmsg = kmsg_open();

	ASSERT_LE(0, kmsg);
	EXPECT_EQ(-1, ioctl(self->inst.root, ITME_IOC_ATTACH, &args));
	EXPECT_EQ(EINVAL, errno); /* without WRITE */
	snprintf(small, sizeof(small), "%s-small", self->path);
	snprintf(large, sizeof(large), "%s-large", self->path);
	ASSERT_EQ(0, store_create(small, MOST - BYTES, OLD));
	ASSERT_EQ(0, store_create(large, MOST - BYTES + PAGE, OLD));
	EXPECT_EQ(-ENOSPC, attach_pinnable(&self->inst, large, "large"));
	EXPECT_TRUE(kmsg_has(kmsg, "a pinnable region of 3 granules does not fit"));
	EXPECT_EQ(0, attach_writable(&self->inst, large, "large")); /* as another, it does */
	ASSERT_EQ(0, attach_pinnable(&self->inst, small, "small"));
	EXPECT_EQ(0, instance_number(&self->inst, "pin_limit_bytes"));
	/* While they are there the budgets stay. */
	snprintf(text, sizeof(text), "%lu", 15 * GRANULE);
	EXPECT_EQ(-EBUSY, instance_write(&self->inst, "dram_bytes", text));
	EXPECT_EQ(-EBUSY, instance_remount(&self->inst, "dram=30M"));
	EXPECT_EQ(16 * (long long)GRANULE, instance_number(&self->inst, "dram_bytes"));
	snprintf(text, sizeof(text), "%lu", 5 * GRANULE);
	EXPECT_EQ(-EBUSY, instance_write(&self->inst, "window_bytes", text));
	ASSERT_EQ(0, detach(&self->inst, "small"));
	EXPECT_EQ(0, instance_write(&self->inst, "window_bytes", text));
	EXPECT_EQ(0, instance_remount(&self->inst, "dram=30M"));
	EXPECT_EQ(-ENOSPC, attach_pinnable(&self->inst, small, "small"));
	EXPECT_EQ(0, instance_remount(&self->inst, "dram=34M"));
	EXPECT_EQ(0, attach_pinnable(&self->inst, small, "small"));
	unlink(small);
	unlink(large);
	close(kmsg);
}

TEST_F(pinnable, held_beyond_its_end)
{
	int kmsg = kmsg_open();
	char *addr = self->addr;

	ASSERT_LE(0, kmsg);
	ASSERT_EQ(0, hold(self));
	ASSERT_EQ(0, bring(self, addr, 0, GRANULES, 0));
	let_go(self);
	ASSERT_EQ(0, instance_umount(&self->inst));
	self->umounted = true;
	EXPECT_TRUE(stored(self, 0, GRANULES, NEW));
	EXPECT_FALSE(kmsg_has(kmsg, "are lost"));
	EXPECT_EQ(0, bring(self, addr, 0, GRANULES, 1)); /* into frames of nobody */
	EXPECT_EQ(0, ring_unregister(&self->ring));
	EXPECT_TRUE(stored(self, 0, GRANULES, NEW));
	close(kmsg);
}

TEST_F(pinnable, holes_and_seal)
{
	const int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	struct itme_seal args = { .size = sizeof(args) };

	ASSERT_EQ(0, store_content(self->addr, 0, 2 * GRANULE, NEW));
	ASSERT_EQ(0, fallocate(self->region, punch, GRANULE, 2 * GRANULE));
	EXPECT_EQ(0, self->addr[GRANULE]);
	EXPECT_EQ(0, memcmp(self->addr + GRANULE, self->addr + GRANULE + 1, 2 * GRANULE - 1));
	ASSERT_EQ(0, fsync(self->region));
	/* Stores to what was punched while it was mapped. */
	ASSERT_EQ(0, store_content(self->addr + GRANULE, GRANULE, GRANULE, NEW + 1));
	ASSERT_EQ(0, fsync(self->region));
	EXPECT_TRUE(stored(self, 0, 1, NEW));
	EXPECT_TRUE(stored(self, 1, 1, NEW + 1));
	EXPECT_EQ(-1, ioctl(self->region, ITME_IOC_SEAL, &args));
	EXPECT_EQ(EBUSY, errno);
	ASSERT_EQ(0, hold(self));
	munmap(self->addr, BYTES);
	self->addr = NULL;
	EXPECT_EQ(-1, ioctl(self->region, ITME_IOC_SEAL, &args));
	EXPECT_EQ(EBUSY, errno); /* held */
	ASSERT_EQ(0, ring_unregister(&self->ring));
	ASSERT_EQ(0, ioctl(self->region, ITME_IOC_SEAL, &args));
	EXPECT_EQ(0, dirty(self));
	EXPECT_TRUE(stored(self, 1, 1, NEW + 1));
}

struct storing {
	_Atomic __u64 last; /* what was stored last, everywhere */
	_Atomic bool stop;
	char *addr;
};

static void *store_counts(void *arg)
{
	struct storing *s = arg;
	size_t g;

	while (!s->stop) {
		for (g = 0; g < GRANULES; g++)
			*(volatile __u64 *)(s->addr + g * GRANULE) = s->last + 1;
		s->last++;
	}
	return NULL;
}

/* Stores that no fault tells of: those before an fsync come with it, and all in the end. */
TEST_F(pinnable, stores_during_write_back)
{
	struct storing s = { .addr = self->addr };
	double end = now() + 4 * slowness();
	pthread_t thread;
	__u64 before;
	int syncs;
	size_t g;

	ASSERT_EQ(0, pthread_create(&thread, NULL, store_counts, &s));
	for (syncs = 0; now() < end; syncs++) {
		before = s.last;
		ASSERT_EQ(0, fsync(self->region));
		for (g = 0; g < GRANULES; g++) {
			ASSERT_EQ((ssize_t)PAGE,
				  pread(self->store, self->buffer, PAGE, g * GRANULE));
			if (before)
				EXPECT_LE(before, *(__u64 *)self->buffer);
		}
	}
	s.stop = true;
	pthread_join(thread, NULL);
	EXPECT_LT(2, syncs);
	ASSERT_EQ(0, instance_write(&self->inst, "writeback_delay_ms", "0"));
	munmap(self->addr, BYTES);
	self->addr = NULL;
	EXPECT_EQ(0, wait_until_clean(self));
	for (g = 0; g < GRANULES; g++) {
		ASSERT_EQ((ssize_t)PAGE, pread(self->store, self->buffer, PAGE, g * GRANULE));
		EXPECT_EQ(s.last, *(__u64 *)self->buffer);
	}
}

TEST_HARNESS_MAIN
