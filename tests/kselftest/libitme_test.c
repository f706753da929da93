// SPDX-License-Identifier: GPL-2.0-only
/* libitme on a region: what the module answers. With itmed: libitme_itmed_test.sh. */
#include "test.h"

#include <libitme.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "device.h"

#define GRANULES 8UL
#define BYTES (GRANULES * GRANULE + 3 * PAGE)
#define SEED 83
#define SECOND_NS 1000000000ULL

/* In front of a store that hangs when it is told so. */
FIXTURE(libitme)
{
	struct instance inst;
	struct device device;
	struct itme_region *region;
	uint64_t patience_ns;
	char path[128];
};

FIXTURE_SETUP(libitme)
{
	ASSERT_EQ(0, private_mounts());
	ASSERT_EQ(0, device_make(&self->device, BYTES, SEED));
	ASSERT_EQ(0, instance_mount(&self->inst, "dram=32M"));
	ASSERT_EQ(0, attach_path(&self->inst, self->device.path, "model"));
	snprintf(self->path, sizeof(self->path), "%s/model", self->inst.dir);
	ASSERT_EQ(0, itme_region_open(self->path, &self->region));
	self->patience_ns = 60 * SECOND_NS * slowness();
}

FIXTURE_TEARDOWN(libitme)
{
	device_go_on(&self->device);
	EXPECT_EQ(0, itme_region_wait(self->region, 0, BYTES, self->patience_ns, NULL));
	itme_region_close(self->region);
	EXPECT_EQ(0, instance_umount(&self->inst));
	EXPECT_EQ(0, device_remove(&self->device));
}

/* Granules in DRAM; all others must be in the store. */
static int in_memory(struct itme_region *region)
{
	uint8_t bytes[GRANULES + 4];
	int count = 0;

	if (itme_region_residency(region, 0, bytes, sizeof(bytes)) != GRANULES + 1)
		return -1;
	for (unsigned int i = 0; i <= GRANULES; i++) {
		if (bytes[i] & ~ITME_RESIDENCY_TIER_MASK)
			return -1;
		count += bytes[i] == ITME_TIER_DRAM;
	}
	return count;
}

TEST_F(libitme, prefetch_wait_residency_release)
{
	struct itme_outcome outcome;
	struct itme_taken taken;
	uint8_t byte;

	EXPECT_EQ(GRANULE, itme_region_granule_bytes(self->region));
	EXPECT_EQ(0, in_memory(self->region));
	EXPECT_EQ(0, itme_region_prefetch(self->region, GRANULE, 2 * GRANULE));
	EXPECT_EQ(0, itme_region_wait(self->region, GRANULE, 2 * GRANULE, self->patience_ns,
				      &outcome));
	EXPECT_EQ(2 * GRANULE, outcome.ready_bytes);
	EXPECT_EQ(0, outcome.failed_bytes + outcome.lost_bytes + outcome.expired_bytes);
	EXPECT_EQ(2, in_memory(self->region));
	EXPECT_EQ(1, itme_region_residency(self->region, 2, &byte, 1));
	EXPECT_EQ(ITME_TIER_DRAM, byte);
	EXPECT_EQ(0, itme_region_residency(self->region, GRANULES + 1, &byte, 1));
	EXPECT_EQ(0, itme_region_release(self->region, 0, BYTES, &taken));
	EXPECT_EQ(2 * GRANULE, taken.accepted_bytes);
	EXPECT_EQ(BYTES - 2 * GRANULE, taken.resident_bytes);
	EXPECT_EQ(0, in_memory(self->region));
}

