// SPDX-License-Identifier: GPL-2.0-only
/* Attach and detach: what may be a store, and what that means for it. */
#include "test.h"

#include <dirent.h>
#include <linux/loop.h>
#include <sys/eventfd.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define BYTES (2 * GRANULE + 777)
#define SEED 5

FIXTURE(attach)
{
	struct instance inst;
	char path[256]; /* a store of this test's own */
	char other[256]; /* a place for one more file */
	char loop[64]; /* a loop device, where a test made one */
};

FIXTURE_SETUP(attach)
{
	ASSERT_EQ(0, private_mounts());
	snprintf(self->path, sizeof(self->path), "%s/attach", store_dir());
	snprintf(self->other, sizeof(self->other), "%s/other", store_dir());
	ASSERT_EQ(0, store_create(self->path, BYTES, SEED));
	ASSERT_EQ(0, instance_mount(&self->inst, "dram=8M"));
}

FIXTURE_TEARDOWN(attach)
{
	EXPECT_EQ(0, instance_umount(&self->inst));
	if (self->loop[0])
		EXPECT_EQ(0, loop_remove(self->loop));
	EXPECT_EQ(0, unlink(self->path));
	unlink(self->other);
}

/* Does the region have the content of the store? */
static bool right(int region, __u64 bytes)
{
	char *buffer = malloc(bytes);
	bool good = buffer && pread(region, buffer, bytes + PAGE, 0) == (ssize_t)bytes &&
		    content_check(buffer, 0, bytes, SEED) == -1;

	free(buffer);
	return good;
}

static bool region_right(const struct instance *inst, const char *name, __u64 bytes)
{
	int region = region_open(inst, name, O_RDONLY);
	bool good = region >= 0 && right(region, bytes);

	close(region);
	return good;
}

static int attach_named(int root, int fd, const char *name, size_t len)
{
	struct itme_attach args = {
		.size = sizeof(args),
		.fd = fd,
		.name = (uintptr_t)name,
		.name_len = len,
	};

	return ioctl(root, ITME_IOC_ATTACH, &args) ? -errno : 0;
}

/* Attach what @path opens with @flags. */
static int attach_opened(const struct instance *inst, const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);
	int err = fd < 0 ? -errno - 1000 : attach(inst, fd, "region");

	close(fd);
	return err;
}

TEST_F(attach, gives_a_region)
{
	struct itme_attach args = { .size = sizeof(args) };
	char name[] = "modelXXX", path[512], text[512];

	args.fd = open(self->path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, args.fd);
	args.name = (uintptr_t)name;
	args.name_len = 5; /* no NUL behind it */
	ASSERT_EQ(0, ioctl(self->inst.root, ITME_IOC_ATTACH, &args));
	EXPECT_EQ(BYTES, args.region_bytes);
	/* The descriptor is not needed any more. */
	close(args.fd);
	EXPECT_TRUE(region_right(&self->inst, "model", BYTES));
	snprintf(path, sizeof(path), "/sys/fs/itme/%s/regions/model/size_bytes", self->inst.name);
	EXPECT_EQ(BYTES, read_number(path));
	snprintf(path, sizeof(path), "/sys/fs/itme/%s/regions/model/store", self->inst.name);
	ASSERT_LT(0, read_text(path, text, sizeof(text)));
	EXPECT_EQ(0, strncmp(text, self->path, strlen(self->path)));
}

