// SPDX-License-Identifier: GPL-2.0-only
#include "lib/heat.hpp"

#include <gtest/gtest.h>

using itme::GranuleCounts;
using itme::HeatHistory;
using std::chrono::nanoseconds;

namespace {

constexpr itme::RegionId region{.dev = 3, .inode = 5};

GranuleCounts counts(std::uint64_t granule, std::uint64_t faults, std::uint64_t touches = 0)
{
	GranuleCounts counts;

	counts.region = region;
	counts.granule = granule;
	counts.faults = faults;
	counts.touches = touches;
	return counts;
}

} // namespace

TEST(Heat, CountsWhatCameSince)
{
	HeatHistory history(nanoseconds(100), 4);

	history.add({counts(0, 5), counts(3, 1, 1)}, 1010);
	history.add({counts(0, 7), counts(3, 1, 1)}, 1090); // the same interval
	history.add({counts(0, 7), counts(3, 2, 1)}, 1310); // nobody looked between
	const auto map = history.map(region);
	EXPECT_EQ(map.first_ns, 1000);
	EXPECT_EQ(map.interval_ns, 100);
	EXPECT_EQ(map.granules, 4);
	ASSERT_EQ(map.accesses.size(), 4);
	EXPECT_EQ(map.accesses[0], (std::vector<std::uint32_t>{7, 0, 0, 2}));
	EXPECT_EQ(map.accesses[1], (std::vector<std::uint32_t>{0, 0, 0, 0}));
	EXPECT_EQ(map.accesses[3], (std::vector<std::uint32_t>{0, 0, 0, 1}));
	EXPECT_EQ(history.regions(), std::vector{region});
}

TEST(Heat, ForgetsWhatIsOld)
{
	HeatHistory history(nanoseconds(100), 2);

	history.add({counts(0, 1)}, 100);
	history.add({counts(0, 3)}, 200);
	history.add({counts(0, 6)}, 300);
	EXPECT_EQ(history.map(region).first_ns, 200);
	EXPECT_EQ(history.map(region).accesses,
		  (std::vector<std::vector<std::uint32_t>>{{2}, {3}}));
	history.add({counts(0, 10)}, 1000000); // after a long sleep, at no cost
	EXPECT_EQ(history.map(region).accesses, (std::vector<std::vector<std::uint32_t>>{{4}}));
	history.add({counts(0, 2)}, 1000010); // counted anew
	EXPECT_EQ(history.map(region).accesses[0][0], 6);
	history.forget(region);
	EXPECT_TRUE(history.regions().empty());
	EXPECT_EQ(history.map(region).granules, 0);
	EXPECT_EQ(HeatHistory(nanoseconds(0), 0).map(region).accesses.size(), 0);
}
