// SPDX-License-Identifier: GPL-2.0-only
/* The node of CXL memory as the kernel manages it: zones, offline, online. */
#include "test.h"

#include <dirent.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "reader.h"

#define MAX_BLOCKS 256
#define GRANULES 32UL
#define BYTES (GRANULES * GRANULE)
#define SEED 41

FIXTURE(node)
{
	struct instance inst;
	bool mounted;
	int blocks[MAX_BLOCKS], nr; /* numbers of its memory blocks */
	bool changed[MAX_BLOCKS]; /* not in the zone in which it was found */
};

static int set_block(int block, const char *state)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/devices/system/memory/memory%d/state", block);
	return write_file(path, state);
}

static bool is_online(int block)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/devices/system/memory/memory%d/online", block);
	return read_number(path) == 1;
}

FIXTURE_SETUP(node)
{
	struct dirent *entry;
	char path[64];
	DIR *dir;

	if (cxl_node() < 0)
		SKIP(return, "no node of CXL memory");
	ASSERT_EQ(0, private_mounts());
	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d", cxl_node());
	dir = opendir(path);
	ASSERT_NE(NULL, dir);
	while ((entry = readdir(dir)) && self->nr < MAX_BLOCKS)
		if (sscanf(entry->d_name, "memory%d", &self->blocks[self->nr]) == 1)
			self->nr++;
	closedir(dir);
	ASSERT_LT(0, self->nr);
}

FIXTURE_TEARDOWN(node)
{
	int i;

	if (self->mounted)
		EXPECT_EQ(0, instance_umount(&self->inst));
	for (i = 0; i < self->nr; i++) {
		if (!self->changed[i])
			continue;
		if (is_online(self->blocks[i]))
			EXPECT_EQ(0, set_block(self->blocks[i], "offline"));
		EXPECT_EQ(0, set_block(self->blocks[i], "online_kernel"));
	}
}

/* Take offline what can be: how many blocks are. */
static int offline_all(FIXTURE_DATA(node) * self)
{
	int i, n = 0;

	for (i = 0; i < self->nr; i++) {
		if (!is_online(self->blocks[i]) || !set_block(self->blocks[i], "offline")) {
			self->changed[i] = true;
			n++;
		}
	}
	return n;
}

static int online_offline_ones(FIXTURE_DATA(node) * self, const char *state)
{
	int i, n = 0;

	for (i = 0; i < self->nr; i++)
		if (!is_online(self->blocks[i]) && !set_block(self->blocks[i], state)) {
			/* Once the kernel uses it again it may not go offline again. */
			self->changed[i] = strcmp(state, "online_kernel") != 0;
			n++;
		}
	return n;
}

/*
 * So many blocks can be had at the least: the kernel has data of its own in one of
 * them, most likely, and a frame that has met poison stays where it is, for ever.
 */
static int nr_removable(const FIXTURE_DATA(node) * self)
{
	char path[96];
	long long errors;

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/memory_failure/total",
		 cxl_node());
	errors = access(path, F_OK) ? 0 : read_number(path);
	return self->nr - 1 - (int)errors;
}

TEST_F(node, in_zone_movable_is_refused)
{
	char options[64];
	int kmsg = kmsg_open();
	long long all;

	ASSERT_LE(0, kmsg);
	all = total_memory(cxl_node());
	ASSERT_LT(0, nr_removable(self));
	ASSERT_LE(nr_removable(self), offline_all(self));
	ASSERT_LE(nr_removable(self), online_offline_ones(self, "online_movable"));
	snprintf(options, sizeof(options), "cxl=%lld@%d", all / 2, cxl_node());
	EXPECT_EQ(-EINVAL, instance_mount(&self->inst, options));
	EXPECT_TRUE(kmsg_has(kmsg, "ZONE_MOVABLE"));
	snprintf(options, sizeof(options), "cxl=%lld@%d", all + (long long)GRANULE, cxl_node());
	EXPECT_EQ(-EINVAL, instance_mount(&self->inst, options));
	EXPECT_TRUE(kmsg_has(kmsg, "larger than node"));
	close(kmsg);
}

/* Free bytes of the node in pieces that a frame can come from, as it is just now. */
static long long free_in_granules(int node)
{
	const unsigned int order = __builtin_ctzl(GRANULE / PAGE);
	char line[512];
	long long bytes = 0;
	FILE *f;

	free_memory(node); /* without what is only cached */
	f = fopen("/proc/buddyinfo", "r");
	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f)) {
		int at = 0, which, skipped;
		long long count;
		unsigned int i;

		if (sscanf(line, "Node %d, zone %*s%n", &which, &at) < 1 || which != node || !at)
			continue;
		for (i = 0; sscanf(line + at, " %lld%n", &count, &skipped) == 1; i++, at += skipped)
			if (i >= order)
				bytes += count * (long long)PAGE << i;
	}
	fclose(f);
	return bytes;
}

