// SPDX-License-Identifier: GPL-2.0-only
#include "lib/judge.hpp"
#include "lib/meter.hpp"

#include <gtest/gtest.h>

using itme::Event;
using itme::Judge;
using itme::Meter;
using itme::StallCause;

namespace {

constexpr std::uint64_t ms = 1'000'000;

itme::Position position(std::uint64_t pass, std::uint64_t time_ns)
{
	itme::Position at;

	at.pass = pass;
	at.time_ns = time_ns;
	at.pid = 7;
	return at;
}

Event stall(std::uint64_t end_ns, std::uint64_t ns, StallCause cause = StallCause::miss)
{
	Event event;

	event.kind = Event::Kind::stall;
	event.time_ns = end_ns;
	event.value = static_cast<std::int64_t>(ns);
	event.cause = cause;
	return event;
}

// A run that is measured and judged.
struct Player {
	Meter meter;
	Judge judge;
	std::uint64_t pass = 0, now_ns = 0;

	// Passes of so long, each with one miss of 4 ms, and late for `late_ns`.
	void play(std::uint64_t passes, std::uint64_t pass_ns, std::uint64_t late_ns = 0)
	{
		for (std::uint64_t i = 0; i < passes; i++) {
			meter.reach(position(++pass, now_ns));
			meter.see(stall(now_ns + 4 * ms, 4 * ms));
			if (late_ns > 0)
				meter.see(stall(now_ns + pass_ns, late_ns, StallCause::late));
			now_ns += pass_ns;
		}
		meter.reach(position(++pass, now_ns));
		now_ns += ms;
	}
	// Looks until the plan is refused, or eight times. Demand alone would take 60 ms and
	// 10 misses of 4 ms: 100 ms.
	void lose()
	{
		for (int look = 0; look < 8 && !judge.refuses(); look++) {
			play(4, 134 * ms, 70 * ms);
			judge.look(meter, 10, true);
		}
	}
	// The same without a plan.
	void play_without(std::uint64_t passes, std::uint64_t pass_ns)
	{
		play(passes, pass_ns);
		judge.look(meter, 0, false);
	}
};

} // namespace

TEST(Meter, CountsTimeOnceThatSeveralThreadsWait)
{
	Meter meter;

	meter.reach(position(1, 0));
	EXPECT_FALSE(meter.pass_ns());
	meter.see(stall(30 * ms, 20 * ms));
	meter.see(stall(35 * ms, 20 * ms)); // five of it alone
	meter.see(stall(50 * ms, 2 * ms, StallCause::late));
	meter.reach(position(1, 60 * ms)); // another step of the same pass
	meter.reach(position(2, 100 * ms));
	ASSERT_EQ(meter.passes().size(), 1U);
	const auto &pass = meter.passes().front();
	EXPECT_EQ(pass.ns, 100 * ms);
	EXPECT_EQ(pass.stall_ns, 27 * ms);
	EXPECT_EQ(pass.misses, 2U);
	EXPECT_EQ(pass.late_waits, 1U);
	EXPECT_EQ(pass.late_ns, 2 * ms);
	EXPECT_EQ(meter.compute_ns(), 73 * ms);
	EXPECT_EQ(meter.miss_ns(), 20 * ms);
}

TEST(Meter, PausesBetweenPassesDoNotCount)
{
	Meter meter;
	Event end;

	end.kind = Event::Kind::pass_end;
	end.pid = 7;
	end.time_ns = 40 * ms;
	meter.reach(position(1, 0));
	meter.see(end);
	meter.reach(position(2, 1000 * ms));
	EXPECT_EQ(meter.pass_ns(), 40 * ms);
	meter.cut();
	meter.reach(position(3, 2000 * ms)); // the second was cut short
	EXPECT_EQ(meter.counted(), 1U);
	meter.reach(position(7, 3000 * ms)); // some were not seen
	EXPECT_EQ(meter.counted(), 1U);
}

TEST(Meter, TheRestOfAPassIsNoPass)
{
	Meter meter;

	meter.reach(position(1, 0));
	meter.restart(); // there is a new plan
	meter.reach(position(1, 80 * ms));
	meter.reach(position(2, 100 * ms));
	EXPECT_EQ(meter.counted(), 0U);
	meter.reach(position(3, 200 * ms));
	EXPECT_EQ(meter.pass_ns(), 100 * ms);

	meter.cut();
	auto other = position(3, 280 * ms); // another run, which begins to count where that one did
	other.pid = 8;
	meter.reach(other);
	other.pass = 4;
	other.time_ns = 330 * ms;
	meter.reach(other);
	EXPECT_EQ(meter.counted(), 2U);
	EXPECT_EQ(meter.passes().back().ns, 50 * ms);

	other.pid = 7; // two who read in one pass do not begin one each
	other.time_ns = 360 * ms;
	meter.reach(other);
	other.pass = 5;
	other.time_ns = 400 * ms;
	meter.reach(other);
	EXPECT_EQ(meter.passes().back().ns, 70 * ms);
}

TEST(Judge, APlanThatLosesIsLeftAndTriedAgain)
{
	Player run;

	run.lose();
	EXPECT_TRUE(run.judge.refuses());
	EXPECT_FALSE(run.judge.demand_measured());
	EXPECT_FALSE(run.judge.why().empty());

	run.meter.restart();
	run.play_without(8, 120 * ms);
	EXPECT_TRUE(run.judge.refuses()); // it is indeed better without
	EXPECT_TRUE(run.judge.demand_measured());
	EXPECT_EQ(run.judge.demand_ns(), 120 * ms);
	run.play_without(16, 120 * ms);
	EXPECT_FALSE(run.judge.refuses());
}

TEST(Judge, AWrongEstimateIsPutRight)
{
	Player run;

	run.lose();
	ASSERT_TRUE(run.judge.refuses());
	run.meter.restart();
	run.play_without(8, 200 * ms); // demand alone is slower than was thought
	EXPECT_FALSE(run.judge.refuses());
	run.judge.planned();
	run.meter.restart();
	run.lose();
	EXPECT_FALSE(run.judge.refuses());
}

TEST(Judge, APlanThatWinsIsKept)
{
	Player run;

	for (int look = 0; look < 8; look++) {
		run.play(4, 70 * ms);
		run.judge.look(run.meter, 10, true); // 66 ms and ten misses
		EXPECT_FALSE(run.judge.refuses());
	}
	EXPECT_EQ(run.judge.demand_ns(), 106 * ms);
}
