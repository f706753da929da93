// SPDX-License-Identifier: GPL-2.0-only
// Compiled as C++23; uapi_c11.c does the same in C.
#include "uapi_layout.h"

#include <cstring>
#include <gtest/gtest.h>

// The layout itself is checked while compiling.
TEST(Uapi, MagicSpellsTheName)
{
	const char letters[] = {'E', 'M', 'T', 'I'}; // little endian
	unsigned magic = 0;

	std::memcpy(&magic, letters, sizeof(magic));
	EXPECT_EQ(magic, ITME_MAGIC);
}
