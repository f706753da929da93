// SPDX-License-Identifier: GPL-2.0-only
/* A mapped region: what is mapped how, and that it is the right data. */
#include "test.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>

#define FULL 6UL /* granules */
#define TAIL (70 * KIB + 123) /* bytes past the last full one */
#define BYTES (FULL * GRANULE + TAIL)
#define MAPPED round_up(BYTES, PAGE)
#define SEED 11

FIXTURE(map)
{
	struct instance inst;
	int region;
	char *addr; /* all of the region, shared, read-only */
};

FIXTURE_SETUP(map)
{
	char path[256];

	ASSERT_EQ(0, private_mounts());
	ASSERT_EQ(0, store_path(path, sizeof(path), BYTES, SEED));
	ASSERT_EQ(0, instance_mount(&self->inst, "dram=20M"));
	ASSERT_EQ(0, attach_path(&self->inst, path, "model"));
	self->region = region_open(&self->inst, "model", O_RDONLY);
	ASSERT_LE(0, self->region);
	self->addr = mmap(NULL, MAPPED, PROT_READ, MAP_SHARED, self->region, 0);
	ASSERT_NE(MAP_FAILED, self->addr);
}

FIXTURE_TEARDOWN(map)
{
	munmap(self->addr, MAPPED);
	close(self->region);
	EXPECT_EQ(0, instance_umount(&self->inst));
}

static void touch_every_granule(const char *addr)
{
	size_t offset;

	/* Not the first byte: any address of a granule must do. */
	for (offset = 0; offset < BYTES; offset += GRANULE)
		touch(addr + offset + 12345);
}

TEST_F(map, one_fault_and_one_pmd_a_granule)
{
	struct itme_stat stat;

	EXPECT_EQ(0, (uintptr_t)self->addr % GRANULE);
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(0, stat.fault_count);
	EXPECT_EQ(0, stat.fill_count);
	touch_every_granule(self->addr);
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(FULL + 1, stat.fault_count);
	EXPECT_EQ(FULL + 1, stat.miss_count);
	EXPECT_EQ(FULL + 1, stat.fill_count);
	EXPECT_EQ(BYTES, stat.fill_bytes);
	EXPECT_EQ((FULL + 1) * GRANULE, stat.dram_bytes);
	EXPECT_EQ(FULL + 1, count_tier(self->region, ITME_TIER_DRAM));
	EXPECT_EQ(FULL * GRANULE, mapping_bytes(self->addr, "FilePmdMapped"));
	EXPECT_EQ(FULL * GRANULE + PAGE, mapping_bytes(self->addr, "Rss"));
}

TEST_F(map, every_byte_is_right)
{
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
	/* Again, now that it is all there. */
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
}

TEST_F(map, tail_ends_in_zeros_then_sigbus)
{
	size_t offset, wrong = 0;
	char *beyond;

	EXPECT_EQ(-1, content_check_mapped(self->addr + FULL * GRANULE, FULL * GRANULE, TAIL,
					   SEED));
	for (offset = BYTES; offset < MAPPED; offset++)
		wrong += self->addr[offset] != 0;
	EXPECT_EQ(0, wrong);
	EXPECT_EQ(0, mapping_bytes(self->addr + FULL * GRANULE, "FilePmdMapped"));

	beyond = mmap(NULL, MAPPED + GRANULE, PROT_READ, MAP_SHARED, self->region, 0);
	ASSERT_NE(MAP_FAILED, beyond);
	EXPECT_EQ(0, touch(beyond + MAPPED - 1));
	EXPECT_EQ(SIGBUS, touch(beyond + MAPPED));
	EXPECT_EQ(SIGBUS, touch(beyond + MAPPED + GRANULE - 1));
	munmap(beyond, MAPPED + GRANULE);
}

