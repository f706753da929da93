// SPDX-License-Identifier: GPL-2.0-only
#include "util.h"

#include <grp.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- the guest ---- */

const char *store_dir(void)
{
	const char *dir = getenv("ITME_STORE_DIR");

	return dir ? dir : "/mnt/nv";
}

int cxl_node(void)
{
	const char *node = getenv("ITME_CXL_NODE");

	return node && *node ? atoi(node) : -1;
}

int slowness(void)
{
	const char *factor = getenv("ITME_SLOWNESS");

	return factor && atoi(factor) > 0 ? atoi(factor) : 1;
}

int run(const char *fmt, ...)
{
	char command[1024];
	va_list args;
	int status;

	va_start(args, fmt);
	vsnprintf(command, sizeof(command), fmt, args);
	va_end(args);
	status = system(command);
	if (status == -1)
		return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int err = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		err = -errno;
	close(fd);
	return err;
}

ssize_t read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t have = 0;
	ssize_t n = 0;

	if (fd < 0)
		return -errno;
	while (have < size - 1 && (n = read(fd, text + have, size - 1 - have)) > 0)
		have += n;
	if (n < 0) {
		n = -errno;
		close(fd);
		return n;
	}
	close(fd);
	text[have] = '\0';
	return have;
}

long long read_number(const char *path)
{
	char text[64];
	ssize_t n = read_text(path, text, sizeof(text));

	return n < 0 ? n : strtoll(text, NULL, 0);
}

/* The sum, over a node's zones, of the numbers in lines of these formats. */
static long long sum_zoneinfo(int node, const char *format, const char *other)
{
	FILE *file = fopen("/proc/zoneinfo", "re");
	long long pages = 0, n;
	bool here = false;
	char line[256];

	if (!file)
		return -errno;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "Node %lld", &n) == 1)
			here = n == node;
		else if (here && (sscanf(line, format, &n) == 1 || sscanf(line, other, &n) == 1))
			pages += n;
	}
	fclose(file);
	return pages * PAGE;
}

long long total_memory(int node)
{
	return sum_zoneinfo(node, " managed %lld", " managed %lld");
}

long long high_watermarks(int node)
{
	return sum_zoneinfo(node, " high %lld", " high %lld");
}

long long number_in(const char *path, const char *field)
{
	FILE *file = fopen(path, "re");
	long long kib = -1;
	char line[256];

	while (file && kib < 0 && fgets(line, sizeof(line), file)) {
		char *at = strstr(line, field);

		if (at && (at == line || at[-1] == ' ') && at[strlen(field)] == ':')
			kib = strtoll(at + strlen(field) + 1, NULL, 10);
	}
	if (file)
		fclose(file);
	return kib * 1024;
}

long long meminfo(const char *field)
{
	return number_in("/proc/meminfo", field);
}

long long free_memory(int node)
{
	sync();
	if (write_file("/proc/sys/vm/drop_caches", "3"))
		return -EIO;
	/* Pages are counted free, or lie on a list of some CPU. */
	return sum_zoneinfo(node, " pages free %lld", " count: %lld");
}

int keep_lists_short(bool yes)
{
	return write_file("/proc/sys/vm/percpu_pagelist_high_fraction", yes ? "1000" : "0");
}

long long vmstat(const char *field)
{
	FILE *file = fopen("/proc/vmstat", "re");
	long long value = -1;
	char line[128];
	size_t length = strlen(field);

	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, field, length) && line[length] == ' ')
			value = strtoll(line + length, NULL, 10);
	if (file)
		fclose(file);
	return value;
}

int node_of(const void *address)
{
	void *page = (void *)((uintptr_t)address & ~(PAGE - 1));
	int status = -ENOENT;

	/* Without a list of nodes the call moves nothing and only tells. */
	if (syscall(SYS_move_pages, 0, 1UL, &page, NULL, &status, 0))
		return -errno;
	return status;
}

long long mapping_bytes(const void *address, const char *field)
{
	FILE *file = fopen("/proc/self/smaps", "re");
	long long value = -ENOENT;
	bool here = false;
	char line[512];

	if (!file)
		return -errno;
	while (fgets(line, sizeof(line), file)) {
		unsigned long start, end;

		if (sscanf(line, "%lx-%lx ", &start, &end) == 2) {
			here = (unsigned long)address >= start && (unsigned long)address < end;
		} else if (here && !strncmp(line, field, strlen(field)) &&
			   line[strlen(field)] == ':') {
			value = strtoll(line + strlen(field) + 1, NULL, 10) * 1024;
			break;
		}
	}
	fclose(file);
	return value;
}

int as_user(int uid, int (*fn)(void *arg), void *arg)
{
	int pipes[2], result = -ECHILD;
	pid_t child;

	if (pipe(pipes))
		return -errno;
	child = fork();
	if (child == 0) {
		close(pipes[0]);
		if (setgroups(0, NULL) || setresgid(uid, uid, uid) || setresuid(uid, uid, uid))
			_exit(1);
		result = fn(arg);
		_exit(write(pipes[1], &result, sizeof(result)) != sizeof(result));
	}
	close(pipes[1]);
	if (child < 0 || read(pipes[0], &result, sizeof(result)) != sizeof(result))
		result = -ECHILD;
	close(pipes[0]);
	if (child > 0)
		waitpid(child, NULL, 0);
	return result;
}

