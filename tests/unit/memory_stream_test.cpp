// SPDX-License-Identifier: GPL-2.0-only
// Streaming of declared memory, against a reader and a mover in a time of their own.
#include "lib/memory_stream.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <numeric>

namespace {

constexpr std::uint64_t mib = 1 << 20, ms = 1'000'000, second = 1000 * ms;
constexpr std::uint64_t piece = itme::memory_piece_bytes;

struct Costs {
	std::uint64_t work_ns = 100 * ms; // of an item, of one piece
	std::uint64_t cxl_ns = 200 * ms;  // more, where it is read in CXL memory
	std::uint64_t up_ns = 30 * ms, down_ns = 40 * ms;
};

std::vector<itme::MemoryRange> pieces_of(std::size_t count)
{
	const itme::MemoryRange all{1ULL << 40, count * piece};

	return itme::cut(std::span{&all, 1});
}

std::vector<bool> placed(const std::vector<itme::MemoryRange> &pieces, std::uint64_t share)
{
	std::vector<bool> dram;

	for (const auto home : itme::memory_homes(pieces, share))
		dram.push_back(home == itme::Home::dram);
	return dram;
}

class World {
public:
	World(std::size_t count, std::size_t share_pieces, Costs costs)
	    : costs(costs), share(share_pieces * piece), pieces(pieces_of(count)),
	      dram(placed(pieces, share)), homes(dram), stream(pieces, dram)
	{
		stream.look(true, 0);
	}

	// One pass; how long it took.
	std::uint64_t pass()
	{
		const auto began = now;

		for (std::size_t i = 0; i < pieces.size(); i++) {
			EXPECT_TRUE(stream.at(i * piece, now));
			run(now); // the mover may begin
			if (moving && moving->piece == i)
				run(moved_at);
			in_cxl += dram[i] ? 0 : 1;
			run(now + costs.work_ns + (dram[i] ? 0 : costs.cxl_ns));
		}
		return now - began;
	}
	void passes(int count)
	{
		while (count-- > 0)
			pass();
	}
	[[nodiscard]] std::string state() const { return stream.to_json()["state"]; }
	[[nodiscard]] std::string why() const { return stream.to_json()["why"]; }
	[[nodiscard]] std::uint64_t dram_bytes() const
	{
		return static_cast<std::uint64_t>(std::ranges::count(dram, true)) * piece;
	}

	Costs costs;
	std::uint64_t share, now = second;
	std::vector<itme::MemoryRange> pieces;
	std::vector<bool> dram, homes;
	itme::MemoryStream stream;
	std::vector<itme::MemoryStream::Step> steps;
	std::size_t in_cxl = 0; // items that were read there
	std::uint64_t most_dram = 0;
	bool held = false; // what is in DRAM stays

private:
	// The mover, until then.
	void run(std::uint64_t until)
	{
		for (;;) {
			if (!moving)
				begin_move();
			if (!moving || moved_at > until)
				break;
			now = std::max(now, moved_at);
			dram[moving->piece] = moving->to_dram;
			most_dram = std::max(most_dram, dram_bytes());
			stream.moved(moving->to_dram,
				     moving->to_dram ? costs.up_ns : costs.down_ns);
			moving.reset();
		}
		now = std::max(now, until);
	}
	void begin_move()
	{
		using Seat = itme::MemoryStream::Seat;

		if (!stream.streams()) { // what the keeper does then
			for (const bool to_dram : {false, true})
				for (std::size_t i = 0; i < pieces.size(); i++)
					if (!moving && dram[i] != homes[i] && homes[i] == to_dram)
						moving = {i, to_dram};
		} else {
			moving = stream.next(
				[this](std::size_t i) {
					return !dram[i] ? Seat::cxl
					       : held   ? Seat::stuck
							: Seat::dram;
				},
				dram_bytes(), share, now);
		}
		if (!moving)
			return;
		if (stream.streams())
			steps.push_back(*moving);
		EXPECT_NE(dram[moving->piece], moving->to_dram);
		moved_at = now + (moving->to_dram ? costs.up_ns : costs.down_ns);
	}

	std::optional<itme::MemoryStream::Step> moving;
	std::uint64_t moved_at = 0;
};

constexpr int until_tried = 4,
	      until_judged = 5; // 3 passes that are measured, begun by a first; 1 and 3

} // namespace

