// SPDX-License-Identifier: GPL-2.0-only
/* The commands as such: sizes, flags, reserved fields, pointers, numbers. */
#include "test.h"

#include <sys/mman.h>

#define BYTES (2 * GRANULE + 999)
#define SEED 3

/* The largest struct and a tail. */
union argument {
	struct itme_info info;
	struct itme_attach attach;
	struct itme_hint_vec hint;
	struct itme_wait wait;
	struct itme_residency residency;
	struct itme_stat stat;
	struct {
		__u32 size;
		__u32 flags;
	};
	__u8 bytes[512];
};

FIXTURE(ioctl)
{
	struct instance inst;
	int store; /* of no region; for ATTACH */
	int region;
	struct itme_hint entry;
	__u8 buffer[16];
	union argument arg; /* one that the command carries out */
	int fd; /* the file that the command belongs to */
};

FIXTURE_VARIANT(ioctl)
{
	unsigned int cmd;
	__u32 size;
	__u32 known_flags;
	size_t reserved; /* offset of a reserved field, 0 where there is none */
	size_t pointer; /* offset of an address, 0 where there is none */
	bool on_root, on_region;
};

FIXTURE_VARIANT_ADD(ioctl, info)
{
	.cmd = ITME_IOC_INFO,
	.size = sizeof(struct itme_info),
	.on_root = true,
	.on_region = true,
};

FIXTURE_VARIANT_ADD(ioctl, attach)
{
	.cmd = ITME_IOC_ATTACH,
	.size = sizeof(struct itme_attach),
	.known_flags = ITME_ATTACH_MODE | ITME_ATTACH_WRITE,
	.reserved = offsetof(struct itme_attach, __reserved),
	.pointer = offsetof(struct itme_attach, name),
	.on_root = true,
};

FIXTURE_VARIANT_ADD(ioctl, hint)
{
	.cmd = ITME_IOC_HINT,
	.size = sizeof(struct itme_hint_vec),
	.known_flags = ITME_HINT_VEC_EVENTFD,
	.reserved = offsetof(struct itme_hint_vec, eventfd), /* without its flag */
	.pointer = offsetof(struct itme_hint_vec, entries),
	.on_region = true,
};

FIXTURE_VARIANT_ADD(ioctl, wait)
{
	.cmd = ITME_IOC_WAIT,
	.size = sizeof(struct itme_wait),
	.known_flags = ITME_WAIT_COOKIE | ITME_WAIT_RANGE,
	.reserved = offsetof(struct itme_wait, cookie), /* of a range */
	.on_region = true,
};

FIXTURE_VARIANT_ADD(ioctl, residency)
{
	.cmd = ITME_IOC_RESIDENCY,
	.size = sizeof(struct itme_residency),
	.reserved = offsetof(struct itme_residency, __reserved),
	.pointer = offsetof(struct itme_residency, buffer),
	.on_region = true,
};

FIXTURE_VARIANT_ADD(ioctl, stat)
{
	.cmd = ITME_IOC_STAT,
	.size = sizeof(struct itme_stat),
	.on_region = true,
};

FIXTURE_SETUP(ioctl)
{
	char path[256];

	ASSERT_EQ(0, private_mounts());
	ASSERT_EQ(0, instance_mount(&self->inst, "dram=8M"));
	ASSERT_EQ(0, store_path(path, sizeof(path), BYTES, SEED));
	ASSERT_EQ(0, attach_path(&self->inst, path, "region"));
	self->region = region_open(&self->inst, "region", O_RDONLY);
	ASSERT_LE(0, self->region);
	ASSERT_EQ(0, store_path(path, sizeof(path), BYTES, SEED + 1));
	self->store = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, self->store);

	self->fd = variant->on_region ? self->region : self->inst.root;
	memset(&self->arg, 0, sizeof(self->arg));
	self->entry = (struct itme_hint){
		.op = ITME_HINT_PREFETCH,
		.hint_class = ITME_CLASS_EXACT,
		.tier = ITME_TIER_DRAM,
		.length = BYTES,
	};
	switch (variant->cmd) {
	case ITME_IOC_ATTACH:
		self->arg.attach.fd = self->store;
		self->arg.attach.name = (uintptr_t)"new";
		self->arg.attach.name_len = 3;
		break;
	case ITME_IOC_HINT:
		self->arg.hint.entries = (uintptr_t)&self->entry;
		self->arg.hint.count = 1;
		self->arg.hint.entry_size = sizeof(self->entry);
		break;
	case ITME_IOC_WAIT:
		self->arg.flags = ITME_WAIT_RANGE;
		self->arg.wait.length = BYTES;
		break;
	case ITME_IOC_RESIDENCY:
		self->arg.residency.count = sizeof(self->buffer);
		self->arg.residency.buffer = (uintptr_t)self->buffer;
		break;
	}
	self->arg.size = variant->size;
}

