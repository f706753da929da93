// SPDX-License-Identifier: GPL-2.0-only
// Plans carried out by a simulator with jitter: what was predicted is reached.
#include "simulator.hpp"
#include "synthetic.hpp"

#include <cmath>
#include <gtest/gtest.h>

namespace itme::test {

namespace {

constexpr double granule_s = 0.0003; // 2 MiB at 7 GB/s

void expect_predicted(const Schedule &schedule, const PlanOptions &options, const Plan &plan,
		      double within = 0.05)
{
	for (size_t i = 0; i < plan.streams.size(); i++) {
		const auto result = simulate(schedule, options, plan, i,
					     {.passes = 8, .warm = 2, .compute_jitter = 0.1});

		EXPECT_NEAR(plan.streams[i].timing.pass_s / result.pass_s, 1, within)
			<< schedule.name << " stream " << i;
		EXPECT_GE(result.pass_s, plan.streams[i].bound.seconds() * 0.99);
		EXPECT_LE(result.most_in_slots, plan.streams[i].slots);
	}
}

} // namespace

// Timed anew for another time of computing, a plan is as good a prediction, and its bound the same,
// as if it had been made with it; and timed back, it is as it was.
TEST(Simulator, AnotherTimeOfComputing)
{
	for (const uint64_t in_cxl : {0, 1000, 4000}) {
		for (const double ratio : {0.5, 1.0, 1.5, 2.0}) {
			const double compute_s = 4000 * granule_s / ratio;
			const auto schedule = [&](double times) {
				const auto step_ns =
					static_cast<uint64_t>(times * compute_s / 80 * 1e9);

				return cyclic(std::vector<Item>(80, {100, step_ns}));
			};
			auto options = machine(in_cxl > 0 ? 2000 : 4000, granule_s, 2);

			options.budget.cxl_bytes = in_cxl * granule;
			options.rates.cxl = link(granule_s / 1.5);
			auto plan = make_plan(schedule(1), options);

			ASSERT_TRUE(plan);
			auto &stream = plan->streams[0];
			const double before_s = stream.timing.pass_s;
			for (const double times : {0.7, 1.3}) {
				const auto other = make_plan(schedule(times), options);

				ASSERT_TRUE(other);
				retime(stream, times * compute_s);
				expect_predicted(schedule(times), options, *plan);
				EXPECT_NEAR(stream.bound.seconds() /
						    other->streams[0].bound.seconds(),
					    1, 1e-3)
					<< in_cxl << " in CXL, " << ratio << ", " << times;
			}
			retime(stream, compute_s);
			EXPECT_NEAR(stream.timing.pass_s / before_s, 1, 1e-6);
			retime(stream, 0);
			EXPECT_NEAR(stream.timing.pass_s / before_s, 1, 1e-6);
		}
	}
}

// 80 layers of 100 granules, W = 2 C, at storage : compute 0.5, 1 and 2.
TEST(Simulator, DenseReachesTheBound)
{
	for (const double ratio : {0.5, 1.0, 2.0}) {
		for (const double p99 : {1.0, 2.0, 4.0}) {
			const double compute_s = 4000 * granule_s / ratio;
			const Schedule schedule = cyclic(std::vector<Item>(
				80, {100, static_cast<uint64_t>(compute_s / 80 * 1e9)}));
			PlanOptions options = machine(4000, granule_s, p99);

			options.rates.store.depth_bytes = 2 * granule;
			const auto plan = make_plan(schedule, options);

			ASSERT_TRUE(plan);
			const auto result =
				simulate(schedule, options, *plan, 0,
					 {.passes = 8, .warm = 2, .compute_jitter = 0.1});
			const double efficiency = plan->streams[0].bound.seconds() / result.pass_s;

			expect_predicted(schedule, options, *plan);
			EXPECT_GE(efficiency, 0.95)
				<< "storage : compute " << ratio << ", p99 " << p99;
			EXPECT_GE(plan->streams[0].efficiency(), 0.95);
			printf("# storage:compute %.1f p99/mean %.0f: slots %u, predicted %.4f s, "
			       "simulated %.4f s, bound %.4f s, efficiency %.3f\n",
			       ratio, p99, plan->streams[0].slots, plan->streams[0].timing.pass_s,
			       result.pass_s, plan->streams[0].bound.seconds(), efficiency);
		}
	}
}

TEST(Simulator, ThreeTiers)
{
	for (const double cxl_s : {0.00005, 0.0001, 0.0003}) {
		for (const double ratio : {0.5, 2.0}) {
			const Schedule schedule = cyclic(std::vector<Item>(
				80,
				{50, static_cast<uint64_t>(2000 * granule_s / ratio / 80 * 1e9)}));
			PlanOptions options = machine(1000, granule_s, 2);

			options.budget.cxl_bytes = 1000 * granule;
			options.rates.cxl = link(cxl_s);
			const auto plan = make_plan(schedule, options);

			ASSERT_TRUE(plan);
			expect_predicted(schedule, options, *plan);
		}
	}
}

// Read four times at each position: copies up pay, and share the link with what
// is read in place.
TEST(Simulator, CopiesUp)
{
	for (const double cxl_s : {0.00008, 0.0001, 0.0002}) {
		const Schedule schedule = cyclic(std::vector<Item>(80, {50, 50 * 200'000, 4}));
		PlanOptions options = machine(800, granule_s, 2);

		options.budget.cxl_bytes = 2000 * granule;
		options.rates.cxl = link(cxl_s);
		const auto plan = make_plan(schedule, options);

		ASSERT_TRUE(plan);
		EXPECT_GT(plan->copied_granules, 0U);
		expect_predicted(schedule, options, *plan);
		printf("# CXL %.0f us a granule: %lu copied up, %lu in place, efficiency %.3f\n",
		       cxl_s * 1e6, plan->copied_granules,
		       plan->cxl_granules - plan->copied_granules, plan->streams[0].efficiency());
	}
}

TEST(Simulator, WindowInCxlAlone)
{
	const Schedule schedule = cyclic(std::vector<Item>(40, {20, 2'000'000}));
	PlanOptions options = machine(0, granule_s, 2);

	options.budget.cxl_bytes = 400 * granule;
	options.rates.cxl = link(0.0001);
	const auto plan = make_plan(schedule, options);

	ASSERT_TRUE(plan);
	EXPECT_TRUE(plan->window_in_cxl);
	expect_predicted(schedule, options, *plan);
}

TEST(Simulator, Experts)
{
	for (const uint64_t frames : {500ULL, 2000ULL, 5000ULL}) {
		const Schedule schedule = with_experts();
		PlanOptions options = machine(frames, granule_s, 2);

		options.rates.store.depth_bytes = 2 * granule;
		const auto plan = make_plan(schedule, options);

		ASSERT_TRUE(plan) << plan.error().text;
		expect_predicted(schedule, options, *plan);
		EXPECT_GT(plan->streams[0].likely_bytes, 0);
	}
}

// A program of uneven steps: compute and sizes differ from layer to layer.
TEST(Simulator, UnevenLayers)
{
	std::vector<Item> items;

	for (uint64_t i = 0; i < 60; i++)
		items.push_back({1 + i * 7 % 40, 1'000'000 + i * i * 13 % 17 * 1'000'000});
	const Schedule schedule = cyclic(items);
	const auto plan = make_plan(schedule, machine(600, granule_s * 10, 2));

	ASSERT_TRUE(plan);
	expect_predicted(schedule, machine(600, granule_s * 10, 2), *plan);
	EXPECT_GE(plan->streams[0].efficiency(), 0.95);
}

} // namespace itme::test
