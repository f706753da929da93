// SPDX-License-Identifier: MIT
/* The caller's own memory, declared to itmed: asked, and waited for. */
#include "libitme/memory.h"

#include "libitme/region.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static_assert(ITME_MEMORY_RANGES_MAX == ITME_MEMORY_SPANS_MAX, "all fit into one message");

/* -1 and errno, or a socket that itmed has accepted, or will. */
static int connect_itmed(const struct sockaddr_un *itmed)
{
	const struct timeval patience = {.tv_sec = 10};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	int err;

	if (fd < 0)
		return -1;
	/* Of connect(2), too, where many ask. */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) == 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0 &&
	    connect(fd, (const struct sockaddr *)itmed, sizeof(*itmed)) == 0)
		return fd;
	err = errno;
	close(fd);
	errno = err;
	return -1;
}

static int ask(const struct itme_memory_request *request)
{
	struct itme_memory_answer answer = {0};
	struct sockaddr_un itmed;
	ssize_t n;
	int fd, err = 0;

	if (!itme_socket_of("ITME_MEMORY", ITME_MEMORY_SOCKET, &itmed))
		return -ENOENT;
	fd = connect_itmed(&itmed);
	if (fd < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	n = send(fd, request, request->size, MSG_NOSIGNAL);
	/* Who is not heard at all may have his answer already. */
	if (n >= 0 || errno == EPIPE)
		n = recv(fd, &answer, sizeof(answer), 0);
	if (n < 0)
		err = errno == EAGAIN ? -ETIMEDOUT : -errno;
	else if (n != sizeof(answer))
		err = -ECONNRESET;
	close(fd);
	return err ? err : answer.error;
}

int itme_memory_declare(const struct itme_memory *ranges, uint32_t count, uint64_t dram_bytes,
			uint32_t flags)
{
	struct itme_memory_request *request;
	struct itme_memory_span *spans;
	int err;

	if (count == 0 || count > ITME_MEMORY_RANGES_MAX)
		return -EINVAL;
	request = malloc(sizeof(*request) + count * sizeof(*spans));
	if (!request)
		return -ENOMEM;
	*request = (struct itme_memory_request){
		.size = (uint32_t)(sizeof(*request) + count * sizeof(*spans)),
		.version = ITME_MEMORY_VERSION,
		.kind = ITME_MEMORY_DECLARE,
		.flags = flags,
		.dram_bytes = dram_bytes,
	};
	spans = (struct itme_memory_span *)(request + 1);
	for (uint32_t i = 0; i < count; i++) {
		spans[i].address = (uintptr_t)ranges[i].address;
		spans[i].bytes = ranges[i].bytes;
	}
	err = ask(request);
	free(request);
	return err;
}

int itme_memory_forget(void)
{
	const struct itme_memory_request request = {
		.size = sizeof(request),
		.version = ITME_MEMORY_VERSION,
		.kind = ITME_MEMORY_FORGET,
	};

	return ask(&request);
}
