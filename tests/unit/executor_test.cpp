// SPDX-License-Identifier: GPL-2.0-only
#include "lib/executor.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <set>

using itme::DueHint;
using itme::Event;
using itme::Executor;
using itme::Streamed;

namespace {

constexpr std::uint32_t per_step = 4;

// Every second granule is streamed, four of them a step.
std::vector<Streamed> order(std::uint32_t count)
{
	std::vector<Streamed> all;

	for (std::uint32_t i = 0; i < count; i++)
		all.push_back({.granule = 2 * i, .step = i / per_step});
	return all;
}

Event event(std::uint64_t granule, Event::Kind kind = Event::Kind::use)
{
	Event event;

	event.kind = kind;
	event.granule = granule;
	return event;
}

// What a module would do: fetched granules are there until they are dropped.
struct Memory {
	std::set<std::uint32_t> ahead;
	std::size_t most = 0, misses = 0, dropped = 0;

	void carry_out(Executor &executor)
	{
		for (const auto &hint : executor.take()) {
			if (hint.op == DueHint::Op::fetch)
				ahead.insert(hint.granule);
			else if (hint.op == DueHint::Op::drop)
				dropped += ahead.erase(hint.granule);
		}
		most = std::max(most, ahead.size());
	}
	// One access; what was fetched ahead is used up by it.
	void access(Executor &executor, std::uint32_t granule)
	{
		const bool there = ahead.erase(granule) > 0;

		misses += there ? 0 : 1;
		executor.see(event(granule, there ? Event::Kind::use : Event::Kind::stall));
		carry_out(executor);
	}
};

} // namespace

TEST(Executor, HintsNothingBeforeTheRunIsSeen)
{
	Executor executor{order(16), 4};

	EXPECT_TRUE(executor.take().empty());
	EXPECT_FALSE(executor.follows());
	executor.reach(2, false); // a mark alone is not sure
	EXPECT_TRUE(executor.take().empty());
	executor.reach(2, true);
	const auto due = executor.take();
	ASSERT_EQ(due.size(), 2U); // four slots, of which two may be in use
	EXPECT_EQ(due[0].granule, 2 * 2 * per_step);
	EXPECT_EQ(due[1].granule, 2 * (2 * per_step + 1));
	EXPECT_EQ(due[1].ahead, 1U);
}

TEST(Executor, FollowsACycleWithoutAMissAndWithinItsSlots)
{
	constexpr std::uint32_t count = 40;

	for (const std::uint32_t slots : {1U, 2U, 3U, 4U, 9U, 39U, 40U, 100U}) {
		Executor executor{order(count), slots};
		Memory memory;

		for (std::uint32_t i = 0; i < 8; i++)
			memory.access(executor, 2 * i);
		EXPECT_TRUE(executor.follows()) << slots;
		memory.misses = 0;
		for (std::uint32_t i = 8; i < 5 * count; i++)
			memory.access(executor, 2 * (i % count));
		EXPECT_EQ(memory.misses, 0U) << slots;
		EXPECT_EQ(memory.dropped, 0U) << slots;
		EXPECT_LE(memory.most, std::max(1U, slots - 1)) << slots;
		EXPECT_EQ(executor.counts().strays, 0U) << slots;
	}
}

TEST(Executor, TwoThreadsMayBeAtTwoGranules)
{
	constexpr std::uint32_t count = 40;
	Executor executor{order(count), 8};
	Memory memory;

	executor.reach(0, true);
	memory.carry_out(executor);
	for (std::uint32_t i = 0; i < 4 * count; i += 2) { // the second is there first
		memory.access(executor, 2 * ((i + 1) % count));
		memory.access(executor, 2 * (i % count));
	}
	EXPECT_EQ(memory.misses, 0U);
	EXPECT_EQ(memory.dropped, 0U);
}

