// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stores that refuse what is written, are full, or hang: nothing is lost that the
 * store takes later, and who has to know is told, once.
 */
#include "test.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include "device.h"

#define GRANULES 12UL
#define BYTES (GRANULES * GRANULE)
#define OLD 91
#define NEW 92

FIXTURE(fault)
{
	struct instance inst;
	struct device device;
	int region;
	char *addr, *buffer;
	bool umounted;
};

static int open_region(struct _test_data_fault *self)
{
	self->region = region_open(&self->inst, "state", O_RDWR);
	self->addr = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, self->region, 0);
	return self->region >= 0 && self->addr != MAP_FAILED ? 0 : -errno;
}

static void close_region(struct _test_data_fault *self)
{
	munmap(self->addr, BYTES);
	close(self->region);
	self->region = -1;
}

FIXTURE_SETUP(fault)
{
	ASSERT_EQ(0, private_mounts());
	self->buffer = aligned_alloc(GRANULE, GRANULE);
	ASSERT_NE(NULL, self->buffer);
	ASSERT_EQ(0, device_make(&self->device, BYTES, OLD));
	ASSERT_EQ(0, instance_mount(&self->inst, "dram=16M"));
	ASSERT_EQ(0, instance_write(&self->inst, "writeback_delay_ms", "3600000"));
	ASSERT_EQ(0, instance_write(&self->inst, "writeback_background_bytes", "16777216"));
	ASSERT_EQ(0, attach_writable(&self->inst, self->device.path, "state"));
	ASSERT_EQ(0, open_region(self));
}

FIXTURE_TEARDOWN(fault)
{
	if (self->region >= 0)
		close_region(self);
	if (!self->umounted)
		EXPECT_EQ(0, instance_umount(&self->inst));
	EXPECT_EQ(0, device_remove(&self->device));
	free(self->buffer);
}

static int store_granules(struct _test_data_fault *self, size_t first, size_t count, __u64 seed)
{
	size_t g;
	int sig = 0;

	for (g = first; !sig && g < first + count; g++)
		sig = store_content(self->addr + g * GRANULE, g * GRANULE, GRANULE, seed);
	return sig;
}

/* Has the device all of these granules, of this seed? */
static bool stored(struct _test_data_fault *self, size_t first, size_t count, __u64 seed)
{
	int fd = open(self->device.path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	bool right = fd >= 0;
	size_t g;

	for (g = first; right && g < first + count; g++)
		right = pread(fd, self->buffer, GRANULE, g * GRANULE) == (ssize_t)GRANULE &&
			content_check(self->buffer, g * GRANULE, GRANULE, seed) == -1;
	close(fd);
	return right;
}

static int fsync_error(int fd)
{
	return fsync(fd) ? -errno : 0;
}

static long long number(struct _test_data_fault *self, const char *file)
{
	return instance_number(&self->inst, file);
}

static int wait_for_number(struct _test_data_fault *self, const char *file, long long least,
			   long long most)
{
	double end = now() + 20 * slowness();
	long long n;

	do {
		n = number(self, file);
		if (n >= least && n <= most)
			return 0;
		usleep(10000);
	} while (now() < end);
	return -ETIMEDOUT;
}

TEST_F(fault, what_is_refused_stays_and_is_told_once)
{
	int other = region_open(&self->inst, "state", O_RDONLY), third;

	ASSERT_LE(0, other);
	ASSERT_EQ(0, store_granules(self, 0, 3, NEW));
	ASSERT_EQ(0, device_refuse_writes(&self->device));
	EXPECT_EQ(-EIO, fsync_error(self->region));
	EXPECT_EQ(3 * (long long)GRANULE, number(self, "dirty_bytes"));
	EXPECT_EQ(EIO, number(self, "regions/state/writeback_errno"));
	usleep(20000);
	EXPECT_LE(10, number(self, "regions/state/writeback_refused_ms"));
	EXPECT_LE(3, number(self, "writeback_error_count"));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, 3 * GRANULE, NEW));
	EXPECT_TRUE(stored(self, 0, 3, OLD));
	/* It is not given up for others either. Reads go on. */
	EXPECT_EQ(-1, content_check_mapped(self->addr + 3 * GRANULE, 3 * GRANULE,
					   BYTES - 3 * GRANULE, OLD));
	EXPECT_EQ(-EBUSY, release(self->region, 0, GRANULE));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, 3 * GRANULE, NEW));
	third = region_open(&self->inst, "state", O_RDONLY); /* after the failures */
	ASSERT_LE(0, third);
	/* A claim of success would be a lie while the store refuses. */
	EXPECT_EQ(-EIO, fsync_error(self->region));
	ASSERT_EQ(0, device_take_writes(&self->device));
	EXPECT_EQ(0, fsync_error(self->region));
	EXPECT_TRUE(stored(self, 0, 3, NEW));
	EXPECT_EQ(0, number(self, "dirty_bytes"));
	EXPECT_EQ(0, number(self, "regions/state/writeback_errno"));
	EXPECT_EQ(0, number(self, "regions/state/writeback_refused_ms"));
	EXPECT_EQ(-EIO, fsync_error(other)); /* what had happened, once */
	EXPECT_EQ(0, fsync_error(other));
	EXPECT_EQ(0, fsync_error(self->region));
	fsync_error(third);
	EXPECT_EQ(0, fsync_error(third));
	close(other);
	close(third);
}

