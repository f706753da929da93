/* SPDX-License-Identifier: MIT */
/* What the files of libitme share. */
#ifndef LIBITME_REGION_H
#define LIBITME_REGION_H

#include "libitme/libitme.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/un.h>

/* But for the count nothing changes after it was opened: no lock is needed. */
struct itme_region {
	int fd;
	uint64_t granule_bytes; /* 0: no region */
	uint32_t top_tier;
	int events; /* a socket; -1: none */
	struct sockaddr_un itmed;
	_Atomic uint64_t lost_events;
};

/* 0 or a negative errno: is this a range, and one that posix_fadvise(2) can be told? */
int itme_range_check(uint64_t offset, uint64_t length);

/* The path that the environment names, or the usual one. False: empty, or too long. */
bool itme_socket_of(const char *variable, const char *usual, struct sockaddr_un *address);

/* Sends nothing where it is no region. */
void itme_events_open(struct itme_region *region);

#endif /* LIBITME_REGION_H */
