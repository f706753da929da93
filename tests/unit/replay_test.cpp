// SPDX-License-Identifier: GPL-2.0-only
// The replayer's pure parts: programs, routing, checksums, hints, figures.
#include "replay/content.hpp"
#include "replay/hinter.hpp"
#include "replay/play.hpp"
#include "replay/program.hpp"
#include "replay/routing.hpp"
#include "replay/stats.hpp"
#include "tree.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <map>
#include <set>

using namespace itme::replay;

namespace {

constexpr uint64_t mib = 1 << 20;

std::vector<std::byte> content(uint64_t bytes, uint64_t seed, uint64_t offset = 0)
{
	std::vector<std::byte> data(bytes);

	fill_content(data, seed, offset);
	return data;
}

Sums sums_of(std::span<const std::byte> data)
{
	Sums sums{data.size(), {}};

	for (size_t i = 0; i < data.size(); i += block_bytes)
		sums.blocks.push_back(
			checksum(data.subspan(i, std::min<size_t>(block_bytes, data.size() - i))));
	return sums;
}

} // namespace

TEST(ReplayProgram, DenseReadsEveryByteOnceInOrder)
{
	const auto program = dense(5 * mib, 2 * mib);

	ASSERT_TRUE(program);
	EXPECT_EQ(program->items,
		  (std::vector<Item>{{0, 2 * mib}, {2 * mib, 2 * mib}, {4 * mib, mib}}));
	EXPECT_EQ(program->pass(0), (std::vector<uint32_t>{0, 1, 2}));
	EXPECT_EQ(program->pass(7), program->pass(0));
	EXPECT_EQ(sequence(*program, 2), (std::vector<uint32_t>{0, 1, 2, 0, 1, 2}));
	EXPECT_EQ(footprint(*program, program->pass(0)), 5 * mib);
	EXPECT_FALSE(dense(0, 2 * mib));
	EXPECT_FALSE(dense(mib, 0));
	EXPECT_FALSE(dense(1ULL << 62, 1));
}

TEST(ReplayProgram, OtherWaysThanThatOfTheFile)
{
	const auto order = [](Way way, uint64_t items, uint64_t seed = 1) {
		return arranged(way, items * mib, mib, seed)->passes.at(0);
	};

	EXPECT_EQ(order(Way::backward, 3), (std::vector<uint32_t>{2, 1, 0}));
	EXPECT_EQ(order(Way::strided, 5), (std::vector<uint32_t>{0, 2, 4, 1, 3}));
	EXPECT_EQ(order(Way::twice, 6), (std::vector<uint32_t>{0, 1, 2, 3, 4, 5, 2, 3}));
	auto shuffled = order(Way::shuffled, 22);
	EXPECT_EQ(shuffled, order(Way::shuffled, 22));
	EXPECT_NE(shuffled, order(Way::shuffled, 22, 2));
	for (size_t i = 0; i + 1 < shuffled.size(); i++)
		if (shuffled[i] % 4 != 3 && shuffled[i] != 21) {
			EXPECT_EQ(shuffled[i + 1], shuffled[i] + 1);
		}
	std::ranges::sort(shuffled);
	EXPECT_EQ(shuffled, dense(22 * mib, mib)->passes[0]);
	EXPECT_EQ(order(Way::part, 24).size(), 8);
	EXPECT_FALSE(arranged(Way::part, 0, mib, 1));
}

TEST(ReplayProgram, RandomIsTheSeedsAndCountsRepeatsOnce)
{
	const auto program = random(64 * mib, mib, 3, 7);

	ASSERT_TRUE(program);
	ASSERT_EQ(program->passes.size(), 3);
	EXPECT_EQ(program->passes, random(64 * mib, mib, 3, 7)->passes);
	EXPECT_NE(program->passes, random(64 * mib, mib, 3, 8)->passes);
	for (const auto &pass : program->passes) {
		const std::set<uint32_t> distinct(pass.begin(), pass.end());

		EXPECT_EQ(pass.size(), 64);
		EXPECT_LT(*distinct.rbegin(), 64);
		EXPECT_LT(distinct.size(), 64); // with repeats
		EXPECT_EQ(footprint(*program, pass), distinct.size() * mib);
	}
}

