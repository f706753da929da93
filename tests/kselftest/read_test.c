// SPDX-License-Identifier: GPL-2.0-only
/* A region read as a file: read(2) and its relatives. */
#include "test.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define FULL 6UL /* granules */
#define TAIL (70 * KIB + 123)
#define BYTES (FULL * GRANULE + TAIL)
#define SEED 11

FIXTURE(read)
{
	struct instance inst;
	char store[256];
	int region, direct; /* the second with O_DIRECT */
	char *buffer; /* aligned, room for all and a granule */
};

FIXTURE_SETUP(read)
{
	ASSERT_EQ(0, private_mounts());
	ASSERT_EQ(0, store_path(self->store, sizeof(self->store), BYTES, SEED));
	ASSERT_EQ(0, instance_mount(&self->inst, "dram=20M"));
	ASSERT_EQ(0, attach_path(&self->inst, self->store, "model"));
	self->region = region_open(&self->inst, "model", O_RDONLY);
	ASSERT_LE(0, self->region);
	self->direct = region_open(&self->inst, "model", O_RDONLY | O_DIRECT);
	ASSERT_LE(0, self->direct);
	self->buffer = aligned_alloc(GRANULE, round_up(BYTES, GRANULE) + GRANULE);
	ASSERT_NE(NULL, self->buffer);
}

FIXTURE_TEARDOWN(read)
{
	free(self->buffer);
	close(self->direct);
	close(self->region);
	EXPECT_EQ(0, instance_umount(&self->inst));
}

/* pread, then a look at what came: the number of bytes, or -errno, or -EILSEQ. */
static ssize_t pread_checked(int fd, void *buffer, size_t bytes, off_t offset)
{
	ssize_t n;

	memset(buffer, 0xee, bytes);
	n = pread(fd, buffer, bytes, offset);
	if (n < 0)
		return -errno;
	return content_check(buffer, offset, n, SEED) < 0 ? n : -EILSEQ;
}

TEST_F(read, sequentially_in_odd_sizes)
{
	const size_t step = MIB + 17;
	__u64 offset = 0;
	ssize_t n;

	while ((n = read(self->region, self->buffer, step)) > 0) {
		/* Never short but at the end. */
		ASSERT_EQ(BYTES - offset < step ? BYTES - offset : step, n);
		ASSERT_EQ(-1, content_check(self->buffer, offset, n, SEED));
		offset += n;
	}
	EXPECT_EQ(0, n);
	EXPECT_EQ(BYTES, offset);
	EXPECT_EQ(0, read(self->region, self->buffer, step));
}

TEST_F(read, all_in_one_call)
{
	struct itme_stat stat;

	EXPECT_EQ(BYTES, pread_checked(self->region, self->buffer, BYTES, 0));
	/* More than there is: what there is. */
	EXPECT_EQ(BYTES, pread_checked(self->region, self->buffer, BYTES + GRANULE / 2, 0));
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(FULL + 1, stat.fill_count);
	EXPECT_EQ(FULL + 1, stat.miss_count);
	EXPECT_EQ(BYTES, stat.fill_bytes);
	EXPECT_EQ(0, stat.fault_count);
	EXPECT_EQ(0, stat.direct_bytes);
}

TEST_F(read, at_random)
{
	__u64 random = 7;
	int i;

	for (i = 0; i < 300; i++) {
		__u64 offset = next_random(&random) % BYTES;
		size_t bytes = next_random(&random) % (i % 10 ? 9000 : 3 * MIB) + 1;
		size_t want = BYTES - offset < bytes ? BYTES - offset : bytes;

		ASSERT_EQ(want, pread_checked(self->region, self->buffer + i % 8, bytes, offset));
	}
}

