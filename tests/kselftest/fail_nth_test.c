// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every allocation and every copy from or to user memory fails once: the 1st
 * of a call, the 2nd, and so on until the call is through without a failure.
 * Each time the call must say so, leave nothing behind, and work the next time.
 * Needs a kernel with fault injection.
 */
#include "test.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define GRANULES 4
#define BYTES (GRANULES * GRANULE)
#define SEED 71
#define MOST 5000 /* failures in one call */

#define DEBUGFS "/sys/kernel/debug/"

FIXTURE(fail)
{
	struct instance inst;
	char path[256];
	int store, nth;
};

/* Failures are to hit what may sleep too, of every size, and not be logged. */
static int prepare_injection(void)
{
	static const char *const settings[][2] = {
		{ DEBUGFS "failslab/ignore-gfp-wait", "N" },
		{ DEBUGFS "failslab/cache-filter", "N" },
		{ DEBUGFS "failslab/verbose", "0" },
		{ DEBUGFS "fail_page_alloc/ignore-gfp-wait", "N" },
		{ DEBUGFS "fail_page_alloc/ignore-gfp-highmem", "N" },
		{ DEBUGFS "fail_page_alloc/min-order", "0" },
		{ DEBUGFS "fail_page_alloc/verbose", "0" },
		{ DEBUGFS "fail_usercopy/verbose", "0" },
	};
	size_t i;
	int err;

	for (i = 0; i < ARRAY_SIZE(settings); i++) {
		err = write_file(settings[i][0], settings[i][1]);
		if (err)
			return err;
	}
	return 0;
}

FIXTURE_SETUP(fail)
{
	char options[64] = "dram=8M";

	self->nth = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (self->nth < 0)
		SKIP(return, "this kernel has no fault injection");
	ASSERT_EQ(0, prepare_injection());
	ASSERT_EQ(0, private_mounts());
	ASSERT_EQ(0, store_path(self->path, sizeof(self->path), BYTES, SEED));
	self->store = open(self->path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, self->store);
	if (cxl_node() >= 0)
		snprintf(options, sizeof(options), "dram=8M,cxl=8M@%d", cxl_node());
	ASSERT_EQ(0, instance_mount(&self->inst, options));
}

FIXTURE_TEARDOWN(fail)
{
	close(self->store);
	close(self->nth);
	EXPECT_EQ(0, instance_umount(&self->inst));
}

static void arm(int nth, int n)
{
	char text[16];
	int bytes = snprintf(text, sizeof(text), "%d", n);

	/* The copy of this text may be what the last failure is met by. */
	while (pwrite(nth, text, bytes, 0) != bytes)
		if (errno != EFAULT)
			abort();
}

/* Did the failure happen? */
static bool disarm(int nth)
{
	char text[16] = {};
	bool happened = false;

	/* This read itself may meet the failure: then it had not happened before. */
	if (pread(nth, text, sizeof(text) - 1, 0) > 0)
		happened = atoi(text) == 0;
	arm(nth, 0);
	return happened;
}

static bool is_expected(int err)
{
	return err == -ENOMEM || err == -EFAULT;
}

/*
 * A call that is made to fail: its @prepare and @finish are not. @finish gets
 * what @call returned, and says whether all is as it should be then.
 */
struct victim {
	struct instance *inst;
	const char *path;
	int store, region;
	char *addr;
	char buffer[PAGE];
};

struct call {
	int (*prepare)(struct victim *v);
	int (*call)(struct victim *v);
	bool (*finish)(struct victim *v, int err);
};

/* The number of failures that were survived, or -1 with the place in @at. */
static int sweep(FIXTURE_DATA(fail) * self, const struct call *call, int *at)
{
	struct victim v = { .inst = &self->inst, .path = self->path, .store = self->store };
	int n, err, failures = 0;

	for (n = 1; n < MOST; n++) {
		bool happened;

		*at = n;
		v.region = -1;
		if (call->prepare && call->prepare(&v))
			return -1;
		arm(self->nth, n);
		err = call->call(&v);
		happened = disarm(self->nth);
		if (err && (!happened || !is_expected(err))) {
			fprintf(stderr, "# failure %d gave error %d\n", n, err);
			return -1;
		}
		if (!call->finish(&v, err))
			return -1;
		if (!happened)
			return failures;
		failures++;
	}
	return -1;
}

#define EXPECT_SWEEP(least, ...) do { \
	static const struct call call = { __VA_ARGS__ }; \
	int at, failures = sweep(self, &call, &at); \
	EXPECT_LE(least, failures) \
		TH_LOG("at failure %d", at); \
	ksft_print_msg("%d failures survived\n", failures); \
} while (0)

/* ---- mount ---- */

#define MOUNT_DIR "/tmp/itme-fail"

