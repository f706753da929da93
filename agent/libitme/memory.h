/* SPDX-License-Identifier: MIT */
/*
 * What libitme asks of itmed for the caller's own memory: one message of a connection, and
 * one answer, by SOCK_SEQPACKET. Whose memory it is the kernel tells (SCM_CREDENTIALS): no
 * message names a process.
 */
#ifndef LIBITME_MEMORY_H
#define LIBITME_MEMORY_H

#include <assert.h>
#include <stdint.h>

#define ITME_MEMORY_SOCKET "/run/itme/memory.sock"
#define ITME_MEMORY_VERSION 1

enum itme_memory_kind {
	ITME_MEMORY_DECLARE = 1,
	ITME_MEMORY_FORGET = 2,
};

/* What a kind has no use for is zero. */
struct itme_memory_request {
	uint32_t size; /* of this struct, and of a DECLARE's ranges behind it */
	uint16_t version;
	uint16_t kind;
	uint32_t flags; /* of a DECLARE: ITME_MEMORY_UNORDERED of libitme.h, which is bit 0 */
	uint32_t reserved;
	uint64_t dram_bytes; /* of a DECLARE */
};

/* A DECLARE has at least one, and so many at most. */
#define ITME_MEMORY_SPANS_MAX 1024
struct itme_memory_span {
	uint64_t address, bytes; /* of whole pages */
};

struct itme_memory_answer {
	uint32_t size;
	int32_t error; /* 0 or a negative errno */
};

static_assert(sizeof(struct itme_memory_request) == 24, "the layout is an interface");
static_assert(sizeof(struct itme_memory_span) == 16, "the layout is an interface");
static_assert(sizeof(struct itme_memory_answer) == 8, "the layout is an interface");

#endif /* LIBITME_MEMORY_H */