TEST_F(read, at_and_past_the_end)
{
	EXPECT_EQ(1, pread_checked(self->region, self->buffer, 100, BYTES - 1));
	EXPECT_EQ(0, pread(self->region, self->buffer, 100, BYTES));
	EXPECT_EQ(0, pread(self->region, self->buffer, 100, BYTES + 1));
	EXPECT_EQ(0, pread(self->region, self->buffer, 100, round_up(BYTES, GRANULE)));
	EXPECT_EQ(0, pread(self->region, self->buffer, 100, 1LL << 50));
	EXPECT_EQ(0, pread(self->region, self->buffer, 0, 0));
	EXPECT_EQ(-1, pread(self->region, self->buffer, 100, -1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(0, pread(self->direct, self->buffer, PAGE, round_up(BYTES, PAGE)));
	EXPECT_EQ(0, pread(self->direct, self->buffer, PAGE, 1LL << 50));
}

TEST_F(read, into_several_buffers)
{
	struct iovec pieces[] = {
		{ self->buffer, 1 },
		{ self->buffer + 1, GRANULE + 5 },
		{ self->buffer + GRANULE + 6, 0 },
		{ self->buffer + GRANULE + 6, 3 * PAGE },
	};
	const size_t bytes = GRANULE + 6 + 3 * PAGE;

	EXPECT_EQ(bytes, preadv(self->region, pieces, 4, GRANULE - 3));
	EXPECT_EQ(-1, content_check(self->buffer, GRANULE - 3, bytes, SEED));
}

TEST_F(read, bad_buffers)
{
	char *edge, *bad = (char *)(uintptr_t)(8 * PAGE);

	EXPECT_EQ(-1, pread(self->region, bad, 100, 0));
	EXPECT_EQ(EFAULT, errno);
	edge = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, edge);
	ASSERT_EQ(0, munmap(edge + 2 * PAGE, 2 * PAGE));
	/* What fits comes. */
	EXPECT_EQ(2 * PAGE - 10, pread(self->region, edge + 10, 4 * PAGE, GRANULE - PAGE));
	EXPECT_EQ(-1, content_check(edge + 10, GRANULE - PAGE, 2 * PAGE - 10, SEED));
	EXPECT_EQ(-1, pread(self->direct, bad, PAGE, 4 * GRANULE));
	EXPECT_EQ(EFAULT, errno);
	munmap(edge, 2 * PAGE);
}

TEST_F(read, direct_fills_nothing)
{
	struct itme_stat stat;
	__u64 offset;

	for (offset = 0; offset < BYTES; offset += 96 * KIB) {
		size_t want = BYTES - offset < 96 * KIB ? BYTES - offset : 96 * KIB;

		ASSERT_EQ(want, pread_checked(self->direct, self->buffer, 96 * KIB, offset));
	}
	EXPECT_EQ(BYTES, pread_checked(self->direct, self->buffer, round_up(BYTES, PAGE), 0));
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(0, stat.fill_count);
	EXPECT_EQ(0, stat.dram_bytes);
	EXPECT_EQ(2 * BYTES, stat.direct_bytes);
}

TEST_F(read, direct_unaligned)
{
	EXPECT_EQ(-EINVAL, pread_checked(self->direct, self->buffer, 100, 0));
	EXPECT_EQ(-EINVAL, pread_checked(self->direct, self->buffer, PAGE, 100));
	EXPECT_EQ(-EINVAL, pread_checked(self->direct, self->buffer + 1, PAGE, 0));
	/* What is resident needs no device, so no alignment. */
	ASSERT_EQ(0, prefetch(self->region, ITME_TIER_DRAM, 0, GRANULE));
	EXPECT_EQ(100, pread_checked(self->direct, self->buffer, 100, 0));
	EXPECT_EQ(PAGE, pread_checked(self->direct, self->buffer + 1, PAGE, 100));
}

TEST_F(read, direct_takes_what_is_resident_from_memory)
{
	struct itme_stat stat;

	ASSERT_EQ(0, prefetch(self->region, ITME_TIER_DRAM, GRANULE, GRANULE));
	ASSERT_EQ(0, prefetch(self->region, ITME_TIER_DRAM, 3 * GRANULE, GRANULE));
	EXPECT_EQ(BYTES, pread_checked(self->direct, self->buffer, round_up(BYTES, PAGE), 0));
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(2, stat.fill_count);
	EXPECT_EQ(BYTES - 2 * GRANULE, stat.direct_bytes);
}

TEST_F(read, into_a_mapping_of_the_same_granule)
{
	char *private;

	private = mmap(NULL, 2 * GRANULE, PROT_READ | PROT_WRITE, MAP_PRIVATE, self->region, 0);
	ASSERT_NE(MAP_FAILED, private);
	/* To where it comes from, and beside it; absent first, resident then. */
	EXPECT_EQ(GRANULE, pread(self->region, private, GRANULE, 0));
	EXPECT_EQ(-1, content_check(private, 0, GRANULE, SEED));
	EXPECT_EQ(GRANULE, pread(self->region, private + GRANULE, GRANULE, 100));
	EXPECT_EQ(-1, content_check(private + GRANULE, 100, GRANULE, SEED));
	munmap(private, 2 * GRANULE);

	/* O_DIRECT of an absent granule into a mapping of it. */
	ASSERT_EQ(0, release(self->region, 0, BYTES));
	private = mmap(NULL, GRANULE, PROT_READ | PROT_WRITE, MAP_PRIVATE, self->region, 0);
	ASSERT_NE(MAP_FAILED, private);
	EXPECT_EQ(16 * PAGE, pread(self->direct, private + PAGE, 16 * PAGE, 0));
	EXPECT_EQ(-1, content_check(private + PAGE, 0, 16 * PAGE, SEED));
	munmap(private, GRANULE);

	/* And a shared mapping is no buffer. */
	private = mmap(NULL, GRANULE, PROT_READ, MAP_SHARED, self->region, 0);
	ASSERT_NE(MAP_FAILED, private);
	EXPECT_EQ(-1, pread(self->region, private, PAGE, 0));
	EXPECT_EQ(EFAULT, errno);
	munmap(private, GRANULE);
}

TEST_F(read, sendfile_and_splice)
{
	off_t at = GRANULE - 1000;
	const size_t bytes = 3 * GRANULE + 333;
	loff_t offset = at;
	char path[256];
	size_t done;
	ssize_t n;
	int fd, pipes[2];

	snprintf(path, sizeof(path), "%s/copy", store_dir());
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ASSERT_LE(0, fd);
	for (done = 0; done < bytes; done += n) {
		n = sendfile(fd, self->region, &at, bytes - done);
		ASSERT_LT(0, n);
	}
	ASSERT_EQ(bytes, pread(fd, self->buffer, bytes, 0));
	EXPECT_EQ(-1, content_check(self->buffer, offset, bytes, SEED));
	close(fd);
	unlink(path);

	ASSERT_EQ(0, pipe(pipes));
	for (done = 0; done < 256 * KIB; done += n) {
		size_t got;
		ssize_t m;

		n = splice(self->region, &offset, pipes[1], NULL, 16 * KIB, 0);
		ASSERT_LT(0, n);
		for (got = 0; got < (size_t)n; got += m) {
			m = read(pipes[0], self->buffer + done + got, n - got);
			ASSERT_LT(0, m);
		}
	}
	EXPECT_EQ(-1, content_check(self->buffer, GRANULE - 1000, done, SEED));
	/* The copies in the pipe held no frame. */
	EXPECT_EQ(0, release(self->region, 0, BYTES));
	/* Past the end there is nothing, and no wait for it. */
	offset = BYTES;
	EXPECT_EQ(0, splice(self->region, &offset, pipes[1], NULL, PAGE, 0));
	close(pipes[0]);
	close(pipes[1]);
}

TEST_F(read, seeks)
{
	EXPECT_EQ(BYTES, lseek(self->region, 0, SEEK_END));
	EXPECT_EQ(0, read(self->region, self->buffer, 10));
	EXPECT_EQ(BYTES - 10, lseek(self->region, -10, SEEK_END));
	EXPECT_EQ(10, read(self->region, self->buffer, 100));
	EXPECT_EQ(-1, content_check(self->buffer, BYTES - 10, 10, SEED));
	EXPECT_EQ(5000, lseek(self->region, 5000, SEEK_SET));
	EXPECT_EQ(5010, lseek(self->region, 10, SEEK_CUR));
	EXPECT_EQ(-1, lseek(self->region, -1, SEEK_SET));
	EXPECT_EQ(EINVAL, errno);
	/* One piece of data without a hole. */
	EXPECT_EQ(777, lseek(self->region, 777, SEEK_DATA));
	EXPECT_EQ(BYTES, lseek(self->region, 777, SEEK_HOLE));
	EXPECT_EQ(-1, lseek(self->region, BYTES, SEEK_DATA));
	EXPECT_EQ(ENXIO, errno);
	EXPECT_EQ(3LL << 40, lseek(self->region, 3LL << 40, SEEK_SET));
	EXPECT_EQ(0, read(self->region, self->buffer, 10));
}

TEST_F(read, stat_tells_the_truth)
{
	struct statx statx_buf;
	struct stat region, store;

	ASSERT_EQ(0, fstat(self->region, &region));
	ASSERT_EQ(0, stat(self->store, &store));
	EXPECT_EQ(BYTES, region.st_size);
	EXPECT_EQ(4096, region.st_blksize);
	EXPECT_EQ((BYTES + 511) / 512, region.st_blocks);
	EXPECT_EQ(S_IFREG | 0600, region.st_mode);
	EXPECT_EQ(1, region.st_nlink);
	EXPECT_EQ(store.st_mtim.tv_sec, region.st_mtim.tv_sec);
	EXPECT_EQ(store.st_mtim.tv_nsec, region.st_mtim.tv_nsec);
	ASSERT_EQ(0, statx(self->inst.root, "model", 0, STATX_ALL, &statx_buf));
	EXPECT_EQ(BYTES, statx_buf.stx_size);
	EXPECT_EQ(4096, statx_buf.stx_blksize);
	EXPECT_EQ(region.st_ino, statx_buf.stx_ino);
}

TEST_F(read, nothing_can_be_written)
{
	char path[128];

	EXPECT_EQ(-EROFS, region_open(&self->inst, "model", O_WRONLY));
	EXPECT_EQ(-EROFS, region_open(&self->inst, "model", O_RDWR));
	EXPECT_EQ(-EROFS, region_open(&self->inst, "model", O_WRONLY | O_TRUNC));
	EXPECT_EQ(-EROFS, region_open(&self->inst, "model", O_RDONLY | O_TRUNC));
	snprintf(path, sizeof(path), "%s/model", self->inst.dir);
	EXPECT_EQ(-1, truncate(path, 4096));
	EXPECT_EQ(EROFS, errno);
	EXPECT_EQ(-1, ftruncate(self->region, 4096));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, write(self->region, "x", 1));
	EXPECT_EQ(EBADF, errno);
	EXPECT_EQ(-1, fallocate(self->region, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE));
	EXPECT_EQ(BYTES, pread_checked(self->region, self->buffer, BYTES, 0));
	/* No other kind of file can be made beside it. */
	EXPECT_GT(0, openat(self->inst.root, "new", O_WRONLY | O_CREAT, 0600));
	EXPECT_EQ(-1, mkdirat(self->inst.root, "dir", 0700));
	EXPECT_EQ(-1, symlinkat("model", self->inst.root, "link"));
	EXPECT_EQ(-1, linkat(self->inst.root, "model", self->inst.root, "link", 0));
	EXPECT_EQ(-1, renameat(self->inst.root, "model", self->inst.root, "other"));
	EXPECT_EQ(-1, mknodat(self->inst.root, "fifo", S_IFIFO | 0600, 0));
}

