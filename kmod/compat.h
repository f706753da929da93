/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every difference between kernel versions lives here and nowhere else. Each
 * entry says the first or last kernel it is for, the reason, and when it can
 * be deleted.
 */
#ifndef ITME_COMPAT_H
#define ITME_COMPAT_H

#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
#error "ITME needs Linux 6.12 or later: install headers of such a kernel and set KDIR"
#endif

#if !defined(CONFIG_X86_64)
#error "ITME supports x86-64 only so far"
#endif

#endif /* ITME_COMPAT_H */