TEST_F(map, private_stores_stay_private)
{
	const size_t at = GRANULE + 5 * PAGE + 7;
	char *private;

	private = mmap(NULL, MAPPED, PROT_READ | PROT_WRITE, MAP_PRIVATE, self->region, 0);
	ASSERT_NE(MAP_FAILED, private);
	/* One page after a read fault, one without, and one of the tail. */
	EXPECT_EQ(-1, content_check_mapped(private, 0, GRANULE + GRANULE / 2, SEED));
	memset(private + at, 0x5a, 100);
	memset(private + 3 * GRANULE, 0x5b, PAGE);
	private[BYTES - 1] ^= 1;

	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
	/* The private copies survive their granules. */
	ASSERT_EQ(0, release(self->region, 0, BYTES));
	EXPECT_EQ(0x5a, private[at]);
	EXPECT_EQ(0x5a, private[at + 99]);
	EXPECT_EQ(0x5b, private[3 * GRANULE + PAGE - 1]);
	EXPECT_EQ(-1, content_check_mapped(private, 0, at, SEED));
	EXPECT_EQ(-1, content_check_mapped(private + at + 100, at + 100, GRANULE, SEED));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
	EXPECT_EQ(0, munmap(private, MAPPED));
}

TEST_F(map, fork_shares)
{
	struct itme_stat stat;
	char *private;
	int status;
	pid_t child;

	private = mmap(NULL, MAPPED, PROT_READ | PROT_WRITE, MAP_PRIVATE, self->region, 0);
	ASSERT_NE(MAP_FAILED, private);
	touch_every_granule(self->addr);
	private[10] = 'p';
	child = fork();
	ASSERT_LE(0, child);
	if (child == 0) {
		bool right = content_check_mapped(self->addr, 0, BYTES, SEED) == -1 &&
			     private[10] == 'p' &&
			     content_check_mapped(private + PAGE, PAGE, GRANULE, SEED) == -1;

		private[10] = 'c';
		private[GRANULE] = 'c';
		_exit(!right);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ('p', private[10]);
	EXPECT_EQ(-1, content_check_mapped(private + GRANULE, GRANULE, GRANULE, SEED));
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(FULL + 1, stat.fill_count);
	EXPECT_EQ(0, munmap(private, MAPPED));
}

TEST_F(map, processes_share_one_copy)
{
	struct itme_stat stat;
	int i, status;

	for (i = 0; i < 4; i++) {
		pid_t child = fork();

		ASSERT_LE(0, child);
		if (child == 0) {
			int fd = region_open(&self->inst, "model", O_RDONLY);
			char *addr = mmap(NULL, MAPPED, PROT_READ, MAP_SHARED, fd, 0);

			_exit(addr == MAP_FAILED ||
			      content_check_mapped(addr, 0, BYTES, SEED) != -1 ||
			      mapping_bytes(addr, "FilePmdMapped") != FULL * GRANULE);
		}
	}
	for (i = 0; i < 4; i++) {
		ASSERT_LT(0, wait(&status));
		EXPECT_EQ(0, status);
	}
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(FULL + 1, stat.fill_count);
	EXPECT_EQ((FULL + 1) * GRANULE, stat.dram_bytes);
}

TEST_F(map, partial_munmap_and_mremap)
{
	struct itme_stat stat;
	char *addr, *moved, *room;

	addr = mmap(NULL, 4 * GRANULE, PROT_READ, MAP_SHARED, self->region, 0);
	ASSERT_NE(MAP_FAILED, addr);
	EXPECT_EQ(-1, content_check_mapped(addr, 0, 4 * GRANULE, SEED));
	/* Inside a granule: its PMD is split. */
	ASSERT_EQ(0, munmap(addr + GRANULE + 16 * PAGE, 8 * PAGE));
	EXPECT_EQ(-1, content_check_mapped(addr, 0, GRANULE + 16 * PAGE, SEED));
	EXPECT_EQ(-1, content_check_mapped(addr + GRANULE + 24 * PAGE, GRANULE + 24 * PAGE,
					   3 * GRANULE - 24 * PAGE, SEED));
	EXPECT_EQ(SIGSEGV, touch(addr + GRANULE + 20 * PAGE));

	/* Move two granules to another place, aligned and not. */
	room = mmap(NULL, 6 * GRANULE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, room);
	moved = (char *)round_up((uintptr_t)room, GRANULE) + 3 * PAGE;
	ASSERT_EQ(moved, mremap(addr + 2 * GRANULE, GRANULE, GRANULE,
				MREMAP_MAYMOVE | MREMAP_FIXED, moved));
	EXPECT_EQ(-1, content_check_mapped(moved, 2 * GRANULE, GRANULE, SEED));
	moved = (char *)round_up((uintptr_t)room, GRANULE) + 2 * GRANULE;
	ASSERT_EQ(moved, mremap(addr + 3 * GRANULE, GRANULE, 2 * GRANULE,
				MREMAP_MAYMOVE | MREMAP_FIXED, moved));
	EXPECT_EQ(-1, content_check_mapped(moved, 3 * GRANULE, 2 * GRANULE, SEED));
	EXPECT_EQ(moved, mremap(moved, 2 * GRANULE, PAGE, 0));
	EXPECT_EQ(-1, content_check_mapped(moved, 3 * GRANULE, PAGE, SEED));
	munmap(room, 6 * GRANULE);
	munmap(addr, 4 * GRANULE);

	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(5, stat.fill_count);
	/* No reference was left behind: every frame can go. */
	EXPECT_EQ(0, release(self->region, 0, BYTES));
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(0, stat.held_count);
	EXPECT_EQ(0, stat.dram_bytes);
}

TEST_F(map, cannot_be_made_writable)
{
	EXPECT_EQ(-1, mprotect(self->addr, MAPPED, PROT_READ | PROT_WRITE));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(MAP_FAILED,
		  mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, self->region, 0));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(-1, madvise(self->addr, GRANULE, MADV_REMOVE));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(-1, madvise(self->addr, GRANULE, MADV_POPULATE_WRITE));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
}

