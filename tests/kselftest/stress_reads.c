// SPDX-License-Identifier: GPL-2.0-only
/* The stress test's ways to read, map and hold. */
#include "stress.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- reading ---- */

bool stress_read(struct actor *a)
{
	int r = stress_below(a, REGIONS);
	__u64 offset;
	size_t bytes = stress_range(a, r, stress_below(a, 8) ? 9000 : GRANULE, &offset);
	ssize_t n = pread(a->region[r], a->buffer, bytes, offset);

	if (n != (ssize_t)bytes)
		return stress_fail("a read of %s at %llu gave %zd, error %d",
				   stress_regions[r].name, offset, n, errno);
	return stress_check(r, "read", a->buffer, offset, bytes);
}

bool stress_read_direct(struct actor *a)
{
	int r = stress_below(a, REGIONS);
	__u64 offset = stress_below(a, stress_regions[r].bytes / PAGE) * PAGE;
	size_t left = stress_regions[r].bytes - offset, want = (stress_below(a, 32) + 1) * PAGE;
	ssize_t n = pread(a->direct[r], a->buffer, want, offset);

	if (n != (ssize_t)(left < want ? left : want))
		return stress_fail("a direct read of %s at %llu gave %zd, error %d",
				   stress_regions[r].name, offset, n, errno);
	return stress_check(r, "direct read", a->buffer, offset, n);
}

bool stress_ring(struct actor *a)
{
	int r = stress_below(a, REGIONS);
	struct io_uring_sqe sqe = { .opcode = IORING_OP_READ_FIXED, .fd = a->region[r] };
	__u64 offset;
	int n;

	sqe.len = stress_range(a, r, 64 * KIB, &offset);
	sqe.off = offset;
	sqe.addr = (uintptr_t)a->buffer;
	n = ring_submit(&a->ring, &sqe) ?: ring_wait(&a->ring, NULL);
	if (n != (int)sqe.len)
		return stress_fail("io_uring's read of %s at %llu gave %d", stress_regions[r].name,
				   offset, n);
	return stress_check(r, "read by io_uring", a->buffer, offset, n);
}

bool stress_touch(struct actor *a)
{
	int r = stress_below(a, REGIONS);
	__u64 offset;
	size_t bytes = stress_range(a, r, stress_below(a, 16) ? PAGE : GRANULE, &offset);

	return stress_check(r, "mapping", a->addr[r] + offset, offset, bytes);
}

bool stress_process_vm_readv(struct actor *a)
{
	int r = stress_below(a, REGIONS);
	__u64 offset;
	size_t bytes = stress_range(a, r, 64 * KIB, &offset);
	struct iovec local = { a->buffer, bytes }, remote = { a->addr[r] + offset, bytes };
	ssize_t n;

	/* Across a boundary it holds one granule and waits for the next one. */
	if (!stress_may_hold(a) && bytes > GRANULE - offset % GRANULE)
		local.iov_len = remote.iov_len = bytes = GRANULE - offset % GRANULE;
	n = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
	if (n != (ssize_t)bytes)
		return stress_fail("process_vm_readv of %s at %llu gave %zd",
				   stress_regions[r].name, offset, n);
	return stress_check(r, "process_vm_readv", a->buffer, offset, bytes);
}

bool stress_map(struct actor *a)
{
	int r = stress_below(a, REGIONS);
	__u64 page = stress_below(a, stress_regions[r].bytes / PAGE - 4);
	size_t bytes = (stress_below(a, 700) + 4) * PAGE;
	bool private = stress_below(a, 2), right;
	char *addr;

	if (bytes > stress_regions[r].bytes - page * PAGE)
		bytes = (stress_regions[r].bytes - page * PAGE) & ~(PAGE - 1);
	addr = mmap(NULL, bytes, private ? PROT_READ | PROT_WRITE : PROT_READ,
		    private ? MAP_PRIVATE : MAP_SHARED, a->region[r], page * PAGE);
	if (addr == MAP_FAILED)
		return stress_fail("mmap failed with %d", errno);
	right = stress_check(r, "new mapping", addr, page * PAGE, 2 * PAGE);
	if (right && private) {
		memset(addr + PAGE, a->id, PAGE);
		munmap(addr, PAGE);
		right = addr[2 * PAGE - 1] == a->id || stress_fail("a private store is lost");
		right = right && stress_check(r, "private mapping", addr + 2 * PAGE,
					      (page + 2) * PAGE, bytes - 2 * PAGE);
		munmap(addr + PAGE, bytes - PAGE);
	} else {
		munmap(addr, bytes);
	}
	return right;
}

/* ---- processes ---- */

bool stress_fork(struct actor *a)
{
	int r = stress_below(a, REGIONS), status;
	__u64 offset = stress_below(a, stress_regions[r].bytes / PAGE) * PAGE;
	char *private = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, a->region[r], offset);
	pid_t child;

	if (private == MAP_FAILED || !stress_check(r, "mapping before fork", private, offset, 64))
		return false;
	child = fork();
	if (child == 0) {
		bool right = stress_check(r, "child", a->addr[r] + offset, offset, 64);

		private[0] ^= 0x5a;
		_exit(!right || !stress_check(r, "child", private + 1, offset + 1, 63));
	}
	if (child < 0 || waitpid(child, &status, 0) != child || status)
		return stress_fail("a child ended with %#x, error %d", status, errno);
	status = stress_check(r, "mapping after fork", private, offset, 64);
	munmap(private, PAGE);
	return status;
}

/* ---- holding ---- */

bool stress_hold(struct actor *a)
{
	int r = stress_below(a, REGIONS);
	struct iovec piece;

	if (a->held >= 0) {
		r = a->held;
		a->held = -1;
		if (read(a->pipes[0], a->buffer, PAGE) != (ssize_t)PAGE)
			return stress_fail("a pipe gave error %d", errno);
		return stress_check(r, "held page", a->buffer, a->held_at, PAGE);
	}
	if (!stress_may_hold(a))
		return false;
	a->held_at = stress_below(a, stress_regions[r].bytes / PAGE) * PAGE;
	piece = (struct iovec){ a->addr[r] + a->held_at, PAGE };
	if (vmsplice(a->pipes[1], &piece, 1, 0) != (ssize_t)PAGE)
		return stress_fail("vmsplice gave error %d", errno);
	a->held = r;
	return true;
}