FIXTURE_TEARDOWN(ioctl)
{
	close(self->store);
	close(self->region);
	EXPECT_EQ(0, instance_umount(&self->inst));
}

static int call(int fd, unsigned int cmd, const void *arg)
{
	return ioctl(fd, cmd, arg) ? -errno : 0;
}

TEST_F(ioctl, exact_size)
{
	EXPECT_EQ(0, call(self->fd, variant->cmd, &self->arg));
}

TEST_F(ioctl, smaller_sizes)
{
	self->arg.size = variant->size - 8;
	EXPECT_EQ(-EINVAL, call(self->fd, variant->cmd, &self->arg));
	self->arg.size = variant->size - 1;
	EXPECT_EQ(-EINVAL, call(self->fd, variant->cmd, &self->arg));
	self->arg.size = sizeof(__u32);
	EXPECT_EQ(-EINVAL, call(self->fd, variant->cmd, &self->arg));
	self->arg.size = 0;
	EXPECT_EQ(-EINVAL, call(self->fd, variant->cmd, &self->arg));
}

TEST_F(ioctl, larger_sizes)
{
	/* A newer caller, who uses nothing that is new. */
	self->arg.size = variant->size + 8;
	EXPECT_EQ(0, call(self->fd, variant->cmd, &self->arg));
	if (variant->cmd == ITME_IOC_ATTACH)
		EXPECT_EQ(0, detach(&self->inst, "new"));
	if (variant->cmd == ITME_IOC_INFO || variant->cmd == ITME_IOC_STAT)
		EXPECT_EQ(variant->size, self->arg.size);
	self->arg.size = sizeof(self->arg);
	memset(self->arg.bytes + variant->size, 0, sizeof(self->arg) - variant->size);
	if (variant->cmd == ITME_IOC_INFO || variant->cmd == ITME_IOC_STAT)
		memset(self->arg.bytes + 4, 0, sizeof(self->arg) - 4);
	EXPECT_EQ(0, call(self->fd, variant->cmd, &self->arg));
}

TEST_F(ioctl, tail_that_is_not_zero)
{
	self->arg.size = variant->size + 8;
	self->arg.bytes[variant->size] = 1;
	EXPECT_EQ(-E2BIG, call(self->fd, variant->cmd, &self->arg));
	self->arg.bytes[variant->size] = 0;
	self->arg.bytes[variant->size + 7] = 0x80;
	EXPECT_EQ(-E2BIG, call(self->fd, variant->cmd, &self->arg));
	self->arg.size = variant->size + 1;
	self->arg.bytes[variant->size] = 1;
	EXPECT_EQ(-E2BIG, call(self->fd, variant->cmd, &self->arg));
}

TEST_F(ioctl, absurd_size)
{
	int err;

	/* It ends at the first byte that is not zero, or not there. */
	self->arg.size = UINT32_MAX;
	err = call(self->fd, variant->cmd, &self->arg);
	EXPECT_TRUE(err == -E2BIG || err == -EFAULT);
}

TEST_F(ioctl, unknown_flags)
{
	int bit;

	for (bit = 0; bit < 32; bit++) {
		if (variant->known_flags & 1U << bit)
			continue;
		self->arg.flags = 1U << bit;
		EXPECT_EQ(-EOPNOTSUPP, call(self->fd, variant->cmd, &self->arg))
			TH_LOG("for bit %d", bit);
		self->arg.flags |= variant->known_flags;
		EXPECT_EQ(-EOPNOTSUPP, call(self->fd, variant->cmd, &self->arg));
	}
}

