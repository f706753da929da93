// SPDX-License-Identifier: GPL-2.0-only
/* Attach and detach: regions as names in the root directory. */
#include <linux/ctype.h>
#include <linux/fsnotify.h>
#include <linux/namei.h>
#include <linux/slab.h>
#include "itme.h"

static int check_name(const char *name, u32 len)
{
	u32 i;

	if (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')))
		return -EINVAL;
	for (i = 0; i < len; i++)
		if (!name[i] || name[i] == '/' || iscntrl(name[i]))
			return -EINVAL;
	return 0;
}

static int init_region(struct itme_region *region, const struct itme_attach *args)
{
	struct inode *inode = &region->inode;
	int err;

	err = itme_store_open(region, args->fd, args->flags & ITME_ATTACH_WRITE);
	if (err)
		return err;
	err = itme_region_init(region, region->bytes);
	if (!err && args->flags & ITME_ATTACH_PINNABLE)
		err = itme_reserve_take(region);
	if (err)
		return err;
	inode->i_ino = get_next_ino();
	inode->i_mode = S_IFREG | (args->flags & ITME_ATTACH_MODE ? args->mode : 0600);
	inode->i_uid = current_fsuid();
	inode->i_gid = current_fsgid();
	simple_inode_init_ts(inode);
	inode_set_mtime_to_ts(inode, inode_get_mtime(region->store->f_mapping->host));
	inode->i_op = &itme_region_inode_operations;
	inode->i_fop = &itme_region_file_operations;
	inode->i_mapping->a_ops = &itme_region_aops;
	inode->i_blocks = DIV_ROUND_UP_ULL(region->bytes, 512);
	i_size_write(inode, region->bytes);
	if (region->writable)
		itme_writeback_add_region(region);
	return 0;
}

/* Give the region its name. The directory is locked. */
static int link_region(struct dentry *root, struct itme_region *region, const char *name,
		       u32 len)
{
	struct dentry *dentry = lookup_one_len(name, root, len);
	int err = 0;

	if (IS_ERR(dentry))
		return PTR_ERR(dentry);
	if (d_really_is_positive(dentry))
		err = -EEXIST;
	if (!err)
		err = itme_sysfs_add_region(region, name);
	if (err) {
		dput(dentry);
		return err;
	}
	d_instantiate(dentry, &region->inode); /* the lookup's reference pins it */
	inode_set_mtime_to_ts(d_inode(root), inode_set_ctime_current(d_inode(root)));
	fsnotify_create(d_inode(root), dentry);
	return 0;
}

/**
 * itme_attach - make a region of a store
 * @root: the mount's root directory
 * @args: checked for flags and reserved fields; region_bytes is set
 *
 * Return: 0 or an error of &struct itme_attach.
 */
int itme_attach(struct dentry *root, struct itme_attach *args)
{
	struct itme_region *region;
	struct inode *inode;
	char *name;
	int err;

	if (!args->name_len)
		return -EINVAL;
	if (args->name_len > ITME_NAME_MAX)
		return -ENAMETOOLONG;
	name = memdup_user_nul(u64_to_user_ptr(args->name), args->name_len);
	if (IS_ERR(name))
		return PTR_ERR(name);
	err = check_name(name, args->name_len);
	if (err)
		goto out_name;
	err = -ENOMEM;
	inode = new_inode(root->d_sb);
	if (!inode)
		goto out_name;
	region = itme_region_of(inode);
	region->inst = itme_instance_of(root->d_sb);
	err = init_region(region, args);
	if (err)
		goto out_inode;
	inode_lock(d_inode(root));
	err = link_region(root, region, name, args->name_len);
	inode_unlock(d_inode(root));
	if (err)
		goto out_inode;
	args->region_bytes = region->bytes;
	kfree(name);
	return 0;

out_inode:
	iput(inode); /* evicts the region, as far as it got */
out_name:
	kfree(name);
	return err;
}

/*
 * Detach: the name goes at once, the region with its last user. But a region keeps its
 * name while its store does not take what was written to it.
 */
static int dir_unlink(struct inode *dir, struct dentry *dentry)
{
	struct itme_region *region = itme_region_of(d_inode(dentry));
	int err = 0;

	if (region->writable)
		err = itme_writeback_flush(region);
	if (err)
		return err;
	itme_sysfs_del_region(region);
	return simple_unlink(dir, dentry);
}

const struct inode_operations itme_dir_inode_operations = {
	.lookup = simple_lookup,
	.unlink = dir_unlink,
};
