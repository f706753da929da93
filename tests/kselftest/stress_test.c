// SPDX-License-Identifier: GPL-2.0-only
/*
 * Everything at once, at random, for ITME_STRESS_SECONDS (60): whatever happens,
 * what is read is right, and in the end nothing is left over. ITME_STRESS_SEED
 * repeats the choices of a run, not their timing.
 */
#include "test.h"

#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include "uring.h"

#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 7200

#define ACTORS 6
#define HOLDERS 3 /* so many of them hold a frame at times */
#define REGIONS 2
#define DRAM (24 * MIB)
#define CXL (16 * MIB)
#define BUFFER (GRANULE + 3 * PAGE)

static const struct {
	const char *name;
	__u64 bytes, seed;
} regions[REGIONS] = {
	{ "large", 40 * GRANULE + 123456, 101 },
	{ "small", 12 * GRANULE, 102 },
};

static const char spare[] = "spare"; /* a region that comes and goes, of another store */
#define SPARE_BYTES (2 * GRANULE + 777)
#define SPARE_SEED 103

static struct {
	struct instance inst;
	atomic_bool stop;
	atomic_int wrong;
	pthread_mutex_t one; /* resizing, and the spare region */
	char first_wrong[256];
} all = { .one = PTHREAD_MUTEX_INITIALIZER };

struct actor {
	pthread_t thread;
	int id;
	__u64 random;
	int region[REGIONS], direct[REGIONS];
	char *addr[REGIONS];
	char *buffer; /* aligned */
	__u64 cookie; /* the last one given */
	int eventfd, pipes[2];
	int held; /* the region of what is in the pipe, or -1 */
	__u64 held_at;
	struct ring ring;
	long *counts; /* of each operation that did what it is for */
};

static __u64 below(struct actor *a, __u64 n)
{
	return next_random(&a->random) % n;
}

/* What everything looks like, when something is wrong. */
static void describe(void)
{
	static const char *const files[] = {
		"dram_bytes", "dram_current_bytes", "dram_free_bytes", "cxl_bytes",
		"cxl_current_bytes", "cxl_free_bytes", "window_bytes", "inflight_bytes",
		"pin_limit_bytes", "pinned_bytes", "queued_bytes", "timeout_count",
	};
	char bytes[64];
	size_t i;
	int r;

	for (i = 0; i < ARRAY_SIZE(files); i++)
		fprintf(stderr, "# %s=%lld\n", files[i], instance_number(&all.inst, files[i]));
	for (r = 0; r < REGIONS; r++) {
		int region = region_open(&all.inst, regions[r].name, O_RDONLY);
		struct itme_residency args = {
			.size = sizeof(args),
			.count = sizeof(bytes),
			.buffer = (uintptr_t)bytes,
		};

		if (ioctl(region, ITME_IOC_RESIDENCY, &args))
			args.count = 0;
		fprintf(stderr, "# %s:", regions[r].name);
		for (i = 0; i < args.count; i++)
			fprintf(stderr, " %02x", bytes[i]);
		fprintf(stderr, "\n");
		close(region);
	}
}

__printf(1, 2) static bool is_wrong(const char *fmt, ...)
{
	va_list args;

	if (atomic_fetch_add(&all.wrong, 1) == 0) {
		va_start(args, fmt);
		vsnprintf(all.first_wrong, sizeof(all.first_wrong), fmt, args);
		va_end(args);
		describe();
	}
	atomic_store(&all.stop, true);
	return false;
}

static bool check(int r, const char *how, const void *buffer, __u64 offset, size_t bytes)
{
	long long at = content_check_mapped(buffer, offset, bytes, regions[r].seed);

	if (at == -1)
		return true;
	if (at == -2)
		return is_wrong("a signal in a %s of %s at %llu", how, regions[r].name, offset);
	return is_wrong("wrong data in a %s of %s at %llu", how, regions[r].name, offset + at);
}

/* A range of up to @most bytes, anywhere. */
static size_t any_range(struct actor *a, int r, size_t most, __u64 *offset)
{
	size_t bytes;

	*offset = below(a, regions[r].bytes);
	bytes = below(a, most) + 1;
	return bytes < regions[r].bytes - *offset ? bytes : regions[r].bytes - *offset;
}

/* ---- reading ---- */

