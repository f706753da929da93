// SPDX-License-Identifier: GPL-2.0-only
/*
 * Everything at once, at random, for ITME_STRESS_SECONDS (60): whatever happens,
 * what is read is right, and in the end nothing is left over. ITME_STRESS_SEED
 * repeats the choices of a run, not their timing.
 */
#include "test.h"

#include <pthread.h>
#include <stdarg.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include "stress.h"

#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 7200

#define ACTORS 6

const struct stress_region stress_regions[REGIONS] = {
	{ "large", 40 * GRANULE + 123456, 101 },
	{ "small", 12 * GRANULE, 102 },
};

struct stress stress = { .one = PTHREAD_MUTEX_INITIALIZER };

__u64 stress_below(struct actor *a, __u64 n)
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
		fprintf(stderr, "# %s=%lld\n", files[i], instance_number(&stress.inst, files[i]));
	for (r = 0; r < REGIONS; r++) {
		int region = region_open(&stress.inst, stress_regions[r].name, O_RDONLY);
		struct itme_residency args = {
			.size = sizeof(args),
			.count = sizeof(bytes),
			.buffer = (uintptr_t)bytes,
		};

		if (ioctl(region, ITME_IOC_RESIDENCY, &args))
			args.count = 0;
		fprintf(stderr, "# %s:", stress_regions[r].name);
		for (i = 0; i < args.count; i++)
			fprintf(stderr, " %02x", bytes[i]);
		fprintf(stderr, "\n");
		close(region);
	}
}

bool stress_fail(const char *fmt, ...)
{
	va_list args;

	if (atomic_fetch_add(&stress.wrong, 1) == 0) {
		va_start(args, fmt);
		vsnprintf(stress.first_wrong, sizeof(stress.first_wrong), fmt, args);
		va_end(args);
		describe();
	}
	atomic_store(&stress.stop, true);
	return false;
}

bool stress_check(int r, const char *how, const void *buffer, __u64 offset, size_t bytes)
{
	long long at = content_check_mapped(buffer, offset, bytes, stress_regions[r].seed);

	if (at == -1)
		return true;
	if (at == -2)
		return stress_fail("a signal in a %s of %s at %llu", how, stress_regions[r].name,
				   offset);
	return stress_fail("wrong data in a %s of %s at %llu", how, stress_regions[r].name,
			   offset + at);
}

size_t stress_range(struct actor *a, int r, size_t most, __u64 *offset)
{
	size_t bytes;

	*offset = stress_below(a, stress_regions[r].bytes);
	bytes = stress_below(a, most) + 1;
	return bytes < stress_regions[r].bytes - *offset ? bytes :
							   stress_regions[r].bytes - *offset;
}

/* ---- from outside ---- */

bool stress_write(const char *file, __u64 number)
{
	char text[32];
	int err;

	snprintf(text, sizeof(text), "%llu", number);
	pthread_mutex_lock(&stress.one);
	err = instance_write(&stress.inst, file, text);
	pthread_mutex_unlock(&stress.one);
	return !err || stress_fail("%s cannot be set to %llu: error %d", file, number, err);
}

bool stress_resize(struct actor *a)
{
	switch (stress_below(a, 5)) {
	case 0:
		return stress_write("dram_bytes", STRESS_DRAM - stress_below(a, 4) * 2 * MIB);
	case 1:
		return stress_write("cxl_bytes", stress_below(a, 3) * 8 * MIB);
	case 2:
		return stress_write("pin_limit_bytes", stress_below(a, 8) * 2 * MIB);
	case 3:
		return stress_write("window_bytes", (stress_below(a, 4) + 1) * 2 * MIB);
	default:
		return stress_write("inflight_bytes", (stress_below(a, 4) + 1) * 2 * MIB);
	}
}