TEST_F(read, advice_and_sync_do_no_harm)
{
	EXPECT_EQ(0, fsync(self->region));
	EXPECT_EQ(0, fdatasync(self->region));
	EXPECT_EQ(0, posix_fadvise(self->region, 0, 0, POSIX_FADV_WILLNEED));
	EXPECT_EQ(0, posix_fadvise(self->region, 0, 0, POSIX_FADV_SEQUENTIAL));
	EXPECT_EQ(0, posix_fadvise(self->region, 0, 0, POSIX_FADV_RANDOM));
	EXPECT_EQ(0, posix_fadvise(self->region, 0, 0, POSIX_FADV_NOREUSE));
	EXPECT_EQ(0, readahead(self->region, 0, GRANULE));
	EXPECT_EQ(0, posix_fadvise(self->region, 0, 0, POSIX_FADV_DONTNEED));
	EXPECT_EQ(0, sync_file_range(self->region, 0, 0, SYNC_FILE_RANGE_WRITE));
	EXPECT_EQ(0, syncfs(self->region));
	EXPECT_EQ(BYTES, pread_checked(self->region, self->buffer, BYTES, 0));
}

/* ---- several at once ---- */

struct reader {
	pthread_t thread;
	int fd;
	bool right;
};

static void *read_first_granule(void *arg)
{
	struct reader *r = arg;
	char *buffer = malloc(GRANULE);

	r->right = buffer && pread_checked(r->fd, buffer, GRANULE, 0) == (ssize_t)GRANULE;
	free(buffer);
	return NULL;
}

