/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * uapi/itme.h alone, in C and in C++: it compiles, and what programs were built
 * with stays where it was. A new field goes to the end; its line is added here.
 */
#include "itme.h"

#include <stddef.h>

#ifdef __cplusplus
#define CHECK(condition) static_assert(condition, #condition)
#else
#define CHECK(condition) _Static_assert(condition, #condition)
#endif

#define CHECK_SIZE(name, bytes) CHECK(sizeof(struct name) == (bytes))
#define CHECK_AT(name, field, bytes) CHECK(offsetof(struct name, field) == (bytes))

CHECK_SIZE(itme_info, 120);
CHECK_AT(itme_info, size, 0);
CHECK_AT(itme_info, flags, 4);
CHECK_AT(itme_info, features, 8);
CHECK_AT(itme_info, granule_bytes, 16);
CHECK_AT(itme_info, dram_bytes, 24);
CHECK_AT(itme_info, cxl_bytes, 32);
CHECK_AT(itme_info, window_bytes, 40);
CHECK_AT(itme_info, version, 48);
CHECK_AT(itme_info, hint_max, 52);
CHECK_AT(itme_info, hint_ops, 56);
CHECK_AT(itme_info, hint_classes, 60);
CHECK_AT(itme_info, instance, 64);
CHECK_AT(itme_info, inflight_bytes, 96);
CHECK_AT(itme_info, queue_max, 112);
CHECK_AT(itme_info, cookie_max, 116);

CHECK_SIZE(itme_attach, 40);
CHECK_AT(itme_attach, size, 0);
CHECK_AT(itme_attach, flags, 4);
CHECK_AT(itme_attach, fd, 8);
CHECK_AT(itme_attach, mode, 12);
CHECK_AT(itme_attach, name, 16);
CHECK_AT(itme_attach, name_len, 24);
CHECK_AT(itme_attach, region_bytes, 32);

CHECK_SIZE(itme_hint, 88);
CHECK_AT(itme_hint, op, 0);
CHECK_AT(itme_hint, flags, 4);
CHECK_AT(itme_hint, hint_class, 8);
CHECK_AT(itme_hint, tier, 12);
CHECK_AT(itme_hint, offset, 16);
CHECK_AT(itme_hint, length, 24);
CHECK_AT(itme_hint, deadline_ns, 32);
CHECK_AT(itme_hint, cookie, 40);
CHECK_AT(itme_hint, accepted_bytes, 48);
CHECK_AT(itme_hint, resident_bytes, 56);
CHECK_AT(itme_hint, clipped_bytes, 64);
CHECK_AT(itme_hint, refused_bytes, 72);
CHECK_AT(itme_hint, error, 80);

CHECK_SIZE(itme_hint_vec, 32);
CHECK_AT(itme_hint_vec, size, 0);
CHECK_AT(itme_hint_vec, flags, 4);
CHECK_AT(itme_hint_vec, entries, 8);
CHECK_AT(itme_hint_vec, count, 16);
CHECK_AT(itme_hint_vec, entry_size, 20);
CHECK_AT(itme_hint_vec, done, 24);
CHECK_AT(itme_hint_vec, eventfd, 28);

CHECK_SIZE(itme_wait, 72);
CHECK_AT(itme_wait, size, 0);
CHECK_AT(itme_wait, flags, 4);
CHECK_AT(itme_wait, cookie, 8);
CHECK_AT(itme_wait, offset, 16);
CHECK_AT(itme_wait, length, 24);
CHECK_AT(itme_wait, timeout_ns, 32);
CHECK_AT(itme_wait, ready_bytes, 40);
CHECK_AT(itme_wait, failed_bytes, 48);
CHECK_AT(itme_wait, expired_bytes, 56);
CHECK_AT(itme_wait, lost_bytes, 64);

CHECK_SIZE(itme_residency, 40);
CHECK_AT(itme_residency, size, 0);
CHECK_AT(itme_residency, flags, 4);
CHECK_AT(itme_residency, first_granule, 8);
CHECK_AT(itme_residency, count, 16);
CHECK_AT(itme_residency, buffer, 24);

CHECK_SIZE(itme_stat, 296);
CHECK_AT(itme_stat, size, 0);
CHECK_AT(itme_stat, flags, 4);
CHECK_AT(itme_stat, region_bytes, 8);
CHECK_AT(itme_stat, metadata_bytes, 32);
CHECK_AT(itme_stat, fault_count, 56);
CHECK_AT(itme_stat, retired_bytes, 232);
CHECK_AT(itme_stat, dirty_bytes, 240);
CHECK_AT(itme_stat, lost_bytes, 288);

CHECK(ITME_IOC_INFO == _IO(0xB7, 0x80));
CHECK(ITME_IOC_ATTACH == _IO(0xB7, 0x81));
CHECK(ITME_IOC_HINT == _IO(0xB7, 0x82));
CHECK(ITME_IOC_RESIDENCY == _IO(0xB7, 0x83));
CHECK(ITME_IOC_STAT == _IO(0xB7, 0x84));
CHECK(ITME_IOC_WAIT == _IO(0xB7, 0x85));
