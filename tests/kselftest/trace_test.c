// SPDX-License-Identifier: GPL-2.0-only
/* The tracepoints that bpf/ and people look through. */
#include "test.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define TRACING "/sys/kernel/tracing/instances/itme-test"
#define BYTES (10 * GRANULE + 5000)
#define SEED 31

FIXTURE(trace)
{
	struct instance inst;
	int region;
	char *addr;
	char identity[64]; /* "dev=... region=..." of the events */
	char *text; /* what was traced */
};

FIXTURE_SETUP(trace)
{
	char path[256], options[64] = "dram=8M";
	struct stat st;

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
	ASSERT_EQ(0, fstat(self->region, &st));
	snprintf(self->identity, sizeof(self->identity), "dev=%u:%u region=%lu ",
		 major(st.st_dev), minor(st.st_dev), st.st_ino);
	self->text = malloc(MIB);
	ASSERT_NE(NULL, self->text);
	rmdir(TRACING); /* of a test that was ended */
	ASSERT_EQ(0, mkdir(TRACING, 0700));
	ASSERT_EQ(0, write_file(TRACING "/events/itme/enable", "1"));
}

FIXTURE_TEARDOWN(trace)
{
	EXPECT_EQ(0, write_file(TRACING "/events/itme/enable", "0"));
	EXPECT_EQ(0, rmdir(TRACING));
	free(self->text);
	munmap(self->addr, BYTES);
	close(self->region);
	EXPECT_EQ(0, instance_umount(&self->inst));
}

static bool read_trace(char *text)
{
	return read_text(TRACING "/trace", text, MIB) > 0;
}

/* How many events "name: <identity>..." there are that have all of @field. */
static int count(const char *text, const char *name, const char *identity, const char *field)
{
	char start[128];
	int n = 0;

	snprintf(start, sizeof(start), " %s: %s", name, identity);
	while ((text = strstr(text, start))) {
		const char *end = strchr(text, '\n');
		const char *at = strstr(text, field);

		n += at && end && at < end;
		text += strlen(start);
	}
	return n;
}

/* A number of the first event of this name whose granule is @granule. */
static long long field_of(const char *text, const char *name, int granule, const char *field)
{
	char start[64], mark[32];

	snprintf(start, sizeof(start), " %s: ", name);
	snprintf(mark, sizeof(mark), " granule=%d ", granule);
	while ((text = strstr(text, start))) {
		const char *end = strchr(text, '\n');
		const char *at = strstr(text, mark);

		if (at && end && at < end) {
			at = strstr(text, field);
			return at && at < end ? strtoll(at + strlen(field), NULL, 10) : -1;
		}
		text += strlen(start);
	}
	return -2;
}

TEST_F(trace, faults_and_fills)
{
	EXPECT_EQ(0, touch(self->addr + 3 * GRANULE));
	EXPECT_EQ(0, touch(self->addr + 10 * GRANULE));
	ASSERT_EQ(0, madvise(self->addr, BYTES, MADV_DONTNEED));
	EXPECT_EQ(0, touch(self->addr + 3 * GRANULE));
	ASSERT_TRUE(read_trace(self->text));
	EXPECT_EQ(3, count(self->text, "fault", self->identity, ""));
	EXPECT_EQ(2, count(self->text, "fault", self->identity, "miss=1"));
	EXPECT_EQ(2, count(self->text, "fault", self->identity, "granule=3 tier=dram"));
	EXPECT_EQ(1, count(self->text, "fault", self->identity, "granule=10 tier=dram"));
	EXPECT_EQ(2, count(self->text, "fill", self->identity, "error=0"));
	EXPECT_EQ(GRANULE, field_of(self->text, "fill", 3, "bytes="));
	EXPECT_EQ(5000, field_of(self->text, "fill", 10, "bytes="));
	/* A latency of at least what a read takes, and of at most this test. */
	EXPECT_LT(1000, field_of(self->text, "fill", 3, "latency_ns="));
	EXPECT_GT(60e9, field_of(self->text, "fill", 3, "latency_ns="));
	EXPECT_LE(field_of(self->text, "fill", 3, "latency_ns="),
		  2 * field_of(self->text, "fault", 3, "latency_ns="));
	EXPECT_EQ(0, count(self->text, "migrate", "", ""));
	EXPECT_EQ(0, count(self->text, "evict", "", ""));
}

TEST_F(trace, reads_and_hints)
{
	char byte;

	EXPECT_EQ(1, pread(self->region, &byte, 1, GRANULE));
	EXPECT_EQ(0, prefetch(self->region, ITME_TIER_DRAM, 2 * GRANULE, GRANULE));
	ASSERT_TRUE(read_trace(self->text));
	EXPECT_EQ(0, count(self->text, "fault", "", ""));
	EXPECT_EQ(2, count(self->text, "fill", self->identity, "tier=dram"));
}

TEST_F(trace, moves_and_drops)
{
	struct itme_stat stat;

	if (cxl_node() < 0)
		SKIP(return, "no node of CXL memory");
	EXPECT_EQ(0, prefetch(self->region, ITME_TIER_CXL, 0, 2 * GRANULE));
	EXPECT_EQ(0, prefetch(self->region, ITME_TIER_DRAM, 0, GRANULE));
	EXPECT_EQ(0, release(self->region, 0, 2 * GRANULE));
	ASSERT_TRUE(read_trace(self->text));
	EXPECT_EQ(2, count(self->text, "fill", self->identity, "tier=cxl"));
	EXPECT_EQ(1, count(self->text, "migrate", self->identity,
			   "granule=0 from=cxl to=dram error=0"));
	EXPECT_EQ(1, count(self->text, "evict", self->identity, "granule=0 tier=dram"));
	EXPECT_EQ(1, count(self->text, "evict", self->identity, "granule=1 tier=cxl"));

	/* And all that the counters count is traced. */
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
	ASSERT_EQ(0, region_stat(self->region, &stat));
	ASSERT_TRUE(read_trace(self->text));
	EXPECT_EQ(stat.fault_count, count(self->text, "fault", self->identity, ""));
	EXPECT_EQ(stat.fill_count, count(self->text, "fill", self->identity, ""));
	EXPECT_EQ(stat.demote_bytes / GRANULE,
		  count(self->text, "migrate", self->identity, "from=dram to=cxl error=0"));
	EXPECT_EQ(stat.evict_bytes / GRANULE, count(self->text, "evict", self->identity, ""));
}

TEST_F(trace, formats_name_their_fields)
{
	static const char *const events[] = { "fault", "fill", "migrate", "evict" };
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