TEST_F(read, readers_of_one_granule_share_its_fill)
{
	struct reader readers[8];
	struct itme_stat stat;
	size_t i;

	for (i = 0; i < 8; i++) {
		readers[i].fd = self->region;
		ASSERT_EQ(0, pthread_create(&readers[i].thread, NULL, read_first_granule,
					    &readers[i]));
	}
	for (i = 0; i < 8; i++) {
		pthread_join(readers[i].thread, NULL);
		EXPECT_TRUE(readers[i].right);
	}
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(1, stat.fill_count);
}

/* ---- sizes around the edges ---- */

TEST_F(read, stores_of_every_awkward_size)
{
	static const size_t sizes[] = {
		1, 511, 512, 513, PAGE - 1, PAGE, PAGE + 1, GRANULE - 1, GRANULE, GRANULE + 1,
		2 * GRANULE - PAGE, 2 * GRANULE + 512,
	};
	char path[256], name[32];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		size_t bytes = sizes[i], end = round_up(bytes, PAGE), at;
		int region, direct;
		char *addr;

		ASSERT_EQ(0, store_path(path, sizeof(path), bytes, SEED + 2));
		snprintf(name, sizeof(name), "size-%zu", bytes);
		ASSERT_EQ(0, attach_path(&self->inst, path, name));
		region = region_open(&self->inst, name, O_RDONLY);
		direct = region_open(&self->inst, name, O_RDONLY | O_DIRECT);
		ASSERT_LE(0, region);
		ASSERT_LE(0, direct);
		memset(self->buffer, 0xee, end);
		EXPECT_EQ(bytes, pread(direct, self->buffer, end, 0));
		EXPECT_EQ(-1, content_check(self->buffer, 0, bytes, SEED + 2));
		EXPECT_EQ(bytes, pread(region, self->buffer, bytes + 100, 0));
		EXPECT_EQ(-1, content_check(self->buffer, 0, bytes, SEED + 2));
		EXPECT_EQ(bytes, lseek(region, 0, SEEK_END));
		addr = mmap(NULL, end, PROT_READ, MAP_SHARED, region, 0);
		ASSERT_NE(MAP_FAILED, addr);
		EXPECT_EQ(-1, content_check_mapped(addr, 0, bytes, SEED + 2));
		for (at = bytes; at < end; at++)
			ASSERT_EQ(0, addr[at]);
		munmap(addr, end);
		close(direct);
		close(region);
		EXPECT_EQ(0, detach(&self->inst, name));
	}
}

TEST_HARNESS_MAIN