/* A flush that overtakes the writes makes nothing of them last. */
TEST_F(fault, fsync_waits_for_a_slow_store)
{
	ASSERT_EQ(0, store_granules(self, 0, 3, NEW));
	ASSERT_EQ(0, device_delay_writes(&self->device));
	EXPECT_EQ(0, fsync_error(self->region));
	EXPECT_TRUE(stored(self, 0, 3, NEW));
	EXPECT_EQ(0, number(self, "dirty_bytes"));
	ASSERT_EQ(0, device_take_writes(&self->device));
}

TEST_F(fault, the_writer_tries_again)
{
	ASSERT_EQ(0, store_granules(self, 4, 2, NEW));
	ASSERT_EQ(0, device_refuse_writes(&self->device));
	ASSERT_EQ(0, instance_write(&self->inst, "writeback_delay_ms", "50"));
	ASSERT_EQ(0, wait_for_number(self, "writeback_error_count", 2, INT64_MAX));
	EXPECT_EQ(2 * (long long)GRANULE, number(self, "dirty_bytes"));
	ASSERT_EQ(0, device_take_writes(&self->device));
	ASSERT_EQ(0, wait_for_number(self, "dirty_bytes", 0, 0));
	EXPECT_TRUE(stored(self, 4, 2, NEW));
	EXPECT_EQ(-EIO, fsync_error(self->region)); /* nobody was told yet */
	EXPECT_EQ(0, fsync_error(self->region));
}

TEST_F(fault, writers_are_told_when_memory_takes_no_more)
{
	const size_t limit = number(self, "writeback_limit_bytes") / GRANULE;
	char page[PAGE] = "new";
	size_t g;
	int sync;

	ASSERT_LT(2, limit);
	ASSERT_EQ(0, device_refuse_writes(&self->device));
	sync = region_open(&self->inst, "state", O_WRONLY | O_DSYNC);
	ASSERT_LE(0, sync);
	EXPECT_EQ(-1, pwrite(sync, page, PAGE, 0));
	EXPECT_EQ(EIO, errno);
	close(sync);
	/* Half the limit is left to regions whose store works. */
	for (g = 1; g < (limit + 1) / 2; g++)
		EXPECT_EQ(0, store_granules(self, g, 1, NEW));
	EXPECT_EQ(-1, pwrite(self->region, page, PAGE, (limit + 1) / 2 * GRANULE));
	EXPECT_EQ(EIO, errno);
	EXPECT_EQ(SIGBUS, store_granules(self, (limit + 1) / 2, 1, NEW));
	EXPECT_EQ((ssize_t)PAGE, pwrite(self->region, page, PAGE, GRANULE)); /* dirty already */
	EXPECT_EQ(0, touch(self->addr + 8 * GRANULE)); /* reads go on */
	ASSERT_EQ(0, device_take_writes(&self->device));
	fsync(self->region);
	EXPECT_EQ(0, fsync_error(self->region));
	EXPECT_EQ(0, store_granules(self, 0, GRANULES, NEW));
	EXPECT_EQ(0, fsync_error(self->region));
	EXPECT_TRUE(stored(self, 0, GRANULES, NEW));
}

