// SPDX-License-Identifier: GPL-2.0-only
/* The statements of Documentation/accounting.md: who pays for a frame, and where it shows. */
#include "test.h"

#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define BUDGET (256 * MIB)
#define CXL (128 * MIB)
#define BYTES (48 * GRANULE)
#define SEED 91
#define SLACK (48 * (long long)MIB) /* other things go on, and free pages wait on lists of CPUs */
#define GROUP "/sys/fs/cgroup/itme-accounting"

static long long node_meminfo(int node, const char *field)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/meminfo", node);
	return number_in(path, field);
}

/* A number of nodeN/numastat. */
static long long numastat(int node, const char *field)
{
	char path[64], text[512], *at;

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/numastat", node);
	if (read_text(path, text, sizeof(text)) < 0)
		return -1;
	at = strstr(text, field);
	return at ? strtoll(at + strlen(field), NULL, 10) : -1;
}

static bool is_near(long long value, long long wanted)
{
	return value > wanted - SLACK && value < wanted + SLACK;
}

static void settle(void)
{
	write_file("/proc/sys/vm/drop_caches", "3");
}

static const char *const kinds[] = { "Cached", "Buffers", "AnonPages", "Shmem", "Slab", "Mapped" };

struct picture {
	long long free, available, kind[ARRAY_SIZE(kinds)];
};

static struct picture take_picture(void)
{
	struct picture p;
	size_t i;

	settle();
	p.free = meminfo("MemFree");
	p.available = meminfo("MemAvailable");
	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		p.kind[i] = meminfo(kinds[i]);
	return p;
}

/* The name of a kind that is not as it was, or "". */
static const char *what_differs(const struct picture *before, const struct picture *after)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!is_near(after->kind[i], before->kind[i]))
			return kinds[i];
	return "";
}

FIXTURE(accounting)
{
	struct instance inst;
	struct picture before;
	char path[256], options[64];
	long long hits;
	int region;
	char *addr;
};

FIXTURE_SETUP(accounting)
{
	if (cxl_node() < 0)
		SKIP(return, "no node of CXL memory");
	ASSERT_EQ(0, private_mounts());
	ASSERT_EQ(0, store_path(self->path, sizeof(self->path), BYTES, SEED));
	snprintf(self->options, sizeof(self->options), "dram=256M,cxl=128M@%d", cxl_node());
	self->before = take_picture();
	self->hits = numastat(cxl_node(), "numa_hit");
	ASSERT_EQ(0, instance_mount(&self->inst, self->options));
	ASSERT_EQ(0, attach_path(&self->inst, self->path, "model"));
	self->region = region_open(&self->inst, "model", O_RDONLY);
	ASSERT_LE(0, self->region);
	self->addr = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, self->region, 0);
	ASSERT_NE(MAP_FAILED, self->addr);
}

FIXTURE_TEARDOWN(accounting)
{
	munmap(self->addr, BYTES);
	close(self->region);
	EXPECT_EQ(0, instance_umount(&self->inst));
	rmdir(GROUP);
}

static void touch_all(const char *addr)
{
	__u64 at;

	for (at = 0; at < BYTES; at += GRANULE)
		touch(addr + at);
}

TEST_F(accounting, a_budget_is_missing_from_what_is_free_and_in_no_kind)
{
	struct picture after = take_picture();

	EXPECT_EQ(BUDGET, instance_number(&self->inst, "dram_current_bytes"));
	EXPECT_EQ(CXL, instance_number(&self->inst, "cxl_current_bytes"));
	EXPECT_TRUE(is_near(self->before.free - after.free, BUDGET + CXL))
		TH_LOG("%lld", self->before.free - after.free);
	EXPECT_TRUE(is_near(self->before.available - after.available, BUDGET + CXL))
		TH_LOG("%lld", self->before.available - after.available);
	EXPECT_STREQ("", what_differs(&self->before, &after));
	/* Nor does what is in them make a difference. */
	ASSERT_EQ(0, prefetch(self->region, ITME_TIER_DRAM, 0, BYTES));
	after = take_picture();
	EXPECT_TRUE(is_near(self->before.free - after.free, BUDGET + CXL));
	EXPECT_STREQ("", what_differs(&self->before, &after));
}

TEST_F(accounting, what_is_mapped_shows_as_a_mapped_file)
{
	long long mapped = meminfo("Mapped"), huge = meminfo("FilePmdMapped");
	long long node = node_meminfo(cxl_node(), "Mapped");
	long long rss = number_in("/proc/self/status", "RssFile");

	touch_all(self->addr);
	EXPECT_TRUE(is_near(meminfo("Mapped") - mapped, BYTES));
	EXPECT_EQ(BYTES, meminfo("FilePmdMapped") - huge);
	EXPECT_TRUE(is_near(number_in("/proc/self/status", "RssFile") - rss, BYTES));
	EXPECT_EQ(BYTES, mapping_bytes(self->addr, "Rss"));
	/* By the node of its tier. */
	EXPECT_EQ(0, node_of(self->addr));
	ASSERT_EQ(0, prefetch(self->region, ITME_TIER_CXL, 0, BYTES));
	touch_all(self->addr);
	EXPECT_EQ(cxl_node(), node_of(self->addr));
	EXPECT_EQ(BYTES, node_meminfo(cxl_node(), "Mapped") - node);
	EXPECT_EQ(0, run("grep -q 'N%d=%lu .*kernelpagesize_kB' /proc/%d/numa_maps", cxl_node(),
			 BYTES / PAGE, getpid()));
}

