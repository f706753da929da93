// SPDX-License-Identifier: GPL-2.0-only
/*
 * The whole path on a CXL type-3 device: its frames are on it, the drive's DMA
 * and the CPU's copies reach them, and the data is right. Small, since an
 * emulated one does 30 MB/s.
 */
#include "test.h"

#include <sys/mman.h>

#define GRANULES 16
#define BYTES (GRANULES * GRANULE + 1234)
#define SEED 51

FIXTURE(type3)
{
	struct instance inst;
	long long free; /* of the device, before the mount */
	int region;
	char *addr;
};

FIXTURE_SETUP(type3)
{
	char path[256], options[64];

	if (access("/sys/bus/cxl/devices/mem0", F_OK) || cxl_node() < 0)
		SKIP(return, "no CXL type-3 device");
	ASSERT_EQ(0, private_mounts());
	ASSERT_EQ(0, store_path(path, sizeof(path), BYTES, SEED));
	self->free = free_memory(cxl_node());
	snprintf(options, sizeof(options), "dram=16M,cxl=64M@%d", cxl_node());
	ASSERT_EQ(0, instance_mount(&self->inst, options));
	ASSERT_EQ(0, attach_path(&self->inst, path, "model"));
	self->region = region_open(&self->inst, "model", O_RDONLY);
	ASSERT_LE(0, self->region);
	self->addr = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, self->region, 0);
	ASSERT_NE(MAP_FAILED, self->addr);
}

FIXTURE_TEARDOWN(type3)
{
	munmap(self->addr, BYTES);
	close(self->region);
	EXPECT_EQ(0, instance_umount(&self->inst));
	EXPECT_LT(self->free - 4 * (long long)MIB, free_memory(cxl_node()));
}

/* Granules of a tier that are mapped, and not on the tier's node. */
static int misplaced(int region, const char *addr)
{
	int granule, wrong = 0;

	for (granule = 0; granule <= GRANULES; granule++) {
		int tier = residency(region, granule) & ITME_RESIDENCY_TIER_MASK;
		const char *page = addr + granule * GRANULE;

		if (tier == ITME_TIER_STORE)
			continue;
		wrong += touch(page) != 0;
		wrong += node_of(page) != (tier == ITME_TIER_CXL ? cxl_node() : 0);
	}
	return wrong;
}

TEST_F(type3, frames_come_from_the_device)
{
	char path[128], text[4096], *at;

	EXPECT_EQ(64 * MIB, instance_number(&self->inst, "cxl_current_bytes"));
	EXPECT_GE(self->free - 64 * (long long)MIB, free_memory(cxl_node()));
	EXPECT_EQ(0, run("ls /sys/bus/cxl/devices | grep -q '^region'"));
	/* A node without CPUs, which the kernel itself takes for slower memory. */
	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/cpulist", cxl_node());
	ASSERT_LE(0, read_text(path, text, sizeof(text)));
	EXPECT_EQ('\n', text[0]);
	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/meminfo", cxl_node());
	ASSERT_LT(0, read_text(path, text, sizeof(text)));
	at = strstr(text, "MemFree:");
	ASSERT_NE(NULL, at);
	EXPECT_GE(total_memory(cxl_node()) - 64 * (long long)MIB,
		  strtoll(at + 8, NULL, 10) * 1024);
}

TEST_F(type3, victims_of_dram_go_there)
{
	struct itme_stat stat;

	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(GRANULES + 1, stat.fill_count);
	EXPECT_EQ(16 * MIB, stat.dram_bytes);
	EXPECT_EQ((GRANULES + 1) * GRANULE - 16 * MIB, stat.cxl_bytes);
	EXPECT_EQ(stat.cxl_bytes, stat.demote_bytes);
	EXPECT_EQ(8, count_tier(self->region, ITME_TIER_DRAM));
	EXPECT_EQ(GRANULES + 1 - 8, count_tier(self->region, ITME_TIER_CXL));
	EXPECT_EQ(0, misplaced(self->region, self->addr));
	/* Read where it lies. */
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(GRANULES + 1, stat.fill_count);
}

TEST_F(type3, the_drive_reads_into_it)
{
	const size_t bytes = 4 * GRANULE;
	char *buffer = malloc(bytes);
	struct itme_stat stat;

	ASSERT_NE(NULL, buffer);
	ASSERT_EQ(0, prefetch(self->region, ITME_TIER_CXL, 0, bytes));
	EXPECT_EQ(4, count_tier(self->region, ITME_TIER_CXL));
	EXPECT_EQ(0, misplaced(self->region, self->addr));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, bytes, SEED));
	EXPECT_EQ(bytes, pread(self->region, buffer, bytes, 0));
	EXPECT_EQ(-1, content_check(buffer, 0, bytes, SEED));
	/* Up and down once. */
	ASSERT_EQ(0, prefetch(self->region, ITME_TIER_DRAM, GRANULE, GRANULE));
	ASSERT_EQ(0, prefetch(self->region, ITME_TIER_CXL, GRANULE, GRANULE));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, bytes, SEED));
	EXPECT_EQ(0, misplaced(self->region, self->addr));
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(4, stat.fill_count);
	free(buffer);
}

TEST_HARNESS_MAIN