TEST_F(ioctl, reserved_field)
{
	if (!variant->reserved)
		return; /* it has none */
	self->arg.bytes[variant->reserved] = 1;
	EXPECT_EQ(-EINVAL, call(self->fd, variant->cmd, &self->arg));
	self->arg.bytes[variant->reserved] = 0;
	self->arg.bytes[variant->reserved + 3] = 0x80;
	EXPECT_EQ(-EINVAL, call(self->fd, variant->cmd, &self->arg));
}

TEST_F(ioctl, bad_address_of_the_struct)
{
	char *pages, *edge;

	EXPECT_EQ(-EFAULT, call(self->fd, variant->cmd, NULL));
	EXPECT_EQ(-EFAULT, call(self->fd, variant->cmd, (void *)-1L));
	EXPECT_EQ(-EFAULT, call(self->fd, variant->cmd, (void *)0xffff888000000000UL));
	pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, pages);
	ASSERT_EQ(0, munmap(pages + PAGE, PAGE));
	edge = pages + PAGE - variant->size + 4;
	memcpy(edge, &self->arg, variant->size - 4);
	EXPECT_EQ(-EFAULT, call(self->fd, variant->cmd, edge));
	munmap(pages, PAGE);
	EXPECT_EQ(-ENOENT, detach(&self->inst, "new"));
}

TEST_F(ioctl, struct_that_cannot_be_written_to)
{
	void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, page);
	memcpy(page, &self->arg, variant->size);
	ASSERT_EQ(0, mprotect(page, PAGE, PROT_READ));
	EXPECT_EQ(-EFAULT, call(self->fd, variant->cmd, page));
	munmap(page, PAGE);
}

TEST_F(ioctl, bad_address_in_it)
{
	__u64 good;

	if (!variant->pointer)
		return; /* it has none */
	memcpy(&good, self->arg.bytes + variant->pointer, sizeof(good));
	memset(self->arg.bytes + variant->pointer, 0, sizeof(good));
	EXPECT_EQ(-EFAULT, call(self->fd, variant->cmd, &self->arg));
	memset(self->arg.bytes + variant->pointer, 0xff, sizeof(good));
	EXPECT_EQ(-EFAULT, call(self->fd, variant->cmd, &self->arg));
	/* A kernel address, where a careless copy would succeed. */
	good = 0xffff888000000000UL;
	memcpy(self->arg.bytes + variant->pointer, &good, sizeof(good));
	EXPECT_EQ(-EFAULT, call(self->fd, variant->cmd, &self->arg));
	EXPECT_EQ(-ENOENT, detach(&self->inst, "new"));
}

TEST_F(ioctl, belongs_to_its_file)
{
	int path = openat(self->inst.root, "region", O_PATH | O_CLOEXEC);

	ASSERT_LE(0, path);
	EXPECT_EQ(variant->on_root ? 0 : -ENOTTY,
		  call(self->inst.root, variant->cmd, &self->arg));
	if (!variant->on_region)
		EXPECT_EQ(-ENOTTY, call(self->region, variant->cmd, &self->arg));
	EXPECT_EQ(-EBADF, call(path, variant->cmd, &self->arg));
	EXPECT_EQ(-ENOTTY, call(self->store, variant->cmd, &self->arg));
	close(path);
}

/* ---- what is not a command ---- */

FIXTURE(command)
{
	struct instance inst;
	int region;
};

FIXTURE_SETUP(command)
{
	char path[256];

	ASSERT_EQ(0, private_mounts());
	ASSERT_EQ(0, instance_mount(&self->inst, "dram=8M,name=commands"));
	ASSERT_EQ(0, store_path(path, sizeof(path), BYTES, SEED));
	ASSERT_EQ(0, attach_path(&self->inst, path, "region"));
	self->region = region_open(&self->inst, "region", O_RDONLY);
	ASSERT_LE(0, self->region);
}

