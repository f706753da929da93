// SPDX-License-Identifier: GPL-2.0-only
/* /sys/fs/itme/<instance>/: described in Documentation/ABI/testing/sysfs-fs-itme. */
#include <linux/blkdev.h>
#include <linux/slab.h>
#include <linux/sysfs.h>
#include "itme.h"

/* An object of our own, so that its end is apart from what it describes. */
struct itme_kobj {
	struct kobject kobj;
	struct itme_instance *inst;
	struct itme_region *region; /* NULL for the instance's folder */
};

struct itme_attr {
	struct attribute attr;
	ssize_t (*show)(struct itme_kobj *k, const struct itme_attr *attr, char *buf);
	ssize_t (*store)(struct itme_kobj *k, const struct itme_attr *attr, u64 value);
	int which; /* enum itme_counter or enum itme_tier */
};

static struct kset *itme_kset;
static DEFINE_MUTEX(names_mutex); /* from looking for a name to taking it */

static struct itme_kobj *to_itme_kobj(struct kobject *kobj)
{
	return container_of(kobj, struct itme_kobj, kobj);
}

static ssize_t sysfs_show(struct kobject *kobj, struct attribute *attr, char *buf)
{
	const struct itme_attr *a = container_of(attr, struct itme_attr, attr);

	return a->show(to_itme_kobj(kobj), a, buf);
}

static ssize_t sysfs_store(struct kobject *kobj, struct attribute *attr, const char *buf,
			  size_t count)
{
	const struct itme_attr *a = container_of(attr, struct itme_attr, attr);
	u64 value;
	int err;

	if (!a->store)
		return -EACCES;
	err = kstrtoull(buf, 0, &value);
	if (err)
		return err;
	err = a->store(to_itme_kobj(kobj), a, value);
	return err ?: count;
}

static const struct sysfs_ops itme_sysfs_ops = {
	.show = sysfs_show,
	.store = sysfs_store,
};

static void kobj_release(struct kobject *kobj)
{
	kfree(to_itme_kobj(kobj));
}

static u64 frames_to_bytes(const struct itme_instance *inst, unsigned long frames)
{
	return (u64)frames << inst->granule_shift;
}

static ssize_t show_granule(struct itme_kobj *k, const struct itme_attr *attr, char *buf)
{
	return sysfs_emit(buf, "%llu\n", itme_granule_bytes(k->inst));
}

static ssize_t show_budget(struct itme_kobj *k, const struct itme_attr *attr, char *buf)
{
	return sysfs_emit(buf, "%llu\n",
			  frames_to_bytes(k->inst, READ_ONCE(k->inst->pool[attr->which].target)));
}

static ssize_t show_current(struct itme_kobj *k, const struct itme_attr *attr, char *buf)
{
	return sysfs_emit(buf, "%llu\n",
			  frames_to_bytes(k->inst, READ_ONCE(k->inst->pool[attr->which].held)));
}

static ssize_t show_free(struct itme_kobj *k, const struct itme_attr *attr, char *buf)
{
	return sysfs_emit(buf, "%llu\n",
			  frames_to_bytes(k->inst, READ_ONCE(k->inst->pool[attr->which].nr_free)));
}

static ssize_t show_nodes(struct itme_kobj *k, const struct itme_attr *attr, char *buf)
{
	return sysfs_emit(buf, "%*pbl\n", nodemask_pr_args(&k->inst->pool[attr->which].nodes));
}

static ssize_t show_window(struct itme_kobj *k, const struct itme_attr *attr, char *buf)
{
	return sysfs_emit(buf, "%llu\n",
			  frames_to_bytes(k->inst, READ_ONCE(k->inst->window_frames)));
}

static ssize_t store_budget(struct itme_kobj *k, const struct itme_attr *attr, u64 value)
{
	return itme_instance_set_budget(k->inst, attr->which, value);
}

static ssize_t store_window(struct itme_kobj *k, const struct itme_attr *attr, u64 value)
{
	return itme_instance_set_window(k->inst, value);
}

static ssize_t show_inflight(struct itme_kobj *k, const struct itme_attr *attr, char *buf)
{
	return sysfs_emit(buf, "%llu\n", frames_to_bytes(k->inst, itme_queue_limit(k->inst)));
}

static ssize_t store_inflight(struct itme_kobj *k, const struct itme_attr *attr, u64 value)
{
	return itme_instance_set_inflight(k->inst, value);
}

static ssize_t show_floor(struct itme_kobj *k, const struct itme_attr *attr, char *buf)
{
	return sysfs_emit(buf, "%llu\n", frames_to_bytes(k->inst, READ_ONCE(k->inst->floor_frames)));
}

static ssize_t store_floor(struct itme_kobj *k, const struct itme_attr *attr, u64 value)
{
	return itme_instance_set_floor(k->inst, value);
}