TEST_F(fault, a_region_with_a_refusing_store_keeps_its_name)
{
	ASSERT_EQ(0, store_granules(self, 0, 2, NEW));
	close_region(self);
	ASSERT_EQ(0, device_refuse_writes(&self->device));
	EXPECT_EQ(-EIO, detach(&self->inst, "state"));
	EXPECT_EQ(2 * (long long)GRANULE, number(self, "dirty_bytes"));
	ASSERT_EQ(0, device_take_writes(&self->device));
	ASSERT_EQ(0, open_region(self));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, 2 * GRANULE, NEW));
	close_region(self);
	EXPECT_EQ(0, detach(&self->inst, "state"));
	EXPECT_TRUE(stored(self, 0, 2, NEW));
	EXPECT_EQ(0, number(self, "lost_bytes"));
}

TEST_F(fault, umount_says_what_it_loses)
{
	int kmsg = kmsg_open();

	ASSERT_LE(0, kmsg);
	ASSERT_EQ(0, store_granules(self, 0, 2, NEW));
	close_region(self);
	ASSERT_EQ(0, device_refuse_writes(&self->device));
	EXPECT_EQ(-1, syncfs(self->inst.root));
	EXPECT_EQ(EIO, errno);
	ASSERT_EQ(0, instance_umount(&self->inst));
	self->umounted = true;
	EXPECT_TRUE(kmsg_has(kmsg, "4194304 bytes that the store did not take are lost"));
	close(kmsg);
}

TEST_F(fault, a_store_that_is_gone)
{
	int sync = region_open(&self->inst, "state", O_WRONLY | O_DSYNC);
	char page[PAGE] = "new";

	ASSERT_LE(0, sync);
	ASSERT_EQ(0, store_granules(self, 0, 2, NEW));
	ASSERT_EQ(0, touch(self->addr + 2 * GRANULE));
	ASSERT_EQ(0, device_lose(&self->device));
	/* What is in memory is read, and written to where it is dirty already. */
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, 2 * GRANULE, NEW));
	EXPECT_EQ(-1, content_check_mapped(self->addr + 2 * GRANULE, 2 * GRANULE, GRANULE, OLD));
	EXPECT_EQ(-EIO, fsync_error(self->region));
	EXPECT_EQ(-1, msync(self->addr, BYTES, MS_SYNC));
	EXPECT_EQ(EIO, errno);
	EXPECT_EQ(0, store_granules(self, 1, 1, NEW + 1));
	EXPECT_EQ(-1, pwrite(sync, page, PAGE, 0));
	EXPECT_EQ(EIO, errno);
	/* What is not cannot be, by nobody. */
	EXPECT_EQ(SIGBUS, touch(self->addr + 9 * GRANULE));
	EXPECT_EQ(-1, pread(self->region, page, PAGE, 9 * GRANULE));
	EXPECT_EQ(EIO, errno);
	EXPECT_EQ(-1, pwrite(self->region, page, 1, 9 * GRANULE));
	EXPECT_EQ(EIO, errno);
	EXPECT_EQ(-EIO, detach(&self->inst, "state"));
	EXPECT_EQ(2 * (long long)GRANULE, number(self, "dirty_bytes"));
	ASSERT_EQ(0, device_take_writes(&self->device));
	EXPECT_EQ(-1, content_check_mapped(self->addr + GRANULE, GRANULE, GRANULE, NEW + 1));
	fsync_error(self->region);
	EXPECT_EQ(0, fsync_error(self->region));
	EXPECT_TRUE(stored(self, 1, 1, NEW + 1));
	EXPECT_TRUE(stored(self, 2, GRANULES - 2, OLD));
	EXPECT_EQ(-1, content_check_mapped(self->addr + 9 * GRANULE, 9 * GRANULE, GRANULE, OLD));
	EXPECT_EQ(0, number(self, "dirty_bytes"));
	close(sync);
}

