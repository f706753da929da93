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

CHECK_SIZE(itme_info, 96);
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
CHECK_AT(itme_info, instance, 64);

CHECK_SIZE(itme_attach, 40);
CHECK_AT(itme_attach, size, 0);
CHECK_AT(itme_attach, flags, 4);
CHECK_AT(itme_attach, fd, 8);
CHECK_AT(itme_attach, mode, 12);
CHECK_AT(itme_attach, name, 16);
CHECK_AT(itme_attach, name_len, 24);
CHECK_AT(itme_attach, region_bytes, 32);

CHECK_SIZE(itme_hint, 64);
CHECK_AT(itme_hint, op, 0);
CHECK_AT(itme_hint, tier, 4);
CHECK_AT(itme_hint, offset, 8);
CHECK_AT(itme_hint, length, 16);
CHECK_AT(itme_hint, accepted_bytes, 24);
CHECK_AT(itme_hint, resident_bytes, 32);
CHECK_AT(itme_hint, clipped_bytes, 40);
CHECK_AT(itme_hint, refused_bytes, 48);
CHECK_AT(itme_hint, error, 56);

CHECK_SIZE(itme_hint_vec, 32);
CHECK_AT(itme_hint_vec, size, 0);
CHECK_AT(itme_hint_vec, flags, 4);
CHECK_AT(itme_hint_vec, entries, 8);
CHECK_AT(itme_hint_vec, count, 16);
CHECK_AT(itme_hint_vec, entry_size, 20);
CHECK_AT(itme_hint_vec, done, 24);

CHECK_SIZE(itme_residency, 40);
CHECK_AT(itme_residency, size, 0);
CHECK_AT(itme_residency, flags, 4);
CHECK_AT(itme_residency, first_granule, 8);
CHECK_AT(itme_residency, count, 16);
CHECK_AT(itme_residency, buffer, 24);

CHECK_SIZE(itme_stat, 128);
CHECK_AT(itme_stat, size, 0);
CHECK_AT(itme_stat, flags, 4);
CHECK_AT(itme_stat, region_bytes, 8);
CHECK_AT(itme_stat, fault_count, 32);
CHECK_AT(itme_stat, metadata_bytes, 120);

CHECK(ITME_IOC_INFO == _IO(0xB7, 0x80));
CHECK(ITME_IOC_ATTACH == _IO(0xB7, 0x81));
CHECK(ITME_IOC_HINT == _IO(0xB7, 0x82));
CHECK(ITME_IOC_RESIDENCY == _IO(0xB7, 0x83));
CHECK(ITME_IOC_STAT == _IO(0xB7, 0x84));
