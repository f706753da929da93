// SPDX-License-Identifier: GPL-2.0-only
/* The tracepoints that bpf/ and people look through. */
#include "test.h"

#include <sys/mman.h>
#include "tracing.h"

#define BYTES (10 * GRANULE + 5000)
#define SEED 31
#define FAULT_SAMPLE "/sys/module/itme/parameters/fault_sample"

FIXTURE(trace)
{
	struct instance inst;
	char fault_sample[16]; /* as it was */
	int region;
	char *addr;
	struct tracing tracing;
};

FIXTURE_SETUP(trace)
{
	char path[256], options[64] = "dram=8M";

	ASSERT_LT(0, read_text(FAULT_SAMPLE, self->fault_sample, sizeof(self->fault_sample)));
	ASSERT_EQ(0, write_file(FAULT_SAMPLE, "1"));
	ASSERT_EQ(0, private_mounts());
	ASSERT_EQ(0, store_path(path, sizeof(path), BYTES, SEED));
	if (cxl_node() >= 0)
		snprintf(options, sizeof(options), "dram=8M,cxl=8M@%d", cxl_node());
	ASSERT_EQ(0, instance_mount(&self->inst, options));
	ASSERT_EQ(0, attach_path(&self->inst, path, "model"));
	self->region = region_open(&self->inst, "model", O_RDONLY);
	ASSERT_LE(0, self->region);
	self->addr = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, self->region, 0);
	ASSERT_NE(MAP_FAILED, self->addr);
	ASSERT_EQ(0, tracing_start(&self->tracing, self->region));
}

FIXTURE_TEARDOWN(trace)
{
	EXPECT_EQ(0, write_file(FAULT_SAMPLE, self->fault_sample));
	EXPECT_EQ(0, tracing_stop(&self->tracing));
	munmap(self->addr, BYTES);
	close(self->region);
	EXPECT_EQ(0, instance_umount(&self->inst));
}

TEST_F(trace, faults_and_fills)
{
	EXPECT_EQ(0, touch(self->addr + 3 * GRANULE));
	EXPECT_EQ(0, touch(self->addr + 10 * GRANULE));
	ASSERT_EQ(0, madvise(self->addr, BYTES, MADV_DONTNEED));
	EXPECT_EQ(0, touch(self->addr + 3 * GRANULE));
	ASSERT_TRUE(tracing_read(&self->tracing));
	EXPECT_EQ(3, tracing_count(&self->tracing, "fault", ""));
	EXPECT_EQ(2, tracing_count(&self->tracing, "fault", "cause=miss"));
	EXPECT_EQ(2, tracing_count(&self->tracing, "fault", "granule=3 tier=dram"));
	EXPECT_EQ(1, tracing_count(&self->tracing, "fault", "granule=10 tier=dram"));
	EXPECT_EQ(2, tracing_count(&self->tracing, "fill", "error=0"));
	EXPECT_EQ(GRANULE, tracing_field(&self->tracing, "fill", 3, "bytes="));
	EXPECT_EQ(5000, tracing_field(&self->tracing, "fill", 10, "bytes="));
	/* A latency of at least what a read takes, and of at most this test. */
	EXPECT_LT(1000, tracing_field(&self->tracing, "fill", 3, "latency_ns="));
	EXPECT_GT(60e9, tracing_field(&self->tracing, "fill", 3, "latency_ns="));
	EXPECT_LE(tracing_field(&self->tracing, "fill", 3, "latency_ns="),
		  2 * tracing_field(&self->tracing, "fault", 3, "latency_ns="));
	EXPECT_EQ(0, tracing_count(&self->tracing, "migrate", ""));
	EXPECT_EQ(0, tracing_count(&self->tracing, "evict", ""));
}