TEST_F(fault, a_store_that_comes_and_goes)
{
	/* So few that they are taken also while the store refuses. */
	const size_t count = (number(self, "writeback_limit_bytes") / GRANULE + 1) / 2;
	int others[3], failures = 0, successes = 0, i;
	double end = now() + 6 * slowness();
	__u64 seed = NEW;

	for (i = 0; i < 3; i++) {
		others[i] = region_open(&self->inst, "state", O_RDONLY);
		ASSERT_LE(0, others[i]);
	}
	ASSERT_EQ(0, instance_write(&self->inst, "writeback_delay_ms", "100"));
	ASSERT_EQ(0, device_flake(&self->device));
	while ((now() < end || !failures || !successes) && now() < end + 60 * slowness()) {
		int sig = store_granules(self, 0, count, ++seed);
		int err = fsync_error(self->region);

		ASSERT_EQ(0, sig);
		ASSERT_TRUE(!err || err == -EIO) TH_LOG("error %d", err);
		failures += err != 0;
		successes += !err;
		/* An fsync that succeeds has told no lie. */
		if (!err)
			ASSERT_TRUE(stored(self, 0, count, seed));
	}
	TH_LOG("%d times refused, %d times not", failures, successes);
	ASSERT_EQ(0, device_take_writes(&self->device));
	fsync_error(self->region);
	EXPECT_EQ(0, fsync_error(self->region));
	EXPECT_TRUE(stored(self, 0, count, seed));
	EXPECT_EQ(0, number(self, "dirty_bytes"));
	EXPECT_EQ(0, number(self, "lost_bytes"));
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(-EIO, fsync_error(others[i])); /* once, however often it was */
		EXPECT_EQ(0, fsync_error(others[i]));
		close(others[i]);
	}
}

TEST_F(fault, a_store_that_is_read_only)
{
	ASSERT_EQ(0, store_granules(self, 0, 1, NEW));
	ASSERT_EQ(0, device_protect(&self->device, true));
	EXPECT_EQ(-EIO, fsync_error(self->region));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, GRANULE, NEW));
	EXPECT_EQ(-1, content_check_mapped(self->addr + 9 * GRANULE, 9 * GRANULE, GRANULE, OLD));
	EXPECT_EQ(-EIO, detach(&self->inst, "state"));
	ASSERT_EQ(0, device_protect(&self->device, false));
	fsync_error(self->region);
	EXPECT_EQ(0, fsync_error(self->region));
	EXPECT_TRUE(stored(self, 0, 1, NEW));
	/* And from the beginning. */
	close_region(self);
	ASSERT_EQ(0, detach(&self->inst, "state"));
	ASSERT_EQ(0, device_protect(&self->device, true));
	EXPECT_EQ(-EROFS, attach_writable(&self->inst, self->device.path, "state"));
	EXPECT_EQ(0, attach_path(&self->inst, self->device.path, "state"));
	EXPECT_EQ(0, detach(&self->inst, "state"));
	ASSERT_EQ(0, device_protect(&self->device, false));
	ASSERT_EQ(0, attach_writable(&self->inst, self->device.path, "state"));
	ASSERT_EQ(0, open_region(self));
}

/* A child that does @fn, to be killed. */
static pid_t start(struct _test_data_fault *self, int (*fn)(struct _test_data_fault *self))
{
	pid_t child = fork();

	if (child == 0)
		_exit(fn(self));
	return child;
}

static int do_fsync(struct _test_data_fault *self)
{
	return fsync_error(self->region);
}

/* To what is on its way to the store. */
static int do_write(struct _test_data_fault *self)
{
	return pwrite(self->region, "x", 1, 0) != 1;
}

/* To what is clean, while as much is dirty as may be. */
static int do_store(struct _test_data_fault *self)
{
	size_t limit = number(self, "writeback_limit_bytes") / GRANULE;

	return store_granules(self, limit, 1, NEW + 1);
}

static int wait_until_writing(struct _test_data_fault *self)
{
	int fd = region_open(&self->inst, "state", O_WRONLY | O_DIRECT);
	struct iovec part = { "x", 1 };
	double end = now() + 20 * slowness();
	int err = -ETIMEDOUT;

	while (err == -ETIMEDOUT && now() < end) {
		if (pwritev2(fd, &part, 1, 0, RWF_NOWAIT) < 0)
			err = errno == EAGAIN ? 0 : -errno;
		usleep(10000);
	}
	close(fd);
	return err;
}

static bool is_killable(pid_t child)
{
	double end = now() + 10 * slowness();

	usleep(300000);
	if (waitpid(child, NULL, WNOHANG)) /* it should be waiting */
		return false;
	kill(child, SIGKILL);
	while (now() < end) {
		if (waitpid(child, NULL, WNOHANG) == child)
			return true;
		usleep(10000);
	}
	return false;
}

