// SPDX-License-Identifier: GPL-2.0-only
/* Compiled as C11, pedantically. */
#include "uapi_layout.h"
