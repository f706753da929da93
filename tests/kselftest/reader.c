// SPDX-License-Identifier: GPL-2.0-only
#include "reader.h"

#include "util.h"

static void *read_at_random(void *arg)
{
	struct reader *r = arg;

	while (!atomic_load(&r->stop)) {
		__u64 at = next_random(&r->random) % (r->bytes / PAGE) * PAGE;

		r->wrong += content_check_mapped(r->addr + at, at, PAGE, r->seed) != -1;
		r->checked++;
	}
	return NULL;
}

int reader_start(struct reader *reader, const char *addr, __u64 bytes, __u64 seed, int number)
{
	reader->addr = addr;
	reader->bytes = bytes;
	reader->seed = seed;
	reader->random = seed + number;
	reader->checked = reader->wrong = 0;
	atomic_init(&reader->stop, false);
	return -pthread_create(&reader->thread, NULL, read_at_random, reader);
}

void reader_stop(struct reader *reader)
{
	atomic_store(&reader->stop, true);
	pthread_join(reader->thread, NULL);
}