static ssize_t show_returned(struct itme_kobj *k, const struct itme_attr *attr, char *buf)
{
	return sysfs_emit(buf, "%llu\n",
			  frames_to_bytes(k->inst, atomic_long_read(&k->inst->nr_returned)));
}

static ssize_t show_pin_limit(struct itme_kobj *k, const struct itme_attr *attr, char *buf)
{
	return sysfs_emit(buf, "%llu\n", itme_pin_limit(k->inst));
}

static ssize_t store_pin_limit(struct itme_kobj *k, const struct itme_attr *attr, u64 value)
{
	return itme_pin_set_limit(k->inst, value);
}

static ssize_t show_pinned(struct itme_kobj *k, const struct itme_attr *attr, char *buf)
{
	unsigned long granules = k->region ? atomic_long_read(&k->region->nr_pinned) :
					     READ_ONCE(k->inst->nr_pinned);

	return sysfs_emit(buf, "%llu\n", frames_to_bytes(k->inst, granules));
}

static ssize_t show_queued(struct itme_kobj *k, const struct itme_attr *attr, char *buf)
{
	unsigned long granules = k->region ? atomic_long_read(&k->region->nr_queued) :
					     READ_ONCE(k->inst->pool[ITME_TIER_DRAM].promised) +
					     READ_ONCE(k->inst->pool[ITME_TIER_CXL].promised);

	return sysfs_emit(buf, "%llu\n", frames_to_bytes(k->inst, granules));
}

static ssize_t show_dirty(struct itme_kobj *k, const struct itme_attr *attr, char *buf)
{
	unsigned long granules = k->region ? atomic_long_read(&k->region->nr_dirty) :
					     atomic_long_read(&k->inst->nr_dirty) +
					     atomic_long_read(&k->inst->nr_dirty_pinnable);

	return sysfs_emit(buf, "%llu\n", frames_to_bytes(k->inst, granules));
}

static ssize_t show_dirty_limit(struct itme_kobj *k, const struct itme_attr *attr, char *buf)
{
	return sysfs_emit(buf, "%llu\n", frames_to_bytes(k->inst, itme_dirty_limit(k->inst)));
}

static ssize_t show_background(struct itme_kobj *k, const struct itme_attr *attr, char *buf)
{
	return sysfs_emit(buf, "%llu\n",
			  frames_to_bytes(k->inst, itme_dirty_background(k->inst)));
}

/* 0 asks for the default; what is below a granule would be taken for it. */
static ssize_t store_dirty_frames(struct itme_kobj *k, u64 *frames, u64 value)
{
	if (value && !(value >> k->inst->granule_shift))
		return -EINVAL;
	WRITE_ONCE(*frames, value >> k->inst->granule_shift);
	wake_up_all(&k->inst->dirty_wait);
	itme_writeback_kick(k->inst, 0);
	return 0;
}

static ssize_t store_dirty_limit(struct itme_kobj *k, const struct itme_attr *attr, u64 value)
{
	return store_dirty_frames(k, &k->inst->dirty_limit_frames, value);
}

static ssize_t store_background(struct itme_kobj *k, const struct itme_attr *attr, u64 value)
{
	return store_dirty_frames(k, &k->inst->dirty_background_frames, value);
}

static ssize_t show_delay(struct itme_kobj *k, const struct itme_attr *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n", READ_ONCE(k->inst->writeback_delay_ms));
}

static ssize_t store_delay(struct itme_kobj *k, const struct itme_attr *attr, u64 value)
{
	if (value > 3600 * MSEC_PER_SEC)
		return -EINVAL;
	WRITE_ONCE(k->inst->writeback_delay_ms, value);
	itme_writeback_kick(k->inst, 0);
	return 0;
}

static ssize_t show_mode(struct itme_kobj *k, const struct itme_attr *attr, char *buf)
{
	const char *mode = k->region->pinnable ? "pinnable" :
			   k->region->writable ? "tiered" : "read-only";

	return sysfs_emit(buf, "%s\n", READ_ONCE(k->region->sealed) ? "sealed" : mode);
}

static ssize_t show_write_error(struct itme_kobj *k, const struct itme_attr *attr, char *buf)
{
	return sysfs_emit(buf, "%d\n", -READ_ONCE(k->region->write_error));
}

static ssize_t show_refused(struct itme_kobj *k, const struct itme_attr *attr, char *buf)
{
	unsigned long since = jiffies - READ_ONCE(k->region->refused_at);

	return sysfs_emit(buf, "%u\n",
			  READ_ONCE(k->region->write_error) ? jiffies_to_msecs(since) : 0);
}

static ssize_t show_counter(struct itme_kobj *k, const struct itme_attr *attr, char *buf)
{
	const struct itme_counters *counters = k->region ? &k->region->counters :
							   &k->inst->counters;

	return sysfs_emit(buf, "%lld\n", atomic64_read(&counters->value[attr->which]));
}