static bool op_read(struct actor *a)
{
	int r = below(a, REGIONS);
	__u64 offset;
	size_t bytes = any_range(a, r, below(a, 8) ? 9000 : GRANULE, &offset);
	ssize_t n = pread(a->region[r], a->buffer, bytes, offset);

	if (n != (ssize_t)bytes)
		return is_wrong("a read of %s at %llu gave %zd, error %d", regions[r].name, offset, n,
				errno);
	return check(r, "read", a->buffer, offset, bytes);
}

static bool op_read_direct(struct actor *a)
{
	int r = below(a, REGIONS);
	__u64 offset = below(a, regions[r].bytes / PAGE) * PAGE;
	size_t left = regions[r].bytes - offset, want = (below(a, 32) + 1) * PAGE;
	ssize_t n = pread(a->direct[r], a->buffer, want, offset);

	if (n != (ssize_t)(left < want ? left : want))
		return is_wrong("a direct read of %s at %llu gave %zd, error %d", regions[r].name,
				offset, n, errno);
	return check(r, "direct read", a->buffer, offset, n);
}

static bool op_ring(struct actor *a)
{
	int r = below(a, REGIONS);
	struct io_uring_sqe sqe = { .opcode = IORING_OP_READ_FIXED, .fd = a->region[r] };
	__u64 offset;
	int n;

	sqe.len = any_range(a, r, 64 * KIB, &offset);
	sqe.off = offset;
	sqe.addr = (uintptr_t)a->buffer;
	n = ring_submit(&a->ring, &sqe) ?: ring_wait(&a->ring, NULL);
	if (n != (int)sqe.len)
		return is_wrong("io_uring's read of %s at %llu gave %d", regions[r].name, offset, n);
	return check(r, "read by io_uring", a->buffer, offset, n);
}

static bool op_touch(struct actor *a)
{
	int r = below(a, REGIONS);
	__u64 offset;
	size_t bytes = any_range(a, r, below(a, 16) ? PAGE : GRANULE, &offset);

	return check(r, "mapping", a->addr[r] + offset, offset, bytes);
}

static bool op_process_vm_readv(struct actor *a)
{
	int r = below(a, REGIONS);
	__u64 offset;
	size_t bytes = any_range(a, r, 64 * KIB, &offset);
	struct iovec local = { a->buffer, bytes }, remote = { a->addr[r] + offset, bytes };
	ssize_t n = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);

	if (n != (ssize_t)bytes)
		return is_wrong("process_vm_readv of %s at %llu gave %zd", regions[r].name, offset, n);
	return check(r, "process_vm_readv", a->buffer, offset, bytes);
}

static bool op_map(struct actor *a)
{
	int r = below(a, REGIONS);
	__u64 page = below(a, regions[r].bytes / PAGE - 4);
	size_t bytes = (below(a, 700) + 4) * PAGE;
	bool private = below(a, 2), right;
	char *addr;

	if (bytes > regions[r].bytes - page * PAGE)
		bytes = (regions[r].bytes - page * PAGE) & ~(PAGE - 1);
	addr = mmap(NULL, bytes, private ? PROT_READ | PROT_WRITE : PROT_READ,
		    private ? MAP_PRIVATE : MAP_SHARED, a->region[r], page * PAGE);
	if (addr == MAP_FAILED)
		return is_wrong("mmap failed with %d", errno);
	right = check(r, "new mapping", addr, page * PAGE, 2 * PAGE);
	if (right && private) {
		memset(addr + PAGE, a->id, PAGE);
		munmap(addr, PAGE);
		right = addr[2 * PAGE - 1] == a->id || is_wrong("a private store is lost");
		right = right && check(r, "private mapping", addr + 2 * PAGE, (page + 2) * PAGE,
				       bytes - 2 * PAGE);
		munmap(addr + PAGE, bytes - PAGE);
	} else {
		munmap(addr, bytes);
	}
	return right;
}

/* ---- processes ---- */

