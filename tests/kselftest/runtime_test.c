// SPDX-License-Identifier: GPL-2.0-only
/*
 * What runtimes, debuggers and the kernel do with a mapping, beyond touching
 * it: lock, populate, ask, move, dump, pin, poke. map_test has the rest.
 */
#include "test.h"

#include <elf.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include "uring.h"

#define FULL 6UL /* granules */
#define TAIL (70 * KIB + 123) /* bytes past the last full one */
#define BYTES (FULL * GRANULE + TAIL)
#define MAPPED round_up(BYTES, PAGE)
#define SEED 11

FIXTURE(runtime)
{
	struct instance inst;
	int region;
	char *addr; /* all of the region, shared, read-only */
	char *private; /* the same, private and writable */
};

FIXTURE_VARIANT(runtime)
{
	const char *options;
	bool all_fits;
};

FIXTURE_VARIANT_ADD(runtime, all_fits)
{
	.options = "dram=20M",
	.all_fits = true,
};

FIXTURE_VARIANT_ADD(runtime, half_fits)
{
	.options = "dram=8M,window=2M",
};

FIXTURE_SETUP(runtime)
{
	char path[256];

	ASSERT_EQ(0, private_mounts());
	ASSERT_EQ(0, store_path(path, sizeof(path), BYTES, SEED));
	ASSERT_EQ(0, instance_mount(&self->inst, variant->options));
	ASSERT_EQ(0, attach_path(&self->inst, path, "model"));
	self->region = region_open(&self->inst, "model", O_RDONLY);
	ASSERT_LE(0, self->region);
	self->addr = mmap(NULL, MAPPED, PROT_READ, MAP_SHARED, self->region, 0);
	ASSERT_NE(MAP_FAILED, self->addr);
	self->private = mmap(NULL, MAPPED, PROT_READ | PROT_WRITE, MAP_PRIVATE, self->region, 0);
	ASSERT_NE(MAP_FAILED, self->private);
}

FIXTURE_TEARDOWN(runtime)
{
	munmap(self->private, MAPPED);
	munmap(self->addr, MAPPED);
	close(self->region);
	EXPECT_EQ(0, instance_umount(&self->inst));
}

/* How many pages mincore(2) says are there, or -1. */
static long count_in_core(const void *addr, size_t bytes)
{
	static unsigned char pages[(FULL + 2) * GRANULE / PAGE];
	size_t i, n = (bytes + PAGE - 1) / PAGE;
	long count = 0;

	if (n > sizeof(pages) || mincore((void *)(uintptr_t)addr, bytes, pages))
		return -1;
	for (i = 0; i < n; i++)
		count += pages[i] & 1;
	return count;
}

/* No reference was left behind by what the test did: every frame can go. */
static bool all_can_go(int region)
{
	struct itme_stat stat;

	return !release(region, 0, BYTES) && !region_stat(region, &stat) &&
	       stat.dram_bytes == 0;
}

/* ---- populate and lock ---- */

TEST_F(runtime, populate_read_of_a_part)
{
	/* From inside a granule to inside another: what is asked for is there. */
	char *from = self->addr + GRANULE + 3 * PAGE;
	const size_t bytes = GRANULE + 5 * PAGE;

	ASSERT_EQ(0, madvise(from, bytes, MADV_POPULATE_READ));
	EXPECT_EQ(bytes / PAGE, count_in_core(from, bytes));
	EXPECT_EQ(0, count_in_core(self->addr, GRANULE));
	EXPECT_EQ(0, count_in_core(self->addr + 3 * GRANULE, GRANULE));
	/* More than there are frames of is no error: it was all there once. */
	EXPECT_EQ(0, madvise(self->addr, MAPPED, MADV_POPULATE_READ));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
	EXPECT_TRUE(all_can_go(self->region));
}

