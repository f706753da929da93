// SPDX-License-Identifier: GPL-2.0-only
/* The host is short of memory: who gives frames, which ones, and that they come back. */
#include "test.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "device.h"
#include "hog.h"
#include "reader.h"

#define GRANULES 96UL
#define BYTES (GRANULES * GRANULE)
#define BUDGET (512 * MIB) /* 256 frames: residents, and as many that are free */
#define SEED 81
#define SECONDS 120

FIXTURE(pressure)
{
	struct instance inst;
	int region;
	char *addr;
};

FIXTURE_SETUP(pressure)
{
	char path[256];

	ASSERT_EQ(0, private_mounts());
	ASSERT_EQ(0, keep_lists_short(true));
	ASSERT_EQ(0, store_path(path, sizeof(path), BYTES, SEED));
	ASSERT_EQ(0, instance_mount(&self->inst, "dram=512M,window=8M"));
	ASSERT_EQ(0, attach_path(&self->inst, path, "model"));
	self->region = region_open(&self->inst, "model", O_RDONLY);
	ASSERT_LE(0, self->region);
	self->addr = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, self->region, 0);
	ASSERT_NE(MAP_FAILED, self->addr);
}

FIXTURE_TEARDOWN(pressure)
{
	munmap(self->addr, BYTES);
	close(self->region);
	EXPECT_EQ(0, instance_umount(&self->inst));
	EXPECT_EQ(0, keep_lists_short(false));
}

static long long current(const struct instance *inst)
{
	return instance_number(inst, "dram_current_bytes");
}

static long long returned(const struct instance *inst)
{
	return instance_number(inst, "dram_returned_bytes");
}

/* What the kernel itself takes: on the debug kernel what is freed waits for tens of MiB. */
static long long kernel_memory(void)
{
	return meminfo("Slab") + meminfo("PageTables") + meminfo("KernelStack");
}

/* A hog that cannot have what it wants unless so much, and a little more, comes from us. */
static int squeeze(struct hog *hog, long long bytes)
{
	return hog_start(hog, free_memory(0) + bytes) ?: hog_wait(hog, SECONDS);
}

static bool is_whole_again(const struct instance *inst, long long budget)
{
	double end = now() + SECONDS * slowness();

	while (current(inst) < budget && now() < end)
		usleep(100000);
	return current(inst) == budget;
}

TEST_F(pressure, free_frames_go_and_come_back)
{
	struct hog hog;
	long long kernel = kernel_memory();

	ASSERT_EQ(BUDGET, current(&self->inst));
	ASSERT_EQ(0, returned(&self->inst));
	EXPECT_EQ(0, squeeze(&hog, 256 * MIB));
	EXPECT_GE(BUDGET - 128 * (long long)MIB, current(&self->inst));
	/* The budget is what somebody has set: it stays. */
	EXPECT_EQ(BUDGET, instance_number(&self->inst, "dram_bytes"));
	EXPECT_LE(128 * (long long)MIB, returned(&self->inst));
	kernel = kernel_memory() - kernel;
	/* What it needs and the kernel takes and keeps, and no more but for a round of reclaim. */
	EXPECT_GE((256 + 32) * (long long)MIB + high_watermarks(0) + (kernel > 0 ? kernel : 0),
		  returned(&self->inst));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
	hog_stop(&hog);
	EXPECT_TRUE(is_whole_again(&self->inst, BUDGET));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
}

/* While the host is short of memory it is not asked to give any back. */
TEST_F(pressure, nothing_is_taken_back_while_it_lasts)
{
	struct hog hog;
	double end = now() + 6;
	long long least;

	ASSERT_EQ(0, squeeze(&hog, 256 * MIB));
	least = current(&self->inst);
	while (now() < end) {
		EXPECT_GE(least, current(&self->inst));
		usleep(200000);
	}
	hog_stop(&hog);
	EXPECT_TRUE(is_whole_again(&self->inst, BUDGET));
}

