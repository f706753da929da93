// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stores that shrink, fail, hang and come back. Only the granules that cannot
 * be read may suffer, nobody waits without an end, and nothing stays broken.
 */
#include "test.h"

#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define GRANULES 6
#define BYTES (GRANULES * GRANULE)
#define SECTORS (BYTES / 512)
#define SEED 41
#define DM "itme-test"
#define DM_HANG "dmsetup suspend --noflush --nolockfs " DM
#define DM_GO_ON "dmsetup resume " DM

/* A region over a device that can be made to misbehave. */
struct faulty {
	struct instance inst;
	char file[256], loop[64];
	bool mapper; /* there is a device-mapper device on the loop device */
	int region, direct;
	char *addr, *buffer;
};

/* Give the device-mapper device another table; new I/O waits meanwhile. */
static int dm_load(const char *table)
{
	return run(DM_HANG) ?: run("printf '%s' | dmsetup load " DM, table) ?: run(DM_GO_ON);
}

static void dm_linear(char *table, size_t size, const char *loop)
{
	snprintf(table, size, "0 %lu linear %s 0\\n", SECTORS, loop);
}

/* @bad granules from @first on cannot be read. */
static void dm_error(char *table, size_t size, const char *loop, size_t first, size_t bad)
{
	const size_t granule = GRANULE / 512, end = (first + bad) * granule;
	int n;

	n = snprintf(table, size, "0 %zu linear %s 0\\n%zu %zu error\\n", first * granule, loop,
		     first * granule, bad * granule);
	if (end < SECTORS)
		snprintf(table + n, size - n, "%zu %zu linear %s %zu\\n", end, SECTORS - end, loop,
			 end);
}

static int open_region(struct faulty *f)
{
	f->region = region_open(&f->inst, "model", O_RDONLY);
	f->direct = region_open(&f->inst, "model", O_RDONLY | O_DIRECT);
	f->addr = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, f->region, 0);
	return f->region >= 0 && f->direct >= 0 && f->addr != MAP_FAILED ? 0 : -errno;
}

static void close_region(struct faulty *f)
{
	munmap(f->addr, BYTES);
	close(f->direct);
	close(f->region);
	f->direct = -1;
	f->region = -1;
}

static int tear_down(struct faulty *f)
{
	int err;

	close_region(f);
	err = instance_umount(&f->inst);
	if (f->mapper && run("dmsetup remove " DM))
		err = -EIO;
	if (loop_remove(f->loop) || unlink(f->file))
		err = -EIO;
	free(f->buffer);
	return err;
}

static int set_up(struct faulty *f, bool mapper)
{
	char table[256];
	int err;

	f->region = -1;
	f->direct = -1;
	f->buffer = aligned_alloc(PAGE, BYTES);
	snprintf(f->file, sizeof(f->file), "%s/device", store_dir());
	err = f->buffer ? private_mounts() : -ENOMEM;
	if (!err)
		err = store_create(f->file, BYTES, SEED);
	if (!err)
		err = loop_add(f->loop, sizeof(f->loop), f->file, "");
	if (!err)
		err = instance_mount(&f->inst, "dram=20M");
	if (!err && mapper) {
		dm_linear(table, sizeof(table), f->loop);
		f->mapper = !run("printf '%s' | dmsetup create " DM, table);
		err = f->mapper ? 0 : -EIO;
	}
	if (!err)
		err = attach_path(&f->inst, mapper ? "/dev/mapper/" DM : f->loop, "model");
	if (!err)
		err = open_region(f);
	if (err)
		tear_down(f);
	return err;
}

/* Can every way of access read this granule, and is it right? */
static bool readable(struct faulty *f, size_t granule)
{
	__u64 at = granule * GRANULE;

	return content_check_mapped(f->addr + at, at, GRANULE, SEED) == -1 &&
	       pread(f->region, f->buffer, GRANULE, at) == (ssize_t)GRANULE &&
	       content_check(f->buffer, at, GRANULE, SEED) == -1 &&
	       pread(f->direct, f->buffer, GRANULE, at) == (ssize_t)GRANULE &&
	       content_check(f->buffer, at, GRANULE, SEED) == -1;
}

