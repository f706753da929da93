/* SPDX-License-Identifier: GPL-2.0-only */
/* A neighbour that wants memory: a child that the OOM killer takes before any other. */
#ifndef HOG_H
#define HOG_H

#include <sys/types.h>

struct hog {
	pid_t pid;
	int report; /* the reading end of a pipe */
};

/* Begin to take so many bytes of anonymous memory of node 0, all written to. 0 or -errno. */
int hog_start(struct hog *hog, long long bytes);
/* Wait until it has them: 0; or the signal that ended it, or -ETIMEDOUT. */
int hog_wait(struct hog *hog, double seconds);
/* It gives all back, and is gone. */
void hog_stop(struct hog *hog);

#endif /* HOG_H */