double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* ---- the kernel log ---- */

int kmsg_open(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	lseek(fd, 0, SEEK_END);
	return fd;
}

bool kmsg_has(int kmsg, const char *text)
{
	bool found = false;
	char record[8192];
	ssize_t n;

	for (;;) {
		n = read(kmsg, record, sizeof(record) - 1);
		if (n < 0 && errno == EPIPE) /* overwritten before we read it */
			continue;
		if (n <= 0)
			return found;
		record[n] = '\0';
		found = found || strstr(record, text);
	}
}

/* ---- instances ---- */

int private_mounts(void)
{
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return -errno;
	return 0;
}

int instance_mount(struct instance *inst, const char *options)
{
	struct itme_info info = { .size = sizeof(info) };
	int err;

	inst->root = -1;
	snprintf(inst->dir, sizeof(inst->dir), "/tmp/itme.XXXXXX");
	if (!mkdtemp(inst->dir))
		return -errno;
	if (mount("none", inst->dir, "itme", 0, options)) {
		err = -errno;
		rmdir(inst->dir);
		return err;
	}
	inst->root = open(inst->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (inst->root >= 0 && !ioctl(inst->root, ITME_IOC_INFO, &info)) {
		memcpy(inst->name, info.instance, sizeof(inst->name));
		return 0;
	}
	err = -errno;
	umount2(inst->dir, MNT_DETACH);
	rmdir(inst->dir);
	return err;
}

int instance_umount(struct instance *inst)
{
	if (inst->root >= 0)
		close(inst->root);
	inst->root = -1;
	if (umount2(inst->dir, 0)) {
		int err = -errno;

		inst->root = open(inst->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		return err;
	}
	rmdir(inst->dir);
	return 0;
}

int instance_remount(struct instance *inst, const char *options)
{
	return mount("none", inst->dir, NULL, MS_REMOUNT, options) ? -errno : 0;
}

static void sysfs_path(char *path, size_t size, const struct instance *inst, const char *file)
{
	snprintf(path, size, "/sys/fs/itme/%s/%s", inst->name, file);
}

long long instance_number(const struct instance *inst, const char *file)
{
	char path[512];

	sysfs_path(path, sizeof(path), inst, file);
	return read_number(path);
}

int instance_write(const struct instance *inst, const char *file, const char *text)
{
	char path[512];

	sysfs_path(path, sizeof(path), inst, file);
	return write_file(path, text);
}

/* ---- regions ---- */

static int attach_with(const struct instance *inst, int fd, const char *name, __u32 flags)
{
	struct itme_attach args = {
		.size = sizeof(args),
		.flags = flags,
		.fd = fd,
		.name = (uintptr_t)name,
		.name_len = strlen(name),
	};

	return ioctl(inst->root, ITME_IOC_ATTACH, &args) ? -errno : 0;
}

int attach(const struct instance *inst, int fd, const char *name)
{
	return attach_with(inst, fd, name, 0);
}

int attach_path(const struct instance *inst, const char *path, const char *name)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int err;

	if (fd < 0)
		return -errno;
	err = attach(inst, fd, name);
	close(fd);
	return err;
}

static int attach_path_with(const struct instance *inst, const char *path, const char *name,
			    __u32 flags)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	int err;

	if (fd < 0)
		return -errno;
	err = attach_with(inst, fd, name, flags);
	close(fd);
	return err;
}

int attach_writable(const struct instance *inst, const char *path, const char *name)
{
	return attach_path_with(inst, path, name, ITME_ATTACH_WRITE);
}

int attach_pinnable(const struct instance *inst, const char *path, const char *name)
{
	return attach_path_with(inst, path, name, ITME_ATTACH_WRITE | ITME_ATTACH_PINNABLE);
}

int detach(const struct instance *inst, const char *name)
{
	return unlinkat(inst->root, name, 0) ? -errno : 0;
}