// Work hides the moves: after it was tried, all that is read is in DRAM.
TEST(MemoryStream, StreamsWhereThatIsShorter)
{
	World world{32, 16, {}};

	world.passes(until_tried);
	EXPECT_EQ(world.state(), "placed");
	EXPECT_TRUE(world.steps.empty());
	EXPECT_EQ(world.most_dram, 0);
	world.pass();
	EXPECT_EQ(world.state(), "tried");
	world.passes(until_judged);
	EXPECT_EQ(world.state(), "streams");
	world.in_cxl = 0;
	const auto pass = world.pass();
	EXPECT_EQ(world.in_cxl, 0);
	EXPECT_LE(pass, 32 * 100 * ms + 64 * ms);
	EXPECT_LE(world.most_dram, world.share);
	EXPECT_EQ(world.stream.to_json()["slots"], 3);
}

// In the order of the reader, round the end too, and in the place of what was just read.
TEST(MemoryStream, ComesInOrderAndLeavesBehind)
{
	World world{32, 16, {}};

	world.passes(until_tried + 1 + until_judged);
	ASSERT_EQ(world.state(), "streams");
	world.steps.clear();
	world.passes(2);
	std::vector<std::size_t> came;
	for (const auto &step : world.steps) {
		EXPECT_FALSE(world.stream.is_resident(step.piece));
		if (step.to_dram)
			came.push_back(step.piece);
	}
	ASSERT_GE(came.size(), 38); // 19 a pass
	std::size_t round_the_end = 0;
	for (std::size_t i = 1; i < came.size(); i++) {
		round_the_end += came[i] < came[i - 1];
		EXPECT_NE(came[i], came[i - 1]);
	}
	EXPECT_LE(round_the_end, 3);
	EXPECT_GE(round_the_end, 1);
}

// More than there is time for: what would come too late is read where it is.
TEST(MemoryStream, WhatComesTooLateIsLeft)
{
	World world{
		32,
		16,
		{.work_ns = 100 * ms, .cxl_ns = 400 * ms, .up_ns = 150 * ms, .down_ns = 200 * ms}};

	world.passes(until_tried);
	const auto before = world.pass();
	world.passes(until_judged);
	EXPECT_EQ(world.state(), "streams") << world.why();
	world.in_cxl = 0;
	const auto after = world.pass();
	EXPECT_GT(world.in_cxl, 0);
	EXPECT_LT(world.in_cxl, 16);
	EXPECT_LT(after, before * 100 / 105);
	EXPECT_LE(world.most_dram, world.share);
}

TEST(MemoryStream, StaysPlacedWhereItDoesNotPay)
{
	// CXL memory is as fast: nothing to gain.
	World same{32, 16, {.cxl_ns = 0}};
	same.passes(until_tried + 1);
	EXPECT_EQ(same.state(), "tried");
	same.passes(until_judged);
	EXPECT_EQ(same.state(), "placed");
	EXPECT_NE(same.why().find("streamed, a pass took"), std::string::npos);
	same.pass();
	EXPECT_EQ(same.dram, same.homes); // as it was
	const auto steps = same.steps.size();
	same.passes(11); // not at once again
	EXPECT_EQ(same.steps.size(), steps);
	same.costs.cxl_ns = 200 * ms; // it is now
	same.passes(20);
	EXPECT_EQ(same.state(), "streams");

	// Moves are known to be too slow: it is not even tried. (The mover, before: it was placed.)
	World slow{32, 16, {.up_ns = 20 * second, .down_ns = 20 * second}};
	slow.stream.moved(false, 20 * second);
	slow.passes(10);
	EXPECT_EQ(slow.state(), "placed");
	EXPECT_NE(slow.why().find("a pass has time for 0"), std::string::npos);
	EXPECT_TRUE(slow.steps.empty());

	// All of it is in DRAM; or hardly any.
	World all{8, 8, {}}, few{32, 3, {}};
	all.passes(10);
	few.passes(10);
	EXPECT_EQ(all.why(), "all of it is in DRAM");
	EXPECT_NE(few.why().find("too small"), std::string::npos);
	EXPECT_TRUE(all.steps.empty() && few.steps.empty());
}