FIXTURE_TEARDOWN(command)
{
	if (self->region >= 0)
		close(self->region);
	EXPECT_EQ(0, instance_umount(&self->inst));
}

TEST_F(command, unknown_numbers)
{
	union argument arg = {};
	unsigned int nr;

	arg.size = sizeof(arg);
	for (nr = 0; nr < 256; nr++) {
		unsigned int cmd = _IO(ITME_IOC_TYPE, nr);

		if (nr >= 0x80 && nr <= 0x86)
			continue;
		EXPECT_EQ(-ENOTTY, call(self->region, cmd, &arg));
		EXPECT_EQ(-ENOTTY, call(self->inst.root, cmd, &arg));
	}
	/* The right number with a wrong type, direction or size. */
	EXPECT_EQ(-ENOTTY, call(self->region, _IO(ITME_IOC_TYPE + 1, 0x84), &arg));
	EXPECT_EQ(-ENOTTY, call(self->region, _IOWR(ITME_IOC_TYPE, 0x84, struct itme_stat), &arg));
	EXPECT_EQ(-ENOTTY, call(self->region, ITME_IOC_STAT | 1U << 31, &arg));
}

TEST_F(command, info_says_what_is)
{
	struct itme_info info = { .size = sizeof(info) }, same = { .size = sizeof(same) };

	ASSERT_EQ(0, call(self->inst.root, ITME_IOC_INFO, &info));
	EXPECT_EQ(sizeof(info), info.size);
	EXPECT_EQ(GRANULE, info.granule_bytes);
	EXPECT_EQ(8 * MIB, info.dram_bytes);
	EXPECT_EQ(0, info.cxl_bytes);
	EXPECT_LE(GRANULE, info.window_bytes);
	EXPECT_GE(8 * MIB, info.window_bytes);
	EXPECT_STREQ("commands", info.instance);
	EXPECT_TRUE(info.features & ITME_FEATURE_READ_ONLY);
	EXPECT_TRUE(info.features & ITME_FEATURE_HINT);
	EXPECT_TRUE(info.features & ITME_FEATURE_FADVISE);
	/* Every number from the first on. */
	EXPECT_EQ((1U << (ITME_HINT_CANCEL + 1)) - 2, info.hint_ops);
	EXPECT_EQ((1U << (ITME_CLASS_MAYBE + 1)) - 2, info.hint_classes);
	EXPECT_LE(1, info.hint_max);
	EXPECT_LE(info.hint_max, info.queue_max);
	EXPECT_LE(1, info.cookie_max);
	EXPECT_LE(GRANULE, info.inflight_bytes);
	EXPECT_GE(8 * MIB, info.inflight_bytes);
	EXPECT_GT(8 * MIB, info.pin_limit_bytes);
	ASSERT_EQ(0, call(self->region, ITME_IOC_INFO, &same));
	EXPECT_EQ(0, memcmp(&info, &same, sizeof(info)));
}

TEST_F(command, descriptors_close_once)
{
	struct itme_stat stat = { .size = sizeof(stat) };
	int fd = self->region;

	EXPECT_EQ(0, close(fd));
	self->region = -1;
	EXPECT_EQ(-1, close(fd));
	EXPECT_EQ(EBADF, errno);
	EXPECT_EQ(-EBADF, call(fd, ITME_IOC_STAT, &stat));
}

