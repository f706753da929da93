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

// A run over so many streamed granules, with an executor and what a module would do:
// fetched granules are there until they are dropped.
struct Player {
	std::uint32_t count;
	Executor executor;
	std::set<std::uint32_t> ahead;
	std::size_t most = 0, misses = 0, dropped = 0;

	Player(std::uint32_t granules, std::uint32_t slots)
	    : count(granules), executor{order(granules), slots}
	{
	}
	void carry_out()
	{
		for (const auto &hint : executor.take()) {
			if (hint.op == DueHint::Op::fetch)
				ahead.insert(hint.granule);
			else if (hint.op == DueHint::Op::drop)
				dropped += ahead.erase(hint.granule);
		}
		most = std::max(most, ahead.size());
	}
	void reach(std::uint32_t step)
	{
		executor.reach(step, true);
		carry_out();
	}
	// One access, to what is number `visit` in the order, round and round; what was
	// fetched ahead is used up by it.
	void access(std::uint32_t visit)
	{
		const auto granule = 2 * (visit % count);
		const bool there = ahead.erase(granule) > 0;

		misses += there ? 0 : 1;
		executor.see(event(granule, there ? Event::Kind::use : Event::Kind::stall));
		carry_out();
	}
	void play(std::uint32_t from, std::uint32_t to)
	{
		for (auto visit = from; visit < to; visit++)
			access(visit);
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
		Player run{count, slots};

		run.play(0, 8);
		EXPECT_TRUE(run.executor.follows()) << slots;
		run.misses = 0;
		run.play(8, 5 * count);
		EXPECT_EQ(run.misses, 0U) << slots;
		EXPECT_EQ(run.dropped, 0U) << slots;
		EXPECT_LE(run.most, std::max(1U, slots - 1)) << slots;
		EXPECT_EQ(run.executor.counts().strays, 0U) << slots;
	}
}

TEST(Executor, TwoThreadsMayBeAtTwoGranules)
{
	Player run{40, 8};

	run.reach(0);
	for (std::uint32_t i = 0; i < 4 * run.count; i += 2) { // the second is there first
		run.access(i + 1);
		run.access(i);
	}
	EXPECT_EQ(run.misses, 0U);
	EXPECT_EQ(run.dropped, 0U);
}

TEST(Executor, WhatThePassLeavesOutIsDropped)
{
	Player run{32, 6};

	run.reach(0);
	run.reach(4); // a jump over four steps
	EXPECT_EQ(run.dropped, 4U);
	EXPECT_TRUE(run.ahead.contains(2 * 4 * per_step));
	// Marks behind the cursor are late news.
	run.executor.reach(3, false);
	EXPECT_TRUE(run.executor.take().empty());
}

TEST(Executor, ANewPassBeginsAtItsBeginning)
{
	Player run{32, 6};

	run.reach(0);
	run.play(0, 10);
	run.reach(0); // the pass was given up
	run.misses = 0;
	run.play(0, 32);
	EXPECT_EQ(run.misses, 0U);
}

TEST(Executor, ARunThatGoesElsewhereIsLost)
{
	Player run{64, 6};

	run.reach(0);
	run.play(0, 16);
	for (std::uint32_t i = 2 * run.count; i-- > 0;) // backward
		run.access(i);
	EXPECT_FALSE(run.executor.follows());
	EXPECT_GE(run.executor.counts().lost, 1U);
	EXPECT_TRUE(run.ahead.empty());
	EXPECT_LE(run.executor.counts().fetched, 40U); // it does not go on guessing

	run.play(0, 8); // it comes back
	EXPECT_TRUE(run.executor.follows());
}

TEST(Executor, FindsARunThatHasJumped)
{
	Player run{200, 6};

	run.reach(0);
	run.play(0, 10);
	run.misses = 0;
	run.play(100, 150);
	EXPECT_TRUE(run.executor.follows());
	EXPECT_LE(run.misses, 5U);
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

TEST(Executor, AnotherPlanGoesOnFromThere)
{
	Player run{32, 6};

	run.reach(0);
	run.play(0, 9);
	run.executor = Executor{order(32), 4, run.executor};
	EXPECT_TRUE(run.executor.follows());
	run.carry_out();
	run.misses = 0;
	run.play(9, 64);
	EXPECT_EQ(run.misses, 0U);
	EXPECT_EQ(run.executor.counts().seen, 64U);
}

TEST(Executor, NothingIsStreamed)
{
	Executor executor{{}, 5};

	executor.see(event(1));
	executor.reach(3, true);
	EXPECT_TRUE(executor.take().empty());
}