static int do_mount(struct victim *v)
{
	return mount("none", v->addr, "itme", 0, "dram=8M,name=failing") ? -errno : 0;
}

static int prepare_mount(struct victim *v)
{
	v->addr = (char *)MOUNT_DIR;
	return mkdir(v->addr, 0700) && errno != EEXIST;
}

static bool finish_mount(struct victim *v, int err)
{
	if (err)
		return access("/sys/fs/itme/failing", F_OK) != 0;
	return !umount2(v->addr, 0);
}

TEST_F(fail, mount)
{
	EXPECT_SWEEP(10, prepare_mount, do_mount, finish_mount);
	rmdir(MOUNT_DIR);
}

static int do_remount(struct victim *v)
{
	return instance_remount(v->inst, "dram=16M");
}

static bool finish_remount(struct victim *v, int err)
{
	long long want = (err ? 8 : 16) * MIB;

	if (instance_number(v->inst, "dram_bytes") != want ||
	    instance_number(v->inst, "dram_current_bytes") != want)
		return false;
	return err || !instance_remount(v->inst, "dram=8M");
}

TEST_F(fail, remount)
{
	EXPECT_SWEEP(4, NULL, do_remount, finish_remount);
}

static int do_budget(struct victim *v)
{
	return instance_write(v->inst, "dram_bytes", "16777216");
}

TEST_F(fail, budget)
{
	EXPECT_SWEEP(4, NULL, do_budget, finish_remount);
}

/* ---- attach and detach ---- */

static int do_attach(struct victim *v)
{
	return attach(v->inst, v->store, "region");
}

static bool finish_attach(struct victim *v, int err)
{
	/*
	 * A result that cannot be written is told after the fact, as by every
	 * ioctl that makes something; otherwise the name is not there.
	 */
	int gone = detach(v->inst, "region");
	int fd;

	if (err == -ENOMEM && gone != -ENOENT)
		return false;
	if (!err && gone)
		return false;
	/* The store is free: nobody keeps writers out. */
	fd = open(v->path, O_WRONLY | O_CLOEXEC);
	close(fd);
	return fd >= 0;
}

TEST_F(fail, attach)
{
	EXPECT_SWEEP(5, NULL, do_attach, finish_attach);
}

static int do_detach(struct victim *v)
{
	return detach(v->inst, "region");
}

static bool finish_detach(struct victim *v, int err)
{
	return err == 0 || !detach(v->inst, "region");
}

TEST_F(fail, detach)
{
	EXPECT_SWEEP(0, do_attach, do_detach, finish_detach);
}

/* ---- use of a new region, which has no table of granules yet ---- */

static int prepare_region(struct victim *v)
{
	if (attach(v->inst, v->store, "region"))
		return 1;
	v->region = region_open(v->inst, "region", O_RDONLY);
	v->addr = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, v->region, 0);
	return v->region < 0 || v->addr == MAP_FAILED;
}

static bool finish_region(struct victim *v, int err)
{
	/* Whatever it was, it works now, and all of the memory comes back. */
	bool right = content_check_mapped(v->addr, 0, BYTES, SEED) == -1;

	(void)err;
	munmap(v->addr, BYTES);
	close(v->region);
	return !detach(v->inst, "region") && right &&
	       instance_number(v->inst, "dram_free_bytes") == 8 * MIB;
}

static int do_fault(struct victim *v)
{
	int sig = touch(v->addr + GRANULE);

	/* The core retries a fault without memory; what fails in a copy is told. */
	return sig == SIGBUS ? -ENOMEM : sig;
}

TEST_F(fail, first_fault)
{
	EXPECT_SWEEP(2, prepare_region, do_fault, finish_region);
}

static int do_read(struct victim *v)
{
	ssize_t n = pread(v->region, v->buffer, PAGE, GRANULE);

	/* The reader submits its read itself: what fails may be the store's, an error of I/O. */
	if (n < 0)
		return errno == EIO ? -ENOMEM : -errno;
	return n != PAGE || content_check(v->buffer, GRANULE, PAGE, SEED) != -1 ? -EILSEQ : 0;
}

TEST_F(fail, first_read)
{
	EXPECT_SWEEP(2, prepare_region, do_read, finish_region);
}

static int do_hint(struct victim *v)
{
	struct itme_hint result;
	int err = hint(v->region, ITME_HINT_PREFETCH, ITME_TIER_DRAM, 0, BYTES, &result);

	if (err)
		return err;
	return result.accepted_bytes + result.resident_bytes + result.clipped_bytes +
	       result.refused_bytes == BYTES ? 0 : -EILSEQ;
}

TEST_F(fail, first_hint)
{
	EXPECT_SWEEP(4, prepare_region, do_hint, finish_region);
}

static int prepare_move(struct victim *v)
{
	return prepare_region(v) || prefetch(v->region, ITME_TIER_DRAM, 0, BYTES);
}