TEST_F(libitme, need_and_fence)
{
	const struct itme_range ranges[] = { { 0, 1 }, { 3 * GRANULE, GRANULE }, { BYTES - 1, 1 } };
	const struct itme_want want = { .hint_class = ITME_CLASS_LIKELY, .cookie = 5 };
	struct itme_outcome outcome;
	struct itme_taken taken;

	device_hang(&self->device);
	EXPECT_EQ(0, itme_region_need(self->region, ranges, 3, &want, &taken));
	EXPECT_EQ(2 * GRANULE + 3 * PAGE, taken.accepted_bytes);
	EXPECT_EQ(-ETIMEDOUT, itme_region_fence(self->region, 5, SECOND_NS / 100, &outcome));
	EXPECT_EQ(-ETIMEDOUT, itme_region_wait(self->region, 0, 1, 0, NULL));
	device_go_on(&self->device);
	EXPECT_EQ(0, itme_region_fence(self->region, 5, self->patience_ns, &outcome));
	EXPECT_EQ(2 * GRANULE + 3 * PAGE, outcome.ready_bytes);
	EXPECT_EQ(-ENOENT, itme_region_fence(self->region, 5, 0, NULL)); /* told once */
	EXPECT_EQ(3, in_memory(self->region));
	EXPECT_EQ(0, itme_region_need(self->region, ranges, 3, NULL, &taken));
	EXPECT_EQ(2 * GRANULE + 3 * PAGE, taken.resident_bytes);
}

TEST_F(libitme, a_deadline_expires)
{
	const struct itme_range range = { 0, GRANULE };
	struct itme_want want = { .cookie = 6, .deadline_ns = 1 };
	struct itme_outcome outcome;

	EXPECT_EQ(0, itme_region_need(self->region, &range, 1, &want, NULL));
	EXPECT_EQ(0, itme_region_fence(self->region, 6, self->patience_ns, &outcome));
	EXPECT_EQ(GRANULE, outcome.expired_bytes);
	EXPECT_EQ(0, in_memory(self->region));
}

TEST_F(libitme, errors)
{
	const struct itme_range past = { BYTES, 1 }, good = { 0, 1 };
	const struct itme_want tier = { .tier = 3 };
	struct itme_region *other;
	struct itme_taken taken;
	struct itme_hint pin = {
		.op = ITME_HINT_PIN,
		.hint_class = ITME_CLASS_EXACT,
		.length = GRANULE,
	};
	int root;

	EXPECT_EQ(-EINVAL, itme_region_need(self->region, &past, 1, NULL, NULL));
	EXPECT_EQ(-EINVAL, itme_region_need(self->region, &good, 1, &tier, NULL));
	EXPECT_EQ(-EINVAL, itme_region_release(self->region, 0, 0, NULL));
	EXPECT_EQ(-EINVAL, itme_region_wait(self->region, BYTES, 1, 0, NULL));
	EXPECT_EQ(-EINVAL, itme_region_fence(self->region, 0, 0, NULL));
	root = open(self->inst.dir, O_RDONLY | O_DIRECTORY);
	EXPECT_EQ(-EINVAL, itme_region_open_fd(root, &other));
	close(root);

	/* What is pinned is not released. */
	EXPECT_EQ(0, submit(itme_region_fd(self->region), &pin, 1));
	EXPECT_EQ(0, itme_region_wait(self->region, 0, 1, self->patience_ns, NULL));
	EXPECT_EQ(-EBUSY, itme_region_release(self->region, 0, BYTES, &taken));
	EXPECT_EQ(GRANULE, taken.refused_bytes);
}

TEST_F(libitme, handles_of_one_open_file)
{
	const struct itme_range range = { 0, GRANULE };
	const struct itme_want want = { .cookie = 7 };
	struct itme_region *same, *other;
	int status;
	pid_t child;

	ASSERT_EQ(0, itme_region_open_fd(itme_region_fd(self->region), &same));
	ASSERT_EQ(0, itme_region_open(self->path, &other));
	EXPECT_EQ(0, itme_region_need(self->region, &range, 1, &want, NULL));
	EXPECT_EQ(-ENOENT, itme_region_fence(other, 7, 0, NULL));
	EXPECT_EQ(0, itme_region_fence(same, 7, self->patience_ns, NULL));
	itme_region_close(same);
	itme_region_close(other);

	/* The child's hint and cookie are its parent's. */
	child = fork();
	if (child == 0)
		_exit(-itme_region_need(self->region, &range, 1, &want, NULL));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, itme_region_fence(self->region, 7, self->patience_ns, NULL));
	EXPECT_EQ(0, itme_region_at(self->region, "decode", 1, 0)); /* no itmed is here */
	EXPECT_EQ(1, itme_region_lost_events(self->region));
}

TEST_HARNESS_MAIN