TEST_F(command, residency_ranges)
{
	__u8 bytes[8];
	struct itme_residency args = {
		.size = sizeof(args),
		.count = sizeof(bytes),
		.buffer = (uintptr_t)bytes,
	};

	ASSERT_EQ(0, prefetch(self->region, ITME_TIER_DRAM, GRANULE, 1));
	memset(bytes, 0xee, sizeof(bytes));
	ASSERT_EQ(0, call(self->region, ITME_IOC_RESIDENCY, &args));
	EXPECT_EQ(3, args.count);
	EXPECT_EQ(ITME_TIER_STORE, bytes[0]);
	EXPECT_EQ(ITME_TIER_DRAM, bytes[1]);
	EXPECT_EQ(ITME_TIER_STORE, bytes[2]);
	EXPECT_EQ(0xee, bytes[3]);

	args.count = UINT64_MAX;
	args.first_granule = 1;
	ASSERT_EQ(0, call(self->region, ITME_IOC_RESIDENCY, &args));
	EXPECT_EQ(2, args.count);
	EXPECT_EQ(ITME_TIER_DRAM, bytes[0]);
	args.count = 8;
	args.first_granule = 3;
	ASSERT_EQ(0, call(self->region, ITME_IOC_RESIDENCY, &args));
	EXPECT_EQ(0, args.count);
	args.count = UINT64_MAX;
	args.first_granule = UINT64_MAX;
	ASSERT_EQ(0, call(self->region, ITME_IOC_RESIDENCY, &args));
	EXPECT_EQ(0, args.count);
	args.count = 0;
	args.first_granule = 0;
	args.buffer = 0;
	EXPECT_EQ(0, call(self->region, ITME_IOC_RESIDENCY, &args));
}

TEST_F(command, hint_vectors)
{
	struct itme_info info = { .size = sizeof(info) };
	struct itme_hint *entries;
	struct itme_hint_vec vec = { .size = sizeof(vec), .entry_size = sizeof(*entries) };
	__u32 i, in_page = PAGE / sizeof(*entries);
	char *pages;

	ASSERT_EQ(0, call(self->region, ITME_IOC_INFO, &info));
	entries = calloc(info.hint_max, sizeof(*entries));
	ASSERT_NE(NULL, entries);
	for (i = 0; i < info.hint_max; i++)
		entries[i] = (struct itme_hint){ .op = ITME_HINT_RELEASE, .length = 1 };
	vec.entries = (uintptr_t)entries;
	vec.count = 0;
	EXPECT_EQ(-EINVAL, call(self->region, ITME_IOC_HINT, &vec));
	vec.count = info.hint_max + 1;
	EXPECT_EQ(-EINVAL, call(self->region, ITME_IOC_HINT, &vec));
	vec.count = UINT32_MAX;
	EXPECT_EQ(-EINVAL, call(self->region, ITME_IOC_HINT, &vec));
	vec.count = info.hint_max;
	vec.entry_size = sizeof(*entries) - 8;
	EXPECT_EQ(-EINVAL, call(self->region, ITME_IOC_HINT, &vec));
	vec.entry_size = sizeof(*entries) + 8;
	EXPECT_EQ(-EINVAL, call(self->region, ITME_IOC_HINT, &vec));
	vec.entry_size = 0;
	EXPECT_EQ(-EINVAL, call(self->region, ITME_IOC_HINT, &vec));
	vec.entry_size = sizeof(*entries);
	EXPECT_EQ(0, call(self->region, ITME_IOC_HINT, &vec));
	EXPECT_EQ(info.hint_max, vec.done);

	/* A vector that runs off its page: what could be read was done, and is told. */
	pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, pages);
	ASSERT_EQ(0, munmap(pages + PAGE, PAGE));
	memcpy(pages, entries, in_page * sizeof(*entries));
	vec.entries = (uintptr_t)pages;
	vec.count = in_page + 2;
	EXPECT_EQ(-EFAULT, call(self->region, ITME_IOC_HINT, &vec));
	EXPECT_EQ(in_page, vec.done);
	/* And one that cannot be written to. */
	ASSERT_EQ(0, mprotect(pages, PAGE, PROT_READ));
	vec.count = 1;
	EXPECT_EQ(-EFAULT, call(self->region, ITME_IOC_HINT, &vec));
	EXPECT_EQ(0, vec.done);
	munmap(pages, PAGE);
	free(entries);
}

static int info_as_nobody(void *arg)
{
	struct itme_info info = { .size = sizeof(info) };

	return call(*(int *)arg, ITME_IOC_INFO, &info);
}

TEST_F(command, info_needs_no_privilege)
{
	EXPECT_EQ(0, as_user(NOBODY, info_as_nobody, &self->inst.root));
}

TEST_HARNESS_MAIN
