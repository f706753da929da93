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
	itme::Whose asked = itme::Whose::all; // when pages were moved last
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
	itme::Sys<std::vector<int>> move(int, std::span<const std::uint64_t> addresses, int node,
					 itme::Whose whose) override
	{
		std::vector<int> found;

		asked = whose;

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

// One move, if there is any to make.
bool step(itme::MemoryKeeper &keeper, FakePages &pages, std::uint64_t now_ns = 1)
{
	const auto move = keeper.next(now_ns);

	if (move)
		keeper.moved(*move, pages.move(move->pid, move->pages, move->node, move->whose),
			     1'000'000);
	return move.has_value();
}

void settle(itme::MemoryKeeper &keeper, FakePages &pages)
{
	keeper.look(1);
	for (int i = 0; i < 10000 && step(keeper, pages); i++)
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
	settle(keeper, pages);
	EXPECT_EQ(pages.on(0), 24 * mib);
	EXPECT_EQ(pages.on(1), 40 * mib);
	EXPECT_FALSE(step(keeper, pages));
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
	settle(keeper, pages);
	const auto wanted = pages.nodes;
	for (auto &[address, node] : pages.nodes)
		node = 1 - node;
	pages.most_dram = 0;
	settle(keeper, pages);
	EXPECT_EQ(pages.nodes, wanted);
	EXPECT_LE(pages.most_dram, 16 * mib); // first down, then up
}

TEST(MemoryKeeper, PagesThatComeLaterAreMovedThen)
{
	FakePages pages{0};
	itme::MemoryKeeper keeper{pages, one_each};

	ASSERT_TRUE(keeper.declare(declare(32 * mib, 8 * mib)));
	settle(keeper, pages);
	for (std::uint64_t at = 0; at < 32 * mib; at += itme::page_bytes)
		pages.nodes[start + at] = 0;
	settle(keeper, pages);
	EXPECT_EQ(pages.on(0), 8 * mib);
}

TEST(MemoryKeeper, CxlNodesInterleave)
{
	FakePages pages{32 * mib};
	itme::MemoryKeeper keeper{pages, {.dram = {0}, .cxl = {1, 2}}};

	ASSERT_TRUE(keeper.declare(declare(32 * mib, 0)));
	settle(keeper, pages);
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
	settle(keeper, pages);
	EXPECT_EQ(pages.on(0), itme::page_bytes);
	EXPECT_EQ(keeper.to_json()["processes"][0]["failed_bytes"], itme::page_bytes);
	EXPECT_FALSE(step(keeper, pages));
}

TEST(MemoryKeeper, AProcessThatEndsIsForgotten)
{
	FakePages pages{16 * mib};
	itme::MemoryKeeper keeper{pages, one_each};

	ASSERT_TRUE(keeper.declare(declare(16 * mib, 0)));
	pages.alive = false;
	EXPECT_TRUE(step(keeper, pages)); // and hears that there is nobody
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

// Who declares its own memory has its own pages moved, within bounds, and leaves root's alone.
TEST(MemoryKeeper, OwnMemory)
{
	FakePages pages{64 * mib};
	itme::MemoryKeeper keeper{pages, {.dram = {0}, .cxl = {1}, .bytes = 64 * mib}};
	const auto own = [](int pid, std::uint64_t bytes, std::uint32_t user) {
		auto said = declare(bytes, 0);

		said.pid = pid;
		said.user = user;
		return said;
	};

	ASSERT_TRUE(keeper.declare(own(7, 40 * mib, 1000)));
	settle(keeper, pages);
	EXPECT_EQ(pages.on(1), 40 * mib);
	EXPECT_EQ(pages.asked, itme::Whose::own);
	EXPECT_TRUE(keeper.declare(own(7, 64 * mib, 1000))); // in place of the first
	EXPECT_FALSE(keeper.declare(own(8, 2 * mib, 1000)));
	EXPECT_TRUE(keeper.declare(own(8, 64 * mib, 1001)));
	EXPECT_FALSE(keeper.declare(own(9, 66 * mib, 1002)));
	EXPECT_TRUE(keeper.forget_own(7));
	EXPECT_TRUE(keeper.forget_own(7));
	EXPECT_TRUE(keeper.declare(declare(128 * mib, 0))); // root's
	EXPECT_FALSE(keeper.declare(own(7, 2 * mib, 1000)));
	EXPECT_FALSE(keeper.forget_own(7));
	EXPECT_TRUE(keeper.forget(7));
}

// A half that is never accessed gives way, after some looks, to the half that is.
TEST(MemoryKeeper, IdleMemoryLeavesDram)
{
	FakePages pages{32 * mib};
	itme::MemoryKeeper keeper{pages, one_each};
	const std::vector<itme::Accessed> seen{{start, 16 * mib, 0},
					       {start + 16 * mib, 16 * mib, 5}};
	auto said = declare(32 * mib, 16 * mib);
	const auto front_in_dram = [&] {
		std::uint64_t bytes = 0;

		for (std::uint64_t at = 0; at < 16 * mib; at += itme::page_bytes)
			bytes += pages.nodes[start + at] == 0 ? itme::page_bytes : 0;
		return bytes;
	};

	for (const bool ordered : {true, false}) {
		said.ordered = ordered;
		ASSERT_TRUE(keeper.declare(said));
		settle(keeper, pages);
		EXPECT_EQ(front_in_dram(), 8 * mib);
		EXPECT_TRUE(keeper.to_json()["processes"][0]["idle_bytes"].is_null());
		for (int look = 0; look < 2; look++)
			keeper.hear(7, seen);
		settle(keeper, pages);
		EXPECT_EQ(front_in_dram(), 8 * mib);
		pages.most_dram = 0;
		keeper.hear(7, seen);
		settle(keeper, pages);
		EXPECT_EQ(front_in_dram(), ordered ? 8 * mib : 0);
		EXPECT_EQ(pages.on(0), 16 * mib);
		EXPECT_LE(pages.most_dram, 16 * mib);
		const auto json = keeper.to_json()["processes"][0];
		EXPECT_EQ(json["idle_bytes"], 16 * mib);
		EXPECT_EQ(json["touched_bytes"], 16 * mib);
		EXPECT_EQ(json["misplaced_bytes"], 0);
	}
	// One access, and it is idle no longer; nothing that is touched leaves for it.
	keeper.hear(7, std::vector<itme::Accessed>{{start, 32 * mib, 1}});
	EXPECT_EQ(keeper.to_json()["processes"][0]["idle_bytes"], 0);
	settle(keeper, pages);
	EXPECT_EQ(front_in_dram(), 0);
	keeper.hear(8, seen);
}

// A reader who says where he is, in passes of 16 s, moved for a millisecond each.
class Reader {
public:
	Reader(itme::MemoryKeeper &keeper, FakePages &pages) : keeper_(keeper), pages_(pages) {}

	void passes(int count, std::size_t items)
	{
		while (count-- > 0)
			for (std::size_t item = 0; item < items; item++) {
				ASSERT_TRUE(keeper_.at(7, item * 2 * mib, now));
				for (int i = 0; i < 10 && step(keeper_, pages_, now); i++)
					;
				now += 16'000'000'000 / items;
			}
	}
	// Of the two items from this one on: bytes in DRAM.
	[[nodiscard]] std::uint64_t there(std::size_t item) const
	{
		std::uint64_t bytes = 0;

		for (std::uint64_t at = 0; at < 4 * mib; at += itme::page_bytes)
			bytes += pages_.nodes[start + item * 2 * mib + at] == 0 ? itme::page_bytes
										: 0;
		return bytes;
	}

	std::uint64_t now = 1;

private:
	itme::MemoryKeeper &keeper_;
	FakePages &pages_;
};

TEST(MemoryKeeper, StreamsForWhoSaysWhereHeIs)
{
	FakePages pages{64 * mib};
	itme::MemoryKeeper keeper{pages, one_each};
	Reader reader{keeper, pages};
	const auto stream = [&] { return keeper.to_json()["processes"][0]["stream"]; };

	EXPECT_FALSE(keeper.at(7, 0, 1)); // nothing is declared
	ASSERT_TRUE(keeper.declare(declare(64 * mib, 32 * mib)));
	settle(keeper, pages);
	EXPECT_TRUE(stream().is_null());
	EXPECT_FALSE(keeper.at(7, 64 * mib, 1));
	keeper.look(1);
	pages.most_dram = 0;
	reader.passes(5, 32);
	EXPECT_EQ(stream()["state"], "tried");
	reader.passes(2, 32);
	for (std::size_t item = 0; item < 30; item++) {
		ASSERT_TRUE(keeper.at(7, item * 2 * mib, reader.now));
		while (step(keeper, pages, reader.now))
			;
		EXPECT_GE(reader.there(item), item == 0 ? 4 * mib : 2 * mib) << item;
		EXPECT_EQ(reader.there(item + 1), 4 * mib) << item;
		reader.now += 500'000'000;
	}
	EXPECT_EQ(pages.most_dram, 32 * mib);
	EXPECT_EQ(keeper.to_json()["processes"][0]["misplaced_bytes"], 0);

	// The same once more changes nothing; another share begins anew.
	ASSERT_TRUE(keeper.declare(declare(64 * mib, 32 * mib)));
	EXPECT_FALSE(stream().is_null());
	keeper.set_dram(7, 16 * mib);
	EXPECT_TRUE(stream().is_null());
	settle(keeper, pages);
	EXPECT_EQ(pages.on(0), 16 * mib);
	auto unordered = declare(64 * mib, 16 * mib);
	unordered.ordered = false;
	ASSERT_TRUE(keeper.declare(unordered));
	EXPECT_FALSE(keeper.at(7, 0, reader.now));
}

// What becomes of a move when its process has ended or declared something else meanwhile.
TEST(MemoryKeeper, MovesOfThePast)
{
	FakePages pages{64 * mib};
	itme::MemoryKeeper keeper{pages, one_each};
	const std::vector<int> done(512, 1);

	ASSERT_TRUE(keeper.declare(declare(64 * mib, 32 * mib)));
	auto move = keeper.next(1);
	ASSERT_TRUE(move);
	ASSERT_TRUE(keeper.declare(declare(2 * mib, 0))); // fewer pieces
	keeper.moved(*move, done, 1);
	EXPECT_EQ(keeper.to_json()["processes"][0]["to_cxl_bytes"], 0);
	move = keeper.next(1);
	ASSERT_TRUE(move);
	EXPECT_TRUE(keeper.forget(7));
	keeper.moved(*move, done, 1);
	EXPECT_TRUE(keeper.empty());
	ASSERT_TRUE(keeper.declare(declare(64 * mib, 32 * mib)));
	move = keeper.next(1);
	keeper.moved(*move, std::unexpected(EPERM), 1); // tried again at the next look only
	EXPECT_NE(keeper.next(1)->piece, move->piece);
	keeper.moved(*move, std::unexpected(ESRCH), 1);
	EXPECT_TRUE(keeper.empty());
	EXPECT_FALSE(keeper.next(1));
}

// Each process in its turn, whatever the others have to move.
TEST(MemoryKeeper, ProcessesTakeTurns)
{
	FakePages pages{64 * mib};
	itme::MemoryKeeper keeper{pages, one_each};
	std::map<int, int> moves;

	for (const int pid : {7, 8, 9}) {
		auto said = declare(64 * mib, 0);

		said.pid = pid;
		ASSERT_TRUE(keeper.declare(said));
	}
	for (int i = 0; i < 9; i++)
		moves[keeper.next(1)->pid]++;
	EXPECT_EQ(moves, (std::map<int, int>{{7, 3}, {8, 3}, {9, 3}}));
}