static ssize_t show_size(struct itme_kobj *k, const struct itme_attr *attr, char *buf)
{
	return sysfs_emit(buf, "%llu\n", k->region->bytes);
}

static ssize_t show_resident(struct itme_kobj *k, const struct itme_attr *attr, char *buf)
{
	unsigned long frames = atomic_long_read(&k->region->resident[attr->which]);

	return sysfs_emit(buf, "%llu\n", frames_to_bytes(k->inst, frames));
}

static ssize_t show_store(struct itme_kobj *k, const struct itme_attr *attr, char *buf)
{
	char *path;
	ssize_t n;
	char *page;

	if (k->region->store_is_bdev)
		return sysfs_emit(buf, "/dev/%pg\n",
				  I_BDEV(k->region->store->f_mapping->host));
	page = (char *)__get_free_page(GFP_KERNEL);
	if (!page)
		return -ENOMEM;
	path = file_path(k->region->store, page, PAGE_SIZE - 1);
	n = IS_ERR(path) ? PTR_ERR(path) : sysfs_emit(buf, "%s\n", path);
	free_page((unsigned long)page);
	return n;
}

#define ATTR(_var, _name, _mode, _show, _store, _which)             \
	static struct itme_attr _var = {                            \
		.attr = { .name = _name, .mode = _mode },           \
		.show = _show, .store = _store, .which = _which,    \
	}

ATTR(attr_granule, "granule_bytes", 0444, show_granule, NULL, 0);
ATTR(attr_window, "window_bytes", 0644, show_window, store_window, 0);
ATTR(attr_inflight, "inflight_bytes", 0644, show_inflight, store_inflight, 0);
ATTR(attr_pin_limit, "pin_limit_bytes", 0644, show_pin_limit, store_pin_limit, 0);
ATTR(attr_pinned, "pinned_bytes", 0444, show_pinned, NULL, 0);
ATTR(attr_queued, "queued_bytes", 0444, show_queued, NULL, 0);
ATTR(attr_dirty, "dirty_bytes", 0444, show_dirty, NULL, 0);
ATTR(attr_dirty_limit, "writeback_limit_bytes", 0644, show_dirty_limit, store_dirty_limit, 0);
ATTR(attr_background, "writeback_background_bytes", 0644, show_background, store_background, 0);
ATTR(attr_delay, "writeback_delay_ms", 0644, show_delay, store_delay, 0);
ATTR(attr_mode, "mode", 0444, show_mode, NULL, 0);
ATTR(attr_write_error, "writeback_errno", 0444, show_write_error, NULL, 0);
ATTR(attr_refused, "writeback_refused_ms", 0444, show_refused, NULL, 0);
ATTR(attr_dram, "dram_bytes", 0644, show_budget, store_budget, ITME_TIER_DRAM);
ATTR(attr_cxl, "cxl_bytes", 0644, show_budget, store_budget, ITME_TIER_CXL);
ATTR(attr_dram_current, "dram_current_bytes", 0444, show_current, NULL, ITME_TIER_DRAM);
ATTR(attr_cxl_current, "cxl_current_bytes", 0444, show_current, NULL, ITME_TIER_CXL);
ATTR(attr_dram_free, "dram_free_bytes", 0444, show_free, NULL, ITME_TIER_DRAM);
ATTR(attr_cxl_free, "cxl_free_bytes", 0444, show_free, NULL, ITME_TIER_CXL);
ATTR(attr_dram_floor, "dram_floor_bytes", 0644, show_floor, store_floor, 0);
ATTR(attr_dram_returned, "dram_returned_bytes", 0444, show_returned, NULL, 0);
ATTR(attr_dram_nodes, "dram_nodes", 0444, show_nodes, NULL, ITME_TIER_DRAM);
ATTR(attr_cxl_nodes, "cxl_nodes", 0444, show_nodes, NULL, ITME_TIER_CXL);

ATTR(attr_size, "size_bytes", 0444, show_size, NULL, 0);
ATTR(attr_store_path, "store", 0400, show_store, NULL, 0);
ATTR(attr_dram_resident, "dram_resident_bytes", 0444, show_resident, NULL, ITME_TIER_DRAM);
ATTR(attr_cxl_resident, "cxl_resident_bytes", 0444, show_resident, NULL, ITME_TIER_CXL);