TEST_F(runtime, populate_write_copies)
{
	ASSERT_EQ(0, madvise(self->private + GRANULE, GRANULE, MADV_POPULATE_WRITE));
	EXPECT_EQ(GRANULE, mapping_bytes(self->private, "Anonymous"));
	/* The copies need no frame. */
	EXPECT_TRUE(all_can_go(self->region));
	EXPECT_EQ(GRANULE / PAGE, count_in_core(self->private + GRANULE, GRANULE));
	EXPECT_EQ(-1, content_check(self->private + GRANULE, GRANULE, GRANULE, SEED));
	EXPECT_EQ(GRANULE, mapping_bytes(self->private, "Rss"));
}

TEST_F(runtime, map_populate_and_map_locked)
{
	static const int flags[] = {
		MAP_SHARED | MAP_POPULATE, MAP_SHARED | MAP_LOCKED, MAP_PRIVATE | MAP_POPULATE,
		MAP_SHARED | MAP_POPULATE | MAP_NONBLOCK, MAP_SHARED | MAP_NORESERVE,
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		char *addr = mmap(NULL, MAPPED, PROT_READ, flags[i], self->region, 0);

		ASSERT_NE(MAP_FAILED, addr);
		if (variant->all_fits && i < 3)
			EXPECT_EQ(MAPPED / PAGE, count_in_core(addr, MAPPED));
		EXPECT_EQ(-1, content_check_mapped(addr, 0, BYTES, SEED));
		EXPECT_EQ(0, munmap(addr, MAPPED));
	}
	EXPECT_TRUE(all_can_go(self->region));
}

TEST_F(runtime, mlock_populates)
{
	struct itme_stat stat;

	ASSERT_EQ(0, mlock(self->addr, MAPPED));
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(FULL + 1, stat.fill_count);
	if (variant->all_fits)
		EXPECT_EQ(MAPPED / PAGE, count_in_core(self->addr, MAPPED));
	EXPECT_LT(0, mapping_bytes(self->addr, "Locked"));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
	/* It is no pin: a frame may go, and comes back when it is touched. */
	EXPECT_TRUE(all_can_go(self->region));
	EXPECT_EQ(0, count_in_core(self->addr, MAPPED));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
	EXPECT_EQ(0, munlock(self->addr + GRANULE + PAGE, GRANULE));
	EXPECT_EQ(0, munlock(self->addr, MAPPED));
	EXPECT_EQ(0, mlock2(self->addr, MAPPED, MLOCK_ONFAULT));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
	/* What ends locked is unmapped locked. */
	EXPECT_EQ(0, munmap(self->addr, GRANULE + 7 * PAGE));
	EXPECT_TRUE(all_can_go(self->region));
}

TEST_F(runtime, mlockall_populates)
{
	struct itme_stat stat;

	/* The private mapping is writable: it is populated with copies. */
	ASSERT_EQ(0, munmap(self->private, MAPPED));
	ASSERT_EQ(0, mlockall(MCL_CURRENT));
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(FULL + 1, stat.fill_count);
	if (variant->all_fits)
		EXPECT_EQ(MAPPED / PAGE, count_in_core(self->addr, MAPPED));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
	EXPECT_EQ(0, munlockall());
	EXPECT_TRUE(all_can_go(self->region));

	ASSERT_EQ(0, mlockall(MCL_FUTURE));
	self->private = mmap(NULL, MAPPED, PROT_READ | PROT_WRITE, MAP_PRIVATE, self->region, 0);
	ASSERT_NE(MAP_FAILED, self->private);
	EXPECT_EQ(MAPPED / PAGE, count_in_core(self->private, MAPPED));
	EXPECT_EQ(-1, content_check(self->private, 0, BYTES, SEED));
	EXPECT_EQ(0, munlockall());
	EXPECT_TRUE(all_can_go(self->region));
}

/* ---- ask ---- */