TEST(ReplayProgram, SpreadsEvenly)
{
	EXPECT_EQ(spread_evenly(8, 4), (std::vector<uint32_t>{1, 3, 5, 7}));
	EXPECT_EQ(spread_evenly(6, 2), (std::vector<uint32_t>{1, 4}));
	EXPECT_EQ(spread_evenly(3, 3), (std::vector<uint32_t>{0, 1, 2}));
	EXPECT_TRUE(spread_evenly(3, 0).empty());
	for (size_t chosen = 1; chosen <= 100; chosen++) {
		const auto which = spread_evenly(100, chosen);

		ASSERT_EQ(std::set(which.begin(), which.end()).size(), chosen);
		EXPECT_LT(which.back(), 100);
		for (size_t i = 1; i < which.size(); i++) {
			const uint32_t gap = which[i] - which[i - 1];

			EXPECT_GE(gap, 100 / chosen);
			EXPECT_LE(gap, 100 / chosen + 1);
		}
	}
}

TEST(ReplayRouting, PicksDistinctExpertsBySkewedPopularity)
{
	const auto routing =
		draw_routing({.layers = 2, .experts = 16, .picked = 2, .skew = 1}, 4000, 3);
	ASSERT_TRUE(routing);

	std::map<uint32_t, int> first; // how often layer 0 picked an expert
	for (const auto &pass : routing->passes) {
		ASSERT_EQ(pass.size(), 2);
		for (const auto &picks : pass) {
			ASSERT_EQ(picks.size(), 2);
			EXPECT_NE(picks[0], picks[1]);
		}
		first[pass[0][0]]++;
	}

	// 1 / r over the 16th harmonic number, 3.38: 1183 for the first, 74 for the last.
	std::vector<int> counts;
	for (const auto &[expert, count] : first)
		counts.push_back(count);
	std::ranges::sort(counts, std::greater{});
	ASSERT_EQ(counts.size(), 16);
	EXPECT_NEAR(counts[0], 1183, 120);
	EXPECT_NEAR(counts[1], 592, 90);
	EXPECT_NEAR(counts[15], 74, 40);

	// Which expert is popular differs between layers: 1 in 16 that they agree.
	const auto other =
		draw_routing({.layers = 12, .experts = 16, .picked = 1, .skew = 9}, 1, 3);
	ASSERT_TRUE(other);
	std::set<uint32_t> favourites;
	for (const auto &picks : other->passes[0])
		favourites.insert(picks[0]);
	EXPECT_GT(favourites.size(), 3);
}

TEST(ReplayRouting, NoSkewIsUniformAndAllIsAll)
{
	const auto even =
		draw_routing({.layers = 1, .experts = 4, .picked = 1, .skew = 0}, 4000, 5);
	ASSERT_TRUE(even);
	std::map<uint32_t, int> counts;
	for (const auto &pass : even->passes)
		counts[pass[0][0]]++;
	for (const auto &[expert, count] : counts)
		EXPECT_NEAR(count, 1000, 120);

	const auto all = draw_routing({.layers = 1, .experts = 5, .picked = 5}, 1, 5);
	ASSERT_TRUE(all);
	auto picks = all->passes[0][0];
	std::ranges::sort(picks);
	EXPECT_EQ(picks, (std::vector<uint32_t>{0, 1, 2, 3, 4}));
	EXPECT_FALSE(draw_routing({.layers = 1, .experts = 2, .picked = 3}, 1, 5));
}

TEST(ReplayRouting, ATraceIsReadAsItWasWritten)
{
	const auto routing = draw_routing({.layers = 3, .experts = 8, .picked = 2}, 5, 1);

	ASSERT_TRUE(routing);
	EXPECT_EQ(parse_routing(format_routing(*routing)), *routing);
	for (const auto *bad : {"", "{}", "[]", R"({"layers": 1, "experts": 2, "passes": []})",
				R"({"layers": 1, "experts": 2, "passes": [[[2]]]})",
				R"({"layers": 2, "experts": 2, "passes": [[[1]]]})",
				R"({"layers": 1, "experts": 2, "passes": [[["x"]]]})"})
		EXPECT_FALSE(parse_routing(bad)) << bad;
}

TEST(ReplayRouting, ReadsTheSharedPartAndThePicks)
{
	const Routing routing{2, 2, {{{1}, {0, 1}}}};
	const auto program = routed(routing, {.shared = 3 * mib, .expert = mib}, 2 * mib);

	ASSERT_TRUE(program);
	// A layer: the shared part, cut in two, and two experts.
	EXPECT_EQ(program->items, (std::vector<Item>{{0, 2 * mib},
						     {2 * mib, mib},
						     {3 * mib, mib},
						     {4 * mib, mib},
						     {5 * mib, 2 * mib},
						     {7 * mib, mib},
						     {8 * mib, mib},
						     {9 * mib, mib}}));
	EXPECT_EQ(program->pass(0), (std::vector<uint32_t>{0, 1, 3, 4, 5, 6, 7}));
}

