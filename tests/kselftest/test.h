/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's test harness, with time-outs that an emulated machine keeps. */
#ifndef TEST_H
#define TEST_H

#include <kselftest_harness.h>

#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 600

#include "util.h"

#endif /* TEST_H */