TEST_F(fault, hangs_and_who_waits_can_be_killed)
{
	const size_t limit = number(self, "writeback_limit_bytes") / GRANULE;
	pid_t children[3];
	int i;

	/*
	 * All that demand may need is there, so that only writing waits. The last granule
	 * makes the background writer begin, with the oldest: that is to hang.
	 */
	ASSERT_EQ(0, store_granules(self, 0, limit - 1, NEW));
	for (i = -1; i < 4; i++)
		ASSERT_EQ(0, touch(self->addr + (limit + i) * GRANULE));
	ASSERT_EQ(0, device_hang(&self->device));
	ASSERT_EQ(0, store_granules(self, limit - 1, 1, NEW));
	children[0] = start(self, do_fsync);
	ASSERT_EQ(0, wait_until_writing(self));
	children[1] = start(self, do_write);
	children[2] = start(self, do_store);
	for (i = 0; i < 3; i++) {
		EXPECT_TRUE(is_killable(children[i]))
			TH_LOG("child %d", i);
	}
	/* Reading what is in memory goes on. */
	EXPECT_EQ(-1, content_check_mapped(self->addr + GRANULE, GRANULE, GRANULE, NEW));
	ASSERT_EQ(0, device_go_on(&self->device));
	EXPECT_EQ(0, fsync_error(self->region));
	EXPECT_TRUE(stored(self, 1, limit - 1, NEW));
}

/* A store that is full: a file with holes on a file system without room. */
TEST_F(fault, full_store)
{
	char dir[] = "/tmp/itme-mount.XXXXXX", path[64], ballast[64];
	char *addr, page[PAGE] = "x";
	int fd, region, err;

	close_region(self);
	ASSERT_EQ(0, detach(&self->inst, "state"));
	ASSERT_NE(NULL, mkdtemp(dir));
	ASSERT_EQ(0, run("mkfs.ext4 -q -F -m 0 -O ^has_journal %s", self->device.path));
	ASSERT_EQ(0, mount(self->device.path, dir, "ext4", 0, NULL));
	snprintf(path, sizeof(path), "%s/state", dir);
	snprintf(ballast, sizeof(ballast), "%s/ballast", dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, 4 * GRANULE));
	close(fd);
	ASSERT_EQ(0, attach_writable(&self->inst, path, "full"));
	ASSERT_EQ(0, run("fallocate -l 4M %s; dd if=/dev/zero of=%s.2 bs=4k 2>/dev/null; true",
			 ballast, ballast));
	region = region_open(&self->inst, "full", O_RDWR);
	ASSERT_LE(0, region);
	addr = mmap(NULL, 4 * GRANULE, PROT_READ | PROT_WRITE, MAP_SHARED, region, 0);
	ASSERT_NE(MAP_FAILED, addr);
	ASSERT_EQ(0, store_content(addr, 0, GRANULE, NEW));
	EXPECT_EQ(-ENOSPC, fsync_error(region));
	EXPECT_EQ(ENOSPC, number(self, "regions/full/writeback_errno"));
	EXPECT_EQ(0, store_content(addr + GRANULE, GRANULE, GRANULE, NEW));
	EXPECT_EQ(-1, pwrite(region, page, PAGE, 2 * GRANULE));
	EXPECT_EQ(ENOSPC, errno);
	EXPECT_EQ(-ENOSPC, detach(&self->inst, "full"));
	ASSERT_EQ(0, unlink(ballast)); /* room again */
	fsync(region);
	err = fsync_error(region);
	EXPECT_EQ(0, err);
	EXPECT_EQ(-1, content_check(addr, 0, 2 * GRANULE, NEW));
	munmap(addr, 4 * GRANULE);
	close(region);
	EXPECT_EQ(0, detach(&self->inst, "full"));
	fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ((ssize_t)GRANULE, pread(fd, self->buffer, GRANULE, GRANULE));
	EXPECT_EQ(-1, content_check(self->buffer, GRANULE, GRANULE, NEW));
	close(fd);
	EXPECT_EQ(0, umount2(dir, 0));
	rmdir(dir);
}

TEST_HARNESS_MAIN
