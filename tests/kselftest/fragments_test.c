// SPDX-License-Identifier: GPL-2.0-only
/*
 * Frames out of memory that is in pieces. Needs a guest in which there were none before: blocks
 * that frames have been in count as not movable when they are free again, and the kernel
 * compacts into movable ones only.
 */
#include "test.h"

#include <sys/mman.h>

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
	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, memory);
	madvise(memory, bytes, MADV_NOHUGEPAGE);
	memset(memory, 1, bytes);
	for (at = 0; at < bytes; at += 2 * PAGE)
		madvise(memory + at, PAGE, MADV_DONTNEED);
	/* How far compaction comes is the kernel's matter: 24 frames beyond those that are whole. */
	want = (whole_frames(0) + 24) * (long long)GRANULE;
	made = vmstat("compact_success");
	snprintf(options, sizeof(options), "dram=%lld", want);
	err = instance_mount(&inst, options);
	if (err == -ENOMEM) {
		/* Reclaim may not go so far by itself; then it says what will. */
		EXPECT_TRUE(kmsg_has(kmsg, "in pieces: echo 1 > /proc/sys/vm/compact_memory"));
		ASSERT_EQ(0, write_file("/proc/sys/vm/compact_memory", "1"));
		err = instance_mount(&inst, options);
	}
	if (err)
		run("sed 's/^/# /' /proc/pagetypeinfo");
	ASSERT_EQ(0, err) TH_LOG("%lld MiB free, %lld wanted", available / (long long)MIB,
				 want / (long long)MIB);
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