bool stress_query(struct actor *a)
{
	int r = stress_below(a, REGIONS);
	struct itme_stat stat;
	__u64 granule;
	int byte;

	if (region_stat(a->region[r], &stat))
		return stress_fail("STAT gave error %d", errno);
	if (stat.dram_bytes > STRESS_DRAM || stat.cxl_bytes > STRESS_CXL ||
	    stat.pinned_bytes > STRESS_DRAM + STRESS_CXL ||
	    stat.queued_bytes > STRESS_DRAM + STRESS_CXL)
		return stress_fail("%s has %llu in DRAM, %llu in CXL, %llu pinned, %llu queued",
				   stress_regions[r].name, (__u64)stat.dram_bytes,
				   (__u64)stat.cxl_bytes, (__u64)stat.pinned_bytes,
				   (__u64)stat.queued_bytes);
	granule = stress_below(a, stress_regions[r].bytes / GRANULE);
	byte = residency(a->region[r], granule);
	return (byte >= 0 && byte < 0x80 && (byte & 3) != 3 && !(byte & ITME_RESIDENCY_DIRTY)) ||
	       stress_fail("granule %llu of %s is %#x", granule, stress_regions[r].name, byte);
}

bool stress_reopen(struct actor *a)
{
	int r = stress_below(a, REGIONS);

	close(a->region[r]);
	a->region[r] = region_open(&stress.inst, stress_regions[r].name, O_RDONLY);
	return a->region[r] >= 0 || stress_fail("open gave %d", a->region[r]);
}

bool stress_attach(struct actor *a)
{
	char path[256];
	int region, err;
	bool right;

	if (pthread_mutex_trylock(&stress.one))
		return false;
	err = store_path(path, sizeof(path), SPARE_BYTES, SPARE_SEED) ?:
	      attach_path(&stress.inst, path, SPARE);
	if (err == -EBUSY) { /* a child of another actor has inherited the last one's file */
		pthread_mutex_unlock(&stress.one);
		return false;
	}
	region = err ? err : region_open(&stress.inst, SPARE, O_RDONLY);
	right = region >= 0 && pread(region, a->buffer, 999, GRANULE - 9) == 999 &&
		content_check(a->buffer, GRANULE - 9, 999, SPARE_SEED) == -1;
	if (right) /* what is outstanding goes with it */
		err = prefetch(region, ITME_TIER_DRAM, 0, GRANULE) == -EIO;
	close(region);
	err = detach(&stress.inst, SPARE) ?: err;
	pthread_mutex_unlock(&stress.one);
	return (right && !err) || stress_fail("the spare region gave %d, error %d", region, err);
}

/* ---- all of it ---- */

static const struct {
	const char *name;
	bool (*op)(struct actor *a);
	int weight;
} ops[] = {
#define OP(name, weight) { #name, stress_##name, weight }
	OP(read, 20), OP(read_direct, 10), OP(ring, 10), OP(touch, 60),
	OP(process_vm_readv, 5), OP(map, 15), OP(hold, 6), OP(fork, 4),
	OP(kill, 2), OP(prefetch, 40), OP(pin, 16), OP(unpin, 10),
	OP(watch, 10), OP(release, 15), OP(cancel_range, 10), OP(cancel_cookie, 10),
	OP(wait_cookie, 10), OP(wait_range, 10), OP(eventfd, 10), OP(migrate, 20),
	OP(advise, 10), OP(resize, 4), OP(query, 10), OP(reopen, 3),
	OP(attach, 2),
};

#define NR_OPS ARRAY_SIZE(ops)

