// SPDX-License-Identifier: GPL-2.0-only
/* Every file below /sys/fs/itme, as it comes: what it takes, and what it refuses. */
#include "test.h"

#include <dirent.h>
#include <sys/stat.h>

#define BYTES (6 * GRANULE)
#define SEED 15

FIXTURE(sysfs)
{
	struct instance inst;
	int region;
};

FIXTURE_SETUP(sysfs)
{
	char path[256], options[64] = "dram=32M,window=8M";

	ASSERT_EQ(0, private_mounts());
	ASSERT_EQ(0, store_path(path, sizeof(path), BYTES, SEED));
	if (cxl_node() >= 0)
		snprintf(options, sizeof(options), "dram=32M,window=8M,cxl=16M@%d", cxl_node());
	ASSERT_EQ(0, instance_mount(&self->inst, options));
	ASSERT_EQ(0, attach_path(&self->inst, path, "model"));
	self->region = region_open(&self->inst, "model", O_RDONLY);
	ASSERT_LE(0, self->region);
}

FIXTURE_TEARDOWN(sysfs)
{
	close(self->region);
	EXPECT_EQ(0, instance_umount(&self->inst));
}

static const char *const hostile[] = {
	"", "x", "-1", "+1x", "1x", "16M", "0x", " ", "\n", "\n\n", "1 1", "1\n1", "0b1", "1.5",
	"99999999999999999999", "18446744073709551616", "0x10000000000000000", "1,2", "%s%n",
};

struct names {
	char name[128][64];
	mode_t mode[128];
	size_t count;
};

static int list(struct names *names, const struct instance *inst, const char *folder)
{
	char path[512];
	struct dirent *entry;
	struct stat st;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/fs/itme/%s/%s", inst->name, folder);
	dir = opendir(path);
	names->count = 0;
	while (dir && (entry = readdir(dir)) && names->count < 128) {
		if (fstatat(dirfd(dir), entry->d_name, &st, 0) || !S_ISREG(st.st_mode))
			continue;
		names->mode[names->count] = st.st_mode & 0777;
		snprintf(names->name[names->count++], 64, "%s%.40s", folder, entry->d_name);
	}
	if (dir)
		closedir(dir);
	return dir ? 0 : -errno;
}

static bool is_among(const char *name, const char *const *names, size_t count)
{
	while (count--)
		if (!strcmp(name, names[count]))
			return true;
	return false;
}

/* These and no others can be written to, by their owner. */
static const char *const writable[] = {
	"dram_bytes", "cxl_bytes", "window_bytes", "inflight_bytes", "pin_limit_bytes",
	"dram_floor_bytes",
	"writeback_limit_bytes", "writeback_background_bytes", "writeback_delay_ms",
};

TEST_F(sysfs, hostile_writes_change_nothing)
{
	static const char *const folders[] = { "", "regions/model/" };
	struct names *names = calloc(1, sizeof(*names));
	char before[4096], after[4096];
	size_t i, j, f, seen = 0;

	ASSERT_NE(NULL, names);
	for (f = 0; f < ARRAY_SIZE(folders); f++) {
		ASSERT_EQ(0, list(names, &self->inst, folders[f]));
		EXPECT_LT(20, names->count);
		for (i = 0; i < names->count; i++) {
			const char *name = names->name[i];
			bool rw = is_among(name, writable, ARRAY_SIZE(writable));
			char path[512];

			snprintf(path, sizeof(path), "/sys/fs/itme/%s/%s", self->inst.name, name);
			EXPECT_EQ(rw ? 0200 : 0, names->mode[i] & 0222)
				TH_LOG("for %s", name);
			ASSERT_LT(0, read_text(path, before, sizeof(before)));
			seen += rw;
			/* An empty write does not reach a file of sysfs. */
			for (j = rw ? 1 : 0; j < ARRAY_SIZE(hostile); j++) {
				EXPECT_GT(0, write_file(path, hostile[j]) ?: rw || *hostile[j] ? 0 : -1)
					TH_LOG("for '%s' in %s", hostile[j], name);
			}
			ASSERT_LT(0, read_text(path, after, sizeof(after)));
			EXPECT_STREQ(before, after);
		}
	}
	EXPECT_EQ(ARRAY_SIZE(writable), seen);
	free(names);
}