TEST_F(pressure, residents_go_but_what_is_pinned_or_held)
{
	struct iovec pieces[4];
	struct itme_stat stat;
	struct hog hog;
	int pipes[2];
	__u64 g;

	/* All that is here is in use, or fetched and not used yet. */
	ASSERT_EQ(0, instance_write(&self->inst, "dram_bytes", "201326592"));
	ASSERT_EQ(0, prefetch(self->region, ITME_TIER_DRAM, 0, BYTES));
	ASSERT_EQ(0, hint(self->region, ITME_HINT_PIN, ITME_TIER_DRAM, 0, 8 * GRANULE, NULL));
	for (g = 0; g < GRANULES / 2; g++)
		touch(self->addr + g * GRANULE);
	ASSERT_EQ(0, pipe(pipes));
	for (g = 0; g < 4; g++)
		pieces[g] = (struct iovec){ self->addr + (20 + g) * GRANULE, PAGE };
	ASSERT_EQ(4 * PAGE, vmsplice(pipes[1], pieces, 4, 0));
	ASSERT_EQ(BYTES, current(&self->inst));

	/* 164 MiB can go, and the kernel keeps up to 80 free, with its debugging 30 more. */
	EXPECT_EQ(0, squeeze(&hog, 64 * MIB));
	EXPECT_GE(BYTES - 64 * (long long)MIB, current(&self->inst));
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_LE(64 * MIB, stat.evict_bytes);
	for (g = 0; g < 8; g++)
		EXPECT_EQ(ITME_TIER_DRAM, residency(self->region, g) & ITME_RESIDENCY_TIER_MASK);
	for (g = 20; g < 24; g++)
		EXPECT_EQ(ITME_TIER_DRAM, residency(self->region, g) & ITME_RESIDENCY_TIER_MASK);
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(0, stat.timeout_count);
	hog_stop(&hog);
	close(pipes[0]);
	close(pipes[1]);
	EXPECT_TRUE(is_whole_again(&self->inst, BYTES));
}

/* Demand has frames in the end, whatever was pinned before or is after. */
TEST_F(pressure, pins_do_not_take_the_last_frames)
{
	struct itme_hint pinned = {};
	struct hog hog;

	EXPECT_EQ(0, squeeze(&hog, 384 * MIB));
	EXPECT_LE(12 * (long long)MIB, current(&self->inst)); /* the window, and two */
	EXPECT_GE(current(&self->inst), instance_number(&self->inst, "pin_limit_bytes"));
	hint(self->region, ITME_HINT_PIN, ITME_TIER_DRAM, 0, BYTES, &pinned);
	EXPECT_GE(instance_number(&self->inst, "pin_limit_bytes"),
		  instance_number(&self->inst, "pinned_bytes"));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
	hog_stop(&hog);
	EXPECT_TRUE(is_whole_again(&self->inst, BUDGET));
}

TEST_F(pressure, a_floor_stays_and_the_kernel_log_says_who_has_it)
{
	struct hog hog;
	int kmsg = kmsg_open();

	ASSERT_LE(0, kmsg);
	ASSERT_EQ(0, instance_write(&self->inst, "dram_floor_bytes", "402653184"));
	EXPECT_EQ(384 * MIB, instance_number(&self->inst, "dram_floor_bytes"));
	/* More than there is: the killer comes, and takes the hog. */
	EXPECT_EQ(SIGKILL, squeeze(&hog, 384 * MIB));
	EXPECT_EQ(384 * MIB, BUDGET - returned(&self->inst));
	EXPECT_TRUE(kmsg_has(kmsg, "holds 393216 kB of DRAM"));
	hog_stop(&hog);
	close(kmsg);
	EXPECT_TRUE(is_whole_again(&self->inst, BUDGET));
}

/* A budget is not a cache: who drops caches does not mean it. */
TEST_F(pressure, drop_caches_leaves_frames)
{
	ASSERT_EQ(0, prefetch(self->region, ITME_TIER_DRAM, 0, BYTES));
	ASSERT_EQ(0, write_file("/proc/sys/vm/drop_caches", "3"));
	EXPECT_EQ(BUDGET, current(&self->inst));
	EXPECT_EQ(0, returned(&self->inst));
	EXPECT_EQ(GRANULES, count_tier(self->region, ITME_TIER_DRAM));
}

TEST_F(pressure, budgets_change_while_the_host_has_frames)
{
	long long before;
	struct hog hog;

	ASSERT_EQ(0, squeeze(&hog, 256 * MIB));
	before = current(&self->inst);
	ASSERT_GT(390 * (long long)MIB, before);
	ASSERT_LT(96 * (long long)MIB, before);
	/* A smaller one takes nothing from the host. */
	EXPECT_EQ(0, instance_write(&self->inst, "dram_bytes", "419430400"));
	EXPECT_GE(before, current(&self->inst));
	EXPECT_EQ(0, instance_write(&self->inst, "dram_bytes", "67108864"));
	EXPECT_EQ(64 * MIB, current(&self->inst));
	/* The same again means: now. */
	EXPECT_EQ(0, instance_write(&self->inst, "dram_bytes", "100663296"));
	EXPECT_EQ(96 * MIB, current(&self->inst));
	hog_stop(&hog);
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
}