TEST_F(map, advice_does_no_harm)
{
	struct itme_stat stat;

	touch_every_granule(self->addr);
	EXPECT_EQ(0, madvise(self->addr, MAPPED, MADV_DONTNEED));
	EXPECT_EQ(0, mapping_bytes(self->addr, "Rss"));
	touch_every_granule(self->addr);
	EXPECT_EQ(0, madvise(self->addr, MAPPED, MADV_COLD));
	EXPECT_EQ(0, madvise(self->addr, MAPPED, MADV_PAGEOUT));
	EXPECT_EQ(0, madvise(self->addr, MAPPED, MADV_WILLNEED));
	EXPECT_EQ(0, madvise(self->addr, MAPPED, MADV_RANDOM));
	EXPECT_EQ(0, madvise(self->addr, MAPPED, MADV_SEQUENTIAL));
	EXPECT_EQ(0, madvise(self->addr, MAPPED, MADV_NORMAL));
	EXPECT_EQ(0, msync(self->addr, MAPPED, MS_SYNC));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(FULL + 1, stat.fill_count);
}

TEST_F(map, direct_write_of_another_file_from_it)
{
	char path[256], *copy;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/copy", store_dir());
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_DIRECT | O_CLOEXEC, 0600);
	ASSERT_LE(0, fd);
	/* Nothing is resident: the write faults it in. */
	n = pwrite(fd, self->addr, FULL * GRANULE, 0);
	EXPECT_EQ(FULL * GRANULE, n);
	copy = mmap(NULL, FULL * GRANULE, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, copy);
	EXPECT_EQ(-1, content_check(copy, 0, FULL * GRANULE, SEED));
	EXPECT_EQ(0, release(self->region, 0, BYTES));
	munmap(copy, FULL * GRANULE);
	close(fd);
	unlink(path);
}

