// SPDX-License-Identifier: GPL-2.0-only
/* The ioctl commands: one table, which knows the size of every struct. */
#include <linux/capability.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>
#include "itme.h"

union argument {
	struct itme_info info;
	struct itme_attach attach;
	struct itme_hint_vec hint;
	struct itme_wait wait;
	struct itme_residency residency;
	struct itme_stat stat;
	struct itme_seal seal;
};

struct command {
	unsigned int cmd;
	u32 size; /* what this module knows */
	u32 min_size; /* the first version of the struct */
	long (*fn)(struct file *file, union argument *arg);
};

static long do_info(struct file *file, union argument *arg)
{
	struct itme_instance *inst = itme_instance_of(file_inode(file)->i_sb);
	struct itme_info *info = &arg->info;
	unsigned int shift = inst->granule_shift;

	if (info->flags)
		return -EOPNOTSUPP;

	*info = (struct itme_info){
		.size = sizeof(*info),
		.features = ITME_FEATURE_READ_ONLY | ITME_FEATURE_HINT | ITME_FEATURE_FADVISE |
			    ITME_FEATURE_READ_WRITE,
		.granule_bytes = itme_granule_bytes(inst),
		.dram_bytes = (u64)READ_ONCE(inst->pool[ITME_TIER_DRAM].target) << shift,
		.cxl_bytes = (u64)READ_ONCE(inst->pool[ITME_TIER_CXL].target) << shift,
		.window_bytes = (u64)READ_ONCE(inst->window_frames) << shift,
		.version = ITME_VERSION_MAJOR << 16 | ITME_VERSION_MINOR,
		.hint_max = ITME_HINT_VECTOR_MAX,
		.hint_ops = GENMASK(ITME_HINT_CANCEL, ITME_HINT_PREFETCH),
		.hint_classes = GENMASK(ITME_CLASS_MAYBE, ITME_CLASS_EXACT),
		.inflight_bytes = (u64)itme_queue_limit(inst) << shift,
		.pin_limit_bytes = itme_pin_limit(inst),
		.queue_max = ITME_QUEUE_MAX,
		.cookie_max = ITME_COOKIE_MAX,
	};
	strscpy(info->instance, inst->name);
	return 0;
}

static long do_attach(struct file *file, union argument *arg)
{
	struct itme_attach *attach = &arg->attach;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (attach->flags & ~(ITME_ATTACH_MODE | ITME_ATTACH_WRITE))
		return -EOPNOTSUPP;
	if (attach->__reserved || attach->mode & ~0777 ||
	    (attach->mode && !(attach->flags & ITME_ATTACH_MODE)))
		return -EINVAL;
	return itme_attach(file_inode(file)->i_sb->s_root, attach);
}

static long do_hint(struct file *file, union argument *arg)
{
	if (arg->hint.flags & ~ITME_HINT_VEC_EVENTFD)
		return -EOPNOTSUPP;
	if (arg->hint.eventfd && !(arg->hint.flags & ITME_HINT_VEC_EVENTFD))
		return -EINVAL;
	return itme_hint(file->private_data, &arg->hint);
}

static long do_wait(struct file *file, union argument *arg)
{
	return itme_wait(file->private_data, &arg->wait);
}

static long do_residency(struct file *file, union argument *arg)
{
	struct itme_region *region = itme_region_of(file_inode(file));
	struct itme_residency *args = &arg->residency;
	u8 __user *buffer = u64_to_user_ptr(args->buffer);
	u64 count, done = 0;

	if (args->flags)
		return -EOPNOTSUPP;
	if (args->__reserved)
		return -EINVAL;
	if (args->first_granule >= region->nr_granules)
		count = 0;
	else
		count = min(args->count, region->nr_granules - args->first_granule);
	while (done < count) {
		u8 bytes[256];
		u64 i, n = min_t(u64, count - done, sizeof(bytes));

		for (i = 0; i < n; i++) {
			struct itme_granule *g;

			g = itme_region_granule(region, args->first_granule + done + i);
			bytes[i] = g ? itme_granule_residency(g) : ITME_TIER_STORE;
		}
		if (copy_to_user(buffer + done, bytes, n))
			return -EFAULT;
		if (fatal_signal_pending(current))
			return -EINTR;
		done += n;
		cond_resched();
	}
	args->count = count;
	return 0;
}

