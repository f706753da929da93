// SPDX-License-Identifier: GPL-2.0-only
#include "lib/joint.hpp"
#include "lib/plan.hpp"
#include "lib/store_rate.hpp"

#include <gtest/gtest.h>

using itme::Histogram;
using itme::StoreRate;

namespace {

constexpr std::uint64_t mib = 1 << 20;

// Two regions of four objects each, read in turn; and a group over both.
itme::Schedule schedule()
{
	itme::Schedule schedule;
	itme::Program program;

	schedule.regions = {{"one", "", 4 * mib}, {"two", "", 8 * mib}};
	for (std::uint32_t i = 0; i < 4; i++) {
		itme::Object object;
		itme::Step step;

		object.name = "o" + std::to_string(i);
		object.extents = {{0, i * mib, mib}, {1, 2 * i * mib, 2 * mib}};
		schedule.objects.push_back(object);
		step.name = "s" + std::to_string(i);
		step.objects = {i};
		program.steps.push_back(step);
	}
	program.name = "pass";
	schedule.programs = {program};
	schedule.streams = {{"run", 0, 2}};
	return schedule;
}

} // namespace

TEST(Joint, KeepsWhatLiesInEachPartsRegion)
{
	const auto one = schedule();
	const itme::JoinPart parts[] = {{&one, 1, 1}, {&one, 0, 3}};
	const auto joint = itme::join(parts);

	ASSERT_EQ(joint.regions.size(), 2U);
	EXPECT_EQ(joint.regions[0].name, "two");
	EXPECT_EQ(joint.regions[1].name, "one");
	ASSERT_EQ(joint.streams.size(), 2U);
	EXPECT_EQ(joint.streams[0].weight, 2);
	EXPECT_EQ(joint.streams[1].weight, 6);
	EXPECT_EQ(joint.streams[1].program, 1U);
	ASSERT_EQ(joint.objects.size(), 8U);
	EXPECT_EQ(joint.objects[1].extents, (std::vector<itme::Extent>{{0, 2 * mib, 2 * mib}}));
	EXPECT_EQ(joint.objects[5].extents, (std::vector<itme::Extent>{{1, mib, mib}}));
	EXPECT_EQ(joint.programs[1].steps[2].objects, std::vector<std::uint32_t>{6});

	itme::PlanOptions options;
	options.budget = {.dram_bytes = 6 * mib, .granule_bytes = mib};
	const auto plan = itme::make_plan(joint, options);
	ASSERT_TRUE(plan);
	EXPECT_EQ(plan->touched_granules, 12U);
}

TEST(Joint, MeasuredTimeIsSharedOutByBytesOrByTheTimesThereAre)
{
	auto one = schedule();

	one.programs[0].steps[3].objects = {2, 3};
	itme::set_compute(one, 0, 1000);
	EXPECT_EQ(one.programs[0].steps[0].compute_ns, 200);
	EXPECT_EQ(one.programs[0].steps[3].compute_ns, 400);
	one.programs[0].steps[0].compute_ns = 800;
	itme::set_compute(one, 0, 3200);
	EXPECT_EQ(one.programs[0].steps[0].compute_ns, 1600);
	EXPECT_EQ(one.programs[0].steps[3].compute_ns, 800);
}

TEST(StoreRate, AnotherRateOrAnotherVariationIsAnotherStore)
{
	const itme::Link link{.bytes_per_s = 1e9, .p99_over_mean = 2};

	EXPECT_FALSE(differ(link, link));
	EXPECT_FALSE(differ(link, {.bytes_per_s = 1.1e9, .p99_over_mean = 1.5}));
	EXPECT_TRUE(differ(link, {.bytes_per_s = 0.7e9, .p99_over_mean = 2}));
	EXPECT_TRUE(differ({.bytes_per_s = 0.7e9, .p99_over_mean = 2}, link));
	EXPECT_TRUE(differ(link, {.bytes_per_s = 1e9, .p99_over_mean = 4}));
	EXPECT_TRUE(differ(link, {.bytes_per_s = 1e9, .p99_over_mean = 1}));
}

TEST(StoreRate, IsTheBestThatWasSeen)
{
	StoreRate rate;
	Histogram fills;
	const auto read = [&](std::uint64_t count, std::uint64_t ns) {
		fills.count[23] += count;
		fills.sum += count * ns;
	};

	EXPECT_FALSE(rate.link());
	rate.add(1'000'000'000, 0, fills, 2 * mib);
	EXPECT_FALSE(rate.link());
	read(100, 10'000'000);
	rate.add(2'000'000'000, 200 * mib, fills, 2 * mib);
	ASSERT_TRUE(rate.link());
	EXPECT_NEAR(rate.link()->bytes_per_s, 200.0 * mib, mib);
	// An idle time does not make the store slower, nor single reads that take longer.
	read(20, 15'000'000);
	rate.add(3'000'000'000, 240 * mib, fills, 2 * mib);
	EXPECT_NEAR(rate.link()->bytes_per_s, 200.0 * mib, mib);
	EXPECT_GE(rate.link()->p99_over_mean, 1);
	EXPECT_LE(rate.link()->p99_over_mean, 8);
	// Counted anew.
	rate.add(4'000'000'000, 0, Histogram{}, 2 * mib);
	EXPECT_TRUE(rate.link());
}
