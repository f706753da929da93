// SPDX-License-Identifier: GPL-2.0-only
/* The store: the file or block device behind a region. */
#include <linux/blkdev.h>
#include <linux/cred.h>
#include <linux/delay.h>
#include <linux/falloc.h>
#include <linux/file.h>
#include <linux/major.h>
#include <linux/pagemap.h>
#include <linux/uio.h>
#include "itme.h"

/* Regions that have a store, for finding a store that is attached twice. */
static LIST_HEAD(stores);
static DEFINE_MUTEX(stores_mutex);

static struct inode *data_inode(const struct file *file)
{
	return file->f_mapping->host; /* of a block device, not of its node in /dev */
}

/* On the disk and not the device number: a partition has one of its own. */
static bool on_loop_device(struct inode *inode)
{
	struct block_device *bdev = S_ISBLK(inode->i_mode) ? I_BDEV(inode) : inode->i_sb->s_bdev;

	return bdev && bdev->bd_disk->major == LOOP_MAJOR;
}

/*
 * Does a loop device read one of our regions? A loop device takes __GFP_IO out
 * of its backing mapping's allocation mask, which nothing else does to us. Which
 * loop device it is cannot be asked, so any region so used refuses every loop
 * device as a store.
 */
static bool loop_over_region(void)
{
	struct itme_region *region;

	lockdep_assert_held(&stores_mutex);
	list_for_each_entry(region, &stores, store_node)
		if (!(mapping_gfp_mask(region->inode.i_mapping) & __GFP_IO))
			return true;
	return false;
}

static int check_size(struct file *file)
{
	loff_t bytes = i_size_read(data_inode(file));

	if (bytes == 0)
		return -ENODATA;
	if (bytes > MAX_LFS_FILESIZE - SZ_1G) /* sums with a granule must not wrap */
		return -EFBIG;
	return 0;
}

/* Bytes are written in pages, whole ones. */
static int check_writable_size(const struct file *file)
{
	return i_size_read(data_inode(file)) % PAGE_SIZE ? -EINVAL : 0;
}

static bool is_attached(const struct inode *inode)
{
	struct itme_region *region;

	lockdep_assert_held(&stores_mutex);
	list_for_each_entry(region, &stores, store_node)
		if (data_inode(region->store) == inode)
			return true;
	return false;
}

static int check(struct file *file, bool writable)
{
	struct inode *inode = file_inode(file);
	fmode_t mode = FMODE_READ | (writable ? FMODE_WRITE : 0);

	if ((file->f_mode & mode) != mode)
		return -EBADF;
	if (S_ISDIR(inode->i_mode))
		return -EISDIR;
	if (!S_ISREG(inode->i_mode) && !S_ISBLK(inode->i_mode))
		return -EINVAL;
	if (inode->i_sb->s_type == &itme_fs_type)
		return -ELOOP;
	scoped_guard(mutex, &stores_mutex) {
		if (is_attached(data_inode(file)))
			return -EBUSY;
	}
	return check_size(file) ?: (writable ? check_writable_size(file) : 0);
}

/* A file of our own with O_DIRECT, so that the caller's flags and offset stay apart. */
static struct file *reopen(struct itme_region *region, struct file *file)
{
	struct file *own;
	int err;

	if (S_ISBLK(file_inode(file)->i_mode))
		return bdev_file_open_by_dev(data_inode(file)->i_rdev,
					     BLK_OPEN_READ |
					     (region->writable ? BLK_OPEN_WRITE : 0),
					     region, NULL);
	own = dentry_open(&file->f_path,
			  (region->writable ? O_RDWR : O_RDONLY) | O_LARGEFILE | O_DIRECT,
			  current_cred());
	if (IS_ERR(own) || region->writable)
		return own;
	err = deny_write_access(own);
	if (err) {
		fput(own);
		return ERR_PTR(err);
	}
	return own;
}

static void close_own(struct itme_region *region)
{
	if (region->store_is_bdev) {
		bdev_fput(region->store);
	} else {
		if (!region->writable)
			allow_write_access(region->store);
		fput(region->store);
	}
	region->store = NULL;
}

static int add_store(struct itme_region *region)
{
	struct inode *inode = data_inode(region->store);

	guard(mutex)(&stores_mutex);
	if (is_attached(inode)) /* again: two may attach at a time */
		return -EBUSY;
	if (on_loop_device(inode) && loop_over_region())
		return -ELOOP;
	list_add(&region->store_node, &stores);
	return 0;
}

/**
 * itme_store_open - take a store for a new region
 * @region: the region; its store and size are set
 * @fd: the caller's descriptor
 * @writable: the region can be written to
 *
 * Return: 0 or an error of &struct itme_attach.
 */
int itme_store_open(struct itme_region *region, int fd, bool writable)
{
	struct file *file = fget(fd); /* NULL for O_PATH too */
	struct file *own;
	int err;

	if (!file)
		return -EBADF;
	err = check(file, writable);
	if (err)
		goto out;
	region->writable = writable;
	own = reopen(region, file);
	if (IS_ERR(own)) {
		err = PTR_ERR(own);
		goto out;
	}
	region->store = own;
	region->store_is_bdev = S_ISBLK(file_inode(file)->i_mode);
	/* Again, now that writers are denied: until then the size could change. */
	err = own->f_mode & FMODE_CAN_ODIRECT ? check_size(own) : -EINVAL;
	region->bytes = i_size_read(data_inode(own));
	if (!err && writable)
		err = check_writable_size(own);
	if (!err)
		err = add_store(region);
	if (err)
		close_own(region);
out:
	fput(file);
	return err;
}