TEST_F(map, direct_read_of_another_file_into_a_private_mapping)
{
	const size_t bytes = 2 * GRANULE;
	char path[256], *private;
	int fd;

	ASSERT_EQ(0, store_path(path, sizeof(path), bytes, SEED + 1));
	fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	ASSERT_LE(0, fd);
	private = mmap(NULL, MAPPED, PROT_READ | PROT_WRITE, MAP_PRIVATE, self->region, 0);
	ASSERT_NE(MAP_FAILED, private);
	EXPECT_EQ(bytes, pread(fd, private + GRANULE, bytes, 0));
	EXPECT_EQ(-1, content_check(private + GRANULE, 0, bytes, SEED + 1));
	EXPECT_EQ(-1, content_check_mapped(private, 0, GRANULE, SEED));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
	/* The shared mapping is no buffer. */
	EXPECT_EQ(-1, pread(fd, self->addr, PAGE, 0));
	EXPECT_EQ(EFAULT, errno);
	munmap(private, MAPPED);
	close(fd);
}

TEST_F(map, another_process_reads_it)
{
	char *buffer = malloc(BYTES);
	pid_t parent = getpid(), child;
	int status;

	ASSERT_NE(NULL, buffer);
	child = fork();
	ASSERT_LE(0, child);
	if (child == 0) {
		struct iovec to = { buffer, BYTES }, from = { self->addr, BYTES };
		ssize_t n = process_vm_readv(parent, &to, 1, &from, 1, 0);

		_exit(n != BYTES || content_check(buffer, 0, BYTES, SEED) != -1);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, release(self->region, 0, BYTES));
	free(buffer);
}

TEST_F(map, populate)
{
	struct itme_stat stat;
	char *populated;

	ASSERT_EQ(0, madvise(self->addr, MAPPED, MADV_POPULATE_READ));
	EXPECT_EQ(FULL * GRANULE, mapping_bytes(self->addr, "FilePmdMapped"));
	EXPECT_EQ(MAPPED, mapping_bytes(self->addr, "Rss"));
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(FULL + 1, stat.fill_count);
	EXPECT_EQ(FULL + round_up(TAIL, PAGE) / PAGE, stat.fault_count);

	ASSERT_EQ(0, release(self->region, 0, BYTES));
	populated = mmap(NULL, MAPPED, PROT_READ, MAP_SHARED | MAP_POPULATE, self->region, 0);
	ASSERT_NE(MAP_FAILED, populated);
	EXPECT_EQ(MAPPED, mapping_bytes(populated, "Rss"));
	EXPECT_EQ(-1, content_check_mapped(populated, 0, BYTES, SEED));
	munmap(populated, MAPPED);

	populated = mmap(NULL, MAPPED + PAGE, PROT_READ, MAP_SHARED, self->region, 0);
	ASSERT_NE(MAP_FAILED, populated);
	EXPECT_EQ(-1, madvise(populated, MAPPED + PAGE, MADV_POPULATE_READ));
	EXPECT_EQ(EFAULT, errno);
	munmap(populated, MAPPED + PAGE);
}

TEST_F(map, mlock)
{
	ASSERT_EQ(0, mlock(self->addr, MAPPED));
	EXPECT_EQ(FULL * GRANULE, mapping_bytes(self->addr, "FilePmdMapped"));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
	EXPECT_EQ(0, munlock(self->addr, MAPPED));
	EXPECT_EQ(0, release(self->region, 0, BYTES));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
}

TEST_F(map, small_pages_where_asked)
{
	char *addr;

	addr = mmap(NULL, MAPPED, PROT_READ, MAP_SHARED, self->region, 0);
	ASSERT_NE(MAP_FAILED, addr);
	ASSERT_EQ(0, madvise(addr, MAPPED, MADV_NOHUGEPAGE));
	EXPECT_EQ(-1, content_check_mapped(addr, 0, BYTES, SEED));
	EXPECT_EQ(0, mapping_bytes(addr, "FilePmdMapped"));
	EXPECT_EQ(MAPPED, mapping_bytes(addr, "Rss"));
	/* Beside the PMDs of another mapping, and through a release of both. */
	touch_every_granule(self->addr);
	EXPECT_EQ(FULL * GRANULE, mapping_bytes(self->addr, "FilePmdMapped"));
	ASSERT_EQ(0, release(self->region, 0, BYTES));
	EXPECT_EQ(0, mapping_bytes(addr, "Rss"));
	EXPECT_EQ(-1, content_check_mapped(addr, 0, BYTES, SEED));
	munmap(addr, MAPPED);

	ASSERT_EQ(0, release(self->region, 0, BYTES));
	ASSERT_EQ(0, prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
	EXPECT_EQ(0, mapping_bytes(self->addr, "FilePmdMapped"));
	EXPECT_EQ(0, prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0));
}