/* Does every way of access say that it cannot? Twice: a failure is not sticky data. */
static bool unreadable(struct faulty *f, size_t granule)
{
	__u64 at = granule * GRANULE;
	int i;

	for (i = 0; i < 2; i++) {
		if (touch(f->addr + at + i * PAGE) != SIGBUS)
			return false;
		if (pread(f->region, f->buffer, PAGE, at) != -1 || errno != EIO)
			return false;
		if (pread(f->direct, f->buffer, GRANULE, at) >= (ssize_t)GRANULE)
			return false;
	}
	return residency(f->region, granule) == ITME_TIER_STORE;
}

/* The kind of device that can be made smaller. */
FIXTURE(loop)
{
	struct faulty faulty;
};

FIXTURE_SETUP(loop)
{
	ASSERT_EQ(0, set_up(&self->faulty, false));
}

FIXTURE_TEARDOWN(loop)
{
	EXPECT_EQ(0, tear_down(&self->faulty));
}

TEST_F(loop, shrinks_and_grows)
{
	struct faulty *f = &self->faulty;
	struct itme_hint result;
	struct itme_stat stat;
	size_t i;

	EXPECT_TRUE(readable(f, 5));
	/* The last two and a half granules are gone. One of them is resident. */
	ASSERT_EQ(0, truncate(f->file, 3 * GRANULE + GRANULE / 2));
	ASSERT_EQ(0, run("losetup -c %s", f->loop));
	for (i = 0; i < 3; i++)
		EXPECT_TRUE(readable(f, i));
	EXPECT_TRUE(unreadable(f, 3));
	EXPECT_TRUE(unreadable(f, 4));
	EXPECT_TRUE(readable(f, 5));
	/* A read that gets somewhere tells how far. */
	EXPECT_EQ(GRANULE, pread(f->region, f->buffer, 2 * GRANULE, 2 * GRANULE));
	EXPECT_EQ(-1, content_check(f->buffer, 2 * GRANULE, GRANULE, SEED));
	ASSERT_EQ(0, region_stat(f->region, &stat));
	EXPECT_LE(8, stat.error_count);
	EXPECT_EQ(4 * GRANULE, stat.dram_bytes);
	EXPECT_EQ(-EIO, hint(f->region, ITME_HINT_PREFETCH, ITME_TIER_DRAM, 0, BYTES, &result));
	EXPECT_EQ(2 * GRANULE, result.accepted_bytes);
	EXPECT_EQ(4 * GRANULE, result.resident_bytes);
	EXPECT_EQ(0, result.refused_bytes);

	ASSERT_EQ(0, store_create(f->file, BYTES, SEED));
	ASSERT_EQ(0, run("losetup -c %s", f->loop));
	for (i = 0; i < GRANULES; i++)
		EXPECT_TRUE(readable(f, i));
}

TEST_F(loop, shrinks_to_nothing)
{
	struct faulty *f = &self->faulty;
	size_t i;

	EXPECT_TRUE(readable(f, 1));
	ASSERT_EQ(0, truncate(f->file, 0));
	ASSERT_EQ(0, run("losetup -c %s", f->loop));
	for (i = 0; i < GRANULES; i++)
		EXPECT_TRUE(i == 1 ? readable(f, i) : unreadable(f, i));
	/* It stays a region of its size. */
	EXPECT_EQ(BYTES, lseek(f->region, 0, SEEK_END));
}

/* The kind of device that can be made to fail and to hang. */
FIXTURE(dm)
{
	struct faulty faulty;
};

FIXTURE_SETUP(dm)
{
	ASSERT_EQ(0, set_up(&self->faulty, true));
}

FIXTURE_TEARDOWN(dm)
{
	EXPECT_EQ(0, tear_down(&self->faulty));
}

