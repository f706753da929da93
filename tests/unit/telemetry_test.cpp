// SPDX-License-Identifier: GPL-2.0-only
#include "lib/telemetry.hpp"

#include <gtest/gtest.h>

TEST(Telemetry, AValueIsBelowItsBucketsEnd)
{
	itme::Log2Histogram histogram{};

	EXPECT_EQ(itme::below_ns(histogram, 0.5), 0);

	histogram[10] = 90; // 1024 to 2047 ns
	histogram[20] = 10;
	EXPECT_EQ(itme::below_ns(histogram, 0.5), 2048);
	EXPECT_EQ(itme::below_ns(histogram, 0.9), 2048);
	EXPECT_EQ(itme::below_ns(histogram, 0.99), 2097152);

	itme::Log2Histogram longest{};
	longest[63] = 1;
	EXPECT_EQ(itme::below_ns(longest, 1), UINT64_MAX);
}