static int do_move(struct victim *v)
{
	return prefetch(v->region, ITME_TIER_CXL, 0, 2 * GRANULE);
}

TEST_F(fail, move)
{
	if (cxl_node() < 0)
		SKIP(return, "no node of CXL memory");
	EXPECT_SWEEP(1, prepare_move, do_move, finish_region);
}

static int do_release(struct victim *v)
{
	return release(v->region, 0, BYTES);
}

TEST_F(fail, release)
{
	EXPECT_SWEEP(1, prepare_move, do_release, finish_region);
}

static int do_queries(struct victim *v)
{
	struct itme_stat stat;
	int err = region_stat(v->region, &stat);
	int byte = residency(v->region, 1);

	return err ?: byte < 0 ? byte : 0;
}

TEST_F(fail, queries)
{
	EXPECT_SWEEP(2, prepare_region, do_queries, finish_region);
}

/* ---- failures behind the callers' backs ---- */

struct reader {
	pthread_t thread;
	const char *addr;
	int region;
	atomic_bool *stop;
	__u64 random;
	int wrong, errors;
};

static void *read_and_release(void *arg)
{
	struct reader *r = arg;
	char page[PAGE];

	while (!atomic_load(r->stop)) {
		__u64 at = next_random(&r->random) % (BYTES / PAGE) * PAGE;
		long long result = content_check_mapped(r->addr + at, at, PAGE, SEED);

		r->wrong += result >= 0;
		r->errors += result == -2;
		release(r->region, at, PAGE);
		if (pread(r->region, page, PAGE, at) == PAGE)
			r->wrong += content_check(page, at, PAGE, SEED) != -1;
		else
			r->errors++;
		release(r->region, at, PAGE);
	}
	return NULL;
}

/* The module's part of the kernel's address space, for the filter of failures. */
static int module_text(char *start, char *end, size_t size)
{
	unsigned long at, bytes;
	char text[64];
	FILE *file;

	if (read_text("/sys/module/itme/sections/.text", text, sizeof(text)) < 0)
		return -ENOENT;
	at = strtoul(text, NULL, 16);
	file = fopen("/proc/modules", "re");
	bytes = 0;
	while (file && fscanf(file, "%63s %lu %*[^\n]", text, &bytes) == 2)
		if (!strcmp(text, "itme"))
			break;
	if (file)
		fclose(file);
	snprintf(start, size, "%#lx", at);
	snprintf(end, size, "%#lx", at + bytes);
	return bytes ? 0 : -ENOENT;
}

TEST_F(fail, at_random_in_every_thread)
{
	static const char *const kinds[] = { "failslab", "fail_page_alloc" };
	struct victim v = { .inst = &self->inst, .store = self->store };
	char start[32], end[32], path[128];
	struct reader readers[3] = {};
	atomic_bool stop = false;
	size_t i;

	ASSERT_EQ(0, module_text(start, end, sizeof(start)));
	ASSERT_EQ(0, prepare_region(&v));
	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		const char *const settings[][2] = {
			{ "require-start", start }, { "require-end", end },
			{ "stacktrace-depth", "32" }, { "times", "-1" }, { "probability", "10" },
		};
		size_t j;

		for (j = 0; j < ARRAY_SIZE(settings); j++) {
			snprintf(path, sizeof(path), DEBUGFS "%s/%s", kinds[i], settings[j][0]);
			ASSERT_EQ(0, write_file(path, settings[j][1]))
				TH_LOG("%s", path);
		}
	}
	for (i = 0; i < ARRAY_SIZE(readers); i++) {
		readers[i].addr = v.addr;
		readers[i].region = v.region;
		readers[i].stop = &stop;
		readers[i].random = i * 1000000;
		ASSERT_EQ(0, pthread_create(&readers[i].thread, NULL, read_and_release,
					    &readers[i]));
	}
	sleep(5); /* of failures, not for something */
	atomic_store(&stop, true);
	for (i = 0; i < ARRAY_SIZE(readers); i++) {
		pthread_join(readers[i].thread, NULL);
		EXPECT_EQ(0, readers[i].wrong);
		ksft_print_msg("%d errors\n", readers[i].errors);
	}
	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		snprintf(path, sizeof(path), DEBUGFS "%s/probability", kinds[i]);
		EXPECT_EQ(0, write_file(path, "0"));
		snprintf(path, sizeof(path), DEBUGFS "%s/require-end", kinds[i]);
		EXPECT_EQ(0, write_file(path, "0xffffffffffffffff"));
		snprintf(path, sizeof(path), DEBUGFS "%s/require-start", kinds[i]);
		EXPECT_EQ(0, write_file(path, "0"));
	}
	EXPECT_TRUE(finish_region(&v, 0));
}

TEST_HARNESS_MAIN