// It has begun to pay less than placing: that is seen, and undone.
TEST(MemoryStream, FallsBackWhenPassesBecomeLonger)
{
	World world{32, 16, {}};

	world.passes(until_tried + 1 + until_judged);
	ASSERT_EQ(world.state(), "streams");
	world.costs = {
		.work_ns = 100 * ms, .cxl_ns = 0, .up_ns = 2 * second, .down_ns = 2 * second};
	world.passes(1);
	world.costs.work_ns = 300 * ms;
	world.passes(4);
	EXPECT_NE(world.state(), "streams");
	world.passes(20);
	EXPECT_EQ(world.state(), "placed");
	world.pass();
	EXPECT_EQ(world.dram, world.homes);
}

TEST(MemoryStream, AReaderThatJumps)
{
	World world{32, 16, {}};

	world.passes(until_tried + 1 + until_judged);
	ASSERT_EQ(world.state(), "streams");
	// Back and forth: what comes next comes, and no such pass is measured.
	const auto measured = world.stream.to_json()["streamed_pass_ns"];
	for (const std::size_t item : {20, 18, 25, 3, 17, 1, 30, 29, 16, 15}) {
		EXPECT_TRUE(world.stream.at(item * piece, world.now));
		world.now += 100 * ms;
	}
	EXPECT_EQ(world.stream.to_json()["streamed_pass_ns"], measured);
	EXPECT_FALSE(world.stream.at(32 * piece, world.now));
	EXPECT_FALSE(world.stream.at(UINT64_MAX, world.now));
	EXPECT_TRUE(world.stream.at(32 * piece - 1, world.now));
	world.passes(4);
	world.in_cxl = 0;
	world.pass();
	EXPECT_EQ(world.in_cxl, 0);
	EXPECT_LE(world.most_dram, world.share);
}

// Who floods is nowhere for so long as moves take: nothing is moved.
TEST(MemoryStream, AFloodMovesNothing)
{
	World world{32, 16, {}};

	world.stream.moved(false, 40 * ms);
	for (int i = 0; i < 100000; i++)
		EXPECT_TRUE(world.stream.at(static_cast<std::uint64_t>(i) * 7 % 32 * piece,
					    world.now += 1000));
	EXPECT_FALSE(world.stream.streams());
	EXPECT_NE(world.why().find("a pass has time for 0"), std::string::npos);
}

TEST(MemoryStream, SilenceEndsIt)
{
	World world{32, 16, {}};

	world.passes(until_tried + 1 + until_judged);
	ASSERT_EQ(world.state(), "streams");
	world.stream.look(true, world.now + 50 * second);
	EXPECT_EQ(world.state(), "streams");
	world.stream.look(true, world.now += 70 * second);
	EXPECT_EQ(world.state(), "placed");
	world.passes(until_tried + 2 + until_judged); // the first of them has no known begin
	EXPECT_EQ(world.state(), "streams");
}

// What is held in DRAM leaves no room; what somebody else has brought there goes first.
TEST(MemoryStream, TheShareIsKept)
{
	World world{32, 16, {}};

	world.passes(until_tried + 1);
	ASSERT_EQ(world.state(), "tried");
	world.passes(1);
	world.steps.clear();
	world.held = true;
	world.passes(1);
	EXPECT_LE(world.steps.size(), 1); // that was on its way
	EXPECT_LE(world.dram_bytes(), world.share);
	world.held = false;
	for (std::size_t i = 0; i < 32; i++)
		world.dram[i] = true;
	world.steps.clear();
	world.pass();
	ASSERT_GE(world.steps.size(), 16);
	for (std::size_t i = 0; i < 16; i++)
		EXPECT_FALSE(world.steps[i].to_dram);
	EXPECT_LE(world.dram_bytes(), world.share);
}

// An item of many pieces is in use until the next position: more slots.
TEST(MemoryStream, WideItemsHaveMoreSlots)
{
	const auto pieces = pieces_of(64);
	itme::MemoryStream stream{pieces, placed(pieces, 64 * mib)};
	std::uint64_t now = second;

	stream.look(true, now);
	for (int pass = 0; pass < 6; pass++)
		for (std::size_t item = 0; item < 8; item++)
			ASSERT_TRUE(stream.at(item * 8 * piece, now += 100 * ms));
	EXPECT_TRUE(stream.streams());
	EXPECT_EQ(stream.to_json()["slots"], 6); // half of 8 are resident
}
