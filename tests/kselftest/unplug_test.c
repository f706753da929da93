// SPDX-License-Identifier: GPL-2.0-only
/*
 * The drive behind a region is pulled. What is in memory stays, the rest is an
 * error to those who read it, and the drive can come back as a new store.
 * Takes the drive away from the file system of the other tests.
 */
#include "test.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/mount.h>

#define GRANULES 16
#define BYTES (GRANULES * GRANULE)
#define SEED 61

struct reader {
	pthread_t thread;
	const char *addr;
	int region;
	atomic_bool *stop;
	atomic_int errors;
	int wrong;
	__u64 random;
};

static void *read_at_random(void *arg)
{
	struct reader *r = arg;
	char page[PAGE];

	while (!atomic_load(r->stop)) {
		__u64 at = next_random(&r->random) % (BYTES / PAGE) * PAGE;
		long long result = content_check_mapped(r->addr + at, at, PAGE, SEED);

		r->wrong += result >= 0;
		if (result == -2)
			atomic_fetch_add(&r->errors, 1);
		if (pread(r->region, page, PAGE, at) == PAGE)
			r->wrong += content_check(page, at, PAGE, SEED) != -1;
		else
			atomic_fetch_add(&r->errors, 1);
	}
	return NULL;
}

static int write_content(const char *device)
{
	char *buffer = malloc(BYTES);
	int fd = open(device, O_WRONLY | O_CLOEXEC);
	bool written;

	if (buffer)
		content_fill(buffer, 0, BYTES, SEED);
	written = buffer && fd >= 0 && pwrite(fd, buffer, BYTES, 0) == BYTES && !fsync(fd);
	free(buffer);
	if (fd >= 0)
		close(fd);
	return written ? 0 : -EIO;
}

static bool wait_for(const char *path)
{
	double end = now() + 30 * slowness();

	while (now() < end) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);

		if (fd >= 0) {
			bool there = lseek(fd, 0, SEEK_END) >= (off_t)BYTES;

			close(fd);
			if (there)
				return true;
		}
		usleep(10000);
	}
	return false;
}

TEST(nvme_drive)
{
	const char *device = getenv("ITME_NVME");
	char link[128], pci[512], remove_path[600];
	struct reader readers[2] = {};
	atomic_bool stop = false;
	struct instance inst;
	int i, region, controller, lost = 0, kept = 0;
	double end;
	char *addr;

	ASSERT_NE(NULL, device);
	/* /dev/nvme0n1 is the first name space of nvme0, whose device is the function. */
	ASSERT_EQ(0, strncmp(device, "/dev/nvme", 9));
	controller = atoi(device + 9);
	snprintf(link, sizeof(link), "/sys/class/nvme/nvme%d/device", controller);
	ASSERT_NE(NULL, realpath(link, pci));
	snprintf(remove_path, sizeof(remove_path), "%s/remove", pci);
	ASSERT_EQ(0, umount2(store_dir(), 0));

	ASSERT_EQ(0, write_content(device));
	ASSERT_EQ(0, instance_mount(&inst, "dram=16M"));
	ASSERT_EQ(0, attach_path(&inst, device, "drive"));
	region = region_open(&inst, "drive", O_RDONLY);
	ASSERT_LE(0, region);
	addr = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, region, 0);
	ASSERT_NE(MAP_FAILED, addr);
	EXPECT_EQ(-1, content_check_mapped(addr, 0, BYTES, SEED));

	/* While it is read. */
	for (i = 0; i < 2; i++) {
		readers[i].addr = addr;
		readers[i].region = region;
		readers[i].stop = &stop;
		readers[i].random = i * 1000000;
		ASSERT_EQ(0, pthread_create(&readers[i].thread, NULL, read_at_random,
					    &readers[i]));
	}
	EXPECT_EQ(0, write_file(remove_path, "1"));
	for (end = now() + 20 * slowness(); now() < end;) {
		if (readers[0].errors && readers[1].errors)
			break;
		usleep(1000);
	}
	atomic_store(&stop, true);
	for (i = 0; i < 2; i++) {
		pthread_join(readers[i].thread, NULL);
		EXPECT_LT(0, readers[i].errors);
		EXPECT_EQ(0, readers[i].wrong);
	}
	/* Only what is not in memory is lost. */
	for (i = 0; i < GRANULES; i++) {
		__u64 at = i * GRANULE;

		if ((residency(region, i) & ITME_RESIDENCY_TIER_MASK) == ITME_TIER_DRAM) {
			EXPECT_EQ(-1, content_check_mapped(addr + at, at, GRANULE, SEED));
			kept++;
		} else {
			EXPECT_EQ(SIGBUS, touch(addr + at));
			lost++;
		}
	}
	EXPECT_LT(0, kept);
	EXPECT_LT(0, lost);
	EXPECT_EQ(16 * MIB, instance_number(&inst, "dram_current_bytes"));
	munmap(addr, BYTES);
	close(region);
	EXPECT_EQ(0, instance_umount(&inst));

	ASSERT_EQ(0, write_file("/sys/bus/pci/rescan", "1"));
	ASSERT_TRUE(wait_for(device));
	ASSERT_EQ(0, instance_mount(&inst, "dram=16M"));
	ASSERT_EQ(0, attach_path(&inst, device, "drive"));
	region = region_open(&inst, "drive", O_RDONLY);
	addr = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, region, 0);
	ASSERT_NE(MAP_FAILED, addr);
	EXPECT_EQ(-1, content_check_mapped(addr, 0, BYTES, SEED));
	munmap(addr, BYTES);
	close(region);
	EXPECT_EQ(0, instance_umount(&inst));
}

TEST_HARNESS_MAIN