TEST_F(attach, names)
{
	static const struct {
		const char *name;
		size_t len;
		int err;
	} cases[] = {
		{ "", 0, -EINVAL },
		{ ".", 1, -EINVAL },
		{ "..", 2, -EINVAL },
		{ "/", 1, -EINVAL },
		{ "a/b", 3, -EINVAL },
		{ "/a", 2, -EINVAL },
		{ "a/", 2, -EINVAL },
		{ "a\0b", 3, -EINVAL },
		{ "\0", 1, -EINVAL },
		{ "a\n", 2, -EINVAL },
		{ "\x01", 1, -EINVAL },
		{ "a\x7f", 2, -EINVAL },
		{ "a\tb", 3, -EINVAL },
		{ "a\x1b[2J", 5, -EINVAL },
		{ "x", 256, -ENAMETOOLONG },
		{ "x", UINT32_MAX, -ENAMETOOLONG },
		{ "...", 3, 0 },
		{ ".hidden", 7, 0 },
		{ "a b", 3, 0 },
		{ "%s%n%p", 6, 0 },
		{ "m\xc3\xb6l", 4, 0 },
		{ "-rf", 3, 0 },
	};
	int fd = open(self->path, O_RDONLY | O_CLOEXEC);
	char longest[ITME_NAME_MAX + 1] = {}, *pages;
	size_t i;

	ASSERT_LE(0, fd);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		EXPECT_EQ(cases[i].err, attach_named(self->inst.root, fd, cases[i].name,
						     cases[i].len))
			TH_LOG("in case %zu", i);
		if (!cases[i].err)
			EXPECT_EQ(0, detach(&self->inst, cases[i].name));
	}
	memset(longest, 'n', ITME_NAME_MAX);
	EXPECT_EQ(0, attach(&self->inst, fd, longest));
	EXPECT_TRUE(region_right(&self->inst, longest, BYTES));
	EXPECT_EQ(0, detach(&self->inst, longest));

	/* At the end of its page, and over it. */
	pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, pages);
	ASSERT_EQ(0, munmap(pages + PAGE, PAGE));
	memcpy(pages + PAGE - 4, "edge", 4);
	EXPECT_EQ(0, attach_named(self->inst.root, fd, pages + PAGE - 4, 4));
	EXPECT_EQ(0, detach(&self->inst, "edge"));
	EXPECT_EQ(-EFAULT, attach_named(self->inst.root, fd, pages + PAGE - 4, 5));
	munmap(pages, PAGE);
	close(fd);
}

TEST_F(attach, name_that_is_there)
{
	ASSERT_EQ(0, store_create(self->other, BYTES, SEED + 1));
	ASSERT_EQ(0, attach_path(&self->inst, self->path, "model"));
	EXPECT_EQ(-EEXIST, attach_path(&self->inst, self->other, "model"));
	EXPECT_TRUE(region_right(&self->inst, "model", BYTES));
	/* The one that was refused is free. */
	EXPECT_EQ(0, truncate(self->other, 0));
}

TEST_F(attach, descriptors_that_are_no_store)
{
	struct instance other;
	int fd, pipes[2];

	EXPECT_EQ(-EBADF, attach(&self->inst, -1, "region"));
	EXPECT_EQ(-EBADF, attach(&self->inst, 1000, "region"));
	EXPECT_EQ(-EBADF, attach_opened(&self->inst, self->path, O_PATH));
	EXPECT_EQ(-EBADF, attach_opened(&self->inst, self->path, O_WRONLY));
	EXPECT_EQ(-EISDIR, attach_opened(&self->inst, store_dir(), O_RDONLY | O_DIRECTORY));
	EXPECT_EQ(-EISDIR, attach(&self->inst, self->inst.root, "region"));
	EXPECT_EQ(-EINVAL, attach_opened(&self->inst, "/dev/null", O_RDONLY));
	EXPECT_EQ(-EINVAL, attach_opened(&self->inst, "/dev/zero", O_RDWR));
	/* A regular file by its mode, but not one that can do O_DIRECT. */
	EXPECT_EQ(-EINVAL, attach_opened(&self->inst, "/sys/kernel/mm/transparent_hugepage/enabled",
					 O_RDONLY));
	EXPECT_EQ(-ENODATA, attach_opened(&self->inst, "/proc/version", O_RDONLY));

	ASSERT_EQ(0, pipe(pipes));
	EXPECT_EQ(-EINVAL, attach(&self->inst, pipes[0], "region"));
	EXPECT_EQ(-EBADF, attach(&self->inst, pipes[1], "region"));
	close(pipes[0]);
	close(pipes[1]);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pipes));
	EXPECT_EQ(-EINVAL, attach(&self->inst, pipes[0], "region"));
	close(pipes[0]);
	close(pipes[1]);
	fd = eventfd(0, 0);
	EXPECT_EQ(-EINVAL, attach(&self->inst, fd, "region"));
	close(fd);

	fd = open(self->other, O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-ENODATA, attach(&self->inst, fd, "region"));
	close(fd);

	/* The root and a region of another instance. */
	ASSERT_EQ(0, instance_mount(&other, "dram=8M"));
	EXPECT_EQ(-EISDIR, attach(&self->inst, other.root, "region"));
	ASSERT_EQ(0, attach_path(&other, self->path, "model"));
	fd = region_open(&other, "model", O_RDONLY);
	EXPECT_EQ(-ELOOP, attach(&self->inst, fd, "region"));
	EXPECT_EQ(-ELOOP, attach(&other, fd, "region"));
	close(fd);
	EXPECT_EQ(0, instance_umount(&other));
	/* After all that, nothing is there. */
	EXPECT_EQ(-ENOENT, detach(&self->inst, "region"));
	EXPECT_EQ(0, truncate(self->path, BYTES));
}