TEST_F(runtime, mincore_tells_what_is_mapped)
{
	const char *pages = self->addr + 3 * GRANULE;

	EXPECT_EQ(0, count_in_core(self->addr, MAPPED));
	/* Resident is not mapped: there is no page cache to ask. */
	ASSERT_EQ(0, prefetch(self->region, ITME_TIER_DRAM, 3 * GRANULE, GRANULE));
	EXPECT_EQ(0, count_in_core(self->addr, MAPPED));
	ASSERT_EQ(0, touch(pages + 5 * PAGE));
	EXPECT_EQ(GRANULE / PAGE, count_in_core(pages, GRANULE));
	EXPECT_EQ(GRANULE / PAGE, count_in_core(self->addr, MAPPED));
	/* By small pages, one at a time; and each mapping for itself. */
	ASSERT_EQ(0, touch(self->addr + FULL * GRANULE + PAGE));
	EXPECT_EQ(1, count_in_core(self->addr + FULL * GRANULE, TAIL));
	EXPECT_EQ(0, count_in_core(self->private, MAPPED));
	ASSERT_EQ(0, madvise(self->addr + 3 * GRANULE, GRANULE, MADV_DONTNEED));
	EXPECT_EQ(1, count_in_core(self->addr, MAPPED));
}

/* ---- move ---- */

TEST_F(runtime, mremap_second_mapping_and_dontunmap)
{
	char *second, *moved;

	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, 2 * GRANULE, SEED));
	/* An old size of zero makes another mapping of the same. */
	second = mremap(self->addr + GRANULE, 0, 2 * GRANULE, MREMAP_MAYMOVE);
	ASSERT_NE(MAP_FAILED, second);
	EXPECT_EQ(-1, content_check_mapped(second, GRANULE, 2 * GRANULE, SEED));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
	/* The pages go, the old place stays mapped and fills again. */
	moved = mremap(second, 2 * GRANULE, 2 * GRANULE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP);
	ASSERT_NE(MAP_FAILED, moved);
	EXPECT_EQ(0, count_in_core(second, 2 * GRANULE));
	EXPECT_EQ(-1, content_check_mapped(moved, GRANULE, 2 * GRANULE, SEED));
	EXPECT_EQ(-1, content_check_mapped(second, GRANULE, 2 * GRANULE, SEED));
	munmap(second, 2 * GRANULE);
	munmap(moved, 2 * GRANULE);
	EXPECT_TRUE(all_can_go(self->region));
}

TEST_F(runtime, mremap_past_the_end)
{
	char *grown = mremap(self->addr, MAPPED, MAPPED + 2 * GRANULE, MREMAP_MAYMOVE);

	ASSERT_NE(MAP_FAILED, grown);
	self->addr = grown;
	EXPECT_EQ(-1, content_check_mapped(grown, 0, BYTES, SEED));
	EXPECT_EQ(SIGBUS, touch(grown + MAPPED));
	EXPECT_EQ(SIGBUS, touch(grown + MAPPED + GRANULE));
	ASSERT_EQ(grown, mremap(grown, MAPPED + 2 * GRANULE, MAPPED, 0));
	EXPECT_EQ(SIGSEGV, touch(grown + MAPPED));
}