/* Frames cannot be migrated away by the kernel; a budget of 0 drains the node. */
TEST_F(node, goes_offline_when_its_budget_is_zero)
{
	long long all = free_in_granules(cxl_node());
	char options[64];

	snprintf(options, sizeof(options), "dram=8M,cxl=%lld@%d", all - 48 * (long long)MIB,
		 cxl_node());
	ASSERT_EQ(0, instance_mount(&self->inst, options));
	self->mounted = true;
	EXPECT_EQ(0, offline_all(self));
	EXPECT_LT(all - 64 * (long long)MIB, instance_number(&self->inst, "cxl_current_bytes"));

	ASSERT_EQ(0, instance_remount(&self->inst, "cxl=0"));
	EXPECT_EQ(0, instance_number(&self->inst, "cxl_current_bytes"));
	EXPECT_LE(nr_removable(self), offline_all(self));
	/* What is not there any more is no budget. */
	snprintf(options, sizeof(options), "cxl=%lld", all - 48 * (long long)MIB);
	EXPECT_EQ(-EINVAL, instance_remount(&self->inst, options));
	ASSERT_LE(nr_removable(self), online_offline_ones(self, "online_kernel"));
	EXPECT_EQ(0, instance_remount(&self->inst, "cxl=64M"));
	EXPECT_EQ(64 * MIB, instance_number(&self->inst, "cxl_current_bytes"));
}

/* A budget for most of the node, and a region of which all is there. */
static int mount_with_region(FIXTURE_DATA(node) * self, int *region, char **addr)
{
	char path[256], options[64];
	int err;

	snprintf(options, sizeof(options), "dram=8M,cxl=%lld@%d",
		 free_memory(cxl_node()) - 128 * (long long)MIB, cxl_node());
	err = store_path(path, sizeof(path), BYTES, SEED) ?: instance_mount(&self->inst, options);
	if (err)
		return err;
	self->mounted = true;
	err = attach_path(&self->inst, path, "model");
	if (err)
		return err;
	*region = region_open(&self->inst, "model", O_RDONLY);
	*addr = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, *region, 0);
	return *addr == MAP_FAILED ? -errno : prefetch(*region, ITME_TIER_CXL, 0, BYTES);
}

static bool is_drained(const struct instance *inst)
{
	double end = now() + 10 * slowness();

	while (instance_number(inst, "cxl_current_bytes") && now() < end)
		usleep(50000);
	return instance_number(inst, "cxl_current_bytes") == 0;
}

/* What still holds a frame is named; when it lets go the node can go. */
TEST_F(node, a_held_frame_is_named)
{
	struct iovec piece;
	int region, pipes[2], kmsg = kmsg_open();
	char *addr;

	ASSERT_LE(0, kmsg);
	ASSERT_EQ(0, mount_with_region(self, &region, &addr));
	touch(addr + 5 * GRANULE);
	piece = (struct iovec){ addr + 5 * GRANULE, PAGE };
	ASSERT_EQ(0, pipe(pipes));
	ASSERT_EQ(PAGE, vmsplice(pipes[1], &piece, 1, 0));
	EXPECT_EQ(0, instance_remount(&self->inst, "cxl=0"));
	EXPECT_EQ(GRANULE, instance_number(&self->inst, "cxl_current_bytes"));
	EXPECT_TRUE(kmsg_has(kmsg, "region model, offset 10485760: 1 page references"));
	EXPECT_TRUE(residency(region, 5) & ITME_RESIDENCY_HELD);
	EXPECT_GT(self->nr, offline_all(self));
	close(pipes[0]);
	close(pipes[1]);
	EXPECT_TRUE(is_drained(&self->inst));
	EXPECT_LE(nr_removable(self), offline_all(self));
	ASSERT_LE(nr_removable(self), online_offline_ones(self, "online_kernel"));
	munmap(addr, BYTES);
	close(region);
	close(kmsg);
}

TEST_F(node, drains_under_load)
{
	struct reader readers[2] = {};
	int i, region;
	char *addr;

	ASSERT_EQ(0, mount_with_region(self, &region, &addr));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, reader_start(&readers[i], addr, BYTES, SEED, i));
	EXPECT_EQ(0, instance_remount(&self->inst, "cxl=0"));
	EXPECT_TRUE(is_drained(&self->inst));
	EXPECT_LE(nr_removable(self), offline_all(self));
	for (i = 0; i < 2; i++) {
		reader_stop(&readers[i]);
		EXPECT_EQ(0, readers[i].wrong);
		EXPECT_LT(0, readers[i].checked);
	}
	ASSERT_LE(nr_removable(self), online_offline_ones(self, "online_kernel"));
	munmap(addr, BYTES);
	close(region);
}

TEST_HARNESS_MAIN
