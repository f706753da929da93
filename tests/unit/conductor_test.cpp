// SPDX-License-Identifier: GPL-2.0-only
// Without a module: hints and pins fail, as they do when a region has just been detached. What is
// tested is what the conductor makes of what it sees.
#include "lib/conductor.hpp"
#include "synthetic.hpp"
#include "tree.hpp"

#include <gtest/gtest.h>

using namespace itme;
using namespace itme::test;

namespace {

constexpr std::uint64_t ms = 1'000'000, second = 1000 * ms;
constexpr std::uint32_t granules = 64, pid = 42;
constexpr RegionId id{7, 1};

struct Decode {
	Tree tree;
	Conductor conductor;
	std::uint64_t now = second, pass = 1;

	Decode()
	{
		tree.file("model", "");
		const auto taken = conductor.take_up(
			{.id = id,
			 .instance = "one",
			 .region = "model",
			 .file = tree.root() / "model",
			 .granule_bytes = granule,
			 .bytes = granules * granule,
			 .schedule = cyclic(std::vector<Item>(granules, {1, 10 * ms})),
			 .declared = 0,
			 .origin = "declared"});
		EXPECT_TRUE(taken) << taken.error().text;
	}
	// Room for half of it.
	void sample(std::uint64_t dram_granules = granules / 2, std::uint64_t window_granules = 0)
	{
		const auto pinned = dram_granules - window_granules;
		const Instance instance{
			.name = "one",
			.attributes = {{"dram_bytes", std::to_string(dram_granules * granule)},
				       {"granule_bytes", std::to_string(granule)},
				       {"pin_limit_bytes", std::to_string(pinned * granule)}},
			.regions = {}};

		conductor.sample(now, {instance}, nullptr);
	}
	void reach(std::uint32_t position)
	{
		conductor.reach({.region = id,
				 .stream = "model",
				 .program = "pass",
				 .pass = pass,
				 .position = position,
				 .name = {},
				 .pid = pid,
				 .tid = pid,
				 .time_ns = now,
				 .source = PositionSource::event});
	}
	void play(std::uint64_t ns)
	{
		for (std::uint32_t i = 0; i < granules; i++, now += ns / granules)
			reach(i);
		pass++;
	}
};

// How long events may wait depends on how long a pass takes. A new plan measures anew, but what
// it was made of is known: until there is a pass, its own time is taken.
TEST(Conductor, TurnsAreNotMoreOftenAfterANewPlan)
{
	Decode run;

	run.sample();
	run.reach(0);
	EXPECT_EQ(run.conductor.patience_ns(), ms) << "nothing is known yet";
	for (int i = 0; i < 5; i++) {
		run.play(2 * second);
		run.sample();
	}
	const auto measured = run.conductor.patience_ns();
	EXPECT_GT(measured, 30 * ms);

	run.sample(granules / 2 - 1); // another budget, another plan
	const auto planned = run.conductor.patience_ns();
	EXPECT_GT(planned, measured / 2);
	EXPECT_LT(planned, measured * 2);
}

// A plan is not made anew for little. What it is said to take, and the bound, go by what computing
// takes now.
TEST(Conductor, APredictionFollowsWhatIsMeasured)
{
	Decode run;

	for (int i = 0; i < 5; i++) {
		run.sample();
		run.play(2 * second);
	}
	const auto planned = run.conductor.reports()[0];
	EXPECT_NEAR(static_cast<double>(planned.predicted_ns), 2.0 * second, 0.05 * second);
	for (int i = 0; i < 12; i++) {
		run.sample();
		run.play(second * 17 / 10);
	}
	run.sample();
	const auto now = run.conductor.reports()[0];
	EXPECT_EQ(now.passes, planned.passes + 12) << "it is the same plan";
	EXPECT_NEAR(static_cast<double>(now.predicted_ns), 1.7 * second, 0.05 * second);
	EXPECT_NEAR(static_cast<double>(now.bound_ns), 1.7 * second, 0.05 * second);
}

// Of four slots two are in use: who looks each time that two granules have been read comes too
// late.
TEST(Conductor, ATurnComesBeforeWhatIsFetchedInAdvanceHasBeenRead)
{
	Decode run;

	for (int i = 0; i < 5; i++) {
		run.sample(granules / 2, 4);
		run.play(2 * second);
	}
	const auto reports = run.conductor.reports();
	ASSERT_EQ(reports.size(), 1U);
	ASSERT_EQ(reports[0].slots, 4U);
	const auto streamed = reports[0].streamed_bytes / granule;
	EXPECT_LE(run.conductor.patience_ns(), 2 * second / streamed);
}

} // namespace