TEST(ReplayRouting, ABurstIsWhatALayerPicks)
{
	const Routing routing{2, 3, {{{1}, {0, 2}}}};
	const auto program = routed(routing, {.shared = mib, .expert = mib}, mib);

	ASSERT_TRUE(program);
	const auto &bursts = program->bursts_of(5); // of each pass the same
	ASSERT_EQ(bursts.size(), 2U);
	EXPECT_EQ(bursts[0].begin, 1U);
	EXPECT_EQ(bursts[0].count, 1U);
	EXPECT_EQ(bursts[1].begin, 3U);
	EXPECT_EQ(bursts[1].count, 2U);
	EXPECT_EQ(bursts[1].first, 5U);
	EXPECT_EQ(bursts[1].items, 3U);
	EXPECT_TRUE(dense(mib, mib)->bursts_of(0).empty());
}

TEST(ReplayHints, GuessesAreRightAsOftenAsTheyShouldBe)
{
	const Burst burst{.begin = 0, .count = 4, .first = 100, .items = 64};
	const std::vector<uint32_t> picked{100, 110, 120, 130};

	for (const double right : {0.0, 0.5, 1.0}) {
		const HintPlan plan{.guesses = 4, .right = right};
		Random source{3};
		size_t all = 0, hits = 0;

		for (int i = 0; i < 1000; i++) {
			const auto guesses = guess_burst(plan, burst, picked, source);

			EXPECT_EQ(std::set(guesses.begin(), guesses.end()).size(), guesses.size());
			for (const auto guess : guesses) {
				EXPECT_TRUE(guess >= 100 && guess < 164);
				hits += std::ranges::find(picked, guess) != picked.end();
			}
			all += guesses.size();
		}
		EXPECT_NEAR(static_cast<double>(hits) / static_cast<double>(all), right, 0.05);
	}
}

TEST(ReplayHints, WhatIsReadyComesFirst)
{
	using Items = std::vector<uint32_t>;

	EXPECT_EQ(ready_first({5, 3, 9, 4}, {false, true, false, true}), (Items{3, 4, 5, 9}));
	EXPECT_EQ(ready_first({5, 3}, {true, true}), (Items{5, 3}));
	EXPECT_EQ(ready_first({5, 3}, {false, false}), (Items{5, 3}));
	EXPECT_TRUE(ready_first({}, {}).empty());
}

TEST(ReplayContent, TheChecksumSeesEveryChange)
{
	const auto data = content(block_bytes, 1);
	const uint64_t right = checksum(data);

	EXPECT_EQ(checksum(data), right);
	for (size_t i = 0; i < data.size(); i += 997) {
		auto wrong = data;
		wrong[i] ^= std::byte{1};
		EXPECT_NE(checksum(wrong), right) << i;
	}
	auto swapped = data;
	std::swap_ranges(swapped.begin(), swapped.begin() + 64, swapped.begin() + 128);
	EXPECT_NE(checksum(swapped), right);
	EXPECT_NE(checksum(std::span{data}.first(data.size() - 1)), right);
	EXPECT_NE(checksum(std::vector<std::byte>(8)), checksum(content(8, 1)));
}

TEST(ReplayContent, EveryLineIsTouched)
{
	const auto data = content(4096, 1);
	const uint64_t right = touch_lines(data);

	for (size_t line = 0; line < data.size(); line += 64) {
		auto wrong = data;
		wrong[line] ^= std::byte{1};
		EXPECT_NE(touch_lines(wrong), right) << line;
	}
}

TEST(ReplayContent, DependsOnSeedAndOffset)
{
	const auto whole = content(2 * mib, 1);
	const auto part = content(mib, 1, mib);

	EXPECT_TRUE(std::ranges::equal(std::span{whole}.subspan(mib), part));
	EXPECT_NE(content(4096, 2), content(4096, 1));

	std::set<uint64_t> distinct;
	for (size_t i = 0; i < whole.size(); i += block_bytes)
		distinct.insert(checksum(std::span{whole}.subspan(i, block_bytes)));
	EXPECT_EQ(distinct.size(), whole.size() / block_bytes);
}

