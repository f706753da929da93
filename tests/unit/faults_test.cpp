// SPDX-License-Identifier: GPL-2.0-only
#include "itmectl/faults.hpp"

#include <gtest/gtest.h>
#include <sstream>

namespace {

std::string text_of(const itme::FaultCounts &counts)
{
	std::ostringstream out;

	itme::print_faults(out, counts);
	return out.str();
}

} // namespace

TEST(Faults, NothingCountedNeedsNoHistogram)
{
	EXPECT_EQ(text_of({}), "FAULTS          MEANING\n"
			       "served       0  page faults\n"
			       "reads        0  of read(2) that waited for the store\n"
			       "miss         0  waited for the store, nothing had been hinted\n"
			       "late         0  waited for the store although it had been hinted\n"
			       "ahead        0  first touch of what a hint had fetched\n"
			       "not counted  0\n");
}

TEST(Faults, ShowsLatencyAndLead)
{
	itme::FaultCounts counts{.fault_count = 4,
				 .read_count = 1,
				 .miss_count = 1,
				 .late_count = 1,
				 .ahead_count = 3,
				 .latency_sum_ns = 10'000'000,
				 .lead_sum_ns = 6'000'000};

	counts.latency_log2_count[10] = 4;
	counts.latency_log2_count[12] = 1;
	counts.lead_log2_count[0] = 1;
	counts.lead_log2_count[1] = 2;
	const auto text = text_of(counts);

	EXPECT_NE(text.find("mean latency           2 ms"), std::string::npos) << text;
	EXPECT_NE(text.find("mean lead              2 ms"), std::string::npos) << text;
	EXPECT_NE(text.find("LATENCY FROM  COUNT\n"
			    "        1 us      4  ########################################\n"
			    "        2 us      0\n"
			    "      4.1 us      1  ##########\n"),
		  std::string::npos)
		<< text;
	EXPECT_NE(text.find("LEAD FROM  COUNT\n"
			    "     0 ns      1  ####################\n"
			    "     2 ns      2  ########################################\n"),
		  std::string::npos)
		<< text;
}
