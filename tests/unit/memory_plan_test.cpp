// SPDX-License-Identifier: GPL-2.0-only
#include "lib/memory_plan.hpp"

#include <algorithm>
#include <gtest/gtest.h>

using itme::Home;

namespace {

constexpr std::uint64_t mib = 1 << 20;

std::vector<itme::MemoryRange> pieces_of(std::uint64_t bytes)
{
	const itme::MemoryRange range{1ULL << 40, bytes};

	return itme::cut({&range, 1});
}

} // namespace

TEST(MemoryPlan, PiecesEndWhereHugePagesDo)
{
	const std::vector<itme::MemoryRange> ranges{{3 * mib, 4 * mib}, {0, mib}};
	const std::vector<itme::MemoryRange> pieces{
		{3 * mib, mib}, {4 * mib, 2 * mib}, {6 * mib, mib}, {0, mib}};

	EXPECT_EQ(itme::cut(ranges), pieces);
	EXPECT_TRUE(itme::cut({}).empty());
}

TEST(MemoryPlan, WhatFitsIsInDram)
{
	const auto homes = itme::memory_homes(pieces_of(64 * mib), 64 * mib);

	EXPECT_EQ(std::ranges::count(homes, Home::dram), 32);
	EXPECT_EQ(std::ranges::count(itme::memory_homes(pieces_of(64 * mib), 0), Home::cxl), 32);
}

// The share is used in full and never exceeded, and spread over the pass.
TEST(MemoryPlan, ShareOfDramIsSpreadEvenly)
{
	for (const std::uint64_t share : {1, 2, 7, 32, 63, 64, 100, 127}) {
		const auto homes = itme::memory_homes(pieces_of(256 * mib), share * 2 * mib);

		ASSERT_EQ(homes.size(), 128);
		EXPECT_EQ(std::ranges::count(homes, Home::dram), share);
		EXPECT_EQ(std::ranges::count(homes, Home::cxl), 128 - share);
		for (std::size_t half = 0; half < 2; half++) {
			const auto n =
				std::ranges::count(homes.begin() + 64 * half,
						   homes.begin() + 64 * (half + 1), Home::dram);
			EXPECT_NEAR(static_cast<double>(n), static_cast<double>(share) / 2, 1.01);
		}
	}
}

// As few change places as there need be: none between those that are alike.
TEST(MemoryPlan, IdlePiecesLeaveDram)
{
	using Pairs = std::vector<std::pair<std::size_t, std::size_t>>;
	const std::vector<Home> homes{Home::dram, Home::cxl, Home::dram, Home::cxl,
				      Home::dram, Home::cxl, Home::dram, Home::cxl};

	EXPECT_EQ(itme::swaps(homes, std::vector<bool>(8, false)), Pairs{});
	EXPECT_EQ(itme::swaps(homes, std::vector<bool>(8, true)), Pairs{});
	EXPECT_EQ(itme::swaps(homes, {1, 1, 1, 1, 0, 0, 0, 0}), (Pairs{{0, 5}, {2, 7}}));
	EXPECT_EQ(itme::swaps(homes, {1, 0, 0, 0, 0, 0, 0, 0}), (Pairs{{0, 1}}));
	EXPECT_EQ(itme::swaps(homes, {1, 1, 1, 1, 1, 1, 1, 0}), (Pairs{{0, 7}}));
	EXPECT_EQ(itme::swaps({}, {}), Pairs{});
}