static bool op_fork(struct actor *a)
{
	int r = below(a, REGIONS), status;
	__u64 offset = below(a, regions[r].bytes / PAGE) * PAGE;
	char *private = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, a->region[r], offset);
	pid_t child;

	if (private == MAP_FAILED || !check(r, "mapping before fork", private, offset, 64))
		return false;
	child = fork();
	if (child == 0) {
		bool right = check(r, "child", a->addr[r] + offset, offset, 64);

		private[0] ^= 0x5a;
		_exit(!right || !check(r, "child", private + 1, offset + 1, 63));
	}
	if (child < 0 || waitpid(child, &status, 0) != child || status)
		return is_wrong("a child ended with %#x, error %d", status, errno);
	status = check(r, "mapping after fork", private, offset, 64);
	munmap(private, PAGE);
	return status;
}

static struct itme_hint any_hint(struct actor *a, int r, __u32 op)
{
	struct itme_hint hint = { .op = op };

	hint.length = any_range(a, r, 4 * GRANULE, &hint.offset);
	if (op == ITME_HINT_PREFETCH || op == ITME_HINT_PIN) {
		hint.hint_class = below(a, 3) + 1;
		hint.tier = below(a, 2) + ITME_TIER_CXL;
		hint.cookie = below(a, 3) ? ++a->cookie : 0;
		switch (below(a, 6)) {
		case 0:
			hint.deadline_ns = 1;
			break;
		case 1:
			hint.deadline_ns = (now() + below(a, 1000) / 1e5) * 1e9;
			break;
		case 2:
			hint.deadline_ns = (now() + 100) * 1e9;
			break;
		}
	}
	return hint;
}

/* A process that is killed with hints, pins, watches and a fault outstanding. */
static bool op_kill(struct actor *a)
{
	int r = below(a, REGIONS), status;
	struct itme_hint hints[] = {
		any_hint(a, r, ITME_HINT_PREFETCH), any_hint(a, r, ITME_HINT_PIN),
		any_hint(a, r, ITME_HINT_WATCH),
	};
	__u64 offset = below(a, regions[r].bytes);
	useconds_t pause = below(a, 3000);
	pid_t child = fork();

	if (child == 0) {
		int region = region_open(&all.inst, regions[r].name, O_RDONLY);

		if (submit(region, hints, ARRAY_SIZE(hints)))
			_exit(1);
		touch(a->addr[r] + offset);
		for (;;)
			wait_range(region, 0, regions[r].bytes, 10, NULL);
	}
	if (child < 0)
		return is_wrong("fork failed with %d", errno);
	usleep(pause);
	kill(child, SIGKILL);
	if (waitpid(child, &status, 0) != child || !WIFSIGNALED(status))
		return is_wrong("a child that was killed ended with %#x", status);
	return true;
}

/* ---- hints ---- */

static bool sums_are_right(int r, const struct itme_hint *hint)
{
	__u64 first = hint->offset / GRANULE * GRANULE;
	__u64 end = round_up(hint->offset + hint->length, GRANULE);
	__u64 sum = hint->accepted_bytes + hint->resident_bytes + hint->clipped_bytes +
		    hint->refused_bytes;

	if (end > regions[r].bytes)
		end = regions[r].bytes;
	if (hint->error && hint->error != -EBUSY && hint->error != -EAGAIN)
		return is_wrong("operation %u gave error %d", hint->op, hint->error);
	return sum == end - first || hint->error == -EAGAIN ||
	       is_wrong("the sums of operation %u are %llu, not %llu", hint->op, sum, end - first);
}

static bool submit_checked(struct actor *a, int r, struct itme_hint *hints, __u32 count)
{
	int err = below(a, 2) ? submit(a->region[r], hints, count) :
				submit_with_eventfd(a->region[r], hints, count, a->eventfd);
	__u32 i;

	if (err)
		return is_wrong("HINT gave error %d", err);
	for (i = 0; i < count; i++)
		if (!sums_are_right(r, &hints[i]))
			return false;
	return true;
}

static bool op_prefetch(struct actor *a)
{
	int r = below(a, REGIONS);
	__u32 i, count = below(a, 4) + 1;
	struct itme_hint hints[4];

	for (i = 0; i < count; i++)
		hints[i] = any_hint(a, r, ITME_HINT_PREFETCH);
	return submit_checked(a, r, hints, count) && hints[0].accepted_bytes;
}

static bool one_hint(struct actor *a, __u32 op)
{
	int r = below(a, REGIONS);
	struct itme_hint hint = any_hint(a, r, op);

	if (op == ITME_HINT_RELEASE && below(a, 8) == 0)
		hint.flags = ITME_HINT_FORCE;
	return submit_checked(a, r, &hint, 1) && hint.accepted_bytes;
}

