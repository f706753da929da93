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

TEST(Telemetry, KnowsTheTraceEventsLayout)
{
	const std::string format =
		"name: fault\n"
		"ID: 1801\n"
		"format:\n"
		"\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n"
		"\n"
		"\tfield:u32 tier;\toffset:12;\tsize:4;\tsigned:0;\n"
		"\tfield:u32 cause;\toffset:16;\tsize:4;\tsigned:0;\n"
		"\tfield:u64 latency_ns;\toffset:40;\tsize:8;\tsigned:0;\n"
		"\tfield:u64 lead_ns;\toffset:48;\tsize:8;\tsigned:0;\n"
		"\n"
		"print fmt: \"x\"\n";

	EXPECT_TRUE(itme::is_known_format(format));

	auto moved = format;
	moved.replace(moved.find("offset:40"), 9, "offset:48");
	EXPECT_FALSE(itme::is_known_format(moved));

	auto older = format; // a module that tells no lead
	older.replace(older.find("lead_ns"), 7, "some_ns");
	EXPECT_FALSE(itme::is_known_format(older));
	EXPECT_FALSE(itme::is_known_format(""));
}