TEST_F(accounting, nodes_and_numastat)
{
	long long used = node_meminfo(cxl_node(), "MemUsed");
	long long file = node_meminfo(cxl_node(), "FilePages");

	/* One hit a frame. The kernel itself takes hardly anything there. */
	EXPECT_LE(CXL / GRANULE, numastat(cxl_node(), "numa_hit") - self->hits);
	EXPECT_GT(CXL / PAGE / 4, numastat(cxl_node(), "numa_hit") - self->hits);
	ASSERT_EQ(0, instance_write(&self->inst, "cxl_bytes", "0"));
	EXPECT_TRUE(is_near(used - node_meminfo(cxl_node(), "MemUsed"), CXL));
	EXPECT_TRUE(is_near(file, node_meminfo(cxl_node(), "FilePages")));
}

/* ---- cgroups ---- */

static long long group_number(const char *file)
{
	char path[128];

	snprintf(path, sizeof(path), GROUP "/%s", file);
	return read_number(path);
}

static int enter_group(const char *limit)
{
	char pid[32];

	mkdir(GROUP, 0755);
	snprintf(pid, sizeof(pid), "%d", getpid());
	return write_file(GROUP "/memory.max", limit) ?: write_file(GROUP "/cgroup.procs", pid);
}

/* In a group with less memory than it maps. 0; 1 to 4 says what is not as it should be. */
static int read_all_in_group(const char *path)
{
	int region = open(path, O_RDONLY | O_CLOEXEC);
	char *addr = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, region, 0);
	long long most;

	if (addr == MAP_FAILED)
		return 1;
	if (content_check_mapped(addr, 0, BYTES, SEED) != -1)
		return 2;
	most = group_number("memory.current");
	if (most > 16 * (long long)MIB)
		return 3;
	return group_number("memory.events") < 0 ? 4 : 0;
}

static long long group_event(const char *event)
{
	char text[512], *at;

	if (read_text(GROUP "/memory.events", text, sizeof(text)) < 0)
		return -1;
	at = strstr(text, event);
	return at ? strtoll(at + strlen(event), NULL, 10) : -1;
}

TEST_F(accounting, no_cgroup_is_charged_for_reading)
{
	char path[128];
	int status;
	pid_t child;

	snprintf(path, sizeof(path), "%s/model", self->inst.dir);
	child = fork();
	if (!child)
		_exit(enter_group("33554432") ? 10 : read_all_in_group(path));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status) TH_LOG("status %#x", status);
	EXPECT_EQ(0, group_event("\noom_kill "));
	EXPECT_EQ(0, group_event("\nmax "));
}

TEST_F(accounting, nor_for_a_budget)
{
	long long most = -1;
	int ends[2], status;
	pid_t child;

	ASSERT_EQ(0, pipe2(ends, O_CLOEXEC));
	child = fork();
	if (!child) {
		int err = enter_group("33554432") ?:
				  instance_write(&self->inst, "dram_bytes", "536870912");

		most = group_number("memory.current");
		_exit(err || write(ends[1], &most, sizeof(most)) != sizeof(most));
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	ASSERT_EQ(sizeof(most), read(ends[0], &most, sizeof(most)));
	EXPECT_GT(8 * (long long)MIB, most);
	EXPECT_EQ(512 * MIB, instance_number(&self->inst, "dram_current_bytes"));
	EXPECT_EQ(0, group_event("\noom_kill "));
	close(ends[0]);
	close(ends[1]);
}

/* ---- other users of the node ---- */

/* Anonymous memory on the node, written to: its address, or MAP_FAILED. */
static char *take_node(int node, size_t bytes)
{
	unsigned long mask = 1UL << node;
	size_t at;
	char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return memory;
	/* Preferred: when the node is full the rest comes from another. */
	syscall(SYS_mbind, memory, bytes, MPOL_PREFERRED, &mask, sizeof(mask) * 8, 0);
	madvise(memory, bytes, MADV_NOHUGEPAGE);
	for (at = 0; at < bytes; at += PAGE)
		memory[at] = 1;
	return memory;
}

TEST_F(accounting, others_cannot_eat_the_budget_nor_it_them)
{
	long long left = node_meminfo(cxl_node(), "MemFree");
	long long want = left + 32 * (long long)MIB;
	int kmsg = kmsg_open();
	char text[32];
	char *memory;

	ASSERT_LE(0, kmsg);
	ASSERT_EQ(0, prefetch(self->region, ITME_TIER_CXL, 0, BYTES));
	memory = take_node(cxl_node(), want);
	ASSERT_NE(MAP_FAILED, memory);
	EXPECT_GT(32 * (long long)MIB, node_meminfo(cxl_node(), "MemFree"));
	EXPECT_EQ(CXL, instance_number(&self->inst, "cxl_current_bytes"));
	EXPECT_EQ(BYTES / GRANULE, count_tier(self->region, ITME_TIER_CXL));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
	/* It does not take what they have, and says so. */
	snprintf(text, sizeof(text), "%lld", left);
	EXPECT_EQ(-ENOMEM, instance_write(&self->inst, "cxl_bytes", text));
	EXPECT_EQ(CXL, instance_number(&self->inst, "cxl_bytes"));
	EXPECT_EQ(CXL, instance_number(&self->inst, "cxl_current_bytes"));
	EXPECT_TRUE(kmsg_has(kmsg, "bytes free"));
	munmap(memory, want);
	EXPECT_EQ(0, instance_write(&self->inst, "cxl_bytes", "268435456"));
	EXPECT_EQ(256 * MIB, instance_number(&self->inst, "cxl_current_bytes"));
	close(kmsg);
}

TEST_HARNESS_MAIN