static bool op_pin(struct actor *a)
{
	return one_hint(a, ITME_HINT_PIN);
}

static bool op_unpin(struct actor *a)
{
	int r = below(a, REGIONS);
	struct itme_hint hint = { .op = ITME_HINT_UNPIN, .length = regions[r].bytes };

	return submit_checked(a, r, &hint, 1) && hint.accepted_bytes;
}

static bool op_watch(struct actor *a)
{
	return one_hint(a, ITME_HINT_WATCH);
}

static bool op_release(struct actor *a)
{
	return one_hint(a, ITME_HINT_RELEASE);
}

static bool op_cancel_range(struct actor *a)
{
	int r = below(a, REGIONS);
	struct itme_hint hint = any_hint(a, r, ITME_HINT_CANCEL);

	if (below(a, 2)) {
		hint.offset = 0;
		hint.length = regions[r].bytes;
	}
	if (submit(a->region[r], &hint, 1) || hint.error)
		return is_wrong("CANCEL of a range gave error %d", hint.error);
	return hint.accepted_bytes;
}

static bool op_cancel_cookie(struct actor *a)
{
	int r = below(a, REGIONS);
	struct itme_hint hint = any_hint(a, r, ITME_HINT_PREFETCH);
	struct itme_hint cancel = { .op = ITME_HINT_CANCEL, .cookie = ++a->cookie };

	hint.cookie = cancel.cookie;
	if (!submit_checked(a, r, &hint, 1))
		return false;
	if (submit(a->region[r], &cancel, 1) || (cancel.error && cancel.error != -ENOENT))
		return is_wrong("CANCEL of a cookie gave error %d", cancel.error);
	return !cancel.error;
}

static bool op_wait_cookie(struct actor *a)
{
	int r = below(a, REGIONS);
	struct itme_hint hint = any_hint(a, r, ITME_HINT_PREFETCH);
	struct itme_wait outcome;
	__u64 sum;
	int err;

	hint.cookie = ++a->cookie;
	if (!submit_checked(a, r, &hint, 1) || hint.error == -EAGAIN)
		return false;
	err = wait_cookie(a->region[r], hint.cookie, 60, &outcome);
	if (err)
		return is_wrong("WAIT for a cookie gave error %d", err);
	sum = outcome.ready_bytes + outcome.expired_bytes + outcome.lost_bytes;
	if (outcome.failed_bytes || sum < hint.accepted_bytes)
		return is_wrong("of %llu bytes %llu ended and %llu failed", hint.accepted_bytes, sum,
				(__u64)outcome.failed_bytes);
	return hint.accepted_bytes;
}

static bool op_wait_range(struct actor *a)
{
	int r = below(a, REGIONS), err;
	__u64 offset;
	size_t bytes = any_range(a, r, 4 * GRANULE, &offset);

	err = wait_range(a->region[r], offset, bytes, below(a, 3) ? 5 : 0, NULL);
	if (err && err != -ETIMEDOUT)
		return is_wrong("WAIT for a range gave error %d", err);
	return !err;
}

static bool op_eventfd(struct actor *a)
{
	__u64 count;

	return read(a->eventfd, &count, sizeof(count)) == sizeof(count);
}

/* There and back again, whatever keeps it from arriving. */
static bool op_migrate(struct actor *a)
{
	int r = below(a, REGIONS);
	__u64 granule = below(a, regions[r].bytes / GRANULE);
	__u32 tier = below(a, 2) + ITME_TIER_CXL;
	int err = prefetch(a->region[r], tier, granule * GRANULE, GRANULE);

	if (err && err != -EBUSY)
		return is_wrong("a prefetch gave error %d", err);
	return (residency(a->region[r], granule) & ITME_RESIDENCY_TIER_MASK) == (int)tier;
}