TEST_F(dm, fails_and_recovers)
{
	struct faulty *f = &self->faulty;
	char table[256];
	size_t i;

	EXPECT_TRUE(readable(f, 2));
	dm_error(table, sizeof(table), f->loop, 2, 2);
	ASSERT_EQ(0, dm_load(table));
	for (i = 0; i < GRANULES; i++) {
		EXPECT_TRUE(i == 3 ? unreadable(f, i) : readable(f, i))
			TH_LOG("granule %zu", i);
	}
	/* The resident one goes, and cannot come back. */
	EXPECT_EQ(0, release(f->region, 2 * GRANULE, GRANULE));
	EXPECT_TRUE(unreadable(f, 2));
	dm_linear(table, sizeof(table), f->loop);
	ASSERT_EQ(0, dm_load(table));
	for (i = 0; i < GRANULES; i++)
		EXPECT_TRUE(readable(f, i));
}

/*
 * Not every device takes a request that must not wait: one whose table has a
 * part that fails does not, nor do dm-crypt and many others. A file on it is as
 * good as any.
 */
TEST_F(dm, file_on_a_device_that_must_wait)
{
	char dir[] = "/tmp/itme-mount.XXXXXX", path[64], table[256];
	struct faulty *f = &self->faulty;
	int region;

	close_region(f);
	ASSERT_EQ(0, detach(&f->inst, "model"));
	dm_error(table, sizeof(table), f->loop, GRANULES - 1, 1);
	ASSERT_EQ(0, dm_load(table));
	ASSERT_NE(NULL, mkdtemp(dir));
	ASSERT_EQ(0, run("mkfs.ext4 -q -F -O ^has_journal /dev/mapper/" DM " %luk",
			 (GRANULES - 1) * GRANULE / KIB));
	ASSERT_EQ(0, mount("/dev/mapper/" DM, dir, "ext4", 0, NULL));
	snprintf(path, sizeof(path), "%s/model", dir);
	EXPECT_EQ(0, store_create(path, 2 * GRANULE, SEED));
	EXPECT_EQ(0, attach_path(&f->inst, path, "file"));
	region = region_open(&f->inst, "file", O_RDONLY);
	EXPECT_EQ(2 * GRANULE, pread(region, f->buffer, 2 * GRANULE, 0));
	EXPECT_EQ(-1, content_check(f->buffer, 0, 2 * GRANULE, SEED));
	close(region);
	EXPECT_EQ(0, detach(&f->inst, "file"));
	EXPECT_EQ(0, umount2(dir, 0));
	rmdir(dir);
	ASSERT_EQ(0, attach_path(&f->inst, "/dev/mapper/" DM, "model"));
	ASSERT_EQ(0, open_region(f));
}

/* ---- many at once ---- */

struct victim {
	pthread_t thread;
	const char *addr;
	int region;
	__u64 random;
	int good, bad, wrong;
};

static void *read_some(void *arg)
{
	struct victim *v = arg;
	char page[PAGE];
	int i;

	for (i = 0; i < 40; i++) {
		__u64 granule = next_random(&v->random) % GRANULES;
		__u64 at = granule * GRANULE + next_random(&v->random) % 512 * PAGE;
		bool lost = granule == 1 || granule == 2, failed;

		if (i % 2) {
			failed = pread(v->region, page, PAGE, at) != PAGE;
			v->wrong += !failed && content_check(page, at, PAGE, SEED) != -1;
		} else {
			long long result = content_check_mapped(v->addr + at, at, PAGE, SEED);

			failed = result == -2;
			v->wrong += result >= 0;
		}
		v->good += !failed;
		v->bad += failed;
		v->wrong += failed != lost;
	}
	return NULL;
}

TEST_F(dm, only_readers_of_what_is_lost_suffer)
{
	struct faulty *f = &self->faulty;
	struct victim victims[8] = {};
	char table[256];
	int i, good = 0, bad = 0;

	dm_error(table, sizeof(table), f->loop, 1, 2);
	ASSERT_EQ(0, dm_load(table));
	for (i = 0; i < 8; i++) {
		victims[i].addr = f->addr;
		victims[i].region = f->region;
		victims[i].random = i * 1000;
		ASSERT_EQ(0, pthread_create(&victims[i].thread, NULL, read_some, &victims[i]));
	}
	for (i = 0; i < 8; i++) {
		pthread_join(victims[i].thread, NULL);
		EXPECT_EQ(0, victims[i].wrong);
		good += victims[i].good;
		bad += victims[i].bad;
	}
	EXPECT_LT(0, good);
	EXPECT_LT(0, bad);
	/* No frame was lost with the failures. */
	EXPECT_EQ(0, release(f->region, 0, BYTES));
	EXPECT_EQ(20 * MIB, instance_number(&f->inst, "dram_free_bytes"));
	dm_linear(table, sizeof(table), f->loop);
	ASSERT_EQ(0, dm_load(table));
	EXPECT_EQ(-1, content_check_mapped(f->addr, 0, BYTES, SEED));
}

