// SPDX-License-Identifier: MIT
/*
 * STEP, AT, DONE, GUESS and MEMORY_AT. The socket is not connected: each datagram looks
 * itmed's up by its path, so that an itmed that was started again, or later, is found,
 * and there is nothing to mend after fork(2).
 */
#include "libitme/event.h"

#include "libitme/region.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static_assert(ITME_STREAM_MAX + 1 == sizeof(((struct itme_event *)0)->stream),
	      "a name has its NUL");

bool itme_socket_of(const char *variable, const char *usual, struct sockaddr_un *address)
{
	const char *path = secure_getenv(variable);

	if (!path)
		path = usual;
	if (!*path || strlen(path) >= sizeof(address->sun_path))
		return false;
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	strcpy(address->sun_path, path);
	return true;
}

/* Where it cannot be opened all events are lost, and counted. */
void itme_events_open(struct itme_region *region)
{
	if (itme_socket_of("ITME_EVENTS", ITME_EVENT_SOCKET, &region->itmed))
		region->events = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

/* The event has @more bytes behind it. As sendto(2). */
static int send_to(int fd, const struct sockaddr_un *itmed, struct itme_event *event, size_t more)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	event->size = (uint32_t)(sizeof(*event) + more);
	event->version = ITME_EVENT_VERSION;
	event->time_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	return (int)sendto(fd, event, event->size, MSG_DONTWAIT | MSG_NOSIGNAL,
			   (const struct sockaddr *)itmed, sizeof(*itmed));
}

static void send_event(struct itme_region *region, struct itme_event *event, size_t more)
{
	if (!region->granule_bytes)
		return;
	event->fd = region->fd;
	if (send_to(region->events, &region->itmed, event, more) < 0)
		atomic_fetch_add_explicit(&region->lost_events, 1, memory_order_relaxed);
}

static int set_stream(struct itme_event *event, const char *stream)
{
	size_t length = stream ? strnlen(stream, ITME_STREAM_MAX + 1) : 0;

	if (length > ITME_STREAM_MAX)
		return -EINVAL;
	if (length > 0)
		memcpy(event->stream, stream, length);
	return 0;
}

static int send_position(struct itme_region *region, struct itme_event *event, const char *stream)
{
	int err = set_stream(event, stream);

	if (err || event->pass == 0)
		return -EINVAL;
	send_event(region, event, 0);
	return 0;
}

int itme_region_step(struct itme_region *region, const char *stream, uint64_t pass)
{
	struct itme_event event = {.kind = ITME_EVENT_STEP, .pass = pass};

	return send_position(region, &event, stream);
}

int itme_region_at(struct itme_region *region, const char *stream, uint64_t pass, uint32_t position)
{
	struct itme_event event = {.kind = ITME_EVENT_AT, .pass = pass, .position = position};

	return send_position(region, &event, stream);
}

int itme_region_done(struct itme_region *region, uint64_t offset, uint64_t length,
		     uint32_t next_use)
{
	struct itme_event event = {
		.kind = ITME_EVENT_DONE,
		.offset = offset,
		.length = length,
		.next_use = next_use,
	};
	int err = itme_range_check(offset, length);

	if (err)
		return err;
	send_event(region, &event, 0);
	/* Advice that cannot be given is no error of who only says what it is done with. */
	if (!region->granule_bytes && next_use == ITME_NEXT_NEVER)
		(void)posix_fadvise(region->fd, (off_t)offset, (off_t)length, POSIX_FADV_DONTNEED);
	return 0;
}

int itme_region_guess(struct itme_region *region, const char *stream,
		      const struct itme_range *ranges, uint32_t count)
{
	struct {
		struct itme_event event;
		struct itme_event_range ranges[ITME_EVENT_RANGES_MAX];
	} guess = {.event.kind = ITME_EVENT_GUESS};
	int err = set_stream(&guess.event, stream);

	if (err || count == 0)
		return -EINVAL;
	for (uint32_t i = 0; i < count; i++) {
		err = itme_range_check(ranges[i].offset, ranges[i].length);
		if (err)
			return err;
	}
	for (uint32_t first = 0; first < count; first += ITME_EVENT_RANGES_MAX) {
		uint32_t now = count - first < ITME_EVENT_RANGES_MAX ? count - first
								     : ITME_EVENT_RANGES_MAX;

		for (uint32_t i = 0; i < now; i++) {
			guess.ranges[i].offset = ranges[first + i].offset;
			guess.ranges[i].length = ranges[first + i].length;
		}
		send_event(region, &guess.event, now * sizeof(guess.ranges[0]));
	}
	return 0;
}

uint64_t itme_region_lost_events(const struct itme_region *region)
{
	return atomic_load_explicit(&region->lost_events, memory_order_relaxed);
}

/* There is no handle to keep a socket in, nor one that a child would share: one a call. */
int itme_memory_at(uint64_t offset)
{
	struct itme_event event = {.kind = ITME_EVENT_MEMORY_AT, .fd = -1, .offset = offset};
	struct sockaddr_un itmed;
	int fd, err = 0;

	if (!itme_socket_of("ITME_EVENTS", ITME_EVENT_SOCKET, &itmed))
		return -ENOENT;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (send_to(fd, &itmed, &event, 0) < 0)
		err = -errno;
	close(fd);
	return err;
}
