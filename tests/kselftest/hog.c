// SPDX-License-Identifier: GPL-2.0-only
#include "hog.h"

#include <linux/mempolicy.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util.h"

static void be_hog(long long bytes, int report)
{
	unsigned long node_0 = 1;
	char *memory;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	write_file("/proc/self/oom_score_adj", "1000");
	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		_exit(1);
	/* Not the CXL node, which is slower to fill and has nothing to do with it. */
	if (syscall(SYS_mbind, memory, bytes, MPOL_BIND, &node_0, 8 * sizeof(node_0), 0))
		_exit(1);
	memset(memory, 0x5a, bytes);
	if (write(report, "x", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

int hog_start(struct hog *hog, long long bytes)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	hog->pid = fork();
	if (hog->pid < 0)
		return -errno;
	if (!hog->pid)
		be_hog(bytes, ends[1]);
	close(ends[1]);
	hog->report = ends[0];
	return 0;
}

int hog_wait(struct hog *hog, double seconds)
{
	struct pollfd ready = { .fd = hog->report, .events = POLLIN };
	char byte;
	int status;

	if (poll(&ready, 1, seconds * slowness() * 1000) != 1)
		return -ETIMEDOUT;
	if (read(hog->report, &byte, 1) == 1)
		return 0;
	if (waitpid(hog->pid, &status, 0) != hog->pid)
		return -errno;
	hog->pid = 0;
	return WIFSIGNALED(status) ? WTERMSIG(status) : -EIO;
}

void hog_stop(struct hog *hog)
{
	if (hog->pid > 0) {
		kill(hog->pid, SIGKILL);
		waitpid(hog->pid, NULL, 0);
	}
	hog->pid = 0;
	close(hog->report);
}