static long do_stat(struct file *file, union argument *arg)
{
	struct itme_region *region = itme_region_of(file_inode(file));
	unsigned int shift = region->inst->granule_shift;
	struct itme_stat *stat = &arg->stat;

	if (stat->flags)
		return -EOPNOTSUPP;
	memset(stat, 0, sizeof(*stat));
	stat->size = sizeof(*stat);
	stat->region_bytes = region->bytes;
	stat->dram_bytes = (u64)atomic_long_read(&region->resident[ITME_TIER_DRAM]) << shift;
	stat->cxl_bytes = (u64)atomic_long_read(&region->resident[ITME_TIER_CXL]) << shift;
#define ITME_COUNTER_STAT(name) \
	stat->name = atomic64_read(&region->counters.value[ITME_COUNTER_##name]);
	ITME_COUNTERS(ITME_COUNTER_STAT)
#undef ITME_COUNTER_STAT
	stat->metadata_bytes = itme_region_metadata_bytes(region);
	stat->queued_bytes = (u64)atomic_long_read(&region->nr_queued) << shift;
	stat->pinned_bytes = (u64)atomic_long_read(&region->nr_pinned) << shift;
	stat->dirty_bytes = (u64)atomic_long_read(&region->nr_dirty) << shift;
	return 0;
}

static long do_seal(struct file *file, union argument *arg)
{
	return arg->seal.flags ? -EOPNOTSUPP : itme_seal(file);
}

#define COMMAND(_cmd, _fn, _struct, _last) \
	{ .cmd = _cmd, .size = sizeof(_struct), .min_size = offsetofend(_struct, _last), .fn = _fn }

static const struct command root_commands[] = {
	COMMAND(ITME_IOC_INFO, do_info, struct itme_info, cookie_max),
	COMMAND(ITME_IOC_ATTACH, do_attach, struct itme_attach, region_bytes),
};

static const struct command region_commands[] = {
	COMMAND(ITME_IOC_INFO, do_info, struct itme_info, cookie_max),
	COMMAND(ITME_IOC_HINT, do_hint, struct itme_hint_vec, eventfd),
	COMMAND(ITME_IOC_WAIT, do_wait, struct itme_wait, lost_bytes),
	COMMAND(ITME_IOC_RESIDENCY, do_residency, struct itme_residency, __reserved),
	COMMAND(ITME_IOC_STAT, do_stat, struct itme_stat, lost_bytes),
	COMMAND(ITME_IOC_SEAL, do_seal, struct itme_seal, flags),
};

static long run(const struct command *command, struct file *file, void __user *user)
{
	union argument arg;
	u32 size;
	long ret;

	if (get_user(size, (u32 __user *)user))
		return -EFAULT;
	if (size < command->min_size)
		return -EINVAL;
	ret = copy_struct_from_user(&arg, command->size, user, size);
	if (ret)
		return ret;
	ret = command->fn(file, &arg);
	/* Results of a vector that ended early are wanted too. */
	if (copy_to_user(user, &arg, min(size, command->size)) && !ret)
		return -EFAULT;
	return ret;
}

static long dispatch(const struct command *commands, size_t nr, struct file *file,
		     unsigned int cmd, unsigned long arg)
{
	size_t i;

	for (i = 0; i < nr; i++)
		if (commands[i].cmd == cmd)
			return run(&commands[i], file, (void __user *)arg);
	return -ENOTTY;
}

/**
 * itme_root_ioctl - commands on the mount's root directory
 * @file: the open directory
 * @cmd: ITME_IOC_*
 * @arg: user address of the command's struct
 *
 * Return: 0 or a negative errno.
 */
long itme_root_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return dispatch(root_commands, ARRAY_SIZE(root_commands), file, cmd, arg);
}

/**
 * itme_region_ioctl - commands on an open region
 * @file: the open region
 * @cmd: ITME_IOC_*
 * @arg: user address of the command's struct
 *
 * Return: 0 or a negative errno.
 */
long itme_region_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	if (cmd != ITME_IOC_INFO && cmd != ITME_IOC_SEAL && !(file->f_mode & FMODE_READ))
		return -EBADF;
	return dispatch(region_commands, ARRAY_SIZE(region_commands), file, cmd, arg);
}