TEST_F(attach, symbolic_links_lead_to_the_store)
{
	EXPECT_EQ(0, symlink(self->path, self->other));
	EXPECT_EQ(0, attach_path(&self->inst, self->other, "region"));
	EXPECT_TRUE(region_right(&self->inst, "region", BYTES));
}

TEST_F(attach, one_store_once)
{
	char bound[300], dir[] = "/tmp/itme-bind.XXXXXX";
	struct instance other;

	ASSERT_EQ(0, instance_mount(&other, "dram=8M"));
	ASSERT_EQ(0, attach_path(&self->inst, self->path, "one"));
	EXPECT_EQ(-EBUSY, attach_path(&self->inst, self->path, "two"));
	EXPECT_EQ(-EBUSY, attach_path(&other, self->path, "one"));
	/* By another name, and by another mount. */
	ASSERT_EQ(0, link(self->path, self->other));
	EXPECT_EQ(-EBUSY, attach_path(&other, self->other, "one"));
	ASSERT_NE(NULL, mkdtemp(dir));
	ASSERT_EQ(0, mount(store_dir(), dir, NULL, MS_BIND, NULL));
	snprintf(bound, sizeof(bound), "%s/attach", dir);
	EXPECT_EQ(-EBUSY, attach_path(&other, bound, "one"));
	/* Detached here, it can be attached there. */
	ASSERT_EQ(0, detach(&self->inst, "one"));
	EXPECT_EQ(0, attach_path(&other, bound, "one"));
	EXPECT_TRUE(region_right(&other, "one", BYTES));
	EXPECT_EQ(-EBUSY, umount2(dir, 0) ? -errno : 0);
	EXPECT_EQ(0, instance_umount(&other));
	EXPECT_EQ(0, umount2(dir, 0));
	rmdir(dir);
}

TEST_F(attach, writers_before)
{
	void *mapped;
	int fd;

	fd = open(self->path, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-ETXTBSY, attach_path(&self->inst, self->path, "region"));
	EXPECT_EQ(-ETXTBSY, attach(&self->inst, fd, "region"));
	mapped = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, mapped);
	close(fd);
	EXPECT_EQ(-ETXTBSY, attach_path(&self->inst, self->path, "region"));
	munmap(mapped, PAGE);
	EXPECT_EQ(0, attach_path(&self->inst, self->path, "region"));
	EXPECT_TRUE(region_right(&self->inst, "region", BYTES));
}

TEST_F(attach, writers_after)
{
	int fd;

	ASSERT_EQ(0, attach_path(&self->inst, self->path, "region"));
	EXPECT_EQ(-1, open(self->path, O_WRONLY));
	EXPECT_EQ(ETXTBSY, errno);
	EXPECT_EQ(-1, open(self->path, O_RDWR));
	EXPECT_EQ(ETXTBSY, errno);
	EXPECT_EQ(-1, open(self->path, O_WRONLY | O_TRUNC));
	EXPECT_EQ(ETXTBSY, errno);
	EXPECT_EQ(-1, truncate(self->path, 0));
	EXPECT_EQ(ETXTBSY, errno);
	EXPECT_NE(0, run("echo x 2>&1 >>'%s' | grep -q nothing", self->path));
	/* Readers are welcome, and new names. */
	fd = open(self->path, O_RDONLY | O_CLOEXEC);
	EXPECT_LE(0, fd);
	EXPECT_TRUE(right(fd, BYTES));
	close(fd);
	ASSERT_EQ(0, link(self->path, self->other));
	EXPECT_EQ(0, unlink(self->other));
	EXPECT_TRUE(region_right(&self->inst, "region", BYTES));

	ASSERT_EQ(0, detach(&self->inst, "region"));
	fd = open(self->path, O_RDWR | O_CLOEXEC);
	EXPECT_LE(0, fd);
	EXPECT_EQ(1, pwrite(fd, "x", 1, BYTES));
	close(fd);
	EXPECT_EQ(0, truncate(self->path, PAGE));
}

