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

TEST(Residency, FindsRunsOfOneFlag)
{
	std::vector<Granule> granules(6);

	EXPECT_TRUE(itme::runs_with(granules, &Granule::pinned).empty());
	granules[0].pinned = granules[1].pinned = granules[5].pinned = true;
	granules[1].tier = Tier::cxl; // another state, the same run
	const auto runs = itme::runs_with(granules, &Granule::pinned);

	ASSERT_EQ(runs.size(), 2);
	EXPECT_EQ(runs[0].first, 0);
	EXPECT_EQ(runs[0].count, 2);
	EXPECT_EQ(runs[1].first, 5);
	EXPECT_EQ(itme::describe(runs), "0-1, 5");
	EXPECT_EQ(itme::describe(std::vector<itme::GranuleRun>{}), "");
}

TEST(Residency, NamesOnlySomeOfManyRuns)
{
	std::vector<Granule> granules(20);

	for (std::size_t i = 0; i < granules.size(); i += 2)
		granules[i].held = true;
	EXPECT_EQ(itme::describe(itme::runs_with(granules, &Granule::held)),
		  "0, 2, 4, 6, 8, 10, 12, 14 and 2 more");
}

TEST(Residency, MapTellsTierAndFraction)
{
	const std::vector<Granule> granules{
		{.tier = Tier::dram},  {.tier = Tier::dram}, {.tier = Tier::dram},
		{.tier = Tier::store}, {.tier = Tier::cxl},  {.tier = Tier::cxl},
		{.tier = Tier::store}, {.tier = Tier::cxl},  {.tier = Tier::store},
		{.tier = Tier::store}, {.tier = Tier::dram}, {.tier = Tier::store, .busy = true},
		{.tier = Tier::dram},
	};

	EXPECT_EQ(itme::map_of(granules, 1), "DDD.CC.C..D~D");
	EXPECT_EQ(itme::map_of(granules, 2), "DdCc.~D");
	EXPECT_EQ(itme::map_of(granules, 100), "~");
	EXPECT_EQ(itme::map_of({}, 1), "");
}

TEST(Residency, TiersHaveOneName)
{
	for (const auto tier : {Tier::store, Tier::cxl, Tier::dram})
		EXPECT_EQ(itme::parse_tier(itme::tier_name(tier)), tier);
	EXPECT_EQ(itme::parse_tier("DRAM"), std::nullopt);
	EXPECT_STREQ(itme::tier_name(static_cast<Tier>(3)), "unknown");
}