/* ---- a store that does not answer ---- */

/* Poll until the counter has grown: somebody waits. */
static bool wait_for_misses(int region, __u64 misses)
{
	double end = now() + 20 * slowness();
	struct itme_stat stat;

	while (now() < end) {
		if (!region_stat(region, &stat) && stat.miss_count >= misses)
			return true;
		usleep(1000);
	}
	return false;
}

static bool wait_for_busy(int region, __u64 granule)
{
	double end = now() + 20 * slowness();

	while (now() < end) {
		if (residency(region, granule) & ITME_RESIDENCY_BUSY)
			return true;
		usleep(1000);
	}
	return false;
}

/* Kill a child that waits: did it end soon, and by the signal? */
static bool dies(pid_t child)
{
	double end = now() + 20 * slowness();
	int status;

	kill(child, SIGKILL);
	while (now() < end) {
		if (waitpid(child, &status, WNOHANG) == child)
			return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
		usleep(1000);
	}
	return false;
}

TEST_F(dm, hangs_and_its_waiters_can_be_killed)
{
	struct faulty *f = &self->faulty;
	pid_t children[4];
	size_t i;

	EXPECT_TRUE(readable(f, 0));
	ASSERT_EQ(0, run(DM_HANG));
	for (i = 0; i < 4; i++) {
		children[i] = fork();
		ASSERT_LE(0, children[i]);
		if (children[i] == 0) {
			switch (i) {
			case 0:
				touch(f->addr + GRANULE);
				break;
			case 1:
				pread(f->region, f->buffer, PAGE, 2 * GRANULE);
				break;
			case 2:
				prefetch(f->region, ITME_TIER_DRAM, 3 * GRANULE, GRANULE);
				break;
			case 3: /* joins the first one's */
				madvise(f->addr, 2 * GRANULE, MADV_POPULATE_READ);
				break;
			}
			_exit(1);
		}
	}
	/* The reader's miss is counted when its wait has ended. */
	EXPECT_TRUE(wait_for_misses(f->region, 2));
	EXPECT_TRUE(wait_for_busy(f->region, 1));
	EXPECT_TRUE(wait_for_busy(f->region, 2));
	EXPECT_TRUE(wait_for_busy(f->region, 3));
	/* What is resident is as quick as ever. */
	EXPECT_TRUE(readable(f, 0));
	for (i = 0; i < 4; i++) {
		EXPECT_TRUE(dies(children[i]))
			TH_LOG("waiter %zu", i);
	}
	/* Its fills go on without them, and end with the answer. */
	ASSERT_EQ(0, run(DM_GO_ON));
	for (i = 0; i < GRANULES; i++)
		EXPECT_TRUE(readable(f, i));
}

struct fault {
	const char *addr;
	int sig;
};

static void *take_fault(void *arg)
{
	struct fault *fault = arg;

	fault->sig = touch(fault->addr);
	return NULL;
}