/**
 * itme_store_close - let go of the store
 * @region: a region without fills under way
 */
void itme_store_close(struct itme_region *region)
{
	mutex_lock(&stores_mutex);
	list_del_init(&region->store_node);
	mutex_unlock(&stores_mutex);
	close_own(region);
}

/**
 * itme_store_submit - read from the store past its page cache
 * @region: the region
 * @iocb: ki_complete set for an asynchronous read, else zeroed
 * @to: where to
 * @pos: byte offset
 * @flags: IOCB_NOWAIT or 0
 *
 * Return: bytes read, -EIOCBQUEUED where ki_complete will be called, or an error.
 */
ssize_t itme_store_submit(struct itme_region *region, struct kiocb *iocb,
			  struct iov_iter *to, loff_t pos, int flags)
{
	void (*complete)(struct kiocb *iocb, long res) = iocb->ki_complete;

	init_sync_kiocb(iocb, region->store);
	iocb->ki_complete = complete;
	iocb->ki_flags |= flags | IOCB_DIRECT; /* a block device has no O_DIRECT in its flags */
	iocb->ki_pos = pos;
	return vfs_iocb_iter_read(region->store, iocb, to);
}

/**
 * itme_store_write - write to the store past its page cache
 * @region: a writable region
 * @pos: byte offset, a multiple of the page size
 * @from: whole pages
 *
 * Waits for the store. The data may still be in a cache of the device's then: see
 * itme_store_sync().
 *
 * Return: 0, all of it is written; or an error.
 */
int itme_store_write(struct itme_region *region, loff_t pos, struct iov_iter *from)
{
	while (iov_iter_count(from)) {
		struct kiocb iocb;
		ssize_t n;

		init_sync_kiocb(&iocb, region->store);
		iocb.ki_flags |= IOCB_DIRECT;
		iocb.ki_pos = pos;
		n = vfs_iocb_iter_write(region->store, &iocb, from);
		if (n <= 0)
			return n ?: -EIO;
		pos += n;
	}
	return 0;
}

/**
 * itme_store_punch - have the store keep nothing of a range, and give zeros for it
 * @region: a writable region
 * @pos: byte offset, a multiple of the page size
 * @bytes: whole pages
 *
 * Return: 0; -EOPNOTSUPP where the store cannot; or another error.
 */
int itme_store_punch(struct itme_region *region, loff_t pos, u64 bytes)
{
	return vfs_fallocate(region->store, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, pos,
			     bytes);
}

/**
 * itme_store_sync - make what was written to the store last
 * @region: a writable region
 * @start: first byte
 * @end: last byte
 * @datasync: without what is only about the file, as fdatasync(2)
 *
 * An error is told to every open file of the region.
 *
 * Return: 0 or an error.
 */
int itme_store_sync(struct itme_region *region, loff_t start, loff_t end, int datasync)
{
	int err = vfs_fsync_range(region->store, start, end, datasync);

	if (err)
		mapping_set_error(region->inode.i_mapping, err);
	return err;
}

/**
 * itme_store_wait_unlocked - wait until a read would not wait for the store's lock
 * @region: the region
 *
 * A task that reads the backing file into a mapping of the region holds that
 * file's i_rwsem while it waits for our fill. With a writer of the lock (chmod,
 * truncate) queued behind it, a read of ours would queue behind that writer, and
 * all would wait for each other. So a fill that met the lock looks on for
 * ITME_STORE_LOCK_TIMEOUT and then fails, which makes the reader let go.
 *
 * Return: whether the lock was free a moment ago.
 */
bool itme_store_wait_unlocked(struct itme_region *region)
{
	struct inode *inode = data_inode(region->store);
	unsigned long deadline = jiffies + ITME_STORE_LOCK_TIMEOUT;

	if (region->store_is_bdev)
		return true;
	while (!inode_trylock_shared(inode)) {
		if (time_after(jiffies, deadline))
			return false;
		usleep_range(1000, 2000);
	}
	inode_unlock_shared(inode);
	return true;
}

/**
 * itme_store_read_direct - read from the store into a caller's buffer
 * @region: the region
 * @pos: byte offset inside the region
 * @to: where to; at most to the end of the granule is read
 * @flags: IOCB_NOWAIT or 0
 *
 * Return: bytes read, more than 0, or an error.
 */
ssize_t itme_store_read_direct(struct itme_region *region, loff_t pos, struct iov_iter *to,
			       int flags)
{
	u64 granule_bytes = itme_granule_bytes(region->inst);
	/* Up to the granule's end even past the region's: blocks are read whole. */
	size_t most = granule_bytes - (pos & (granule_bytes - 1));
	size_t count = iov_iter_count(to);
	struct kiocb iocb = {};
	ssize_t n;

	iov_iter_truncate(to, most);
	n = itme_store_submit(region, &iocb, to, pos, flags);
	if (count > most)
		iov_iter_reexpand(to, iov_iter_count(to) + count - most);
	if (n == 0)
		return -EIO; /* the store has become smaller */
	if (n < 0)
		return n;
	n = min_t(u64, n, region->bytes - pos);
	itme_count_add(region, direct_bytes, n);
	return n;
}