TEST_F(map, at_an_odd_offset)
{
	const size_t offset = 3 * PAGE, bytes = 3 * GRANULE;
	char *addr, *fixed;

	/* The core may place it so that PMDs fit; the data is what counts. */
	addr = mmap(NULL, bytes, PROT_READ, MAP_SHARED, self->region, offset);
	ASSERT_NE(MAP_FAILED, addr);
	EXPECT_EQ(-1, content_check_mapped(addr, offset, bytes, SEED));
	munmap(addr, bytes);

	/* Here none can. */
	addr = mmap(NULL, bytes + 2 * GRANULE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, addr);
	fixed = (char *)round_up((uintptr_t)addr, GRANULE) + PAGE;
	ASSERT_EQ(fixed,
		  mmap(fixed, bytes, PROT_READ, MAP_SHARED | MAP_FIXED, self->region, offset));
	EXPECT_EQ(-1, content_check_mapped(fixed, offset, bytes, SEED));
	EXPECT_EQ(0, mapping_bytes(fixed, "FilePmdMapped"));
	munmap(addr, bytes + 2 * GRANULE);
}

/*
 * Pages in a pipe are references that no unmap takes back: the frame must not
 * move, must not be dropped, and must outlive the instance.
 */
TEST_F(map, a_held_frame_stays_and_outlives_the_mount)
{
	struct iovec piece = { self->addr + GRANULE + 2 * PAGE, 4 * PAGE };
	struct itme_hint result;
	struct itme_stat stat;
	char buffer[4 * PAGE];
	int pipes[2];

	ASSERT_EQ(0, pipe(pipes));
	touch_every_granule(self->addr);
	ASSERT_EQ(4 * PAGE, vmsplice(pipes[1], &piece, 1, 0));

	EXPECT_EQ(-EBUSY, hint(self->region, ITME_HINT_RELEASE, 0, 0, BYTES, &result));
	EXPECT_EQ(GRANULE, result.refused_bytes);
	EXPECT_EQ(BYTES - GRANULE, result.accepted_bytes);
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_LE(1, stat.held_count);
	EXPECT_EQ(GRANULE, stat.dram_bytes);
	EXPECT_EQ(ITME_TIER_DRAM | ITME_RESIDENCY_HELD, residency(self->region, 1));
	EXPECT_EQ(ITME_TIER_STORE, residency(self->region, 0));
	/* Its mapping went, its data did not. */
	EXPECT_EQ(-1, content_check_mapped(self->addr + GRANULE, GRANULE, GRANULE, SEED));

	/* Let go of, it is like any other. */
	ASSERT_EQ(sizeof(buffer), read(pipes[0], buffer, sizeof(buffer)));
	EXPECT_EQ(-1, content_check(buffer, GRANULE + 2 * PAGE, sizeof(buffer), SEED));
	EXPECT_EQ(0, release(self->region, 0, BYTES));

	/* Held again, through unmount. */
	touch_every_granule(self->addr);
	ASSERT_EQ(4 * PAGE, vmsplice(pipes[1], &piece, 1, 0));
	munmap(self->addr, MAPPED);
	close(self->region);
	self->region = -1;
	ASSERT_EQ(0, instance_umount(&self->inst));
	ASSERT_EQ(sizeof(buffer), read(pipes[0], buffer, sizeof(buffer)));
	EXPECT_EQ(-1, content_check(buffer, GRANULE + 2 * PAGE, sizeof(buffer), SEED));
	close(pipes[0]);
	close(pipes[1]);

	/* For the teardown, which unmounts. */
	ASSERT_EQ(0, instance_mount(&self->inst, "dram=8M"));
}

