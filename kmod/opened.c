// SPDX-License-Identifier: GPL-2.0-only
/* An open file of a region, and the end of what belongs to it. */
#include <linux/cred.h>
#include <linux/slab.h>
#include "itme.h"

/**
 * itme_opened_open - open(2) of a region
 * @inode: the region's inode
 * @file: the new open file
 *
 * Return: 0; -EPERM for writing to what is sealed; -EROFS for anything but reading of a
 * region that is read-only; -EINVAL for neither reading nor writing; -ENOMEM.
 */
int itme_opened_open(struct inode *inode, struct file *file)
{
	struct itme_region *region = itme_region_of(inode);
	struct itme_opened *opened;

	if (region->sealed && (file->f_mode & FMODE_WRITE))
		return -EPERM;
	/* Access mode 3 is neither reading nor writing. */
	if (!region->writable && ((file->f_mode & FMODE_WRITE) || !(file->f_mode & FMODE_READ)))
		return -EROFS;
	if (!(file->f_mode & (FMODE_READ | FMODE_WRITE)))
		return -EINVAL;
	opened = kzalloc(sizeof(*opened), GFP_KERNEL_ACCOUNT);
	if (!opened)
		return -ENOMEM;
	opened->region = region;
	opened->uid = file->f_cred->uid;
	mutex_init(&opened->mutex);
	INIT_LIST_HEAD(&opened->requests);
	INIT_LIST_HEAD(&opened->completed);
	INIT_LIST_HEAD(&opened->pin_node);
	init_waitqueue_head(&opened->wait);
	opened->cookies = RB_ROOT;
	xa_init_flags(&opened->pins, XA_FLAGS_ACCOUNT);
	file->private_data = opened;
	file->f_mode |= FMODE_CAN_ODIRECT | FMODE_NOWAIT;
	return 0;
}

/**
 * itme_opened_release - the last reference to an open file is gone
 * @inode: the region's inode
 * @file: the open file
 *
 * Return: 0.
 */
int itme_opened_release(struct inode *inode, struct file *file)
{
	struct itme_opened *opened = file->private_data;

	itme_queue_end_all(opened);
	itme_cookie_forget_all(opened);
	itme_pin_remove_all(opened);
	itme_watch_remove(opened, 0, opened->region->nr_granules - 1);
	xa_destroy(&opened->pins);
	kfree(opened);
	return 0;
}