TEST_F(dm, hangs_without_holding_the_process)
{
	struct faulty *f = &self->faulty;
	struct fault fault = { f->addr + 4 * GRANULE, -1 };
	struct instance other;
	char path[256], maps[4096];
	pthread_t thread;
	double start;
	int i, fd;

	EXPECT_TRUE(readable(f, 0));
	ASSERT_EQ(0, store_path(path, sizeof(path), BYTES, SEED));
	ASSERT_EQ(0, run(DM_HANG));
	ASSERT_EQ(0, pthread_create(&thread, NULL, take_fault, &fault));
	EXPECT_TRUE(wait_for_misses(f->region, 2));

	/* The thread waits, and holds neither mmap_lock nor the region. */
	start = now();
	for (i = 0; i < 200; i++) {
		char *addr = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, f->region, 0);

		ASSERT_NE(MAP_FAILED, addr);
		EXPECT_EQ(0, touch(addr + i * PAGE));
		ASSERT_EQ(0, munmap(addr, BYTES));
	}
	EXPECT_LT(0, read_text("/proc/self/maps", maps, sizeof(maps)));
	EXPECT_GT(20 * slowness(), now() - start);
	EXPECT_TRUE(readable(f, 0));
	EXPECT_EQ(0, release(f->region, 0, GRANULE));

	/* Other stores, in this instance and in another, are not held up. */
	ASSERT_EQ(0, attach_path(&f->inst, path, "file"));
	fd = region_open(&f->inst, "file", O_RDONLY);
	EXPECT_EQ(BYTES, pread(fd, f->buffer, BYTES, 0));
	EXPECT_EQ(-1, content_check(f->buffer, 0, BYTES, SEED));
	close(fd);
	EXPECT_EQ(0, detach(&f->inst, "file"));
	ASSERT_EQ(0, instance_mount(&other, "dram=8M"));
	ASSERT_EQ(0, attach_path(&other, path, "file"));
	EXPECT_EQ(0, instance_umount(&other));

	ASSERT_EQ(0, run(DM_GO_ON));
	pthread_join(thread, NULL);
	EXPECT_EQ(0, fault.sig);
	EXPECT_EQ(-1, content_check_mapped(f->addr, 0, BYTES, SEED));
}

/* A fill that nobody waits for any more is waited for by umount, and ends. */
TEST_F(dm, hangs_under_umount)
{
	struct faulty *f = &self->faulty;
	pid_t child;
	int status;

	ASSERT_EQ(0, run(DM_HANG));
	child = fork();
	ASSERT_LE(0, child);
	if (child == 0) {
		touch(f->addr + GRANULE);
		_exit(1);
	}
	EXPECT_TRUE(wait_for_busy(f->region, 1));
	EXPECT_TRUE(dies(child));
	close_region(f);
	child = fork();
	ASSERT_LE(0, child);
	if (child == 0) {
		close(f->inst.root);
		_exit(umount2(f->inst.dir, 0) != 0);
	}
	close(f->inst.root);
	f->inst.root = -1;
	usleep(100000); /* so that it most likely waits; any order must do */
	ASSERT_EQ(0, run(DM_GO_ON));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	/* The parent's close came too late for it: try again. */
	if (status)
		ASSERT_EQ(0, umount2(f->inst.dir, 0));
	rmdir(f->inst.dir);
	ASSERT_EQ(0, instance_mount(&f->inst, "dram=20M"));
	ASSERT_EQ(0, attach_path(&f->inst, "/dev/mapper/" DM, "model"));
	ASSERT_EQ(0, open_region(f));
	EXPECT_TRUE(readable(f, 1));
}

TEST_F(dm, fails_while_it_is_waited_for)
{
	struct faulty *f = &self->faulty;
	struct fault faults[4];
	pthread_t threads[4];
	char table[256];
	int i;

	ASSERT_EQ(0, run(DM_HANG));
	for (i = 0; i < 4; i++) {
		faults[i].addr = f->addr + GRANULE + i * PAGE;
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, take_fault, &faults[i]));
	}
	EXPECT_TRUE(wait_for_misses(f->region, 4));
	dm_error(table, sizeof(table), f->loop, 1, 1);
	ASSERT_EQ(0, dm_load(table));
	for (i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		EXPECT_EQ(SIGBUS, faults[i].sig);
	}
	dm_linear(table, sizeof(table), f->loop);
	ASSERT_EQ(0, dm_load(table));
	EXPECT_TRUE(readable(f, 1));
}

/*
 * The other way round: a write to a device that hangs has its buffer in a
 * region. The device may fetch it at any time: the frames stay where they are,
 * beyond the region and the mount.
 */