/* Every distance from the alignment of a PMD, with the pages in place. */
TEST_F(runtime, mremap_to_every_alignment)
{
	static const size_t shifts[] = { 0, PAGE, 511 * PAGE, 256 * PAGE, GRANULE, 3 * PAGE };
	char *room = mmap(NULL, 8 * GRANULE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *base = (char *)round_up((uintptr_t)room, GRANULE), *at;
	size_t i;

	ASSERT_NE(MAP_FAILED, room);
	at = mmap(NULL, 2 * GRANULE, PROT_READ | PROT_WRITE, MAP_PRIVATE, self->region, 0);
	ASSERT_NE(MAP_FAILED, at);
	at[PAGE] = 'p';
	for (i = 0; i < ARRAY_SIZE(shifts); i++) {
		char *to = base + shifts[i] + (i % 2 ? 4 * GRANULE : 0);

		ASSERT_EQ(to, mremap(at, 2 * GRANULE, 2 * GRANULE,
				     MREMAP_MAYMOVE | MREMAP_FIXED, to));
		EXPECT_EQ(-1, content_check_mapped(to, 0, PAGE, SEED));
		EXPECT_EQ('p', to[PAGE]);
		EXPECT_EQ(-1, content_check_mapped(to + 2 * PAGE, 2 * PAGE,
						   2 * GRANULE - 2 * PAGE, SEED));
		at = to;
	}
	munmap(room, 8 * GRANULE);
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
	EXPECT_TRUE(all_can_go(self->region));
}

/* ---- private copies ---- */

TEST_F(runtime, a_private_page_given_up_is_the_files_again)
{
	const size_t tail = FULL * GRANULE;

	memset(self->private + GRANULE, 'x', 3 * PAGE);
	memset(self->private + tail, 'y', TAIL);
	/* Past the end of the file the page is one's own too. */
	self->private[MAPPED - 1] = 'z';
	EXPECT_EQ('x', self->private[GRANULE + 2 * PAGE]);
	EXPECT_EQ('z', self->private[MAPPED - 1]);
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
	EXPECT_EQ(0, self->addr[MAPPED - 1]);
	ASSERT_EQ(0, madvise(self->private, MAPPED, MADV_DONTNEED));
	EXPECT_EQ(-1, content_check_mapped(self->private, 0, BYTES, SEED));
	EXPECT_EQ(0, self->private[MAPPED - 1]);
	EXPECT_TRUE(all_can_go(self->region));
}

TEST_F(runtime, a_childs_copies_are_its_own)
{
	int status, i;

	EXPECT_EQ(-1, content_check_mapped(self->private, 0, GRANULE, SEED));
	for (i = 0; i < 3; i++) {
		pid_t child = fork();

		ASSERT_LE(0, child);
		if (child == 0) {
			memset(self->private + GRANULE / 2, 'c', GRANULE);
			munmap(self->addr, 3 * PAGE);
			_exit(content_check_mapped(self->private, 0, GRANULE / 2, SEED) != -1 ||
			      content_check_mapped(self->addr + 3 * PAGE, 3 * PAGE,
						   BYTES - 3 * PAGE, SEED) != -1 ||
			      self->private[GRANULE + GRANULE / 2 - 1] != 'c');
		}
	}
	EXPECT_EQ(-1, content_check_mapped(self->private, 0, BYTES, SEED));
	for (i = 0; i < 3; i++) {
		ASSERT_LT(0, wait(&status));
		EXPECT_EQ(0, status);
	}
	EXPECT_EQ(-1, content_check_mapped(self->private, 0, BYTES, SEED));
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
	EXPECT_TRUE(all_can_go(self->region));
}

/* ---- other processes ---- */

/* What runs as somebody's child and stops, so that others can look into it. */
static pid_t stopped_child(void)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
		raise(SIGSTOP);
		_exit(0);
	}
	if (child > 0 && waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status))
		return child;
	return -1;
}