TEST_F(trace, plain_faults_by_sample)
{
	enum { PLAIN = 200, SAMPLE = 7 };
	int cpus = sysconf(_SC_NPROCESSORS_ONLN);
	int i, sampled;

	EXPECT_EQ(0, touch(self->addr));
	ASSERT_EQ(0, write_file(FAULT_SAMPLE, "7"));
	for (i = 0; i < PLAIN; i++) {
		ASSERT_EQ(0, madvise(self->addr, BYTES, MADV_DONTNEED));
		EXPECT_EQ(0, touch(self->addr));
	}
	ASSERT_TRUE(tracing_read(&self->tracing));
	sampled = tracing_count(&self->tracing, "fault", "latency_ns=0 lead_ns=0 count=7");
	/* The last ones of each CPU are not told yet; what each had counted before is, at first. */
	EXPECT_LE(PLAIN / SAMPLE - cpus, sampled);
	EXPECT_GE(PLAIN / SAMPLE + cpus, sampled);
	/* What waits is told at once, and alone. */
	EXPECT_EQ(1, tracing_count(&self->tracing, "fault", "cause=miss"));
	EXPECT_EQ(0, touch(self->addr + GRANULE));
	ASSERT_TRUE(tracing_read(&self->tracing));
	EXPECT_EQ(2, tracing_count(&self->tracing, "fault", "cause=miss"));
	EXPECT_LE(2, tracing_count(&self->tracing, "fault", "count=1"));
}

TEST_F(trace, reads_and_hints)
{
	char byte;

	EXPECT_EQ(1, pread(self->region, &byte, 1, GRANULE));
	EXPECT_EQ(0, prefetch(self->region, ITME_TIER_DRAM, 2 * GRANULE, GRANULE));
	ASSERT_TRUE(tracing_read(&self->tracing));
	/* A read that has waited is told like a fault. */
	EXPECT_EQ(1, tracing_count(&self->tracing, "fault", ""));
	EXPECT_EQ(1, tracing_count(&self->tracing, "fault", "cause=miss|read"));
	EXPECT_EQ(2, tracing_count(&self->tracing, "fill", "tier=dram"));
}

TEST_F(trace, moves_and_drops)
{
	struct itme_stat stat;

	if (cxl_node() < 0)
		SKIP(return, "no node of CXL memory");
	EXPECT_EQ(0, prefetch(self->region, ITME_TIER_CXL, 0, 2 * GRANULE));
	EXPECT_EQ(0, prefetch(self->region, ITME_TIER_DRAM, 0, GRANULE));
	EXPECT_EQ(0, release(self->region, 0, 2 * GRANULE));
	ASSERT_TRUE(tracing_read(&self->tracing));
	EXPECT_EQ(2, tracing_count(&self->tracing, "fill", "tier=cxl"));
	EXPECT_EQ(1, tracing_count(&self->tracing, "migrate", "granule=0 from=cxl to=dram error=0"));
	EXPECT_EQ(1, tracing_count(&self->tracing, "evict", "granule=0 tier=dram"));
	EXPECT_EQ(1, tracing_count(&self->tracing, "evict", "granule=1 tier=cxl"));

	/* And all that the counters count is traced. */
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
	ASSERT_EQ(0, region_stat(self->region, &stat));
	ASSERT_TRUE(tracing_read(&self->tracing));
	EXPECT_EQ(stat.fault_count, tracing_count(&self->tracing, "fault", ""));
	EXPECT_EQ(stat.fill_count, tracing_count(&self->tracing, "fill", ""));
	EXPECT_EQ(stat.demote_bytes / GRANULE,
		  tracing_count(&self->tracing, "migrate", "from=dram to=cxl error=0"));
	EXPECT_EQ(stat.evict_bytes / GRANULE, tracing_count(&self->tracing, "evict", ""));
}

TEST_F(trace, formats_name_their_fields)
{
	static const char *const events[] = {
		"fault", "fill", "migrate", "evict", "touch", "error",
	};
	char path[128], format[8192];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(events); i++) {
		snprintf(path, sizeof(path), TRACING "/events/itme/%s/format", events[i]);
		ASSERT_LT(0, read_text(path, format, sizeof(format)));
		EXPECT_NE(NULL, strstr(format, "u32 dev;"));
		EXPECT_NE(NULL, strstr(format, "u64 region;"));
		EXPECT_NE(NULL, strstr(format, "u64 granule;"));
	}
}

TEST_HARNESS_MAIN