/* Readers, hints, hogs and a budget that changes, all at once. */
TEST_F(pressure, data_is_right_under_load)
{
	struct reader readers[2] = {};
	struct hog hog;
	int i;

	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, reader_start(&readers[i], self->addr, BYTES, SEED, i));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, hog_start(&hog, free_memory(0) + current(&self->inst) / 2));
		hint(self->region, ITME_HINT_PREFETCH, ITME_TIER_DRAM, 0, BYTES, NULL);
		EXPECT_EQ(0, hog_wait(&hog, SECONDS));
		/* Down while there is no memory, and up again when there is. */
		EXPECT_EQ(0, instance_write(&self->inst, "dram_bytes", "134217728"));
		hog_stop(&hog);
		EXPECT_EQ(0, instance_write(&self->inst, "dram_bytes", "536870912"));
	}
	for (i = 0; i < 2; i++) {
		reader_stop(&readers[i]);
		EXPECT_EQ(0, readers[i].wrong);
		EXPECT_LT(100, readers[i].checked);
	}
	EXPECT_EQ(0, instance_number(&self->inst, "error_count"));
	EXPECT_LT(0, returned(&self->inst));
}

/* Most of memory is dirty, and the writer has time. */
FIXTURE(dirty)
{
	struct instance inst;
	struct device device;
	int region;
	char *addr;
};

#define DIRTY_GRANULES 56UL
#define DIRTY_BYTES (DIRTY_GRANULES * GRANULE)
#define OLD 82

FIXTURE_SETUP(dirty)
{
	ASSERT_EQ(0, private_mounts());
	ASSERT_EQ(0, keep_lists_short(true));
	ASSERT_EQ(0, device_make(&self->device, DIRTY_BYTES, OLD));
	ASSERT_EQ(0, instance_mount(&self->inst, "dram=240M,window=8M"));
	ASSERT_EQ(0, instance_write(&self->inst, "writeback_delay_ms", "3600000"));
	ASSERT_EQ(0, instance_write(&self->inst, "writeback_background_bytes", "251658240"));
	ASSERT_EQ(0, attach_writable(&self->inst, self->device.path, "state"));
	self->region = region_open(&self->inst, "state", O_RDWR);
	ASSERT_LE(0, self->region);
	self->addr = mmap(NULL, DIRTY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, self->region, 0);
	ASSERT_NE(MAP_FAILED, self->addr);
	ASSERT_EQ(0, store_content(self->addr, 0, DIRTY_BYTES, SEED));
	ASSERT_EQ(DIRTY_BYTES, instance_number(&self->inst, "dirty_bytes"));
	ASSERT_EQ(0, instance_number(&self->inst, "writeback_bytes"));
}

FIXTURE_TEARDOWN(dirty)
{
	munmap(self->addr, DIRTY_BYTES);
	close(self->region);
	EXPECT_EQ(0, instance_umount(&self->inst));
	EXPECT_EQ(0, device_remove(&self->device));
	EXPECT_EQ(0, keep_lists_short(false));
}

/* What is dirty is written first: sooner than it would have been. */
TEST_F(dirty, is_written_then_given)
{
	struct hog hog;

	/* 228 MiB can go, half of them once they are written; the kernel keeps up to 80 free. */
	EXPECT_EQ(0, squeeze(&hog, 128 * MIB));
	EXPECT_LT(0, instance_number(&self->inst, "writeback_bytes"));
	EXPECT_GT(DIRTY_BYTES, current(&self->inst));
	EXPECT_GE(current(&self->inst), instance_number(&self->inst, "dirty_bytes"));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, DIRTY_BYTES, SEED));
	hog_stop(&hog);
	EXPECT_TRUE(is_whole_again(&self->inst, 240 * MIB));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, DIRTY_BYTES, SEED));
	EXPECT_EQ(0, fsync(self->region));
}

TEST_F(dirty, stays_when_the_store_refuses_it)
{
	struct hog hog;

	ASSERT_EQ(0, device_refuse_writes(&self->device));
	/* So there is not enough, and the killer takes the hog. */
	EXPECT_EQ(SIGKILL, squeeze(&hog, 240 * MIB));
	EXPECT_LT(0, instance_number(&self->inst, "writeback_error_count"));
	EXPECT_EQ(DIRTY_BYTES, instance_number(&self->inst, "dirty_bytes"));
	EXPECT_LE(DIRTY_BYTES, current(&self->inst));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, DIRTY_BYTES, SEED));
	hog_stop(&hog);
	ASSERT_EQ(0, device_take_writes(&self->device));
	fsync(self->region); /* tells of what had failed */
	EXPECT_EQ(0, fsync(self->region));
	EXPECT_EQ(0, instance_number(&self->inst, "dirty_bytes"));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, DIRTY_BYTES, SEED));
}

TEST_HARNESS_MAIN