static bool op_advise(struct actor *a)
{
	static const int advices[] = {
		POSIX_FADV_NORMAL, POSIX_FADV_RANDOM, POSIX_FADV_SEQUENTIAL, POSIX_FADV_WILLNEED,
		POSIX_FADV_DONTNEED, POSIX_FADV_NOREUSE,
	};
	static const int madvices[] = {
		MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED, MADV_DONTNEED,
		MADV_COLD, MADV_PAGEOUT, MADV_POPULATE_READ,
	};
	int r = below(a, REGIONS), err;
	__u64 offset;
	size_t bytes = any_range(a, r, GRANULE, &offset);

	err = posix_fadvise(a->region[r], offset, below(a, 4) ? bytes : 0,
			    advices[below(a, ARRAY_SIZE(advices))]);
	if (err)
		return is_wrong("posix_fadvise gave %d", err);
	offset &= ~(PAGE - 1);
	if (madvise(a->addr[r] + offset, bytes, madvices[below(a, ARRAY_SIZE(madvices))]))
		return is_wrong("madvise gave %d", errno);
	return true;
}

/* ---- holding ---- */

static bool op_hold(struct actor *a)
{
	int r = below(a, REGIONS);
	struct iovec piece;

	if (a->id >= HOLDERS)
		return false;
	if (a->held >= 0) {
		r = a->held;
		a->held = -1;
		if (read(a->pipes[0], a->buffer, PAGE) != (ssize_t)PAGE)
			return is_wrong("a pipe gave error %d", errno);
		return check(r, "held page", a->buffer, a->held_at, PAGE);
	}
	a->held_at = below(a, regions[r].bytes / PAGE) * PAGE;
	piece = (struct iovec){ a->addr[r] + a->held_at, PAGE };
	if (vmsplice(a->pipes[1], &piece, 1, 0) != (ssize_t)PAGE)
		return is_wrong("vmsplice gave error %d", errno);
	a->held = r;
	return true;
}

/* ---- from outside ---- */

static bool write_number(const char *file, __u64 number)
{
	char text[32];
	int err;

	snprintf(text, sizeof(text), "%llu", number);
	pthread_mutex_lock(&all.one);
	err = instance_write(&all.inst, file, text);
	pthread_mutex_unlock(&all.one);
	return !err || is_wrong("%s cannot be set to %llu: error %d", file, number, err);
}

static bool op_resize(struct actor *a)
{
	switch (below(a, 5)) {
	case 0:
		return write_number("dram_bytes", DRAM - below(a, 4) * 2 * MIB);
	case 1:
		return write_number("cxl_bytes", below(a, 3) * 8 * MIB);
	case 2:
		return write_number("pin_limit_bytes", below(a, 8) * 2 * MIB);
	case 3:
		return write_number("window_bytes", (below(a, 4) + 1) * 2 * MIB);
	default:
		return write_number("inflight_bytes", (below(a, 4) + 1) * 2 * MIB);
	}
}

static bool op_query(struct actor *a)
{
	int r = below(a, REGIONS);
	struct itme_stat stat;
	__u64 granule;
	int byte;

	if (region_stat(a->region[r], &stat))
		return is_wrong("STAT gave error %d", errno);
	if (stat.dram_bytes > DRAM || stat.cxl_bytes > CXL || stat.pinned_bytes > DRAM + CXL ||
	    stat.queued_bytes > DRAM + CXL)
		return is_wrong("%s has %llu in DRAM, %llu in CXL, %llu pinned, %llu queued",
				regions[r].name, (__u64)stat.dram_bytes, (__u64)stat.cxl_bytes,
				(__u64)stat.pinned_bytes, (__u64)stat.queued_bytes);
	granule = below(a, regions[r].bytes / GRANULE);
	byte = residency(a->region[r], granule);
	return (byte >= 0 && byte < 0x80 && (byte & 3) != 3 && !(byte & ITME_RESIDENCY_DIRTY)) ||
	       is_wrong("granule %llu of %s is %#x", granule, regions[r].name, byte);
}

static bool op_reopen(struct actor *a)
{
	int r = below(a, REGIONS);

	close(a->region[r]);
	a->region[r] = region_open(&all.inst, regions[r].name, O_RDONLY);
	return a->region[r] >= 0 || is_wrong("open gave %d", a->region[r]);
}