TEST_F(map, unmapped_file_stays_mapped)
{
	/* The mapping alone keeps the region, as with any file. */
	close(self->region);
	EXPECT_EQ(-EBUSY, instance_umount(&self->inst));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
	munmap(self->addr, MAPPED);
	self->region = -1;
}

/* By the ways of a debugger, a core dump and a write of it. */
TEST_F(map, the_kernel_reads_it)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	char *buffer = malloc(BYTES);

	ASSERT_LE(0, null);
	ASSERT_LE(0, fd);
	ASSERT_NE(NULL, buffer);
	EXPECT_EQ(BYTES, pread(fd, buffer, BYTES, (uintptr_t)self->addr));
	EXPECT_EQ(-1, content_check(buffer, 0, BYTES, SEED));
	EXPECT_EQ(BYTES, write(null, self->addr, BYTES));
	free(buffer);
	close(fd);
	close(null);
}

/* ---- many threads, few frames ---- */

#define THREADS 16
#define BIG (48 * MIB + 4321)

FIXTURE(crowd)
{
	struct instance inst;
	int region;
	char *addr;
};

FIXTURE_VARIANT(crowd)
{
	const char *options;
	int rounds;
};

FIXTURE_VARIANT_ADD(crowd, four_frames)
{
	.options = "dram=8M,window=2M",
	.rounds = 40,
};

FIXTURE_VARIANT_ADD(crowd, small_granules)
{
	.options = "dram=1M,granule=64K",
	.rounds = 150,
};

FIXTURE_SETUP(crowd)
{
	char path[256];

	ASSERT_EQ(0, private_mounts());
	ASSERT_EQ(0, store_path(path, sizeof(path), BIG, SEED));
	ASSERT_EQ(0, instance_mount(&self->inst, variant->options));
	ASSERT_EQ(0, attach_path(&self->inst, path, "big"));
	self->region = region_open(&self->inst, "big", O_RDONLY);
	ASSERT_LE(0, self->region);
	self->addr = mmap(NULL, BIG, PROT_READ, MAP_SHARED, self->region, 0);
	ASSERT_NE(MAP_FAILED, self->addr);
}

FIXTURE_TEARDOWN(crowd)
{
	munmap(self->addr, BIG);
	close(self->region);
	EXPECT_EQ(0, instance_umount(&self->inst));
}

struct reader {
	pthread_t thread;
	const char *addr;
	int rounds;
	__u64 random;
	long long wrong, signals;
};

static void *read_pages(void *arg)
{
	struct reader *r = arg;
	int i;

	for (i = 0; i < r->rounds; i++) {
		__u64 offset = next_random(&r->random) % (BIG / PAGE) * PAGE;
		long long result = content_check_mapped(r->addr + offset, offset, PAGE, SEED);

		r->wrong += result >= 0;
		r->signals += result == -2;
	}
	return NULL;
}

TEST_F(crowd, reads_right_data)
{
	struct reader readers[THREADS] = {};
	long long wrong = 0, signals = 0;
	struct itme_stat stat;
	int i;

	for (i = 0; i < THREADS; i++) {
		readers[i].addr = self->addr;
		readers[i].rounds = variant->rounds;
		readers[i].random = i * 1000000;
		ASSERT_EQ(0, pthread_create(&readers[i].thread, NULL, read_pages, &readers[i]));
	}
	for (i = 0; i < THREADS; i++) {
		pthread_join(readers[i].thread, NULL);
		wrong += readers[i].wrong;
		signals += readers[i].signals;
	}
	EXPECT_EQ(0, wrong);
	EXPECT_EQ(0, signals);
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(0, stat.timeout_count);
	EXPECT_EQ(0, stat.error_count);
	EXPECT_LT(0, stat.evict_bytes);
}

TEST_HARNESS_MAIN
