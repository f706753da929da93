// SPDX-License-Identifier: GPL-2.0-only
#include "lib/duration.hpp"

#include <gtest/gtest.h>

using itme::format_duration;
using itme::parse_duration;

TEST(Duration, ReadsWhatPeopleWrite)
{
	EXPECT_EQ(parse_duration("500ms"), 500'000'000);
	EXPECT_EQ(parse_duration("1.5s"), 1'500'000'000);
	EXPECT_EQ(parse_duration("250us"), 250'000);
	EXPECT_EQ(parse_duration("20ns"), 20);
	EXPECT_EQ(parse_duration("3m"), 180'000'000'000);
	EXPECT_EQ(parse_duration("2h"), 7'200'000'000'000);
	EXPECT_EQ(parse_duration("0s"), 0);
	EXPECT_EQ(parse_duration("9223372036854775807ns"), INT64_MAX);
}

TEST(Duration, RefusesWhatIsNone)
{
	for (const auto *text :
	     {"", "5", "ms", "-1s", "1 s", "1.s", ".5s", "1.5ns", "1..5s", "5MS", "5sec",
	      "9223372036854775808ns", "99999999999999999999s", "9999999h"})
		EXPECT_EQ(parse_duration(text), std::nullopt) << text;
}

TEST(Duration, WritesTheLargestUnit)
{
	EXPECT_EQ(format_duration(0), "0 ns");
	EXPECT_EQ(format_duration(999), "999 ns");
	EXPECT_EQ(format_duration(1000), "1 us");
	EXPECT_EQ(format_duration(16384), "16.4 us");
	EXPECT_EQ(format_duration(999'960), "1 ms"); // rounded to a tenth
	EXPECT_EQ(format_duration(1'500'000), "1.5 ms");
	EXPECT_EQ(format_duration(90'000'000'000), "90 s");
	EXPECT_EQ(format_duration(UINT64_MAX), "18446744073.7 s");
}
