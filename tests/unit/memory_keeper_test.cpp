// SPDX-License-Identifier: GPL-2.0-only
#include "lib/memory_keeper.hpp"
#include "lib/size.hpp"

#include <gtest/gtest.h>
#include <set>

namespace {

constexpr std::uint64_t mib = 1 << 20, start = 1ULL << 40;

// A process of which each page is somewhere: on node 0 unless it was moved.
class FakePages final : public itme::Pages {
public:
	std::map<std::uint64_t, int> nodes;
	std::set<std::uint64_t> held;
	bool alive = true;
	std::uint64_t least_dram = UINT64_MAX, most_dram = 0;

	explicit FakePages(std::uint64_t bytes)
	{
		for (std::uint64_t at = 0; at < bytes; at += itme::page_bytes)
			nodes[start + at] = 0;
	}
	itme::Sys<std::vector<int>> look(int, std::span<const std::uint64_t> addresses) override
	{
		std::vector<int> found;

		if (!alive)
			return std::unexpected(ESRCH);
		for (const auto address : addresses)
			found.push_back(nodes.contains(address) ? nodes[address] : -ENOENT);
		return found;
	}
	itme::Sys<std::vector<int>> move(int, std::span<const std::uint64_t> addresses,
					 int node) override
	{
		std::vector<int> found;

		if (!alive)
			return std::unexpected(ESRCH);
		for (const auto address : addresses) {
			if (held.contains(address)) {
				found.push_back(-EBUSY);
			} else if (nodes.contains(address)) {
				nodes[address] = node;
				found.push_back(node);
			} else {
				found.push_back(-ENOENT);
			}
		}
		most_dram = std::max(most_dram, on(0));
		return found;
	}
	[[nodiscard]] std::uint64_t on(int node) const
	{
		std::uint64_t bytes = 0;

		for (const auto &[address, at] : nodes)
			bytes += at == node ? itme::page_bytes : 0;
		return bytes;
	}
};

void settle(itme::MemoryKeeper &keeper)
{
	keeper.look();
	for (int i = 0; i < 10000 && keeper.step(); i++)
		;
}

itme::MemoryDeclaration declare(std::uint64_t bytes, std::uint64_t dram)
{
	return {.pid = 7, .ranges = {{start, bytes}}, .dram_bytes = dram};
}

const itme::MemoryNodes one_each{.dram = {0}, .cxl = {1}};

} // namespace

TEST(MemoryKeeper, MovesWhatIsOverTheShareAndStops)
{
	FakePages pages{64 * mib};
	itme::MemoryKeeper keeper{pages, one_each};

	ASSERT_TRUE(keeper.declare(declare(64 * mib, 24 * mib)));
	settle(keeper);
	EXPECT_EQ(pages.on(0), 24 * mib);
	EXPECT_EQ(pages.on(1), 40 * mib);
	EXPECT_FALSE(keeper.step());
	const auto json = keeper.to_json();
	const auto &process = json["processes"][0];
	EXPECT_EQ(process["to_cxl_bytes"], 40 * mib);
	EXPECT_EQ(process["moved_to"], (itme::Json{{{"node", 1}, {"bytes", 40 * mib}}}));
	EXPECT_EQ(process["to_dram_bytes"], 0);
	EXPECT_EQ(process["misplaced_bytes"], 0);
}

TEST(MemoryKeeper, PutsBackWhatTheKernelMoves)
{
	FakePages pages{32 * mib};
	itme::MemoryKeeper keeper{pages, one_each};

	ASSERT_TRUE(keeper.declare(declare(32 * mib, 16 * mib)));
	settle(keeper);
	const auto wanted = pages.nodes;
	for (auto &[address, node] : pages.nodes)
		node = 1 - node;
	pages.most_dram = 0;
	settle(keeper);
	EXPECT_EQ(pages.nodes, wanted);
	EXPECT_LE(pages.most_dram, 16 * mib); // first down, then up
}

TEST(MemoryKeeper, PagesThatComeLaterAreMovedThen)
{
	FakePages pages{0};
	itme::MemoryKeeper keeper{pages, one_each};

	ASSERT_TRUE(keeper.declare(declare(32 * mib, 8 * mib)));
	settle(keeper);
	for (std::uint64_t at = 0; at < 32 * mib; at += itme::page_bytes)
		pages.nodes[start + at] = 0;
	settle(keeper);
	EXPECT_EQ(pages.on(0), 8 * mib);
}

TEST(MemoryKeeper, CxlNodesInterleave)
{
	FakePages pages{32 * mib};
	itme::MemoryKeeper keeper{pages, {.dram = {0}, .cxl = {1, 2}}};

	ASSERT_TRUE(keeper.declare(declare(32 * mib, 0)));
	settle(keeper);
	EXPECT_EQ(pages.on(1), 16 * mib);
	EXPECT_EQ(pages.on(2), 16 * mib);
}

// What is held is counted, tried once a look, and takes no share from the others.
TEST(MemoryKeeper, HeldPages)
{
	FakePages pages{16 * mib};
	itme::MemoryKeeper keeper{pages, one_each};

	pages.held.insert(start);
	ASSERT_TRUE(keeper.declare(declare(16 * mib, 0)));
	settle(keeper);
	EXPECT_EQ(pages.on(0), itme::page_bytes);
	EXPECT_EQ(keeper.to_json()["processes"][0]["failed_bytes"], itme::page_bytes);
	EXPECT_FALSE(keeper.step());
}

TEST(MemoryKeeper, AProcessThatEndsIsForgotten)
{
	FakePages pages{16 * mib};
	itme::MemoryKeeper keeper{pages, one_each};

	ASSERT_TRUE(keeper.declare(declare(16 * mib, 0)));
	pages.alive = false;
	EXPECT_FALSE(keeper.step());
	EXPECT_TRUE(keeper.empty());
	EXPECT_FALSE(keeper.declare(declare(16 * mib, 0)));
	EXPECT_FALSE(keeper.forget(7));
}

TEST(MemoryKeeper, BadDeclarationsAreRefused)
{
	FakePages pages{16 * mib};
	itme::MemoryKeeper keeper{pages, one_each}, without{pages, {.dram = {0}, .cxl = {}}};
	const std::vector<std::vector<itme::MemoryRange>> bad{
		{},
		{{start, 0}},
		{{start + 1, mib}},
		{{start, mib + 1}},
		{{start, 2 * mib}, {start + mib, 2 * mib}},
		{{1ULL << 47, mib}},
		{{UINT64_MAX - 4095, 4096}},
	};

	for (const auto &ranges : bad)
		EXPECT_FALSE(keeper.declare({.pid = 7, .ranges = ranges, .dram_bytes = 0}));
	EXPECT_FALSE(keeper.declare({.pid = 0, .ranges = {{start, mib}}, .dram_bytes = 0}));
	EXPECT_TRUE(keeper.empty());
	EXPECT_EQ(without.declare(declare(mib, 0)).error().code, itme::Exit::unsupported);
}
