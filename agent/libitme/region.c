// SPDX-License-Identifier: MIT
/* Handles. */
#include "libitme/region.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

int itme_range_check(uint64_t offset, uint64_t length)
{
	return length == 0 || offset > INT64_MAX || length > INT64_MAX - offset ? -EINVAL : 0;
}

/* Takes over the descriptor, also when it fails. */
static int make(int fd, struct itme_region **result)
{
	struct itme_info info = {.size = sizeof(info)};
	struct itme_region *region = NULL;
	int flags = fcntl(fd, F_GETFL);
	struct stat status;
	int err = 0;

	if (fstat(fd, &status) < 0)
		err = -errno;
	else if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode))
		err = -EINVAL;
	else if ((flags & O_PATH) || (flags & O_ACCMODE) == O_WRONLY)
		err = -EBADF;
	else if (!(region = calloc(1, sizeof(*region))))
		err = -ENOMEM;
	if (err) {
		close(fd);
		return err;
	}
	region->fd = fd;
	region->events = -1;
	/* Another driver may take the number for its own command: only files are asked. */
	if (S_ISREG(status.st_mode) && ioctl(fd, ITME_IOC_INFO, &info) == 0) {
		region->granule_bytes = info.granule_bytes;
		region->top_tier = info.dram_bytes > 0 ? ITME_TIER_DRAM : ITME_TIER_CXL;
		itme_events_open(region);
	}
	*result = region;
	return 0;
}

int itme_region_open(const char *path, struct itme_region **region)
{
	/* O_NONBLOCK: a FIFO given by mistake is refused and not waited for. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	return fd < 0 ? -errno : make(fd, region);
}

int itme_region_open_fd(int fd, struct itme_region **region)
{
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	return own < 0 ? -errno : make(own, region);
}

void itme_region_close(struct itme_region *region)
{
	if (!region)
		return;
	if (region->events >= 0)
		close(region->events);
	close(region->fd);
	free(region);
}

int itme_region_fd(const struct itme_region *region)
{
	return region->fd;
}

uint64_t itme_region_granule_bytes(const struct itme_region *region)
{
	return region->granule_bytes;
}