TEST(Executor, WhatThePassLeavesOutIsDropped)
{
	Executor executor{order(32), 6};
	Memory memory;

	executor.reach(0, true);
	memory.carry_out(executor);
	executor.reach(4, true); // a jump over four steps
	memory.carry_out(executor);
	EXPECT_EQ(memory.dropped, 4U);
	EXPECT_TRUE(memory.ahead.contains(2 * 4 * per_step));
	// Marks behind the cursor are late news.
	executor.reach(3, false);
	EXPECT_TRUE(executor.take().empty());
}

TEST(Executor, ANewPassBeginsAtItsBeginning)
{
	Executor executor{order(32), 6};
	Memory memory;

	executor.reach(0, true);
	memory.carry_out(executor);
	for (std::uint32_t i = 0; i < 10; i++)
		memory.access(executor, 2 * i);
	executor.reach(0, true); // the pass was given up
	memory.carry_out(executor);
	memory.misses = 0;
	for (std::uint32_t i = 0; i < 32; i++)
		memory.access(executor, 2 * i);
	EXPECT_EQ(memory.misses, 0U);
}

TEST(Executor, ARunThatGoesElsewhereIsLost)
{
	constexpr std::uint32_t count = 64;
	Executor executor{order(count), 6};
	Memory memory;

	executor.reach(0, true);
	memory.carry_out(executor);
	for (std::uint32_t i = 0; i < 16; i++)
		memory.access(executor, 2 * i);
	for (std::uint32_t i = 0; i < 2 * count; i++) // backward
		memory.access(executor, 2 * (count - 1 - i % count));
	EXPECT_FALSE(executor.follows());
	EXPECT_GE(executor.counts().lost, 1U);
	EXPECT_TRUE(memory.ahead.empty());
	EXPECT_LE(executor.counts().fetched, 40U); // it does not go on guessing

	for (std::uint32_t i = 0; i < 8; i++) // it comes back
		memory.access(executor, 2 * i);
	EXPECT_TRUE(executor.follows());
}

TEST(Executor, FindsARunThatHasJumped)
{
	constexpr std::uint32_t count = 200;
	Executor executor{order(count), 6};
	Memory memory;

	executor.reach(0, true);
	memory.carry_out(executor);
	for (std::uint32_t i = 0; i < 10; i++)
		memory.access(executor, 2 * i);
	memory.misses = 0;
	for (std::uint32_t i = 100; i < 150; i++)
		memory.access(executor, 2 * i);
	EXPECT_TRUE(executor.follows());
	EXPECT_LE(memory.misses, 5U);
}

TEST(Executor, ARefusedHintIsDueAgain)
{
	Executor executor{order(16), 5};

	executor.reach(0, true);
	const auto due = executor.take();
	ASSERT_EQ(due.size(), 3U);
	executor.refused(due[1].ticket);
	const auto again = executor.take();
	ASSERT_EQ(again.size(), 2U);
	EXPECT_EQ(again[0].granule, due[1].granule);
	EXPECT_EQ(executor.counts().fetched, 3U);
}

TEST(Executor, WhatIsCopiedGoesBackAfterItsUse)
{
	auto visits = order(16);

	visits[1].copied = true;
	Executor executor{visits, 3};
	bool back = false;

	executor.reach(0, true);
	for (std::uint32_t i = 0; i < 6; i++) {
		for (const auto &hint : executor.take())
			if (hint.op == DueHint::Op::back) {
				EXPECT_EQ(hint.granule, 2U);
				EXPECT_GE(i, 2U); // not while it is in use
				back = true;
			}
		executor.see(event(2 * i));
	}
	EXPECT_TRUE(back);
}

TEST(Executor, AnEndedRunTakesItsHintsBack)
{
	Executor executor{order(16), 5};

	executor.reach(0, true);
	EXPECT_EQ(executor.take().size(), 3U);
	executor.end();
	const auto due = executor.take();
	EXPECT_EQ(std::ranges::count(due, DueHint::Op::drop, &DueHint::op), 3);
	EXPECT_TRUE(executor.take().empty());
}

TEST(Executor, NothingIsStreamed)
{
	Executor executor{{}, 5};

	executor.see(event(1));
	executor.reach(3, true);
	EXPECT_TRUE(executor.take().empty());
}