TEST_F(attach, store_without_a_name)
{
	ASSERT_EQ(0, link(self->path, self->other));
	ASSERT_EQ(0, attach_path(&self->inst, self->other, "region"));
	ASSERT_EQ(0, unlink(self->other));
	EXPECT_TRUE(region_right(&self->inst, "region", BYTES));
}

TEST_F(attach, detach_waits_for_the_last_user)
{
	char entry[512], *addr;
	struct stat st;
	int region;

	ASSERT_EQ(0, attach_path(&self->inst, self->path, "region"));
	region = region_open(&self->inst, "region", O_RDONLY);
	ASSERT_LE(0, region);
	addr = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, region, 0);
	ASSERT_NE(MAP_FAILED, addr);
	EXPECT_EQ(0, touch(addr + GRANULE));

	/* The name goes at once, in the mount and in sysfs. */
	ASSERT_EQ(0, detach(&self->inst, "region"));
	EXPECT_EQ(-ENOENT, region_open(&self->inst, "region", O_RDONLY));
	snprintf(entry, sizeof(entry), "/sys/fs/itme/%s/regions/region", self->inst.name);
	EXPECT_EQ(-1, access(entry, F_OK));
	EXPECT_EQ(-ENOENT, detach(&self->inst, "region"));
	ASSERT_EQ(0, fstat(region, &st));
	EXPECT_EQ(0, st.st_nlink);
	/* Its users go on, with what was resident and what was not. */
	EXPECT_EQ(-1, content_check_mapped(addr, 0, BYTES, SEED));
	EXPECT_TRUE(right(region, BYTES));
	/* The store stays taken, the name does not. */
	EXPECT_EQ(-EBUSY, attach_path(&self->inst, self->path, "again"));
	EXPECT_EQ(-1, open(self->path, O_WRONLY));
	EXPECT_EQ(ETXTBSY, errno);
	ASSERT_EQ(0, store_create(self->other, BYTES, SEED));
	EXPECT_EQ(0, attach_path(&self->inst, self->other, "region"));
	EXPECT_TRUE(region_right(&self->inst, "region", BYTES));
	EXPECT_EQ(0, detach(&self->inst, "region"));

	close(region);
	EXPECT_EQ(-1, content_check_mapped(addr, 0, BYTES, SEED));
	EXPECT_EQ(-EBUSY, instance_umount(&self->inst));
	EXPECT_LT(0, 8 * (long long)MIB - instance_number(&self->inst, "dram_free_bytes"));
	munmap(addr, BYTES);
	/* With the last user its frames and its store are free. */
	EXPECT_EQ(8 * MIB, instance_number(&self->inst, "dram_free_bytes"));
	EXPECT_EQ(0, truncate(self->path, BYTES));
	EXPECT_EQ(0, attach_path(&self->inst, self->path, "again"));
}

/* ---- block devices ---- */