TEST_F(sysfs, inflight_bytes)
{
	struct itme_info info = { .size = sizeof(info) };
	long long before = instance_number(&self->inst, "inflight_bytes");

	ASSERT_EQ(0, ioctl(self->region, ITME_IOC_INFO, &info));
	EXPECT_EQ(before, info.inflight_bytes);
	EXPECT_LE(GRANULE, before);
	EXPECT_GE(8 * MIB, before);
	/* At least a granule, at most the window: what is not possible is refused, or cut. */
	instance_write(&self->inst, "inflight_bytes", "1");
	EXPECT_LE(GRANULE, instance_number(&self->inst, "inflight_bytes"));
	instance_write(&self->inst, "inflight_bytes", "1099511627776");
	EXPECT_GE(8 * MIB, instance_number(&self->inst, "inflight_bytes"));
	instance_write(&self->inst, "inflight_bytes", "18446744073709551615");
	EXPECT_GE(8 * MIB, instance_number(&self->inst, "inflight_bytes"));
	EXPECT_LE(GRANULE, instance_number(&self->inst, "inflight_bytes"));
	EXPECT_EQ(0, instance_write(&self->inst, "inflight_bytes", "4194304"));
	EXPECT_EQ(4 * MIB, instance_number(&self->inst, "inflight_bytes"));
	/* It follows the window down. */
	EXPECT_EQ(0, instance_write(&self->inst, "window_bytes", "2097152"));
	EXPECT_EQ(2 * MIB, instance_number(&self->inst, "inflight_bytes"));
	EXPECT_EQ(0, prefetch(self->region, ITME_TIER_DRAM, 0, BYTES));
	EXPECT_EQ(6, count_tier(self->region, ITME_TIER_DRAM));
}

TEST_F(sysfs, pin_limit_bytes)
{
	struct itme_info info = { .size = sizeof(info) };
	long long before = instance_number(&self->inst, "pin_limit_bytes");

	ASSERT_EQ(0, ioctl(self->region, ITME_IOC_INFO, &info));
	EXPECT_EQ(before, info.pin_limit_bytes);
	EXPECT_LT(0, before);
	EXPECT_EQ(0, instance_write(&self->inst, "pin_limit_bytes", "3000000"));
	EXPECT_EQ(GRANULE, instance_number(&self->inst, "pin_limit_bytes"));
	EXPECT_EQ(0, instance_write(&self->inst, "pin_limit_bytes", "0"));
	EXPECT_EQ(0, instance_number(&self->inst, "pin_limit_bytes"));
	/* More than there may be means as much as there may be. */
	EXPECT_EQ(0, instance_write(&self->inst, "pin_limit_bytes", "18446744073709551615"));
	EXPECT_EQ(before, instance_number(&self->inst, "pin_limit_bytes"));
	EXPECT_EQ(0, instance_write(&self->inst, "dram_bytes", "16777216"));
	EXPECT_EQ(before - 16 * (long long)MIB, instance_number(&self->inst, "pin_limit_bytes"));
}

struct attempt {
	const struct instance *inst;
	const char *file;
};

static int write_one(void *arg)
{
	const struct attempt *attempt = arg;

	return instance_write(attempt->inst, attempt->file, "8388608");
}

TEST_F(sysfs, writes_need_privilege)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(writable); i++) {
		struct attempt attempt = { &self->inst, writable[i] };
		long long before = instance_number(&self->inst, writable[i]);

		EXPECT_EQ(-EACCES, as_user(NOBODY, write_one, &attempt))
			TH_LOG("for %s", writable[i]);
		EXPECT_EQ(before, instance_number(&self->inst, writable[i]));
	}
}

/* As an administrator who looks while the files come and go. */
TEST_F(sysfs, a_file_that_is_open_when_its_region_goes)
{
	char path[512], text[64];
	int fd;

	snprintf(path, sizeof(path), "/sys/fs/itme/%s/regions/model/fill_bytes", self->inst.name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	EXPECT_LT(0, read(fd, text, sizeof(text)));
	ASSERT_EQ(0, detach(&self->inst, "model"));
	EXPECT_EQ(-1, access(path, F_OK));
	EXPECT_EQ(-1, pread(fd, text, sizeof(text), 0));
	EXPECT_EQ(ENODEV, errno);
	close(fd);
	/* Its users go on. */
	EXPECT_EQ(0, prefetch(self->region, ITME_TIER_DRAM, 0, BYTES));
}

TEST_HARNESS_MAIN