static void end_child(pid_t child)
{
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

TEST_F(runtime, another_process_is_read_and_not_written)
{
	char *buffer = malloc(BYTES);
	struct iovec local = { buffer, BYTES }, remote = { self->addr, BYTES };
	pid_t child = stopped_child();
	char path[64];
	int mem;

	ASSERT_NE(NULL, buffer);
	ASSERT_LT(0, child);
	/* Nothing is mapped there yet: the reader faults it in. */
	EXPECT_EQ(BYTES, process_vm_readv(child, &local, 1, &remote, 1, 0));
	EXPECT_EQ(-1, content_check(buffer, 0, BYTES, SEED));

	memset(buffer, 'w', PAGE);
	local.iov_len = PAGE;
	remote.iov_len = PAGE;
	EXPECT_EQ(-1, process_vm_writev(child, &local, 1, &remote, 1, 0));
	EXPECT_EQ(EFAULT, errno);
	/* A debugger may write to what is private, and to nothing else. */
	ASSERT_EQ(0, ptrace(PTRACE_SEIZE, child, NULL, NULL));
	snprintf(path, sizeof(path), "/proc/%d/mem", child);
	mem = open(path, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, mem);
	EXPECT_EQ(-1, pwrite(mem, buffer, PAGE, (uintptr_t)self->addr));
	EXPECT_EQ(PAGE, pwrite(mem, buffer, PAGE, (uintptr_t)self->private));
	EXPECT_EQ(PAGE, pread(mem, buffer + PAGE, PAGE, (uintptr_t)self->private));
	EXPECT_EQ(0, memcmp(buffer, buffer + PAGE, PAGE));
	close(mem);
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
	EXPECT_EQ(-1, content_check_mapped(self->private, 0, BYTES, SEED));
	end_child(child);
	EXPECT_TRUE(all_can_go(self->region));
	free(buffer);
}

/* ---- core dumps ---- */

#define PATTERN "/proc/sys/kernel/core_pattern"

/* Where the core has @address: the offset in the file and the bytes there; or false. */
static bool find_in_core(int core, uint64_t address, uint64_t *offset, uint64_t *bytes)
{
	Elf64_Ehdr header;
	Elf64_Phdr segment;
	int i;

	if (pread(core, &header, sizeof(header), 0) != sizeof(header) ||
	    memcmp(header.e_ident, ELFMAG, SELFMAG))
		return false;
	for (i = 0; i < header.e_phnum; i++) {
		if (pread(core, &segment, sizeof(segment),
			  header.e_phoff + i * sizeof(segment)) != sizeof(segment))
			return false;
		if (segment.p_type != PT_LOAD || segment.p_vaddr != address)
			continue;
		*offset = segment.p_offset;
		*bytes = segment.p_filesz;
		return true;
	}
	return false;
}

/* Kill a child that maps the region, with this filter of what its core holds. */
static int dump_core(const char *path, const char *filter, char *private)
{
	const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	int status;
	pid_t child = fork();

	if (child == 0) {
		if (setrlimit(RLIMIT_CORE, &unlimited) || prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) ||
		    write_file("/proc/self/coredump_filter", filter))
			_exit(1);
		private[GRANULE] = 'p';
		signal(SIGABRT, SIG_DFL);
		abort();
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		return -ECHILD;
	if (!WIFSIGNALED(status) || !WCOREDUMP(status))
		return -EIO;
	return open(path, O_RDONLY | O_CLOEXEC);
}

TEST_F(runtime, core_dump)
{
	char before[256], path[256], *content = malloc(BYTES);
	uint64_t offset = 0, bytes = 0;
	int core;

	ASSERT_NE(NULL, content);
	snprintf(path, sizeof(path), "%s/core", store_dir());
	ASSERT_LT(0, read_text(PATTERN, before, sizeof(before)));
	ASSERT_EQ(0, write_file(PATTERN, path));

	/* As it is by default: what is shared with a file is left to the file. */
	core = dump_core(path, "0x33", self->private);
	EXPECT_LE(0, core);
	EXPECT_TRUE(find_in_core(core, (uintptr_t)self->addr, &offset, &bytes));
	EXPECT_EQ(0, bytes);
	/* What has a private page is dumped whole: the region is read for it. */
	EXPECT_TRUE(find_in_core(core, (uintptr_t)self->private, &offset, &bytes));
	EXPECT_EQ(MAPPED, bytes);
	EXPECT_EQ(BYTES, pread(core, content, BYTES, offset));
	EXPECT_EQ('p', content[GRANULE]);
	content_fill(content + GRANULE, GRANULE, 1, SEED);
	EXPECT_EQ(-1, content_check(content, 0, BYTES, SEED));
	close(core);
	unlink(path);

	/* With everything: it ends, and has the right contents. */
	core = dump_core(path, "0x7f", self->private);
	EXPECT_LE(0, core);
	EXPECT_TRUE(find_in_core(core, (uintptr_t)self->addr, &offset, &bytes));
	EXPECT_EQ(MAPPED, bytes);
	EXPECT_EQ(BYTES, pread(core, content, BYTES, offset));
	EXPECT_EQ(-1, content_check(content, 0, BYTES, SEED));
	close(core);
	unlink(path);
	EXPECT_EQ(0, write_file(PATTERN, before));
	EXPECT_TRUE(all_can_go(self->region));
	free(content);
}

/* ---- references of others ---- */

/*
 * Registered buffers are written to, so the core pins what may be written: a
 * shared mapping of a read-only region is refused, a private one is copied first,
 * and holds no frame.
 */
TEST_F(runtime, registered_buffers)
{
	struct iovec shared = { self->addr, 4 * PAGE };
	struct iovec private = { self->private + 2 * GRANULE - 2 * PAGE, 4 * PAGE };
	struct ring ring;
	struct io_uring_sqe sqe = {
		.opcode = IORING_OP_READ_FIXED,
		.fd = self->region,
		.addr = (uintptr_t)private.iov_base,
		.len = 4 * PAGE,
		.off = 100,
	};

	ASSERT_EQ(0, ring_open(&ring, 4));
	EXPECT_EQ(-EFAULT, ring_register(&ring, &shared, 1));
	ASSERT_EQ(0, ring_register(&ring, &private, 1));
	EXPECT_EQ(-1, content_check(private.iov_base, 2 * GRANULE - 2 * PAGE, 4 * PAGE, SEED));
	EXPECT_TRUE(all_can_go(self->region));
	EXPECT_EQ(-1, content_check(private.iov_base, 2 * GRANULE - 2 * PAGE, 4 * PAGE, SEED));
	ASSERT_EQ(0, ring_submit(&ring, &sqe));
	EXPECT_EQ(4 * PAGE, ring_wait(&ring, NULL));
	EXPECT_EQ(-1, content_check(private.iov_base, 100, 4 * PAGE, SEED));
	EXPECT_EQ(0, ring_unregister(&ring));
	ring_close(&ring);
	EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
	EXPECT_TRUE(all_can_go(self->region));
}

/* A frame is held from the splice until the last of its pages is read or dropped. */
TEST_F(runtime, vmsplice_holds_and_lets_go)
{
	struct iovec shared = { self->addr + 3 * GRANULE - PAGE, 2 * PAGE };
	struct itme_stat stat;
	char buffer[2 * PAGE];
	int pipes[2], other[2], i;

	ASSERT_EQ(0, pipe(pipes));
	ASSERT_EQ(0, pipe(other));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(2 * PAGE, vmsplice(pipes[1], &shared, 1, 0));
		ASSERT_EQ(2 * PAGE, tee(pipes[0], other[1], 2 * PAGE, 0));
		ASSERT_EQ(2 * PAGE, read(pipes[0], buffer, sizeof(buffer)));
		EXPECT_EQ(-1, content_check(buffer, 3 * GRANULE - PAGE, 2 * PAGE, SEED));
		/* Two granules are held by the other pipe. */
		EXPECT_EQ(-EBUSY, release(self->region, 0, BYTES));
		EXPECT_TRUE(residency(self->region, 2) & ITME_RESIDENCY_HELD);
		EXPECT_TRUE(residency(self->region, 3) & ITME_RESIDENCY_HELD);
		ASSERT_EQ(0, region_stat(self->region, &stat));
		EXPECT_EQ(2 * GRANULE, stat.dram_bytes);
		EXPECT_EQ(-1, content_check_mapped(self->addr, 0, BYTES, SEED));
		/* One of them is let go of. */
		ASSERT_EQ(PAGE, read(other[0], buffer, PAGE));
		EXPECT_EQ(-1, content_check(buffer, 3 * GRANULE - PAGE, PAGE, SEED));
		EXPECT_EQ(-EBUSY, release(self->region, 0, BYTES));
		ASSERT_EQ(0, region_stat(self->region, &stat));
		EXPECT_EQ(GRANULE, stat.dram_bytes);
		ASSERT_EQ(PAGE, read(other[0], buffer, PAGE));
		EXPECT_EQ(-1, content_check(buffer, 3 * GRANULE, PAGE, SEED));
		EXPECT_TRUE(all_can_go(self->region));
	}
	/* And when nobody reads it: with the pipe. */
	ASSERT_EQ(2 * PAGE, vmsplice(pipes[1], &shared, 1, 0));
	EXPECT_EQ(-EBUSY, release(self->region, 0, BYTES));
	close(pipes[0]);
	close(pipes[1]);
	close(other[0]);
	close(other[1]);
	EXPECT_TRUE(all_can_go(self->region));
}

TEST_HARNESS_MAIN