TEST_F(dm, buffers_of_a_hanging_write_are_held)
{
	struct faulty *f = &self->faulty;
	struct iocb iocb = { .aio_lio_opcode = IOCB_CMD_PWRITE, .aio_nbytes = 2 * GRANULE };
	struct iocb *list = &iocb;
	struct itme_hint result;
	struct io_event event;
	aio_context_t ctx = 0;
	struct instance inst;
	struct itme_stat stat;
	char path[256], *addr;
	int device, region;

	close_region(f);
	ASSERT_EQ(0, detach(&f->inst, "model"));
	ASSERT_EQ(0, store_path(path, sizeof(path), BYTES, SEED + 1));
	ASSERT_EQ(0, instance_mount(&inst, "dram=20M"));
	ASSERT_EQ(0, attach_path(&inst, path, "file"));
	region = region_open(&inst, "file", O_RDONLY);
	addr = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, region, 0);
	ASSERT_NE(MAP_FAILED, addr);
	EXPECT_EQ(-1, content_check_mapped(addr, 0, BYTES, SEED + 1));

	device = open("/dev/mapper/" DM, O_RDWR | O_DIRECT | O_CLOEXEC);
	ASSERT_LE(0, device);
	ASSERT_EQ(0, syscall(SYS_io_setup, 1, &ctx));
	ASSERT_EQ(0, run(DM_HANG));
	iocb.aio_fildes = device;
	iocb.aio_buf = (uintptr_t)addr + GRANULE / 2;
	ASSERT_EQ(1, syscall(SYS_io_submit, ctx, 1, &list));
	EXPECT_EQ(-EBUSY, hint(region, ITME_HINT_RELEASE, 0, 0, BYTES, &result));
	EXPECT_EQ(3 * GRANULE, result.refused_bytes);
	EXPECT_EQ(BYTES - 3 * GRANULE, result.accepted_bytes);
	ASSERT_EQ(0, region_stat(region, &stat));
	EXPECT_EQ(3, stat.held_count);
	EXPECT_EQ(ITME_TIER_DRAM | ITME_RESIDENCY_HELD, residency(region, 2));
	EXPECT_EQ(-1, content_check_mapped(addr, 0, BYTES, SEED + 1));
	munmap(addr, BYTES);
	close(region);
	EXPECT_EQ(0, instance_umount(&inst));

	ASSERT_EQ(0, run(DM_GO_ON));
	ASSERT_EQ(1, syscall(SYS_io_getevents, ctx, 1, 1, &event, NULL));
	EXPECT_EQ(2 * GRANULE, event.res);
	syscall(SYS_io_destroy, ctx);
	EXPECT_EQ(2 * GRANULE, pread(device, f->buffer, 2 * GRANULE, 0));
	EXPECT_EQ(-1, content_check(f->buffer, GRANULE / 2, 2 * GRANULE, SEED + 1));
	close(device);
	ASSERT_EQ(0, attach_path(&f->inst, "/dev/mapper/" DM, "model"));
	ASSERT_EQ(0, open_region(f));
}

/* ---- files ---- */

/* A file system that stops: its files cannot be read any more. */
TEST(file_system_that_shuts_down)
{
	char image[256], dir[] = "/tmp/itme-mount.XXXXXX", path[64], *addr, page[PAGE];
	__u32 flags = 2; /* do not flush the log */
	struct instance inst;
	int fd, region;

	ASSERT_EQ(0, private_mounts());
	snprintf(image, sizeof(image), "%s/image", store_dir());
	ASSERT_NE(NULL, mkdtemp(dir));
	ASSERT_EQ(0, run("truncate -s 64M '%s' && mkfs.ext4 -q -F '%s' && mount -o loop '%s' %s",
			 image, image, image, dir));
	snprintf(path, sizeof(path), "%s/model", dir);
	ASSERT_EQ(0, store_create(path, BYTES, SEED));
	ASSERT_EQ(0, instance_mount(&inst, "dram=20M"));
	ASSERT_EQ(0, attach_path(&inst, path, "model"));
	region = region_open(&inst, "model", O_RDONLY);
	ASSERT_LE(0, region);
	addr = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, region, 0);
	ASSERT_NE(MAP_FAILED, addr);
	EXPECT_EQ(-1, content_check_mapped(addr, 0, GRANULE, SEED));
	/* Freezing it does not stop readers. */
	EXPECT_EQ(0, run("fsfreeze -f %s", dir));
	EXPECT_EQ(-1, content_check_mapped(addr + GRANULE, GRANULE, GRANULE, SEED));
	EXPECT_EQ(0, run("fsfreeze -u %s", dir));
	/* It cannot be unmounted from under the region. */
	EXPECT_EQ(-1, umount2(dir, 0));
	EXPECT_EQ(EBUSY, errno);

	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ioctl(fd, _IOR('X', 125, __u32), &flags));
	close(fd);
	EXPECT_EQ(-1, content_check_mapped(addr, 0, 2 * GRANULE, SEED));
	EXPECT_EQ(SIGBUS, touch(addr + 2 * GRANULE));
	EXPECT_EQ(-1, pread(region, page, PAGE, 3 * GRANULE));
	EXPECT_EQ(EIO, errno);
	munmap(addr, BYTES);
	close(region);
	EXPECT_EQ(0, instance_umount(&inst));
	EXPECT_EQ(0, umount2(dir, 0));
	rmdir(dir);
	unlink(image);
}

