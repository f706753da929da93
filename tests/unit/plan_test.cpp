// SPDX-License-Identifier: GPL-2.0-only
// limits.md as tests: what a plan must reach, and what loses against it.
#include "lib/advice.hpp"
#include "lib/plan.hpp"
#include "simulator.hpp"
#include "synthetic.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <list>
#include <numeric>
#include <random>

namespace itme::test {

namespace {

constexpr uint64_t second = 1'000'000'000;

double reached(const Schedule &schedule, const PlanOptions &options, const Plan &plan,
	       double compute_jitter = 0)
{
	return simulate(schedule, options, plan, 0,
			{.passes = 12, .warm = 4, .compute_jitter = compute_jitter})
		.pass_s;
}

// Nothing is above its budget: the window has frames of its own.
void expect_within_budget(const Plan &plan, const Budget &budget)
{
	const uint64_t dram = budget.dram_bytes / granule, cxl = budget.cxl_bytes / granule;
	const uint64_t room = plan.window_in_cxl ? cxl : dram;
	uint64_t window = 0;

	for (const StreamPlan &stream : plan.streams)
		window += stream.slots + stream.demand_slots;
	// Where there are hardly more frames than streams, they take turns.
	if (room <= 2 * plan.streams.size())
		window = std::min(window, room);
	EXPECT_EQ(plan.window_slots, window);

	EXPECT_LE(plan.dram_granules + (plan.window_in_cxl ? 0 : window), dram);
	EXPECT_LE(plan.cxl_granules + (plan.window_in_cxl ? window : 0), cxl);
}

// The best that any fixed residents with any number of slots reach, by trying all
// of the first `kinds` homes for each granule.
double brute_force(const Schedule &schedule, const PlanOptions &options, Plan plan, uint32_t kinds)
{
	const size_t n = plan.homes.size();
	const uint64_t dram_frames = options.budget.dram_bytes / granule,
		       cxl_frames = options.budget.cxl_bytes / granule;
	const Home homes[] = {Home::store, Home::dram, Home::cxl, Home::copied};
	const auto all = static_cast<uint64_t>(std::pow(kinds, n));
	double best = 1e300;

	for (uint64_t code = 0; code < all; code++) {
		uint64_t in_dram = 0, in_cxl = 0, rest = code;

		plan.streams[0].hints.clear();
		for (size_t i = 0; i < n; i++, rest /= kinds) {
			plan.homes[i] = homes[rest % kinds];
			in_dram += plan.homes[i] == Home::dram;
			in_cxl += plan.homes[i] == Home::cxl || plan.homes[i] == Home::copied;
			if (plan.homes[i] == Home::store || plan.homes[i] == Home::copied)
				plan.streams[0].hints.push_back(
					{static_cast<uint32_t>(i), static_cast<uint32_t>(i), 0});
		}
		if (in_dram > dram_frames || in_cxl > cxl_frames)
			continue;
		const uint64_t free = dram_frames - in_dram;

		if (plan.streams[0].hints.empty()) {
			best = std::min(best, reached(schedule, options, plan));
			continue;
		}
		// More slots never hurt once the residents are fixed.
		if (free == 0)
			continue;
		plan.streams[0].slots = static_cast<uint32_t>(free);
		best = std::min(best, reached(schedule, options, plan));
	}
	return best;
}

// The same plan, but what it copies up is read where it lies.
Plan with_copies_in_place(Plan plan)
{
	for (StreamPlan &stream : plan.streams)
		std::erase_if(stream.hints, [&](const PlannedHint &hint) {
			return plan.homes[hint.granule] == Home::copied;
		});
	std::replace(plan.homes.begin(), plan.homes.end(), Home::copied, Home::cxl);
	return plan;
}

struct Case {
	Schedule schedule;
	PlanOptions options;
};

Case random_case(std::mt19937_64 &random, size_t items, uint32_t kinds)
{
	auto number = [&](uint64_t from, uint64_t to) {
		return std::uniform_int_distribution<uint64_t>(from, to)(random);
	};
	std::vector<Item> list;
	const bool uniform = number(0, 1) == 0;
	const uint64_t compute = number(second / 10, second);
	// Copying up pays only where a granule is read more than once.
	const auto reads = static_cast<uint32_t>(kinds > 3 ? number(1, 6) : 1);

	for (size_t i = 0; i < items; i++)
		list.push_back({1, uniform ? compute : number(second / 10, second), reads});
	Case c{cyclic(list),
	       machine(number(2, items - 1), static_cast<double>(number(1, 40)) / 10)};

	if (kinds > 2) {
		c.options.budget.cxl_bytes = number(1, items / 2) * granule;
		c.options.rates.cxl = link(static_cast<double>(number(1, 20)) / 10);
	}
	return c;
}

void compare_with_brute_force(size_t items, uint32_t kinds, int cases, uint64_t seed)
{
	std::mt19937_64 random(seed);

	for (int i = 0; i < cases; i++) {
		const Case c = random_case(random, items, kinds);
		const auto plan = make_plan(c.schedule, c.options);

		ASSERT_TRUE(plan) << plan.error().text;
		const double predicted = plan->streams[0].timing.pass_s,
			     simulated = reached(c.schedule, c.options, *plan);
		const double best = brute_force(c.schedule, c.options, *plan, kinds);

		expect_within_budget(*plan, c.options.budget);
		EXPECT_GE(predicted, plan->streams[0].bound.seconds() * (1 - 1e-6));
		EXPECT_GE(simulated, plan->streams[0].bound.seconds() * (1 - 1e-6));
		EXPECT_GE(best, plan->streams[0].bound.seconds() * (1 - 1e-6));
		EXPECT_LE(simulated, best * 1.02)
			<< "case " << i << ": " << plan->dram_granules << " in DRAM, "
			<< plan->cxl_granules << " in CXL, " << plan->window_slots
			<< " slots, frames " << c.options.budget.dram_bytes / granule;
		EXPECT_NEAR(predicted / simulated, 1, kinds > 3 ? 0.02 : 0.01);
	}
}

} // namespace

TEST(Plan, WithinTwoPercentOfTheBestOfAll)
{
	compare_with_brute_force(9, 2, 60, 7);
}
TEST(Plan, WithinTwoPercentOfTheBestOfAllThreeTiers)
{
	compare_with_brute_force(6, 3, 60, 11);
}
TEST(Plan, WithinTwoPercentOfTheBestOfAllThreeTiersAndCopies)
{
	compare_with_brute_force(5, 4, 60, 13);
}

// Item 1: misses a pass of 80 layers with room for `frames`.
TEST(Limits, LruReadsEverythingAndPinningReadsTheRest)
{
	constexpr int layers = 80;

	for (const int frames : {40, 72}) {
		std::list<int> lru; // most recent first
		int misses = 0;

		for (int touch = 0; touch < layers * 10; touch++) {
			const int layer = touch % layers;
			const auto found = std::find(lru.begin(), lru.end(), layer);

			if (found != lru.end())
				lru.erase(found);
			else if (touch >= layers * 9)
				misses++;
			lru.push_front(layer);
			if (lru.size() > static_cast<size_t>(frames))
				lru.pop_back();
		}
		EXPECT_EQ(misses, layers);

		const Schedule schedule = cyclic(std::vector<Item>(layers, {1, second}));
		const PlanOptions options = machine(static_cast<uint64_t>(frames), 1);
		const auto plan = make_plan(schedule, options);

		ASSERT_TRUE(plan);
		EXPECT_NEAR(plan->streams[0].timing.exact_bytes / static_cast<double>(granule),
			    layers - frames + plan->streams[0].slots, 0.01);
		EXPECT_NEAR(plan->streams[0].bound.store_bytes / static_cast<double>(granule),
			    layers - frames, 0.01);
		EXPECT_DOUBLE_EQ(page_cache_seconds(plan->streams[0], *plan, options), layers);
	}
}

// Item 3: 80 items, ts = 4 tc, 60 resident; packed at the front they cost 1.68x.
TEST(Limits, FrontPackedResidentsLose)
{
	const Schedule schedule = cyclic(std::vector<Item>(80, {1, second}));
	const PlanOptions options = machine(62, 4);
	auto plan = make_plan(schedule, options);

	ASSERT_TRUE(plan);
	const double spread = reached(schedule, options, *plan);

	EXPECT_EQ(plan->streams[0].slots, 2U);
	EXPECT_EQ(plan->dram_granules, 60U);
	EXPECT_NEAR(spread, 80, 1.6);
	plan->streams[0].hints.clear();
	for (uint32_t i = 0; i < 80; i++) {
		plan->homes[i] = i < 60 ? Home::dram : Home::store;
		if (i >= 60)
			plan->streams[0].hints.push_back({i, i, 0});
	}
	EXPECT_NEAR(reached(schedule, options, *plan) / spread, 1.68, 0.04);
}

// The table measured in the guest: W = 256 MiB, C = 128 MiB, 100 MB/s, 8 slots.
TEST(Limits, CalibratedTable)
{
	for (const auto &[compute, measured] :
	     {std::pair(1.28, 1.51), std::pair(2.56, 2.56), std::pair(5.12, 5.13)}) {
		const Schedule schedule = cyclic(
			std::vector<Item>(128, {1, static_cast<uint64_t>(compute * 1e9 / 128)}));
		PlanOptions options = machine(64, static_cast<double>(granule) / 100e6);

		options.budget.window_bytes = 8 * granule;
		const auto plan = make_plan(schedule, options);

		ASSERT_TRUE(plan);
		EXPECT_NEAR(plan->streams[0].timing.pass_s / measured, 1, 0.02);
		EXPECT_NEAR(plan->streams[0].bound.seconds(), std::max(compute, 1.342), 0.01);
		EXPECT_NEAR(page_cache_seconds(plan->streams[0], *plan, options),
			    std::max(compute, 2.684), 0.01);
	}
}

// Items 5 and 8, with the figures of limits.md.
TEST(Limits, TokensThatHideAndKvThatPays)
{
	ModelFacts model;
	StreamPlan stream;
	PlanOptions options;

	model.active_parameters = 8'030'000'000;
	model.kv_bytes_per_token = 131072;
	EXPECT_NEAR(recompute_bytes_per_s(model, 156e12) / 1e9, 1.27, 0.01);
	model.active_parameters = 70'600'000'000;
	model.kv_bytes_per_token = 327680;
	EXPECT_NEAR(recompute_bytes_per_s(model, 156e12) / 1e9, 0.36, 0.01);
	options.rates.flops = 156e12;
	stream.bound.store_s = 1e9 * 2 / 18e9; // a billion weights of 2 bytes
	stream.flops = 2e9;
	EXPECT_NEAR(tokens_to_hide(stream, options), 8667, 1);
}

TEST(Plan, SaysWhatItMeans)
{
	const Schedule schedule = cyclic(std::vector<Item>(80, {1, second / 10}));
	auto says = [&](const PlanOptions &options, const std::string &words) {
		const auto plan = make_plan(schedule, options);

		return plan &&
		       std::any_of(plan->advice.begin(), plan->advice.end(),
				   [&](const std::string &s) { return s.find(words) != s.npos; });
	};

	EXPECT_TRUE(says(machine(80, 1), "Everything fits"));
	EXPECT_FALSE(says(machine(80, 1), "Offloading will hurt"));
	EXPECT_FALSE(says(machine(80, 1), "cannot hide"));
	EXPECT_TRUE(says(machine(40, 1), "Offloading will hurt"));
	EXPECT_TRUE(says(machine(40, 1), "cannot hide"));
	EXPECT_TRUE(says(machine(40, 0.1), "hides behind compute"));
	EXPECT_FALSE(says(machine(40, 0.1), "Offloading will hurt"));
	EXPECT_FALSE(says(machine(40, 0.1), "cannot hide"));
	EXPECT_TRUE(says(machine(40, 0.01), "compute hides even a full read"));
	// A device far from full is slow for another reason than compute.
	PlanOptions shallow = machine(4, 1);

	shallow.rates.store.depth_bytes = 64 * granule;
	EXPECT_FALSE(says(shallow, "compute hides even a full read"));
	EXPECT_TRUE(says(machine(2, 1), "too few"));
}

TEST(Plan, KvIsRecomputedWhereTheStoreIsTooSlow)
{
	Schedule schedule = cyclic(std::vector<Item>(8, {1, second}));
	PlanOptions options = machine(4, 1);

	schedule.model.active_parameters = 8'030'000'000;
	schedule.model.kv_bytes_per_token = 131072;
	options.rates.flops = 156e12;
	for (const auto &[rate, words] :
	     {std::pair(1e9, "Recompute KV"), std::pair(2e9, "beats recomputing")}) {
		options.rates.store.bytes_per_s = rate;
		const auto plan = make_plan(schedule, options);

		ASSERT_TRUE(plan);
		EXPECT_TRUE(
			std::any_of(plan->advice.begin(), plan->advice.end(),
				    [&](const std::string &s) { return s.find(words) != s.npos; }));
	}
}

// Every visit of what is not resident is hinted, in order, and at no time is more
// hinted than there are slots.
TEST(Plan, HintsFollowTheOrderOfUseAndTheSlots)
{
	std::mt19937_64 random(3);

	for (int i = 0; i < 20; i++) {
		const Case c = random_case(random, 60, 3);
		const auto plan = make_plan(c.schedule, c.options);

		ASSERT_TRUE(plan);
		const StreamPlan &stream = plan->streams[0];
		const auto &hints = stream.hints;
		size_t next = 0;

		for (uint32_t granule = 0; granule < 60; granule++) {
			if (plan->homes[granule] != Home::store &&
			    plan->homes[granule] != Home::copied)
				continue;
			ASSERT_LT(next, hints.size());
			EXPECT_EQ(hints[next].granule, granule);
			EXPECT_EQ(hints[next++].step, granule);
		}
		ASSERT_EQ(next, hints.size());
		for (size_t n = 0; n < hints.size(); n++)
			EXPECT_EQ(hints[n].after_step,
				  hints[(n + hints.size() * stream.slots - stream.slots) %
					hints.size()]
					  .step);
	}
}

// Guesses get at most half of what certain reads leave of the store, and nothing
// when they do not shorten the pass.
TEST(Plan, GuessesHaveABudget)
{
	const Schedule schedule = with_experts();
	PlanOptions options = machine(2000, 0.0003, 2);
	const auto without = make_plan(schedule, options);

	ASSERT_TRUE(without);
	const StreamPlan &certain = without->streams[0];
	const double left = certain.timing.pass_s * options.rates.store.bytes_per_s -
			    certain.timing.exact_bytes - certain.timing.demand_bytes;

	EXPECT_GT(certain.likely_bytes, 0);
	EXPECT_LE(certain.likely_bytes, left / 2 * (1 + 1e-9));
	EXPECT_EQ(certain.timing.likely_bytes, 0);
	options.recall = 0.9;
	options.precision = 0.9;
	const auto good = make_plan(schedule, options);

	ASSERT_TRUE(good);
	EXPECT_TRUE(good->streams[0].guesses_pay);
	EXPECT_LT(good->streams[0].timing.pass_s, certain.timing.pass_s);
	EXPECT_GT(good->streams[0].timing.likely_bytes, 0);
	EXPECT_LE(good->streams[0].timing.likely_bytes,
		  good->streams[0].likely_bytes + static_cast<double>(granule));
	options.precision = 0.001;
	const auto bad = make_plan(schedule, options);

	ASSERT_TRUE(bad);
	EXPECT_FALSE(bad->streams[0].guesses_pay);
	EXPECT_EQ(bad->streams[0].likely_bytes, 0);
	EXPECT_EQ(bad->streams[0].timing.pass_s, certain.timing.pass_s);
	EXPECT_TRUE(std::any_of(bad->advice.begin(), bad->advice.end(),
				[](const auto &s) { return s.find("does not pay") != s.npos; }));
}

namespace {

// Four layers of a granule that all read and 16 experts, two of them chosen, few of them often.
Schedule few_popular()
{
	Schedule schedule = cyclic(std::vector<Item>(4, {1, 10'000'000}));
	std::vector<Step> dense;

	dense.swap(schedule.programs[0].steps);
	for (uint32_t layer = 0; layer < dense.size(); layer++) {
		Group group;
		Step step;

		for (uint32_t e = 0; e < 16; e++) {
			group.objects.push_back(static_cast<uint32_t>(schedule.objects.size()));
			group.popularity.push_back(1.0 / ((e + 1) * (e + 1)));
			schedule.objects.push_back(
				{"e." + std::to_string(layer) + "." + std::to_string(e),
				 Kind::expert,
				 {{0, schedule.regions[0].bytes, granule}}});
			schedule.regions[0].bytes += granule;
		}
		step.group = layer;
		step.pick = 2;
		step.compute_ns = 20'000'000;
		schedule.groups.push_back(group);
		schedule.programs[0].steps.push_back(dense[layer]);
		schedule.programs[0].steps.push_back(step);
	}
	return schedule;
}

} // namespace

// What is always read may be streamed unseen, and its frames hold more of what is chosen.
// That reads several times as much: rates are not known so well that one or two hundredths
// would be worth it, and a plan that turns with them loses what it has each time.
TEST(Plan, ReadsMoreOnlyForWhatIsWorthIt)
{
	const Schedule schedule = few_popular();
	const auto streamed = [&](size_t frames, double granule_s) {
		PlanOptions options = machine(frames, granule_s);

		options.thorough = false; // as while a run goes on
		const auto plan = make_plan(schedule, options);
		EXPECT_TRUE(plan);
		return plan ? plan->streams[0].timing.exact_bytes : -1;
	};

	for (const size_t frames : {18, 20, 22})
		for (const double granule_s : {0.006, 0.010, 0.014, 0.018})
			EXPECT_EQ(streamed(frames, granule_s), 0)
				<< frames << " frames, " << granule_s;
	EXPECT_GT(streamed(18, 0.028), 0); // a slow store: a twentieth of the pass
}

// Whatever is asked: nothing above budget, nothing below the bound.
TEST(Plan, KeepsToBudgetsAndBounds)
{
	std::mt19937_64 random(17);
	auto number = [&](uint64_t from, uint64_t to) {
		return std::uniform_int_distribution<uint64_t>(from, to)(random);
	};

	for (int i = 0; i < 60; i++) {
		Schedule schedule = number(0, 2) == 0
					    ? with_experts()
					    : random_case(random, number(10, 400), 4).schedule;
		PlanOptions options = machine(number(0, 300), 0.0001 * number(1, 100), 2);

		options.budget.cxl_bytes = number(2, 300) * granule;
		options.rates.cxl = link(0.0001 * number(1, 100));
		options.rates.store.depth_bytes = number(0, 4) * granule;
		options.tokens = number(0, 1) == 0 ? 1 : number(2, 64);
		if (number(0, 1) == 0)
			schedule.streams.push_back({"again", 0, 2});
		const auto plan = make_plan(schedule, options);

		ASSERT_TRUE(plan) << plan.error().text;
		expect_within_budget(*plan, options.budget);
		for (const StreamPlan &stream : plan->streams)
			EXPECT_GE(stream.timing.pass_s, stream.bound.seconds() * 0.99)
				<< "case " << i << ", bound by " << stream.bound.by();
	}
}

TEST(Plan, RefusesWhatCannotBe)
{
	const Schedule schedule = cyclic({{1, second}});
	PlanOptions options = machine(0, 1);

	EXPECT_FALSE(make_plan(schedule, options));
	options.budget.dram_bytes = 1 << 30;
	options.budget.granule_bytes = 3 << 20;
	EXPECT_FALSE(make_plan(schedule, options));
}

// What is read often enough moves up; what is read once is read in place.
TEST(Plan, CopiesUpOnlyWhereItPays)
{
	std::vector<Item> items(40, {1, second / 100});
	PlanOptions options = machine(8, 1);

	options.budget.cxl_bytes = 40 * granule;
	options.rates.cxl = link(0.001);
	const auto in_place = make_plan(cyclic(items), options);

	ASSERT_TRUE(in_place);
	EXPECT_EQ(in_place->copied_granules, 0U);
	for (Item &item : items)
		item.reads = 8;
	options.rates.cxl = link(0.01);
	const auto copied = make_plan(cyclic(items), options);

	ASSERT_TRUE(copied);
	EXPECT_GT(copied->copied_granules, 0U);
	expect_within_budget(*copied, options.budget);
	EXPECT_LT(reached(cyclic(items), options, *copied),
		  reached(cyclic(items), options, with_copies_in_place(*copied)));
}

// In place each takes 1.6 s, from the store 1 s, there and back by a copy 0.4 s,
// which hides behind 0.5 s of compute.
TEST(Plan, CopiesWhereReadingInPlaceNeverPays)
{
	const Schedule schedule = cyclic(std::vector<Item>(300, {1, second / 2, 8}));
	PlanOptions options = machine(60, 1);

	options.budget.cxl_bytes = 300 * granule;
	options.rates.cxl = link(0.2);
	const auto plan = make_plan(schedule, options);

	ASSERT_TRUE(plan);
	expect_within_budget(*plan, options.budget);
	EXPECT_GT(plan->copied_granules, 200U);
	EXPECT_NEAR(plan->streams[0].timing.pass_s, 150, 3);
	EXPECT_NEAR(reached(schedule, options, *plan), 150, 3);
}

TEST(Plan, StreamsShareByWeight)
{
	Schedule schedule = cyclic(std::vector<Item>(200, {1, second / 1000}), "a");
	const Schedule other = cyclic(std::vector<Item>(200, {1, second / 1000}), "b");

	schedule.regions.push_back(other.regions[0]);
	for (size_t i = 0; i < other.objects.size(); i++) {
		schedule.objects.push_back(other.objects[i]);
		schedule.objects.back().extents[0].region = 1;
	}
	schedule.programs.push_back(other.programs[0]);
	schedule.programs[1].name = "other";
	for (Step &step : schedule.programs[1].steps)
		step.objects[0] += 200;
	schedule.streams.push_back({"b", 1, 1});

	const auto even = make_plan(schedule, machine(200, 1));

	ASSERT_TRUE(even);
	EXPECT_NEAR(even->streams[0].timing.pass_s / even->streams[1].timing.pass_s, 1, 0.02);
	EXPECT_NEAR(even->streams[0].timing.pass_s, 2 * (100 + even->streams[0].slots), 3);
	schedule.streams[1].weight = 3;
	const auto uneven = make_plan(schedule, machine(200, 1));

	ASSERT_TRUE(uneven);
	EXPECT_LT(uneven->streams[1].timing.pass_s, uneven->streams[0].timing.pass_s / 3);
	expect_within_budget(*uneven, machine(200, 1).budget);
	EXPECT_LE(uneven->streams[0].store_share + uneven->streams[1].store_share, 1 + 1e-9);
	EXPECT_GT(uneven->streams[1].store_share, uneven->streams[0].store_share);
	// A page cache shares the store by weight, whatever the plan keeps.
	for (const uint64_t frames : {200ULL, 380ULL}) {
		const PlanOptions options = machine(frames, 1);
		const auto plan = make_plan(schedule, options);

		ASSERT_TRUE(plan);
		EXPECT_NEAR(page_cache_seconds(plan->streams[0], *plan, options), 800, 1);
		EXPECT_NEAR(page_cache_seconds(plan->streams[1], *plan, options), 200 * 4 / 3.0, 1);
	}
	// Two streams over one region keep its granules once.
	schedule.streams[1] = {"b", 0, 1};
	const auto shared = make_plan(schedule, machine(100, 1));

	ASSERT_TRUE(shared);
	EXPECT_EQ(shared->touched_granules, 200U);
	EXPECT_NEAR(static_cast<double>(shared->dram_granules), 100 - shared->window_slots, 1);
}

} // namespace itme::test