TEST(ReplayContent, VerifiesAgainstTheSums)
{
	const auto data = content(3 * block_bytes + 100, 1);
	const auto sums = sums_of(data);
	const std::span whole{data};

	EXPECT_EQ(parse_sums(format_sums(sums)), sums);
	EXPECT_TRUE(verify(sums, 0, whole));
	EXPECT_TRUE(verify(sums, block_bytes, whole.subspan(block_bytes)));
	EXPECT_TRUE(verify(sums, 3 * block_bytes, whole.subspan(3 * block_bytes)));
	EXPECT_FALSE(verify(sums, block_bytes, whole.first(block_bytes)));
	EXPECT_FALSE(verify(sums, 512, whole.subspan(512)));
	EXPECT_FALSE(verify(sums, 3 * block_bytes, whole.first(block_bytes)));

	auto wrong = data;
	wrong.back() ^= std::byte{1};
	const auto seen = verify(sums, 0, wrong);
	ASSERT_FALSE(seen);
	EXPECT_NE(seen.error().text.find("196608"), std::string::npos) << seen.error().text;
	for (const auto *bad : {"", "{}", R"({"bytes": 1, "block_bytes": 4096, "blocks": [1]})",
				R"({"bytes": 65537, "block_bytes": 65536, "blocks": [1]})"})
		EXPECT_FALSE(parse_sums(bad)) << bad;
}

TEST(ReplayContent, MakesAFile)
{
	const Tree tree;
	const auto path = tree.root() / "file";
	const auto sums = make_file(path, 100000, 4);

	ASSERT_TRUE(sums);
	const auto text = itme::read_file(path);
	ASSERT_TRUE(text);
	EXPECT_EQ(*sums, sums_of(content(100000, 4)));
	EXPECT_TRUE(verify(*sums, 0, std::as_bytes(std::span{*text})));
	EXPECT_FALSE(make_file(tree.root() / "none" / "file", 1, 1));
}

namespace {

// What each position prefetches and lets go.
std::vector<std::string> steps_of(const HintPlan &plan, const std::vector<uint32_t> &order)
{
	HintSteps steps{plan, order, 10};
	std::vector<std::string> all;

	for (size_t i = 0; i < order.size(); i++) {
		const auto step = steps.at(i);
		std::string text;

		for (const uint32_t item : step.prefetch)
			text += "+" + std::to_string(item);
		for (const uint32_t item : step.release)
			text += "-" + std::to_string(item);
		all.push_back(text);
	}
	return all;
}

using Steps = std::vector<std::string>;

} // namespace

TEST(ReplayHints, AheadAndBehind)
{
	EXPECT_EQ(steps_of({}, {0, 1, 2}), (Steps{"", "", ""}));
	EXPECT_EQ(steps_of({.ahead = 2}, {0, 1, 2, 3}), (Steps{"+1+2", "+3", "", ""}));
	EXPECT_EQ(steps_of({.release = true}, {0, 1, 2}), (Steps{"", "-0", "-1"}));
	EXPECT_EQ(steps_of({.ahead = 1, .release = true}, {0, 1, 2}), (Steps{"+1", "+2-0", "-1"}));
	EXPECT_EQ(steps_of({.ahead = 9}, {0, 1}), (Steps{"+1", ""}));
}

TEST(ReplayHints, LeavesAloneWhatIsPinned)
{
	EXPECT_EQ(steps_of({.ahead = 1, .release = true, .pinned = {1}}, {0, 1, 2, 0}),
		  (Steps{"", "+2-0", "+0", "-2"}));
}

TEST(ReplayHints, AsksOnceAndKeepsWhatComesAgain)
{
	// 0 comes again within two positions: it is not let go; 1 not asked for twice.
	EXPECT_EQ(steps_of({.ahead = 2, .release = true}, {0, 1, 0, 2, 1}),
		  (Steps{"+1+0", "+2", "+1", "-0", "-2"}));
}

TEST(ReplayStats, Quantiles)
{
	EXPECT_EQ(median({}), 0);
	EXPECT_EQ(median({3}), 3);
	EXPECT_EQ(median({9, 1, 5}), 5);
	EXPECT_EQ(median({4, 1, 3, 2}), 2.5);
	EXPECT_EQ(quantile({1, 2, 3, 4, 5}, 0.25), 2);
	EXPECT_EQ(quantile({1, 2, 3, 4, 5}, 1), 5);
	EXPECT_EQ(quantile({1, 2, 3, 4, 5}, 0), 1);
	EXPECT_DOUBLE_EQ(quantile({0, 10}, 0.99), 9.9);
}

