/* SPDX-License-Identifier: GPL-2.0-only */
/* The events itme:*, in a trace of the test's own. */
#ifndef TRACING_H
#define TRACING_H

#include "util.h"

#define TRACING "/sys/kernel/tracing/instances/itme-test"

struct tracing {
	char identity[64]; /* "dev=... region=..." of the events of one region */
	char *text; /* what tracing_read() found */
};

/* Trace every event from here on; @region is the one to be told from others. */
int tracing_start(struct tracing *tracing, int region);
int tracing_stop(struct tracing *tracing);
bool tracing_read(struct tracing *tracing);
/* How many events @name of the region there are that have all of @field. */
int tracing_count(const struct tracing *tracing, const char *name, const char *field);
/* A number of the first event of this name whose granule is @granule, or below 0. */
long long tracing_field(const struct tracing *tracing, const char *name, int granule,
			const char *field);
/* The granules of the region's events of this name, in their order: how many. */
int tracing_granules(const struct tracing *tracing, const char *name, int *granules, int room);

#endif /* TRACING_H */
