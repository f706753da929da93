// SPDX-License-Identifier: GPL-2.0-only
/* The file system type: mount, super block, inodes. */
#include <linux/fs_context.h>
#include <linux/fs_parser.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/statfs.h>
#include "itme.h"
#include "options.h"

static struct kmem_cache *region_cache;

static struct inode *alloc_inode(struct super_block *sb)
{
	struct itme_region *region = alloc_inode_sb(sb, region_cache, GFP_KERNEL);

	if (!region)
		return NULL;
	memset_after(region, 0, inode);
	INIT_LIST_HEAD(&region->store_node);
	INIT_LIST_HEAD(&region->writable_node);
	return &region->inode;
}

static void free_inode(struct inode *inode)
{
	kmem_cache_free(region_cache, itme_region_of(inode));
}

static void evict_inode(struct inode *inode)
{
	struct itme_region *region = itme_region_of(inode);

	truncate_inode_pages_final(&inode->i_data);
	if (region->inst)
		itme_region_evict(region);
	clear_inode(inode);
}

static int statfs(struct dentry *dentry, struct kstatfs *buf)
{
	struct itme_instance *inst = itme_instance_of(dentry->d_sb);
	unsigned int order = itme_granule_order(inst);
	int tier;

	buf->f_type = ITME_MAGIC;
	buf->f_bsize = PAGE_SIZE;
	buf->f_namelen = ITME_NAME_MAX;
	for (tier = ITME_TIER_CXL; tier <= ITME_TIER_DRAM; tier++) {
		buf->f_blocks += (u64)READ_ONCE(inst->pool[tier].target) << order;
		buf->f_bfree += (u64)READ_ONCE(inst->pool[tier].nr_free) << order;
	}
	buf->f_bavail = buf->f_bfree;
	buf->f_fsid = u64_to_fsid(huge_encode_dev(dentry->d_sb->s_dev));
	return 0;
}

static void show_budget(struct seq_file *m, struct itme_instance *inst, enum itme_tier tier,
			const char *key)
{
	const struct itme_pool *pool = &inst->pool[tier];
	char sep = '@';
	int node;

	if (!pool->target)
		return;
	seq_printf(m, ",%s=%llu", key, (u64)pool->target << inst->granule_shift);
	for_each_node_mask(node, pool->nodes) {
		seq_printf(m, "%c%d", sep, node);
		sep = ':';
	}
}

static int show_options(struct seq_file *m, struct dentry *root)
{
	struct itme_instance *inst = itme_instance_of(root->d_sb);

	show_budget(m, inst, ITME_TIER_DRAM, "dram");
	show_budget(m, inst, ITME_TIER_CXL, "cxl");
	seq_printf(m, ",window=%llu,granule=%llu,name=%s",
		   (u64)inst->window_frames << inst->granule_shift, itme_granule_bytes(inst),
		   inst->name);
	return 0;
}

static int sync_fs(struct super_block *sb, int wait)
{
	return itme_writeback_all(itme_instance_of(sb), wait);
}

static const struct super_operations super_operations = {
	.alloc_inode = alloc_inode,
	.free_inode = free_inode,
	.drop_inode = generic_delete_inode,
	.evict_inode = evict_inode,
	.sync_fs = sync_fs,
	.statfs = statfs,
	.show_options = show_options,
};

static const struct file_operations root_file_operations = {
	.open = dcache_dir_open,
	.release = dcache_dir_close,
	.llseek = dcache_dir_lseek,
	.read = generic_read_dir,
	.iterate_shared = dcache_readdir,
	.fsync = noop_fsync,
	.unlocked_ioctl = itme_root_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static int fill_super(struct super_block *sb, struct fs_context *fc)
{
	struct itme_options *opts = fc->fs_private;
	struct itme_instance *inst;
	struct inode *root;

	inst = itme_instance_create(fc, opts);
	if (IS_ERR(inst))
		return PTR_ERR(inst);
	inst->sb = sb;
	sb->s_fs_info = inst;
	sb->s_blocksize = PAGE_SIZE;
	sb->s_blocksize_bits = PAGE_SHIFT;
	sb->s_maxbytes = MAX_LFS_FILESIZE;
	sb->s_magic = ITME_MAGIC;
	sb->s_op = &super_operations;
	sb->s_time_gran = 1;

	root = new_inode(sb);
	if (!root)
		return -ENOMEM;
	root->i_ino = 1;
	root->i_mode = S_IFDIR | 0755;
	simple_inode_init_ts(root);
	root->i_op = &itme_dir_inode_operations;
	root->i_fop = &root_file_operations;
	set_nlink(root, 2);
	sb->s_root = d_make_root(root);
	return sb->s_root ? 0 : -ENOMEM;
}

static int get_tree(struct fs_context *fc)
{
	int err = itme_options_check(fc, fc->fs_private);

	return err ?: get_tree_nodev(fc, fill_super);
}

static int reconfigure(struct fs_context *fc)
{
	return itme_instance_reconfigure(fc, itme_instance_of(fc->root->d_sb), fc->fs_private);
}

static void free_fc(struct fs_context *fc)
{
	kfree(fc->fs_private);
}

static const struct fs_context_operations context_operations = {
	.parse_param = itme_options_parse,
	.get_tree = get_tree,
	.reconfigure = reconfigure,
	.free = free_fc,
};

static int init_fs_context(struct fs_context *fc)
{
	fc->fs_private = kzalloc(sizeof(struct itme_options), GFP_KERNEL);
	if (!fc->fs_private)
		return -ENOMEM;
	fc->ops = &context_operations;
	return 0;
}

static void kill_sb(struct super_block *sb)
{
	struct itme_instance *inst = itme_instance_of(sb);

	kill_litter_super(sb);
	if (!inst)
		return;
	itme_sysfs_del_instance(inst);
	itme_instance_destroy(inst);
}

struct file_system_type itme_fs_type = {
	.owner = THIS_MODULE,
	.name = "itme",
	.init_fs_context = init_fs_context,
	.parameters = itme_parameters,
	.kill_sb = kill_sb,
};

static void init_once(void *object)
{
	struct itme_region *region = object;

	inode_init_once(&region->inode);
}

/**
 * itme_fs_init - register the file system type
 *
 * Return: 0 or a negative errno.
 */
int itme_fs_init(void)
{
	int err;

	region_cache = kmem_cache_create("itme_region", sizeof(struct itme_region), 0,
					 SLAB_ACCOUNT | SLAB_RECLAIM_ACCOUNT, init_once);
	if (!region_cache)
		return -ENOMEM;
	err = register_filesystem(&itme_fs_type);
	if (err)
		kmem_cache_destroy(region_cache);
	return err;
}

/**
 * itme_fs_exit - undo itme_fs_init(); no instance is mounted
 */
void itme_fs_exit(void)
{
	unregister_filesystem(&itme_fs_type);
	rcu_barrier(); /* inodes are freed after a grace period */
	kmem_cache_destroy(region_cache);
}