static bool op_attach(struct actor *a)
{
	char path[256];
	int region, err;
	bool right;

	if (pthread_mutex_trylock(&all.one))
		return false;
	err = store_path(path, sizeof(path), SPARE_BYTES, SPARE_SEED) ?:
	      attach_path(&all.inst, path, spare);
	if (err == -EBUSY) { /* a child of another actor has inherited the last one's file */
		pthread_mutex_unlock(&all.one);
		return false;
	}
	region = err ? err : region_open(&all.inst, spare, O_RDONLY);
	right = region >= 0 && pread(region, a->buffer, 999, GRANULE - 9) == 999 &&
		content_check(a->buffer, GRANULE - 9, 999, SPARE_SEED) == -1;
	if (right) /* what is outstanding goes with it */
		err = prefetch(region, ITME_TIER_DRAM, 0, GRANULE) == -EIO;
	close(region);
	err = detach(&all.inst, spare) ?: err;
	pthread_mutex_unlock(&all.one);
	return (right && !err) || is_wrong("the spare region gave %d, error %d", region, err);
}

/* ---- all of it ---- */

static const struct {
	const char *name;
	bool (*op)(struct actor *a);
	int weight;
} ops[] = {
#define OP(name, weight) { #name, op_##name, weight }
	OP(read, 20), OP(read_direct, 10), OP(ring, 10), OP(touch, 60),
	OP(process_vm_readv, 5), OP(map, 15), OP(fork, 4), OP(kill, 2),
	OP(prefetch, 40), OP(pin, 12), OP(unpin, 6), OP(watch, 10),
	OP(release, 15), OP(cancel_range, 10), OP(cancel_cookie, 10), OP(wait_cookie, 10),
	OP(wait_range, 10), OP(eventfd, 10), OP(migrate, 20), OP(advise, 10),
	OP(hold, 6), OP(resize, 2), OP(query, 10), OP(reopen, 3), OP(attach, 2),
};

#define NR_OPS ARRAY_SIZE(ops)

static void *act(void *arg)
{
	struct actor *a = arg;
	int total = 0, pick;
	size_t i;

	for (i = 0; i < NR_OPS; i++)
		total += ops[i].weight;
	while (!atomic_load(&all.stop)) {
		pick = below(a, total);
		for (i = 0; pick >= ops[i].weight; i++)
			pick -= ops[i].weight;
		a->counts[i] += ops[i].op(a);
	}
	return NULL;
}

static int set_up(struct actor *a, int id, __u64 seed)
{
	struct iovec fixed;
	int r;

	a->id = id;
	a->random = seed + id * 1000000000ULL;
	a->held = -1;
	a->counts = calloc(NR_OPS, sizeof(*a->counts));
	a->buffer = aligned_alloc(PAGE, BUFFER);
	a->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	fixed = (struct iovec){ a->buffer, BUFFER };
	if (!a->counts || !a->buffer || a->eventfd < 0 || pipe(a->pipes) || ring_open(&a->ring, 4) ||
	    ring_register(&a->ring, &fixed, 1))
		return -ENOMEM;
	for (r = 0; r < REGIONS; r++) {
		a->region[r] = region_open(&all.inst, regions[r].name, O_RDONLY);
		a->direct[r] = region_open(&all.inst, regions[r].name, O_RDONLY | O_DIRECT);
		a->addr[r] = mmap(NULL, regions[r].bytes, PROT_READ, MAP_SHARED, a->direct[r], 0);
		if (a->region[r] < 0 || a->direct[r] < 0 || a->addr[r] == MAP_FAILED)
			return -errno;
	}
	return 0;
}

static void tear_down(struct actor *a)
{
	int r;

	for (r = 0; r < REGIONS; r++) {
		munmap(a->addr[r], regions[r].bytes);
		close(a->direct[r]);
		close(a->region[r]);
	}
	close(a->pipes[0]);
	close(a->pipes[1]);
	ring_close(&a->ring);
	close(a->eventfd);
	free(a->buffer);
	free(a->counts);
}

