/* SPDX-License-Identifier: MIT */
/*
 * One datagram from libitme to itmed: a STEP, an AT, a DONE or a GUESS of a region, or a
 * MEMORY_AT of the sender's own memory. Its sender is known by SCM_CREDENTIALS, and its
 * region by the descriptor: what itmed finds below /proc/PID/fd/ is what the sender has
 * open, and may read.
 */
#ifndef LIBITME_EVENT_H
#define LIBITME_EVENT_H

#include <assert.h>
#include <stdint.h>

#define ITME_EVENT_SOCKET "/run/itme/events.sock"
#define ITME_EVENT_VERSION 1

enum itme_event_kind {
	ITME_EVENT_STEP = 1,
	ITME_EVENT_AT = 2,
	ITME_EVENT_DONE = 3,
	ITME_EVENT_GUESS = 4,
	ITME_EVENT_MEMORY_AT = 5,
};

/* Of a GUESS: so many at most follow the struct, one at least. */
#define ITME_EVENT_RANGES_MAX 64
struct itme_event_range {
	uint64_t offset, length; /* bytes; length at least 1 */
};

/* What a kind has no use for is zero. */
struct itme_event {
	/*
	 * Of this struct, and of a GUESS's ranges; of other kinds a reader refuses a longer
	 * one's tail that is not zero.
	 */
	uint32_t size;
	uint16_t version;
	uint16_t kind;
	int32_t fd;              /* of the region, in the sender; MEMORY_AT: -1 */
	uint32_t position;       /* AT: index into the program's steps */
	uint64_t time_ns;        /* CLOCK_MONOTONIC of the sender */
	uint64_t pass;           /* STEP, AT: from 1 */
	uint64_t offset, length; /* DONE: bytes; MEMORY_AT: the offset, of what is declared */
	uint32_t next_use;       /* DONE: passes; 0: not known; UINT32_MAX: never */
	uint32_t reserved;
	char stream[64]; /* STEP, AT, GUESS: zeros after the name; empty: the region's first */
};

static_assert(sizeof(struct itme_event) == 120, "the layout is an interface");

#endif /* LIBITME_EVENT_H */
