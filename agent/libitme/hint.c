// SPDX-License-Identifier: MIT
/* NEED and release: vectors of hints for the module, advice for any other file. */
#include "libitme/region.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>

/* Entries of one ioctl, on the stack. The module takes at least so many. */
#define AT_ONCE 64

/* Both keep the first error. */
static void note(int *err, int now)
{
	if (*err == 0)
		*err = now;
}

static int advise(struct itme_region *region, const struct itme_range *ranges, uint32_t count,
		  int advice, struct itme_taken *taken)
{
	int err = 0;

	for (uint32_t i = 0; i < count; i++) {
		int now = itme_range_check(ranges[i].offset, ranges[i].length);

		if (now == 0)
			now = -posix_fadvise(region->fd, (off_t)ranges[i].offset,
					     (off_t)ranges[i].length, advice);
		if (now == 0)
			taken->accepted_bytes += ranges[i].length;
		note(&err, now);
	}
	return err;
}

static int submit(struct itme_region *region, const struct itme_range *ranges, uint32_t count,
		  const struct itme_hint *like, struct itme_taken *taken)
{
	struct itme_hint entries[AT_ONCE];
	int err = 0;

	for (uint32_t first = 0; first < count; first += AT_ONCE) {
		uint32_t now = count - first < AT_ONCE ? count - first : AT_ONCE;
		struct itme_hint_vec vec = {
			.size = sizeof(vec),
			.entries = (uintptr_t)entries,
			.count = now,
			.entry_size = sizeof(entries[0]),
		};

		for (uint32_t i = 0; i < now; i++) {
			entries[i] = *like;
			entries[i].offset = ranges[first + i].offset;
			entries[i].length = ranges[first + i].length;
		}
		if (ioctl(region->fd, ITME_IOC_HINT, &vec) < 0)
			return err ? err : -errno;
		for (uint32_t i = 0; i < now; i++) {
			taken->accepted_bytes += entries[i].accepted_bytes;
			taken->resident_bytes += entries[i].resident_bytes;
			taken->clipped_bytes += entries[i].clipped_bytes;
			taken->refused_bytes += entries[i].refused_bytes;
			note(&err, entries[i].error);
		}
	}
	return err;
}

int itme_region_need(struct itme_region *region, const struct itme_range *ranges, uint32_t count,
		     const struct itme_want *want, struct itme_taken *taken)
{
	static const struct itme_want at_once;
	struct itme_hint like = {.op = ITME_HINT_PREFETCH};
	struct itme_taken sums = {0};
	int err;

	if (!want)
		want = &at_once;
	if (count == 0 || want->hint_class > ITME_CLASS_MAYBE || want->tier > ITME_TIER_DRAM)
		return -EINVAL;
	like.hint_class = want->hint_class ? want->hint_class : ITME_CLASS_EXACT;
	like.tier = want->tier ? want->tier : region->top_tier;
	like.deadline_ns = want->deadline_ns;
	like.cookie = want->cookie;
	if (region->granule_bytes)
		err = submit(region, ranges, count, &like, &sums);
	else
		err = advise(region, ranges, count, POSIX_FADV_WILLNEED, &sums);
	if (taken)
		*taken = sums;
	return err;
}

int itme_region_prefetch(struct itme_region *region, uint64_t offset, uint64_t length)
{
	const struct itme_range range = {offset, length};

	return itme_region_need(region, &range, 1, NULL, NULL);
}

int itme_region_release(struct itme_region *region, uint64_t offset, uint64_t length,
			struct itme_taken *taken)
{
	const struct itme_hint like = {.op = ITME_HINT_RELEASE};
	const struct itme_range range = {offset, length};
	struct itme_taken sums = {0};
	int err;

	if (region->granule_bytes)
		err = submit(region, &range, 1, &like, &sums);
	else
		err = advise(region, &range, 1, POSIX_FADV_DONTNEED, &sums);
	if (taken)
		*taken = sums;
	return err;
}
