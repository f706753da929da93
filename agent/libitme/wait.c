// SPDX-License-Identifier: MIT
/* FENCE, wait and residency: what came of hints. */
#include "libitme/region.h"

#include <errno.h>
#include <sys/ioctl.h>

static int wait_for(struct itme_region *region, struct itme_wait *wait,
		    struct itme_outcome *outcome)
{
	if (!region->granule_bytes)
		return -EOPNOTSUPP;
	wait->size = sizeof(*wait);
	if (ioctl(region->fd, ITME_IOC_WAIT, wait) < 0)
		return -errno;
	if (outcome)
		*outcome = (struct itme_outcome){
			.ready_bytes = wait->ready_bytes,
			.failed_bytes = wait->failed_bytes,
			.expired_bytes = wait->expired_bytes,
			.lost_bytes = wait->lost_bytes,
		};
	return wait->failed_bytes ? -EIO : 0;
}

int itme_region_wait(struct itme_region *region, uint64_t offset, uint64_t length,
		     uint64_t timeout_ns, struct itme_outcome *outcome)
{
	struct itme_wait wait = {
		.flags = ITME_WAIT_RANGE,
		.offset = offset,
		.length = length,
		.timeout_ns = timeout_ns,
	};

	return wait_for(region, &wait, outcome);
}

int itme_region_fence(struct itme_region *region, uint64_t cookie, uint64_t timeout_ns,
		      struct itme_outcome *outcome)
{
	struct itme_wait wait = {
		.flags = ITME_WAIT_COOKIE,
		.cookie = cookie,
		.timeout_ns = timeout_ns,
	};

	return wait_for(region, &wait, outcome);
}

int64_t itme_region_residency(struct itme_region *region, uint64_t first_granule, uint8_t *bytes,
			      uint32_t count)
{
	struct itme_residency residency = {
		.size = sizeof(residency),
		.first_granule = first_granule,
		.count = count,
		.buffer = (uintptr_t)bytes,
	};

	if (!region->granule_bytes)
		return -EOPNOTSUPP;
	if (ioctl(region->fd, ITME_IOC_RESIDENCY, &residency) < 0)
		return -errno;
	return (int64_t)residency.count;
}
