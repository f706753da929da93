// SPDX-License-Identifier: GPL-2.0-only
/* Module entry: the order of initialisation, and its undoing. */
#include <linux/module.h>
#include "itme.h"

static int __init itme_init(void)
{
	int err;

	itme_granule_init_locks();
	err = itme_sysfs_init();
	if (err)
		return err;
	err = itme_fill_init();
	if (err)
		goto err_sysfs;
	err = itme_queue_init();
	if (err)
		goto err_fill;
	err = itme_fs_init();
	if (err)
		goto err_queue;
	itme_poison_init();
	return 0;

err_queue:
	itme_queue_exit();
err_fill:
	itme_fill_exit();
err_sysfs:
	itme_sysfs_exit();
	return err;
}

static void __exit itme_exit(void)
{
	itme_poison_exit();
	itme_fs_exit();
	itme_queue_exit();
	itme_fill_exit();
	itme_sysfs_exit();
}

module_init(itme_init);
module_exit(itme_exit);

MODULE_ALIAS_FS("itme");
MODULE_AUTHOR("The ITME authors");
MODULE_DESCRIPTION("Inference Tiered Memory Expansion: DRAM, CXL memory and a store as one mapped tier");
MODULE_VERSION(__stringify(ITME_VERSION_MAJOR) "." __stringify(ITME_VERSION_MINOR));
MODULE_LICENSE("GPL");
