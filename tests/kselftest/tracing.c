// SPDX-License-Identifier: GPL-2.0-only
#include "tracing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define TEXT_BYTES MIB

int tracing_start(struct tracing *tracing, int region)
{
	struct stat st;

	if (fstat(region, &st))
		return -errno;
	snprintf(tracing->identity, sizeof(tracing->identity), "dev=%u:%u region=%lu ",
		 major(st.st_dev), minor(st.st_dev), st.st_ino);
	tracing->text = calloc(1, TEXT_BYTES);
	if (!tracing->text)
		return -ENOMEM;
	rmdir(TRACING); /* of a test that was ended */
	if (mkdir(TRACING, 0700))
		return -errno;
	return write_file(TRACING "/events/itme/enable", "1");
}

int tracing_stop(struct tracing *tracing)
{
	int err = write_file(TRACING "/events/itme/enable", "0");

	free(tracing->text);
	if (!err && rmdir(TRACING))
		err = -errno;
	return err;
}

bool tracing_read(struct tracing *tracing)
{
	return read_text(TRACING "/trace", tracing->text, TEXT_BYTES) > 0;
}

/* The next event of this name, from @text on: what follows the name, and its end. */
static const char *next_event(const char *text, const char *name, const char *identity,
			      const char **end)
{
	char start[128];

	snprintf(start, sizeof(start), " %s: %s", name, identity);
	text = strstr(text, start);
	if (!text)
		return NULL;
	text += strlen(start);
	*end = strchr(text, '\n');
	return *end ? text : NULL;
}

int tracing_count(const struct tracing *tracing, const char *name, const char *field)
{
	const char *text = tracing->text, *end, *at;
	int n = 0;

	while ((text = next_event(text, name, tracing->identity, &end))) {
		at = strstr(text, field);
		n += at && at < end;
	}
	return n;
}

static bool number_of(const char *text, const char *end, const char *field, long long *number)
{
	const char *at = strstr(text, field);

	if (!at || at >= end)
		return false;
	*number = strtoll(at + strlen(field), NULL, 10);
	return true;
}

long long tracing_field(const struct tracing *tracing, const char *name, int granule,
			const char *field)
{
	const char *text = tracing->text, *end;
	long long number;

	while ((text = next_event(text, name, tracing->identity, &end))) {
		if (!number_of(text, end, "granule=", &number) || number != granule)
			continue;
		return number_of(text, end, field, &number) ? number : -1;
	}
	return -2;
}

int tracing_granules(const struct tracing *tracing, const char *name, int *granules, int room)
{
	const char *text = tracing->text, *end;
	long long number;
	int n = 0;

	while ((text = next_event(text, name, tracing->identity, &end)))
		if (n < room && number_of(text, end, "granule=", &number))
			granules[n++] = number;
	return n;
}