int region_open(const struct instance *inst, const char *name, int flags)
{
	int fd = openat(inst->root, name, flags | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int region_stat(int region, struct itme_stat *stat)
{
	memset(stat, 0, sizeof(*stat));
	stat->size = sizeof(*stat);
	return ioctl(region, ITME_IOC_STAT, stat) ? -errno : 0;
}

/* ---- stores of known content ---- */

/* A good mixer of two words: every word of a store can be told from its place. */
static inline __u64 word_at(__u64 seed, __u64 index)
{
	__u64 x = index * 0x9e3779b97f4a7c15ULL + seed;

	x ^= x >> 29;
	x *= 0xd6e8feb86659fd93ULL;
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ULL;
	return x ^ (x >> 29);
}

static inline __u8 byte_at(__u64 seed, __u64 offset)
{
	return word_at(seed, offset / 8) >> (offset % 8 * 8);
}

void content_fill(void *buffer, __u64 offset, size_t bytes, __u64 seed)
{
	__u8 *at = buffer;
	__u64 word;

	for (; bytes && offset % 8; bytes--)
		*at++ = byte_at(seed, offset++);
	for (; bytes >= 8; bytes -= 8, at += 8, offset += 8) {
		word = word_at(seed, offset / 8);
		memcpy(at, &word, 8);
	}
	for (; bytes; bytes--)
		*at++ = byte_at(seed, offset++);
}

static long long check_bytes(const __u8 *start, const __u8 *at, __u64 offset, size_t bytes,
			     __u64 seed)
{
	for (; bytes; bytes--, at++, offset++)
		if (*at != byte_at(seed, offset))
			return at - start;
	return -1;
}

long long content_check(const void *buffer, __u64 offset, size_t bytes, __u64 seed)
{
	const __u8 *start = buffer, *at = buffer;
	size_t head = (8 - offset % 8) % 8;
	long long wrong;
	__u64 word;

	if (head > bytes)
		head = bytes;
	wrong = check_bytes(start, at, offset, head, seed);
	if (wrong >= 0)
		return wrong;
	at += head;
	offset += head;
	bytes -= head;
	for (; bytes >= 8; bytes -= 8, at += 8, offset += 8) {
		memcpy(&word, at, 8);
		if (word != word_at(seed, offset / 8))
			return check_bytes(start, at, offset, 8, seed);
	}
	return check_bytes(start, at, offset, bytes, seed);
}

int store_create(const char *path, __u64 bytes, __u64 seed)
{
	const size_t chunk = MIB;
	__u64 offset;
	char *buffer;
	int err = 0;
	int fd;

	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	buffer = malloc(chunk);
	if (!buffer)
		err = -ENOMEM;
	for (offset = 0; !err && offset < bytes; offset += chunk) {
		size_t n = bytes - offset < chunk ? bytes - offset : chunk;

		content_fill(buffer, offset, n, seed);
		if (pwrite(fd, buffer, n, offset) != (ssize_t)n)
			err = errno ? -errno : -EIO;
	}
	free(buffer);
	if (!err && fsync(fd))
		err = -errno;
	close(fd);
	return err;
}

int store_path(char *path, size_t size, __u64 bytes, __u64 seed)
{
	char new[512];
	int err;

	snprintf(path, size, "%s/store-%llu-%llu", store_dir(), bytes, seed);
	if (!access(path, R_OK))
		return 0;
	snprintf(new, sizeof(new), "%s.new", path);
	err = store_create(new, bytes, seed);
	if (!err && rename(new, path))
		err = -errno;
	return err;
}

/* ---- block devices ---- */

int loop_add(char *device, size_t size, const char *path, const char *options)
{
	char command[512];
	bool named;
	FILE *out;

	snprintf(command, sizeof(command), "losetup --show -f %s '%s'", options, path);
	out = popen(command, "re");
	if (!out)
		return -errno;
	named = fgets(device, size, out);
	if (named)
		device[strcspn(device, "\n")] = '\0';
	return pclose(out) || !named ? -EIO : 0;
}

int loop_remove(const char *device)
{
	return run("losetup -d %s", device) ? -EIO : 0;
}

/* ---- access that may fault ---- */

static __thread sigjmp_buf fault_exit;
static __thread bool fault_expected;

static void expect_fault(bool expected)
{
	/* Seen by the handler in this order, whatever the compiler thinks. */
	__atomic_store_n(&fault_expected, expected, __ATOMIC_SEQ_CST);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static void on_fault(int sig)
{
	if (!fault_expected) {
		signal(sig, SIG_DFL);
		raise(sig);
		return;
	}
	siglongjmp(fault_exit, sig);
}

static void catch_faults(void)
{
	struct sigaction action = { .sa_handler = on_fault, .sa_flags = SA_NODEFER };

	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
}

int touch(const void *address)
{
	int sig;

	catch_faults();
	sig = sigsetjmp(fault_exit, 1);
	if (sig == 0) {
		expect_fault(true);
		/* A load that the compiler cannot leave out. */
		__atomic_load_n((const char *)address, __ATOMIC_SEQ_CST);
	}
	expect_fault(false);
	return sig;
}

int store_content(void *address, __u64 offset, size_t bytes, __u64 seed)
{
	int sig;

	catch_faults();
	sig = sigsetjmp(fault_exit, 1);
	if (sig == 0) {
		expect_fault(true);
		content_fill(address, offset, bytes, seed);
	}
	expect_fault(false);
	return sig;
}

long long content_check_mapped(const void *buffer, __u64 offset, size_t bytes, __u64 seed)
{
	long long wrong;

	catch_faults();
	if (sigsetjmp(fault_exit, 1)) {
		expect_fault(false);
		return -2;
	}
	expect_fault(true);
	wrong = content_check(buffer, offset, bytes, seed);
	expect_fault(false);
	return wrong;
}

__u64 next_random(__u64 *state)
{
	return word_at(0x6974656d, (*state)++);
}