TEST_F(attach, block_device_is_claimed)
{
	char dir[] = "/tmp/itme-mount.XXXXXX", node[] = "/tmp/itme-node";
	struct stat st;
	int fd;

	ASSERT_EQ(0, store_create(self->other, 3 * GRANULE + 512, SEED));
	ASSERT_EQ(0, loop_add(self->loop, sizeof(self->loop), self->other, ""));
	ASSERT_NE(NULL, mkdtemp(dir));
	ASSERT_EQ(0, attach_path(&self->inst, self->loop, "device"));
	EXPECT_TRUE(region_right(&self->inst, "device", 3 * GRANULE + 512));

	EXPECT_EQ(-EBUSY, attach_path(&self->inst, self->loop, "again"));
	ASSERT_EQ(0, stat(self->loop, &st));
	ASSERT_EQ(0, mknod(node, S_IFBLK | 0600, st.st_rdev));
	fd = open(node, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-EBUSY, attach(&self->inst, fd, "again"));
	close(fd);
	unlink(node);
	EXPECT_EQ(-1, open(self->loop, O_RDWR | O_EXCL));
	EXPECT_EQ(EBUSY, errno);
	EXPECT_NE(0, run("mkfs.ext4 -q %s >/dev/null 2>&1", self->loop));
	EXPECT_EQ(-1, mount(self->loop, dir, "ext4", 0, NULL));
	EXPECT_EQ(EBUSY, errno);
	EXPECT_TRUE(region_right(&self->inst, "device", 3 * GRANULE + 512));

	ASSERT_EQ(0, detach(&self->inst, "device"));
	fd = open(self->loop, O_RDWR | O_EXCL | O_CLOEXEC);
	EXPECT_LE(0, fd);
	/* Claimed by somebody else, it is no store. */
	EXPECT_EQ(-EBUSY, attach_path(&self->inst, self->loop, "again"));
	close(fd);
	EXPECT_EQ(0, attach_path(&self->inst, self->loop, "again"));
	EXPECT_EQ(0, detach(&self->inst, "again"));
	rmdir(dir);
}

TEST_F(attach, mounted_device_is_busy)
{
	const char *nvme = getenv("ITME_NVME");

	ASSERT_NE(NULL, nvme);
	EXPECT_EQ(-EBUSY, attach_path(&self->inst, nvme, "device"));
}

TEST_F(attach, empty_device)
{
	/* One without a backing file has no size. */
	ASSERT_EQ(0, run("test -b /dev/loop7 || mknod /dev/loop7 b 7 7"));
	EXPECT_EQ(-ENODATA, attach_opened(&self->inst, "/dev/loop7", O_RDONLY));
}

TEST_F(attach, loop_over_a_region_is_no_store)
{
	char region_path[128], plain[64];

	ASSERT_EQ(0, attach_path(&self->inst, self->path, "region"));
	snprintf(region_path, sizeof(region_path), "%s/region", self->inst.dir);
	ASSERT_EQ(0, loop_add(self->loop, sizeof(self->loop), region_path, "-r"));
	EXPECT_EQ(-ELOOP, attach_path(&self->inst, self->loop, "device"));
	/* The loop device itself works. */
	EXPECT_EQ(0, run("cmp -s -n %lu %s '%s'", 2 * GRANULE, self->loop, self->path));
	ASSERT_EQ(0, loop_remove(self->loop));
	self->loop[0] = '\0';

	/* Without it, loop devices over plain files are stores again. */
	ASSERT_EQ(0, store_create(self->other, BYTES, SEED));
	ASSERT_EQ(0, loop_add(plain, sizeof(plain), self->other, "-r"));
	EXPECT_EQ(0, attach_path(&self->inst, plain, "device"));
	EXPECT_EQ(0, detach(&self->inst, "device"));
	EXPECT_EQ(0, loop_remove(plain));
}

/* A file on a file system on a loop device over a region would close the circle. */
TEST_F(attach, file_on_a_loop_over_a_region_is_no_store)
{
	char region_path[128], file[128], dir[] = "/tmp/itme-mount.XXXXXX";

	ASSERT_NE(NULL, mkdtemp(dir));
	/* An image of a file system with a file in it. */
	ASSERT_EQ(0, run("truncate -s 8M '%s' && mkfs.ext4 -q -F -O ^has_journal '%s'", self->other,
			 self->other));
	ASSERT_EQ(0, run("mount -o loop '%s' %s && head -c 99999 /dev/zero >%s/file && umount %s",
			 self->other, dir, dir, dir));
	ASSERT_EQ(0, attach_path(&self->inst, self->other, "image"));
	snprintf(region_path, sizeof(region_path), "%s/image", self->inst.dir);
	ASSERT_EQ(0, loop_add(self->loop, sizeof(self->loop), region_path, "-r"));
	ASSERT_EQ(0, mount(self->loop, dir, "ext4", MS_RDONLY, NULL));
	snprintf(file, sizeof(file), "%s/file", dir);
	EXPECT_EQ(-ELOOP, attach_path(&self->inst, file, "file"));
	EXPECT_EQ(0, umount2(dir, 0));
	ASSERT_EQ(0, loop_remove(self->loop));
	self->loop[0] = '\0';
	rmdir(dir);
}