TEST(ReplayPlay, BoundIsTheLongerOfComputingAndReading)
{
	const PassCost pass{.seconds = 4, .compute_s = 1.5, .footprint_bytes = 300};

	EXPECT_EQ(bound_s(pass, {}), 1.5);
	EXPECT_EQ(bound_s(pass, {.bandwidth = 100}), 3);
	EXPECT_EQ(bound_s(pass, {.bandwidth = 100, .capacity_bytes = 100}), 2);
	EXPECT_EQ(bound_s(pass, {.bandwidth = 100, .capacity_bytes = 200}), 1.5);
	EXPECT_EQ(bound_s(pass, {.bandwidth = 100, .capacity_bytes = 400, .compute_s = 1}), 1);
}

TEST(ReplayPlay, MediansAreOfEachFigure)
{
	const auto middle = median_pass({{.seconds = 1, .stall_s = 9, .misses = 2},
					 {.seconds = 2, .stall_s = 7, .misses = 1},
					 {.seconds = 9, .stall_s = 8, .misses = 3}});

	EXPECT_EQ(middle.seconds, 2);
	EXPECT_EQ(middle.stall_s, 8);
	EXPECT_EQ(middle.misses, 2);
}

namespace {

// A file of 8 blocks and a rest, and a play over it.
class ReplayPlays : public testing::Test {
protected:
	void SetUp() override
	{
		auto made = make_file(how.path, 8 * block_bytes + 1000, 1);
		ASSERT_TRUE(made);
		how.sums = *made;
		how.passes = 3;
		how.look = Look::verify;
	}

	itme::Result<Played> played() const
	{
		return play(how, *dense(how.sums.bytes, block_bytes));
	}

	const Tree tree;
	Play how{.path = tree.root() / "file"};
};

} // namespace

TEST_F(ReplayPlays, EveryModeReadsTheSame)
{
	for (const Mode mode : {Mode::map, Mode::pread, Mode::ring}) {
		how.mode = mode;
		for (const size_t pins : {0, 3, 9}) {
			how.hints = {.pinned = spread_evenly(9, pins)};
			const auto result = played();

			ASSERT_TRUE(result) << result.error().text;
			ASSERT_EQ(result->passes.size(), 2);
			for (const auto &pass : result->passes) {
				EXPECT_EQ(pass.read_bytes, how.sums.bytes);
				EXPECT_GE(pass.seconds, pass.compute_s + pass.stall_s);
			}
		}
	}
}

TEST_F(ReplayPlays, AWrongByteFailsIt)
{
	how.sums.blocks[5]++;
	for (const Mode mode : {Mode::map, Mode::pread, Mode::ring}) {
		how.mode = mode;
		const auto result = played();

		ASSERT_FALSE(result);
		EXPECT_NE(result.error().text.find("327680"), std::string::npos);
	}
}

TEST_F(ReplayPlays, WithHintsAndWork)
{
	how.hints = {.ahead = 2, .release = true, .pinned = {4}};
	how.work_units = 1000;
	how.sleep_s = 0.001;
	const auto result = played();

	ASSERT_TRUE(result) << result.error().text;
	EXPECT_GE(result->passes[0].compute_s, 0.009);
}

TEST_F(ReplayPlays, WhatIsReadyIsReadFirstInBurstsOnly)
{
	const auto program = routed({1, 4, {{{3, 1}}}}, {block_bytes, block_bytes}, block_bytes);

	ASSERT_TRUE(program);
	how.hints = {.needs = true, .ready_first = true};
	const auto result = play(how, *program);
	ASSERT_TRUE(result) << result.error().text;
	EXPECT_EQ(result->passes[0].read_bytes, 3 * block_bytes);

	how.hints.needs = false; // nothing is on its way meanwhile
	EXPECT_FALSE(play(how, *program));
	how.hints = {.ahead = 1, .needs = true, .ready_first = true};
	EXPECT_FALSE(play(how, *program));
	how.hints = {.needs = true, .ready_first = true};
	how.mode = Mode::ring;
	EXPECT_FALSE(play(how, *program));
}

TEST_F(ReplayPlays, NoPassToCountIsRefused)
{
	how.warm = how.passes;
	EXPECT_FALSE(played());
}
