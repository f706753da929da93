// SPDX-License-Identifier: GPL-2.0-only
#include "util.h"

#include <string.h>
#include <unistd.h>

static int submit_vector(int region, struct itme_hint *hints, struct itme_hint_vec *vec)
{
	vec->size = sizeof(*vec);
	vec->entries = (uintptr_t)hints;
	vec->entry_size = sizeof(*hints);
	if (ioctl(region, ITME_IOC_HINT, vec))
		return -errno;
	return vec->done == vec->count ? 0 : -EPROTO;
}

int submit(int region, struct itme_hint *hints, __u32 count)
{
	struct itme_hint_vec vec = { .count = count };

	return submit_vector(region, hints, &vec);
}

int submit_with_eventfd(int region, struct itme_hint *hints, __u32 count, int eventfd)
{
	struct itme_hint_vec vec = {
		.flags = ITME_HINT_VEC_EVENTFD,
		.count = count,
		.eventfd = eventfd,
	};

	return submit_vector(region, hints, &vec);
}

int hint(int region, __u32 op, __u32 tier, __u64 offset, __u64 length, struct itme_hint *result)
{
	const bool queued = op == ITME_HINT_PREFETCH || op == ITME_HINT_PIN;
	struct itme_hint entry = {
		.op = op,
		.hint_class = queued ? ITME_CLASS_EXACT : 0,
		.tier = tier,
		.offset = offset,
		.length = length,
	};
	struct itme_wait outcome;
	int err = submit(region, &entry, 1);

	if (err)
		return err;
	if (result)
		*result = entry;
	if (queued && entry.accepted_bytes) {
		err = wait_range(region, offset, length, 60, &outcome);
		if (!err && outcome.failed_bytes)
			err = -EIO;
	}
	return entry.error ?: err;
}

int prefetch(int region, __u32 tier, __u64 offset, __u64 length)
{
	return hint(region, ITME_HINT_PREFETCH, tier, offset, length, NULL);
}

int release(int region, __u64 offset, __u64 length)
{
	return hint(region, ITME_HINT_RELEASE, 0, offset, length, NULL);
}

static int wait_hint(int region, struct itme_wait *args, double seconds, struct itme_wait *result)
{
	int err;

	args->size = sizeof(*args);
	args->timeout_ns = seconds * slowness() * 1e9;
	err = ioctl(region, ITME_IOC_WAIT, args) ? -errno : 0;
	if (result)
		*result = *args;
	return err;
}

int wait_range(int region, __u64 offset, __u64 length, double seconds, struct itme_wait *result)
{
	struct itme_wait args = {
		.flags = ITME_WAIT_RANGE,
		.offset = offset,
		.length = length,
	};

	return wait_hint(region, &args, seconds, result);
}

int wait_cookie(int region, __u64 cookie, double seconds, struct itme_wait *result)
{
	struct itme_wait args = { .flags = ITME_WAIT_COOKIE, .cookie = cookie };

	return wait_hint(region, &args, seconds, result);
}

int residency(int region, __u64 granule)
{
	__u8 byte = 0xff;
	struct itme_residency args = {
		.size = sizeof(args),
		.first_granule = granule,
		.count = 1,
		.buffer = (uintptr_t)&byte,
	};

	if (ioctl(region, ITME_IOC_RESIDENCY, &args))
		return -errno;
	return args.count == 1 ? byte : -ENOENT;
}

long long count_tier(int region, __u32 tier)
{
	long long n = 0;
	__u64 granule;
	int byte;

	for (granule = 0; (byte = residency(region, granule)) >= 0; granule++)
		n += (byte & ITME_RESIDENCY_TIER_MASK) == tier;
	return byte == -ENOENT ? n : byte;
}

int wait_for_tier(int region, __u64 first, __u64 count, __u32 tier)
{
	const double end = now() + 10 * slowness();
	__u64 i = 0;

	while (i < count) {
		int byte = residency(region, first + i);

		if (byte < 0)
			return byte;
		if ((byte & ITME_RESIDENCY_TIER_MASK) == tier) {
			i++;
			continue;
		}
		if (now() > end)
			return -ETIMEDOUT;
		usleep(1000);
	}
	return 0;
}