/* ---- other file systems, other files ---- */

TEST_F(attach, file_on_tmpfs)
{
	char path[] = "/dev/shm/itme-store";

	ASSERT_EQ(0, store_create(path, BYTES, SEED));
	ASSERT_EQ(0, attach_path(&self->inst, path, "region"));
	EXPECT_TRUE(region_right(&self->inst, "region", BYTES));
	EXPECT_EQ(-1, truncate(path, 0));
	EXPECT_EQ(ETXTBSY, errno);
	EXPECT_EQ(0, detach(&self->inst, "region"));
	EXPECT_EQ(0, truncate(path, 0));
	unlink(path);
}

TEST_F(attach, sparse_file)
{
	char *buffer = malloc(3 * GRANULE);
	size_t i, wrong = 0;
	int region;

	ASSERT_NE(NULL, buffer);
	ASSERT_EQ(0, run("truncate -s %lu '%s'", 3 * GRANULE, self->other));
	ASSERT_EQ(0, attach_path(&self->inst, self->other, "region"));
	region = region_open(&self->inst, "region", O_RDONLY);
	memset(buffer, 0xee, 3 * GRANULE);
	EXPECT_EQ(3 * GRANULE, pread(region, buffer, 3 * GRANULE, 0));
	for (i = 0; i < 3 * GRANULE; i++)
		wrong += buffer[i] != 0;
	EXPECT_EQ(0, wrong);
	close(region);
	free(buffer);
}

TEST_F(attach, many_regions)
{
	char path[300], name[32];
	int i, entries = 0;
	struct dirent *entry;
	DIR *dir;

	for (i = 0; i < 100; i++) {
		snprintf(path, sizeof(path), "%s/many-%d", store_dir(), i);
		snprintf(name, sizeof(name), "many-%d", i);
		ASSERT_EQ(0, store_create(path, 5000 + i, SEED));
		ASSERT_EQ(0, attach_path(&self->inst, path, name));
		unlink(path);
	}
	dir = opendir(self->inst.dir);
	ASSERT_NE(NULL, dir);
	while ((entry = readdir(dir)))
		entries += entry->d_name[0] != '.';
	closedir(dir);
	EXPECT_EQ(100, entries);
	/* More of them than frames. */
	for (i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "many-%d", i);
		EXPECT_TRUE(region_right(&self->inst, name, 5000 + i));
		if (i % 2)
			EXPECT_EQ(0, detach(&self->inst, name));
	}
	/* The other half goes with the mount. */
}

/* ---- who may what ---- */

struct attempt {
	const struct instance *inst;
	int fd;
};

static int try_attach(void *arg)
{
	struct attempt *attempt = arg;

	return attach(attempt->inst, attempt->fd, "region");
}

static int try_open(void *arg)
{
	struct attempt *attempt = arg;
	int fd = region_open(attempt->inst, "region", O_RDONLY);

	return fd < 0 ? fd : right(fd, BYTES) ? 0 : -EILSEQ;
}

static int try_detach(void *arg)
{
	return detach(((struct attempt *)arg)->inst, "region");
}

static int try_chmod(void *arg)
{
	return fchmodat(((struct attempt *)arg)->inst->root, "region", 0666, 0) ? -errno : 0;
}

TEST_F(attach, needs_cap_sys_admin)
{
	struct attempt attempt = { &self->inst, open(self->path, O_RDONLY | O_CLOEXEC) };

	ASSERT_LE(0, attempt.fd);
	/* Even with every descriptor in hand. */
	EXPECT_EQ(-EPERM, as_user(NOBODY, try_attach, &attempt));
	EXPECT_EQ(0, try_attach(&attempt));
	EXPECT_EQ(-EACCES, as_user(NOBODY, try_detach, &attempt));
	EXPECT_TRUE(region_right(&self->inst, "region", BYTES));
	close(attempt.fd);
}