/*
 * A thread reads the store itself with O_DIRECT into a private mapping of the
 * region: it holds the store's lock for reading while it waits for a fill of
 * the same store. Somebody who wants the lock for writing stands between them.
 */
struct circle {
	const char *path;
	atomic_bool stop;
};

static void *change_mode(void *arg)
{
	struct circle *circle = arg;
	int i;

	for (i = 0; !atomic_load(&circle->stop); i++)
		chmod(circle->path, i % 2 ? 0600 : 0640);
	return NULL;
}

#define ROUNDS 60
#define ENOUGH 2 /* rounds that met the circle; each takes seconds */

/* In a child, which can be killed out of it: 0, or what was wrong. */
static int read_into_own_region(int store, int region, atomic_int *round)
{
	int met = 0;

	for (; *round < ROUNDS && met < ENOUGH; ++*round) {
		__u64 at = *round % GRANULES * GRANULE;
		char *private;
		ssize_t n;

		private = mmap(NULL, GRANULE, PROT_READ | PROT_WRITE, MAP_PRIVATE, region, at);
		if (private == MAP_FAILED || release(region, at, GRANULE))
			return 1;
		n = pread(store, private, 64 * KIB, 0);
		/* An error, such as EFAULT, is allowed; wrong data is not. */
		met += n < 0;
		if (n > 0 && content_check(private, 0, n, SEED) != -1)
			return 2;
		munmap(private, GRANULE);
	}
	return 0;
}

TEST(store_read_into_its_own_region)
{
	struct circle circle = {};
	struct instance inst;
	pthread_t threads[2];
	int i, region, store, status, seen = -1;
	atomic_int *round;
	char path[256];
	double since = 0;
	pid_t child;

	ASSERT_EQ(0, private_mounts());
	snprintf(path, sizeof(path), "%s/circle", store_dir());
	circle.path = path;
	ASSERT_EQ(0, store_create(path, BYTES, SEED));
	ASSERT_EQ(0, instance_mount(&inst, "dram=20M"));
	ASSERT_EQ(0, attach_path(&inst, path, "model"));
	region = region_open(&inst, "model", O_RDONLY);
	store = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	ASSERT_LE(0, region);
	ASSERT_LE(0, store);
	round = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, round);
	child = fork();
	ASSERT_LE(0, child);
	if (child == 0)
		_exit(read_into_own_region(store, region, round));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, change_mode, &circle));
	while (waitpid(child, &status, WNOHANG) == 0) {
		if (*round != seen) {
			seen = *round;
			since = now();
		} else if (now() - since > 25) { /* hung tasks are found at 60 */
			EXPECT_TRUE(dies(child));
			status = -1;
			break;
		}
		usleep(1000);
	}
	EXPECT_EQ(0, status)
		TH_LOG("it ended in round %d", *round);
	atomic_store(&circle.stop, true);
	for (i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	close(store);
	close(region);
	EXPECT_EQ(0, instance_umount(&inst));
	unlink(path);
}

TEST_HARNESS_MAIN
