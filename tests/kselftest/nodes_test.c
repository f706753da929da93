// SPDX-License-Identifier: GPL-2.0-only
/* A CXL tier of several nodes: one budget, frames from each in turn. */
#include "test.h"

#include <sys/mman.h>

#define GRANULES 32UL
#define BYTES (GRANULES * GRANULE)
#define SEED 95

FIXTURE(nodes)
{
	struct instance inst;
	int region;
	char *addr;
};

FIXTURE_SETUP(nodes)
{
	const char *nodes = getenv("ITME_CXL_NODES");
	char path[256];

	if (!nodes || atoi(nodes) < 2)
		SKIP(return, "one node of CXL memory: needs a guest with --cxl-nodes=2");
	ASSERT_EQ(0, private_mounts());
	ASSERT_EQ(0, store_path(path, sizeof(path), BYTES, SEED));
	ASSERT_EQ(0, instance_mount(&self->inst, "dram=8M,cxl=64M@1:2"));
	ASSERT_EQ(0, attach_path(&self->inst, path, "model"));
	self->region = region_open(&self->inst, "model", O_RDONLY);
	ASSERT_LE(0, self->region);
	self->addr = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, self->region, 0);
	ASSERT_NE(MAP_FAILED, self->addr);
}

FIXTURE_TEARDOWN(nodes)
{
	munmap(self->addr, BYTES);
	close(self->region);
	EXPECT_EQ(0, instance_umount(&self->inst));
}

TEST_F(nodes, granules_interleave)
{
	int on[3] = {}, turns = 0, last = -1;
	__u64 g;

	ASSERT_EQ(0, prefetch(self->region, ITME_TIER_CXL, 0, BYTES));
	for (g = 0; g < GRANULES; g++) {
		int node;

		ASSERT_EQ(0, touch(self->addr + g * GRANULE));
		node = node_of(self->addr + g * GRANULE);
		ASSERT_LE(1, node);
		ASSERT_GE(2, node);
		on[node]++;
		turns += node != last;
		last = node;
	}
	EXPECT_EQ(GRANULES / 2, on[1]);
	EXPECT_EQ(GRANULES / 2, on[2]);
	/* Neighbours lie on different nodes, so that a scan has the bandwidth of both. */
	EXPECT_LE(GRANULES / 2, turns);
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
}

/* What both cannot give is told by node, and what was there stays. */
TEST_F(nodes, too_much)
{
	int kmsg = kmsg_open();
	char text[64];

	ASSERT_LE(0, kmsg);
	EXPECT_EQ(0, instance_write(&self->inst, "cxl_bytes", "536870912"));
	EXPECT_EQ(512 * MIB, instance_number(&self->inst, "cxl_current_bytes"));
	snprintf(text, sizeof(text), "%lld", total_memory(1) + total_memory(2));
	EXPECT_EQ(-ENOMEM, instance_write(&self->inst, "cxl_bytes", text));
	EXPECT_TRUE(kmsg_has(kmsg, "node 2 has"));
	EXPECT_EQ(512 * MIB, instance_number(&self->inst, "cxl_current_bytes"));
	close(kmsg);
}

TEST_F(nodes, resize_keeps_both_and_drains_both)
{
	long long before[3];
	int node;

	for (node = 1; node <= 2; node++)
		before[node] = free_memory(node);
	EXPECT_EQ(0, instance_remount(&self->inst, "cxl=256M"));
	for (node = 1; node <= 2; node++)
		EXPECT_LE(90 * (long long)MIB, before[node] - free_memory(node));
	ASSERT_EQ(0, prefetch(self->region, ITME_TIER_CXL, 0, BYTES));
	EXPECT_EQ(0, instance_remount(&self->inst, "cxl=0"));
	EXPECT_EQ(0, instance_number(&self->inst, "cxl_current_bytes"));
	for (node = 1; node <= 2; node++)
		EXPECT_LE(before[node] + 28 * (long long)MIB, free_memory(node));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
}

TEST_HARNESS_MAIN
