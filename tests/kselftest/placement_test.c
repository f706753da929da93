// SPDX-License-Identifier: GPL-2.0-only
/* Beside the kernel's own placement: NUMA balancing, and huge pages that have to be made. */
#include "test.h"

#include <limits.h>
#include <sys/mman.h>

#define GRANULES 48UL
#define BYTES (GRANULES * GRANULE)
#define SEED 91

static long long vmstat(const char *field)
{
	FILE *file = fopen("/proc/vmstat", "re");
	long long value = -1;
	char line[128];
	size_t length = strlen(field);

	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, field, length) && line[length] == ' ')
			value = strtoll(line + length, NULL, 10);
	if (file)
		fclose(file);
	return value;
}

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

/* Frames of GRANULE bytes that a node could give as it is, without moving anything. */
static long long whole_frames(int node)
{
	FILE *file = fopen("/proc/buddyinfo", "re");
	long long frames = 0;
	char line[256], zone[16];

	while (file && fgets(line, sizeof(line), file)) {
		int nid, at, length, order = 0;
		long long count;

		if (sscanf(line, "Node %d, zone %15s%n", &nid, zone, &at) != 2 || nid != node)
			continue;
		/* The kernel keeps the lowest zone for who needs such addresses. */
		if (!strcmp(zone, "DMA"))
			continue;
		for (; sscanf(line + at, "%lld%n", &count, &length) == 1; at += length, order++)
			if (PAGE << order >= GRANULE)
				frames += count * (long long)((PAGE << order) / GRANULE);
	}
	if (file)
		fclose(file);
	return frames;
}

/*
 * Blocks that frames have been in count as not movable when they are free again, and small
 * pages do not change that; huge ones do. The kernel compacts into movable ones only.
 */
static int make_blocks_movable(size_t bytes)
{
	char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED || madvise(memory, bytes, MADV_HUGEPAGE))
		return -errno;
	memset(memory, 1, bytes);
	return munmap(memory, bytes) ? -errno : 0;
}

/* Free memory in single pages: frames have to be made by moving what lies between. */
TEST(frames_are_made_of_fragments)
{
	struct instance inst;
	long long available, want, made;
	int err, kmsg = kmsg_open();
	char *memory, options[64];
	size_t at, bytes;

	ASSERT_EQ(0, private_mounts());
	ASSERT_EQ(0, keep_lists_short(true));
	available = free_memory(0);
	bytes = round_up(available / 2, GRANULE);
	ASSERT_EQ(0, make_blocks_movable(available - 128 * MIB));
	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, memory);
	madvise(memory, bytes, MADV_NOHUGEPAGE);
	memset(memory, 1, bytes);
	for (at = 0; at < bytes; at += 2 * PAGE)
		madvise(memory + at, PAGE, MADV_DONTNEED);
	/* How far compaction comes is the kernel's matter: 24 frames beyond those that are whole. */
	want = (whole_frames(0) + 24) * (long long)GRANULE;
	made = vmstat("compact_success");
	TH_LOG("%lld MiB free, %lld in whole frames", available / (long long)MIB, want / (long long)MIB - 48);
	snprintf(options, sizeof(options), "dram=%lld", want);
	err = instance_mount(&inst, options);
	if (err == -ENOMEM) {
		/* Reclaim may not go so far by itself; then it says what will. */
		EXPECT_TRUE(kmsg_has(kmsg, "in pieces: echo 1 > /proc/sys/vm/compact_memory"));
		ASSERT_EQ(0, write_file("/proc/sys/vm/compact_memory", "1"));
		err = instance_mount(&inst, options);
	}
	ASSERT_EQ(0, err);
	close(kmsg);
	/* It is close to all there is: some may be wanted back already. */
	EXPECT_EQ(want, instance_number(&inst, "dram_current_bytes") +
				instance_number(&inst, "dram_returned_bytes"));
	EXPECT_LT(made, vmstat("compact_success"));
	for (at = PAGE; at < bytes; at += 2 * PAGE)
		if (memory[at] != 1)
			break;
	EXPECT_LE(bytes, at);
	munmap(memory, bytes);
	EXPECT_EQ(0, instance_umount(&inst));
	EXPECT_EQ(0, keep_lists_short(false));
}

TEST_HARNESS_MAIN
