// SPDX-License-Identifier: GPL-2.0-only
/* SEAL: what was written once is immutable from now on, and clean for ever. */
#include <linux/fs.h>
#include "itme.h"

static int seal(struct itme_region *region)
{
	int err = itme_writeback_flush(region);

	if (err)
		return err;
	/* What is dirty still has somebody's reference, to write through. */
	return atomic_long_read(&region->nr_dirty) ? -EBUSY : 0;
}

/**
 * itme_seal - ITME_IOC_SEAL: nobody can write to the region any more
 * @file: the region, open for writing
 *
 * Return: 0, also where it is sealed; or an error of ITME_IOC_SEAL.
 */
int itme_seal(struct file *file)
{
	struct inode *inode = file_inode(file);
	struct itme_region *region = itme_region_of(inode);
	bool sealed;
	int err = 0;

	if (!(file->f_mode & FMODE_WRITE))
		return -EBADF;
	if (inode_lock_killable(inode)) /* no write is under way, nor begins */
		return -EINTR;
	sealed = region->sealed;
	/* Nor is it mapped, nor can it be mapped, by who could write to it. */
	if (!sealed)
		err = mapping_deny_writable(inode->i_mapping);
	if (!sealed && !err) {
		err = seal(region);
		WRITE_ONCE(region->sealed, !err);
		mapping_allow_writable(inode->i_mapping); /* from now on mmap looks itself */
	}
	inode_unlock(inode);
	return err;
}
