// SPDX-License-Identifier: GPL-2.0-only
/*
 * A store of random bytes, three times as large as the budgets, is read by
 * several threads in random order, through a mapping and by pread at once:
 * every granule has the SHA-256 that it was written with.
 */
#include "test.h"
#include "sha256.h"

#include <pthread.h>
#include <sys/mman.h>

#define BUDGET (8 * MIB) /* each of DRAM and CXL memory */
#define BYTES (3 * 2 * BUDGET - 12345)
#define GRANULES ((BYTES + GRANULE - 1) / GRANULE)
#define THREADS 4

struct digest {
	unsigned char bytes[SHA256_BYTES];
};

static size_t granule_bytes(size_t granule)
{
	return granule == GRANULES - 1 ? BYTES - granule * GRANULE : GRANULE;
}

TEST(sha256_is_right)
{
	/* FIPS 180-4's own examples, and what a long message ends with. */
	static const char *const texts[] = {
		"abc", "", "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
	};
	static const unsigned char first[][4] = {
		{ 0xba, 0x78, 0x16, 0xbf }, { 0xe3, 0xb0, 0xc4, 0x42 }, { 0x24, 0x8d, 0x6a, 0x61 },
	};
	static const unsigned char last[][4] = {
		{ 0xf2, 0x00, 0x15, 0xad }, { 0x78, 0x52, 0xb8, 0x55 }, { 0x19, 0xdb, 0x06, 0xc1 },
	};
	unsigned char digest[SHA256_BYTES];
	size_t i;

	for (i = 0; i < 3; i++) {
		sha256(texts[i], strlen(texts[i]), digest);
		EXPECT_EQ(0, memcmp(digest, first[i], 4));
		EXPECT_EQ(0, memcmp(digest + 28, last[i], 4));
	}
}

FIXTURE(integrity)
{
	struct instance inst;
	struct digest *digests;
	int region;
	char *addr;
};

FIXTURE_VARIANT(integrity)
{
	__u64 seed;
};

FIXTURE_VARIANT_ADD(integrity, seed_1)
{
	.seed = 0x5eed0001,
};

FIXTURE_VARIANT_ADD(integrity, seed_2)
{
	.seed = 0x5eed0002,
};

FIXTURE_VARIANT_ADD(integrity, seed_3)
{
	.seed = 0x5eed0003,
};

/* Write the store and remember what was written. */
static int write_store(const char *path, __u64 seed, struct digest *digests)
{
	char *buffer = malloc(GRANULE);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	bool written = buffer && fd >= 0;
	size_t i;

	for (i = 0; written && i < GRANULES; i++) {
		ssize_t bytes = granule_bytes(i);

		content_fill(buffer, i * GRANULE, bytes, seed);
		sha256(buffer, bytes, digests[i].bytes);
		written = pwrite(fd, buffer, bytes, i * GRANULE) == bytes;
	}
	written = written && !fsync(fd);
	free(buffer);
	if (fd >= 0)
		close(fd);
	return written ? 0 : -EIO;
}

FIXTURE_SETUP(integrity)
{
	char path[256], options[128];

	ASSERT_EQ(0, private_mounts());
	self->digests = calloc(GRANULES, sizeof(*self->digests));
	ASSERT_NE(NULL, self->digests);
	snprintf(path, sizeof(path), "%s/integrity", store_dir());
	ASSERT_EQ(0, write_store(path, variant->seed, self->digests));
	if (cxl_node() < 0)
		snprintf(options, sizeof(options), "dram=%lu", 2 * BUDGET);
	else
		snprintf(options, sizeof(options), "dram=%lu,cxl=%lu@%d", BUDGET, BUDGET,
			 cxl_node());
	ASSERT_EQ(0, instance_mount(&self->inst, options));
	ASSERT_EQ(0, attach_path(&self->inst, path, "model"));
	self->region = region_open(&self->inst, "model", O_RDONLY);
	ASSERT_LE(0, self->region);
	self->addr = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, self->region, 0);
	ASSERT_NE(MAP_FAILED, self->addr);
}

FIXTURE_TEARDOWN(integrity)
{
	char path[256];

	munmap(self->addr, BYTES);
	close(self->region);
	EXPECT_EQ(0, instance_umount(&self->inst));
	snprintf(path, sizeof(path), "%s/integrity", store_dir());
	EXPECT_EQ(0, unlink(path));
	free(self->digests);
}

struct reader {
	pthread_t thread;
	int number, region;
	__u64 random;
	const char *addr;
	const struct digest *digests;
	size_t done, wrong;
};

/* Every granule once, in an order of the thread's own; by turns mapped and read. */
static void *read_all(void *arg)
{
	struct reader *r = arg;
	size_t order[GRANULES], i;
	char *buffer = malloc(GRANULE);

	if (!buffer)
		return NULL;
	for (i = 0; i < GRANULES; i++) {
		size_t j = next_random(&r->random) % (i + 1);

		order[i] = order[j];
		order[j] = i;
	}
	for (i = 0; i < GRANULES; i++) {
		size_t granule = order[i], bytes = granule_bytes(granule);
		const char *data = r->addr + granule * GRANULE;
		struct digest digest;

		if ((i + r->number) % 2) {
			data = buffer;
			if (pread(r->region, buffer, bytes, granule * GRANULE) != (ssize_t)bytes)
				break;
		}
		sha256(data, bytes, digest.bytes);
		r->wrong += memcmp(&digest, &r->digests[granule], sizeof(digest)) != 0;
		r->done++;
	}
	free(buffer);
	return NULL;
}

TEST_F(integrity, every_granule_has_its_sha256)
{
	struct reader readers[THREADS] = {};
	struct itme_stat stat;
	int i;

	for (i = 0; i < THREADS; i++) {
		readers[i].number = i;
		readers[i].region = self->region;
		readers[i].random = variant->seed * 1000 + i * 100000;
		readers[i].addr = self->addr;
		readers[i].digests = self->digests;
		ASSERT_EQ(0, pthread_create(&readers[i].thread, NULL, read_all, &readers[i]));
	}
	for (i = 0; i < THREADS; i++) {
		pthread_join(readers[i].thread, NULL);
		EXPECT_EQ(GRANULES, readers[i].done);
		EXPECT_EQ(0, readers[i].wrong);
	}
	ASSERT_EQ(0, region_stat(self->region, &stat));
	EXPECT_EQ(0, stat.error_count);
	EXPECT_EQ(0, stat.timeout_count);
	EXPECT_LT(GRANULES, stat.fill_count);
	EXPECT_GE(2 * BUDGET, stat.dram_bytes + stat.cxl_bytes);
}

TEST_HARNESS_MAIN