#define COUNTER_ATTR(_name) \
	ATTR(attr_##_name, #_name, 0444, show_counter, NULL, ITME_COUNTER_##_name);
ITME_COUNTERS(COUNTER_ATTR)

static struct attribute *instance_attrs[] = {
	&attr_granule.attr,
	&attr_window.attr,
	&attr_inflight.attr,
	&attr_pin_limit.attr,
	&attr_pinned.attr,
	&attr_queued.attr,
	&attr_dirty.attr,
	&attr_dirty_limit.attr,
	&attr_background.attr,
	&attr_delay.attr,
	&attr_dram.attr,
	&attr_cxl.attr,
	&attr_dram_current.attr,
	&attr_cxl_current.attr,
	&attr_dram_free.attr,
	&attr_cxl_free.attr,
	&attr_dram_floor.attr,
	&attr_dram_returned.attr,
	&attr_dram_nodes.attr,
	&attr_cxl_nodes.attr,
#define COUNTER_LIST(_name) &attr_##_name.attr,
	ITME_COUNTERS(COUNTER_LIST)
	NULL,
};
ATTRIBUTE_GROUPS(instance);

static struct attribute *region_attrs[] = {
	&attr_size.attr,
	&attr_store_path.attr,
	&attr_dram_resident.attr,
	&attr_cxl_resident.attr,
	&attr_pinned.attr,
	&attr_queued.attr,
	&attr_dirty.attr,
	&attr_mode.attr,
	&attr_write_error.attr,
	&attr_refused.attr,
	ITME_COUNTERS(COUNTER_LIST)
	NULL,
};
ATTRIBUTE_GROUPS(region);

static const struct kobj_type instance_ktype = {
	.release = kobj_release,
	.sysfs_ops = &itme_sysfs_ops,
	.default_groups = instance_groups,
};

static const struct kobj_type region_ktype = {
	.release = kobj_release,
	.sysfs_ops = &itme_sysfs_ops,
	.default_groups = region_groups,
};

static struct kobject *add(struct itme_instance *inst, struct itme_region *region,
			   struct kobject *parent, const char *name)
{
	struct itme_kobj *k = kzalloc(sizeof(*k), GFP_KERNEL);
	int err;

	if (!k)
		return ERR_PTR(-ENOMEM);
	k->inst = inst;
	k->region = region;
	if (!region)
		k->kobj.kset = itme_kset;
	err = kobject_init_and_add(&k->kobj, region ? &region_ktype : &instance_ktype, parent,
				   "%s", name);
	if (err) {
		kobject_put(&k->kobj);
		return ERR_PTR(err);
	}
	return &k->kobj;
}

/* After kobject_del() no show or store runs any more. */
static void del(struct kobject **kobj)
{
	if (*kobj) {
		kobject_del(*kobj);
		kobject_put(*kobj);
	}
	*kobj = NULL;
}

/**
 * itme_sysfs_add_instance - make the instance's folder
 * @inst: the instance
 *
 * Return: 0, -EEXIST for a name in use, -ENOMEM.
 */
int itme_sysfs_add_instance(struct itme_instance *inst)
{
	struct kobject *kobj;

	guard(mutex)(&names_mutex);
	/* sysfs complains of a duplicate with a stack trace: ask first. */
	kobj = kset_find_obj(itme_kset, inst->name);
	if (kobj) {
		kobject_put(kobj);
		return -EEXIST;
	}
	kobj = add(inst, NULL, NULL, inst->name);
	if (IS_ERR(kobj))
		return PTR_ERR(kobj);
	inst->kobj = kobj;
	inst->regions_kobj = kobject_create_and_add("regions", kobj);
	if (inst->regions_kobj)
		return 0;
	del(&inst->kobj);
	return -ENOMEM;
}

/**
 * itme_sysfs_del_instance - remove the instance's folder
 * @inst: the instance; it has no regions any more
 */
void itme_sysfs_del_instance(struct itme_instance *inst)
{
	del(&inst->regions_kobj);
	del(&inst->kobj);
}

/**
 * itme_sysfs_add_region - make a region's folder
 * @region: the region
 * @name: its name in the mount
 *
 * Return: 0 or a negative errno.
 */
int itme_sysfs_add_region(struct itme_region *region, const char *name)
{
	struct kobject *kobj = add(region->inst, region, region->inst->regions_kobj, name);

	if (IS_ERR(kobj))
		return PTR_ERR(kobj);
	region->kobj = kobj;
	return 0;
}

/**
 * itme_sysfs_del_region - remove a region's folder
 * @region: the region; it may be in use still, or have no folder
 */
void itme_sysfs_del_region(struct itme_region *region)
{
	del(&region->kobj);
}

/**
 * itme_sysfs_init - make /sys/fs/itme
 *
 * Return: 0 or -ENOMEM.
 */
int __init itme_sysfs_init(void)
{
	itme_kset = kset_create_and_add("itme", NULL, fs_kobj);
	return itme_kset ? 0 : -ENOMEM;
}

/**
 * itme_sysfs_exit - undo itme_sysfs_init()
 */
void itme_sysfs_exit(void)
{
	kset_unregister(itme_kset);
}