TEST_F(attach, who_may_not_read_the_store_may_not_read_the_region)
{
	struct attempt attempt = { &self->inst, -1 };
	struct stat st;

	ASSERT_EQ(0, chmod(self->path, 0600));
	ASSERT_EQ(0, attach_path(&self->inst, self->path, "region"));
	ASSERT_EQ(0, fstatat(self->inst.root, "region", &st, 0));
	EXPECT_EQ(S_IFREG | 0600, st.st_mode);
	EXPECT_EQ(0, st.st_uid);
	EXPECT_EQ(0, st.st_gid);
	EXPECT_EQ(-EACCES, as_user(NOBODY, try_open, &attempt));
	EXPECT_EQ(-EPERM, as_user(NOBODY, try_chmod, &attempt));
	/* Nor where the store lies open for all: nothing carries over. */
	ASSERT_EQ(0, detach(&self->inst, "region"));
	ASSERT_EQ(0, chmod(self->path, 0644));
	ASSERT_EQ(0, attach_path(&self->inst, self->path, "region"));
	EXPECT_EQ(-EACCES, as_user(NOBODY, try_open, &attempt));
	/* Root may give it away, as any file. */
	EXPECT_EQ(0, fchownat(self->inst.root, "region", NOBODY, NOBODY, 0));
	EXPECT_EQ(0, as_user(NOBODY, try_open, &attempt));
}

TEST_F(attach, belongs_to_the_caller)
{
	int fd = open(self->path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	ASSERT_LE(0, fd);
	setfsgid(2345);
	setfsuid(1234); /* CAP_SYS_ADMIN stays */
	EXPECT_EQ(0, attach(&self->inst, fd, "region"));
	setfsuid(0);
	close(fd);
	setfsgid(0);
	ASSERT_EQ(0, fstatat(self->inst.root, "region", &st, 0));
	EXPECT_EQ(1234, st.st_uid);
	EXPECT_EQ(2345, st.st_gid);
}

static int attach_mode(const struct instance *inst, const char *path, __u32 flags, __u32 mode)
{
	struct itme_attach args = {
		.size = sizeof(args),
		.flags = flags,
		.fd = open(path, O_RDONLY | O_CLOEXEC),
		.mode = mode,
		.name = (uintptr_t)"region",
		.name_len = 6,
	};
	int err = ioctl(inst->root, ITME_IOC_ATTACH, &args) ? -errno : 0;

	close(args.fd);
	return err;
}

TEST_F(attach, mode_by_flag)
{
	struct attempt attempt = { &self->inst, -1 };
	static const __u32 modes[] = { 0, 0400, 0644, 0777 };
	struct stat st;
	size_t i;

	umask(077); /* is for open(2) */
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, attach_mode(&self->inst, self->path, ITME_ATTACH_MODE, modes[i]));
		ASSERT_EQ(0, fstatat(self->inst.root, "region", &st, 0));
		EXPECT_EQ(S_IFREG | modes[i], st.st_mode);
		EXPECT_EQ(modes[i] & 0004 ? 0 : -EACCES, as_user(NOBODY, try_open, &attempt));
		ASSERT_EQ(0, detach(&self->inst, "region"));
	}
	EXPECT_EQ(-EINVAL, attach_mode(&self->inst, self->path, ITME_ATTACH_MODE, 04755));
	EXPECT_EQ(-EINVAL, attach_mode(&self->inst, self->path, ITME_ATTACH_MODE, 01000));
	EXPECT_EQ(-EINVAL, attach_mode(&self->inst, self->path, ITME_ATTACH_MODE, S_IFREG | 0600));
	EXPECT_EQ(-EINVAL, attach_mode(&self->inst, self->path, ITME_ATTACH_MODE, UINT32_MAX));
	EXPECT_EQ(-EINVAL, attach_mode(&self->inst, self->path, 0, 0644));
}

TEST_HARNESS_MAIN
