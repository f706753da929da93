/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef ITME_OPTIONS_H
#define ITME_OPTIONS_H

#include <linux/fs_context.h>

/*
 * Say why a mount is refused, in the mount API's log and in the kernel log.
 * Without an fsopen() log, as with mount(2), invalf() writes to the kernel log
 * itself.
 */
#define itme_invalf(fc, fmt, ...)                                   \
	({                                                          \
		if ((fc)->log.log)                                  \
			pr_err(fmt "\n", ##__VA_ARGS__);            \
		invalf(fc, KBUILD_MODNAME ": " fmt, ##__VA_ARGS__); \
	})

#endif /* ITME_OPTIONS_H */
