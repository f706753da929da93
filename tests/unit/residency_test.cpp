// SPDX-License-Identifier: GPL-2.0-only
#include "lib/residency.hpp"

#include <gtest/gtest.h>

using itme::Granule;
using itme::Tier;

TEST(Residency, AddsUpToTheRegion)
{
	const std::vector<Granule> granules{{.tier = Tier::dram},
					    {.tier = Tier::dram, .held = true},
					    {.tier = Tier::cxl, .busy = true},
					    {.tier = Tier::store}};
	const auto shares = itme::add_up(granules, 100, 310);

	EXPECT_EQ(shares[2].bytes, 200);
	EXPECT_EQ(shares[2].granules, 2);
	EXPECT_EQ(shares[2].held, 1);
	EXPECT_EQ(shares[1].bytes, 100);
	EXPECT_EQ(shares[1].busy, 1);
	EXPECT_EQ(shares[0].bytes, 10); // the last granule is short
	EXPECT_EQ(shares[0].granules, 1);
}

TEST(Residency, JoinsNeighboursInTheSameState)
{
	const std::vector<Granule> granules{
		{.tier = Tier::dram}, {.tier = Tier::dram}, {.tier = Tier::dram, .dirty = true},
		{.tier = Tier::cxl},  {.tier = Tier::dram},
	};
	const auto runs = itme::runs_of(granules);

	ASSERT_EQ(runs.size(), 4);
	EXPECT_EQ(runs[0].first, 0);
	EXPECT_EQ(runs[0].count, 2);
	EXPECT_TRUE(runs[1].state.dirty);
	EXPECT_EQ(runs[3].first, 4);
	EXPECT_TRUE(itme::runs_of({}).empty());
}

TEST(Residency, TiersHaveOneName)
{
	for (const auto tier : {Tier::store, Tier::cxl, Tier::dram})
		EXPECT_EQ(itme::parse_tier(itme::tier_name(tier)), tier);
	EXPECT_EQ(itme::parse_tier("DRAM"), std::nullopt);
	EXPECT_STREQ(itme::tier_name(static_cast<Tier>(3)), "unknown");
}