static __u64 number_from(const char *variable, __u64 otherwise)
{
	const char *text = getenv(variable);

	return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

TEST(integrity)
{
	static const char *const at_work[] = {
		"fault_count", "miss_count", "late_count", "touch_count", "prefetch_bytes",
		"useful_bytes", "wasted_bytes", "direct_bytes", "demote_bytes", "promote_bytes",
		"evict_bytes", "held_count", "clipped_bytes", "refused_bytes", "expired_bytes",
		"cancelled_bytes", "degraded_bytes",
	};
	static const char *const at_rest[] = {
		"queued_bytes", "pinned_bytes", "error_count", "timeout_count", "retired_bytes",
	};
	const __u64 seconds = number_from("ITME_STRESS_SECONDS", 60);
	const __u64 seed = number_from("ITME_STRESS_SEED", (__u64)(now() * 1e6));
	/* A few of each, in a minute; fewer where all is slow. */
	const long least = seconds / 3 / slowness() > 0 ? seconds / 3 / slowness() : 1;
	struct actor actors[ACTORS] = {};
	char options[64], path[256], *buffer;
	size_t i, j;
	double end;
	int r;

	if (cxl_node() < 0)
		SKIP(return, "no node of CXL memory");
	ksft_print_msg("%llu seconds, ITME_STRESS_SEED=%llu\n", seconds, seed);
	buffer = malloc(GRANULE);
	ASSERT_NE(NULL, buffer);
	ASSERT_EQ(0, private_mounts());
	ASSERT_EQ(0, store_path(path, sizeof(path), SPARE_BYTES, SPARE_SEED));
	snprintf(options, sizeof(options), "dram=24M,cxl=16M@%d,window=4M", cxl_node());
	ASSERT_EQ(0, instance_mount(&all.inst, options));
	for (r = 0; r < REGIONS; r++) {
		ASSERT_EQ(0, store_path(path, sizeof(path), regions[r].bytes, regions[r].seed));
		ASSERT_EQ(0, attach_path(&all.inst, path, regions[r].name));
	}
	for (i = 0; i < ACTORS; i++)
		ASSERT_EQ(0, set_up(&actors[i], i, seed));
	for (i = 0; i < ACTORS; i++)
		ASSERT_EQ(0, pthread_create(&actors[i].thread, NULL, act, &actors[i]));
	for (end = now() + seconds; now() < end && !atomic_load(&all.stop);)
		usleep(100000);
	atomic_store(&all.stop, true);
	for (i = 0; i < ACTORS; i++)
		pthread_join(actors[i].thread, NULL);
	EXPECT_EQ(0, atomic_load(&all.wrong))
		TH_LOG("first: %s", all.first_wrong);

	for (j = 0; j < NR_OPS; j++) {
		long count = 0;

		for (i = 0; i < ACTORS; i++)
			count += actors[i].counts[j];
		EXPECT_LE(least, count)
			TH_LOG("of %s", ops[j].name);
		ksft_print_msg("%s: %ld\n", ops[j].name, count);
	}
	for (i = 0; i < ARRAY_SIZE(at_work); i++)
		EXPECT_LT(0, instance_number(&all.inst, at_work[i]))
			TH_LOG("of %s", at_work[i]);
	for (i = 0; i < ACTORS; i++)
		tear_down(&actors[i]);

	/* With its users all that they had is gone. */
	for (i = 0; i < ARRAY_SIZE(at_rest); i++)
		EXPECT_EQ(0, instance_number(&all.inst, at_rest[i]))
			TH_LOG("of %s", at_rest[i]);
	EXPECT_TRUE(write_number("dram_bytes", DRAM));
	EXPECT_TRUE(write_number("cxl_bytes", CXL));
	for (r = 0; r < REGIONS; r++) {
		int region = region_open(&all.inst, regions[r].name, O_RDONLY);
		__u64 offset;

		ASSERT_LE(0, region);
		for (offset = 0; offset < regions[r].bytes; offset += GRANULE) {
			ssize_t n = pread(region, buffer, GRANULE, offset);

			ASSERT_LT(0, n);
			ASSERT_EQ(-1, content_check(buffer, offset, n, regions[r].seed));
		}
		EXPECT_EQ(0, release(region, 0, regions[r].bytes));
		close(region);
	}
	EXPECT_EQ(DRAM, instance_number(&all.inst, "dram_current_bytes"));
	EXPECT_EQ(CXL, instance_number(&all.inst, "cxl_current_bytes"));
	EXPECT_EQ(DRAM, instance_number(&all.inst, "dram_free_bytes"));
	EXPECT_EQ(CXL, instance_number(&all.inst, "cxl_free_bytes"));
	EXPECT_EQ(0, instance_umount(&all.inst));
	free(buffer);
}

TEST_HARNESS_MAIN