static void *act(void *arg)
{
	struct actor *a = arg;
	int total = 0, pick;
	size_t i;

	for (i = 0; i < NR_OPS; i++)
		total += ops[i].weight;
	while (!atomic_load(&stress.stop)) {
		pick = stress_below(a, total);
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
	a->buffer = aligned_alloc(PAGE, STRESS_BUFFER);
	a->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	fixed = (struct iovec){ a->buffer, STRESS_BUFFER };
	if (!a->counts || !a->buffer || a->eventfd < 0 || pipe(a->pipes) ||
	    ring_open(&a->ring, 4) || ring_register(&a->ring, &fixed, 1))
		return -ENOMEM;
	for (r = 0; r < REGIONS; r++) {
		a->region[r] = region_open(&stress.inst, stress_regions[r].name, O_RDONLY);
		a->direct[r] =
			region_open(&stress.inst, stress_regions[r].name, O_RDONLY | O_DIRECT);
		a->addr[r] =
			mmap(NULL, stress_regions[r].bytes, PROT_READ, MAP_SHARED, a->direct[r], 0);
		if (a->region[r] < 0 || a->direct[r] < 0 || a->addr[r] == MAP_FAILED)
			return -errno;
	}
	return 0;
}

static void tear_down(struct actor *a)
{
	int r;

	for (r = 0; r < REGIONS; r++) {
		munmap(a->addr[r], stress_regions[r].bytes);
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
	const long least = seconds / 4 / slowness() > 0 ? seconds / 4 / slowness() : 1;
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
	ASSERT_EQ(0, instance_mount(&stress.inst, options));
	for (r = 0; r < REGIONS; r++) {
		ASSERT_EQ(0, store_path(path, sizeof(path), stress_regions[r].bytes,
					stress_regions[r].seed));
		ASSERT_EQ(0, attach_path(&stress.inst, path, stress_regions[r].name));
	}
	for (i = 0; i < ACTORS; i++)
		ASSERT_EQ(0, set_up(&actors[i], i, seed));
	for (i = 0; i < ACTORS; i++)
		ASSERT_EQ(0, pthread_create(&actors[i].thread, NULL, act, &actors[i]));
	for (end = now() + seconds; now() < end && !atomic_load(&stress.stop);)
		usleep(100000);
	atomic_store(&stress.stop, true);
	for (i = 0; i < ACTORS; i++)
		pthread_join(actors[i].thread, NULL);
	EXPECT_EQ(0, atomic_load(&stress.wrong))
		TH_LOG("first: %s", stress.first_wrong);

	for (j = 0; j < NR_OPS; j++) {
		long count = 0;

		for (i = 0; i < ACTORS; i++)
			count += actors[i].counts[j];
		EXPECT_LE(least, count)
			TH_LOG("of %s", ops[j].name);
		ksft_print_msg("%s: %ld\n", ops[j].name, count);
	}
	for (i = 0; i < ARRAY_SIZE(at_work); i++) {
		EXPECT_LT(0, instance_number(&stress.inst, at_work[i]))
			TH_LOG("of %s", at_work[i]);
	}
	for (i = 0; i < ACTORS; i++)
		tear_down(&actors[i]);

	/* With its users all that they had is gone. */
	for (i = 0; i < ARRAY_SIZE(at_rest); i++) {
		EXPECT_EQ(0, instance_number(&stress.inst, at_rest[i]))
			TH_LOG("of %s", at_rest[i]);
	}
	EXPECT_TRUE(stress_write("dram_bytes", STRESS_DRAM));
	EXPECT_TRUE(stress_write("cxl_bytes", STRESS_CXL));
	for (r = 0; r < REGIONS; r++) {
		int region = region_open(&stress.inst, stress_regions[r].name, O_RDONLY);
		__u64 offset;

		ASSERT_LE(0, region);
		for (offset = 0; offset < stress_regions[r].bytes; offset += GRANULE) {
			ssize_t n = pread(region, buffer, GRANULE, offset);

			ASSERT_LT(0, n);
			ASSERT_EQ(-1, content_check(buffer, offset, n, stress_regions[r].seed));
		}
		EXPECT_EQ(0, release(region, 0, stress_regions[r].bytes));
		close(region);
	}
	EXPECT_EQ(STRESS_DRAM, instance_number(&stress.inst, "dram_current_bytes"));
	EXPECT_EQ(STRESS_CXL, instance_number(&stress.inst, "cxl_current_bytes"));
	EXPECT_EQ(STRESS_DRAM, instance_number(&stress.inst, "dram_free_bytes"));
	EXPECT_EQ(STRESS_CXL, instance_number(&stress.inst, "cxl_free_bytes"));
	EXPECT_EQ(0, instance_umount(&stress.inst));
	free(buffer);
}

TEST_HARNESS_MAIN
