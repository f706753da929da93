// SPDX-License-Identifier: GPL-2.0-only
/* Beside the kernel's own placement: NUMA balancing. */
#include "test.h"

#include <limits.h>
#include <sys/mman.h>

#define GRANULES 48UL
#define BYTES (GRANULES * GRANULE)
#define SEED 91

/*
 * Hint faults of NUMA balancing while each granule's worth of memory is touched, again and
 * again: until there are so many, or for so long. Returns the seconds that it took.
 */
static double hint_faults(const char *addr, long long most, double seconds, long long *faults)
{
	long long before = vmstat("numa_hint_faults");
	double start = now();

	do {
		__u64 at;

		for (at = 0; at < BYTES; at += GRANULE)
			touch(addr + at);
		*faults = vmstat("numa_hint_faults") - before;
	} while (*faults < most && now() < start + seconds);
	return now() - start;
}

/* Placement is ours: the kernel does not unmap a region to see who touches it. */
TEST(numa_balancing_leaves_regions_alone)
{
	const char *knobs = "/sys/kernel/debug/sched/numa_balancing";
	long long anonymous, mapped;
	struct instance inst;
	double seconds;
	char path[256], *control, *addr;
	int region;

	if (cxl_node() < 0)
		SKIP(return, "no second node: nothing is balanced");
	ASSERT_EQ(0, private_mounts());
	ASSERT_EQ(0, store_path(path, sizeof(path), BYTES, SEED));
	ASSERT_EQ(0, instance_mount(&inst, "dram=144M"));
	ASSERT_EQ(0, attach_path(&inst, path, "model"));
	region = region_open(&inst, "model", O_RDONLY);
	addr = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, region, 0);
	ASSERT_NE(MAP_FAILED, addr);
	ASSERT_EQ(0, prefetch(region, ITME_TIER_DRAM, 0, BYTES));
	/* Soon, and often. */
	ASSERT_EQ(0, run("echo 0 >%s/scan_delay_ms; echo 100 >%s/scan_period_min_ms;"
			 " echo 200 >%s/scan_period_max_ms",
			 knobs, knobs, knobs));
	ASSERT_EQ(0, write_file("/proc/sys/kernel/numa_balancing", "1"));
	control = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, control);
	memset(control, 1, BYTES);
	seconds = hint_faults(control, 200, 30 * slowness(), &anonymous);
	munmap(control, BYTES);
	hint_faults(addr, LLONG_MAX, seconds, &mapped);
	write_file("/proc/sys/kernel/numa_balancing", "0");
	EXPECT_LE(200, anonymous);
	/* What is left is of the stack and the like. */
	EXPECT_GT(anonymous / 4, mapped) TH_LOG("%lld, %lld without", mapped, anonymous);
	munmap(addr, BYTES);
	close(region);
	EXPECT_EQ(0, instance_umount(&inst));
}

TEST_HARNESS_MAIN
