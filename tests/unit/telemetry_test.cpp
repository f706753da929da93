// SPDX-License-Identifier: GPL-2.0-only
#include "lib/telemetry.hpp"

#include <gtest/gtest.h>

using itme::FaultCounts;

TEST(Telemetry, LatencyIsBelowABucketsEnd)
{
	FaultCounts counts;

	EXPECT_EQ(itme::latency_below_ns(counts, 0.5), 0);

	counts.fault_count = 100;
	counts.latency_log2_count[10] = 90; // 1024 to 2047 ns
	counts.latency_log2_count[20] = 10;
	EXPECT_EQ(itme::latency_below_ns(counts, 0.5), 2048);
	EXPECT_EQ(itme::latency_below_ns(counts, 0.9), 2048);
	EXPECT_EQ(itme::latency_below_ns(counts, 0.99), 2097152);

	FaultCounts longest;
	longest.fault_count = 1;
	longest.latency_log2_count[63] = 1;
	EXPECT_EQ(itme::latency_below_ns(longest, 1), UINT64_MAX);
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
		"\n"
		"print fmt: \"x\"\n";

	EXPECT_TRUE(itme::is_known_format(format));

	auto moved = format;
	moved.replace(moved.find("offset:40"), 9, "offset:48");
	EXPECT_FALSE(itme::is_known_format(moved));
	EXPECT_FALSE(itme::is_known_format(""));
}
