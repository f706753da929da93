// SPDX-License-Identifier: GPL-2.0-only
#include "lib/choices.hpp"
#include "lib/guesses.hpp"

#include <gtest/gtest.h>
#include <numeric>

using itme::Choices;
using itme::GranuleRange;
using itme::Guesses;
using itme::Home;

namespace {

constexpr std::uint64_t mib = 1 << 20;
constexpr std::uint32_t layers = 2, experts = 4;

// Layers of one granule that all read, and four experts of one each, of which one is picked.
itme::Schedule schedule()
{
	itme::Schedule schedule;
	itme::Program program;
	std::uint64_t at = 0;
	const auto add = [&](const std::string &name) {
		itme::Object object;

		object.name = name;
		object.extents = {{0, at, mib}};
		at += mib;
		schedule.objects.push_back(object);
		return static_cast<std::uint32_t>(schedule.objects.size() - 1);
	};

	for (std::uint32_t layer = 0; layer < layers; layer++) {
		itme::Step shared, chosen;
		itme::Group group;

		shared.objects = {add("shared")};
		for (std::uint32_t e = 0; e < experts; e++)
			group.objects.push_back(add("expert"));
		chosen.group = layer;
		chosen.pick = 1;
		schedule.groups.push_back(group);
		program.steps.push_back(shared);
		program.steps.push_back(chosen);
	}
	schedule.regions = {{"one", "", at}};
	schedule.programs = {program};
	schedule.streams = {{"run", 0, 1}};
	return schedule;
}

Choices choices()
{
	return {schedule(), 0, 0, mib, std::uint64_t{layers} * (experts + 1)};
}

using Granules = std::vector<std::uint32_t>;

} // namespace

TEST(Choices, KnowsWhatIsChosenAndWhere)
{
	auto some = choices();

	EXPECT_FALSE(some.empty());
	EXPECT_EQ(some.steps(), 2U);
	EXPECT_FALSE(some.step_of(0)); // shared
	EXPECT_EQ(some.step_of(1), 1U);
	EXPECT_EQ(some.step_of(9), 3U);
	EXPECT_FALSE(some.step_of(10));
	EXPECT_EQ(some.begin_pass(), (std::vector<GranuleRange>{{1, 4}, {6, 4}}));
	auto none = schedule();
	none.programs[0].steps = {none.programs[0].steps[0]};
	EXPECT_TRUE((Choices{none, 0, 0, mib, 10}.empty()));
	EXPECT_TRUE((Choices{none, 0, 0, mib, 10}.begin_pass().empty()));
}

TEST(Choices, CountsUsesOfThePassesThatAreWatched)
{
	auto some = choices();
	auto told = schedule();
	std::size_t watched = 0;

	some.tell(told, {});
	EXPECT_TRUE(told.groups[0].popularity.empty()); // not known yet
	for (int pass = 0; pass < 600; pass++) {
		watched += !some.begin_pass().empty();
		some.see(2);
		some.see(2); // once a pass
		some.see(pass % 2 == 0 ? 6 : 7);
		some.see(0);
		some.see(1000);
	}
	EXPECT_GE(watched, 30U);
	EXPECT_LE(watched, 150U); // most passes cost nothing
	EXPECT_TRUE(some.known());
	some.tell(told, {});
	const auto &first = told.groups[0].popularity, &second = told.groups[1].popularity;
	ASSERT_EQ(first.size(), experts);
	EXPECT_GT(first[1], 5 * first[0]);
	EXPECT_EQ(first[0], first[2]);
	EXPECT_GT(second[0], second[2]);

	std::vector<Home> homes(10, Home::store);
	EXPECT_EQ(some.worth(homes), 1); // nothing kept, nothing that could be better
	homes[2] = Home::dram;
	EXPECT_EQ(some.worth(homes), 1);
	homes[2] = Home::store;
	homes[4] = Home::cxl;
	EXPECT_EQ(some.worth(homes), 0);
	homes[0] = Home::dram; // no choice: does not count
	homes[6] = homes[7] = homes[4] = Home::dram;
	EXPECT_GT(some.worth(homes), 0.3);
	EXPECT_LT(some.worth(homes), 1);
}

TEST(Choices, WhatStaysGoesOnStayingWhereOthersAreNoBetter)
{
	auto some = choices();
	auto told = schedule();
	std::vector<Home> homes(10, Home::store);

	for (int pass = 0; pass < 20; pass++) {
		(void)some.begin_pass();
		some.see(pass % 2 == 0 ? 1 : 2);
		if (pass == 10)
			some.see(3);
		if (pass < 2)
			some.see(4);
	}
	homes[2] = homes[3] = Home::dram;
	some.tell(told, homes);
	const auto &popularity = told.groups[0].popularity;
	EXPECT_GT(popularity[1], popularity[0]); // as often
	EXPECT_LT(popularity[2], popularity[3]); // once less
}

TEST(Guesses, StayWithinTheirBudget)
{
	Guesses guesses;
	const std::vector<itme::Guess> five{{1, 1}, {2, 1}, {3, 1}, {4, 3}, {1, 1}};

	EXPECT_TRUE(guesses.take(five).empty()); // none is allowed yet
	guesses.allow(4, 3);
	EXPECT_EQ(guesses.take(five), (Granules{1, 2, 3})); // at once
	EXPECT_EQ(guesses.counts().withheld, 5U + 1U);
	guesses.see(1, true);
	guesses.not_fetched(2); // was there
	EXPECT_EQ(guesses.take(five), (Granules{1, 2}));
	guesses.see(1, true);
	EXPECT_TRUE(guesses.take(std::vector<itme::Guess>{{5, 3}}).empty()); // a pass
	guesses.begin_pass();
	EXPECT_EQ(guesses.take(std::vector<itme::Guess>{{5, 3}}), Granules{5});
	EXPECT_EQ(guesses.counts().used, 2U);
	EXPECT_EQ(guesses.counts().fetched, 5U);
}

TEST(Guesses, WhatIsPassedByIsDropped)
{
	Guesses guesses;

	guesses.allow(100, 10);
	EXPECT_EQ(guesses.take(std::vector<itme::Guess>{{1, 1}, {2, 1}, {6, 3}}).size(), 3U);
	EXPECT_TRUE(guesses.reach(1).empty());
	guesses.see(2, true);
	EXPECT_EQ(guesses.reach(2), Granules{1});
	EXPECT_TRUE(guesses.reach(3).empty());
	EXPECT_EQ(guesses.take(std::vector<itme::Guess>{{3, 1}}), Granules{3}); // of the next pass
	EXPECT_TRUE(guesses.reach(3).empty());
	guesses.begin_pass();
	EXPECT_EQ(guesses.reach(0), Granules{6});
	EXPECT_TRUE(guesses.reach(1).empty());
	EXPECT_EQ(guesses.end(), Granules{3});
	EXPECT_EQ(guesses.counts().wasted, 3U);
	EXPECT_EQ(guesses.counts().used, 1U);
}

TEST(Guesses, WhereTheyAreWastedNoneAreTakenForAWhile)
{
	Guesses guesses;
	std::uint64_t off = 0, longest = 0;

	guesses.allow(100, 10);
	EXPECT_EQ(guesses.words(), "");
	for (int pass = 0; pass < 400; pass++) {
		guesses.begin_pass();
		const auto taken = guesses.take(std::vector<itme::Guess>{{1, 1}, {2, 1}, {3, 1}});
		off = taken.empty() ? off + 1 : 0;
		longest = std::max(longest, off);
		guesses.see(1, true);
		EXPECT_EQ(guesses.reach(2).size(), taken.empty() ? 0U : 2U);
	}
	EXPECT_GE(longest, 64U);
	EXPECT_GT(guesses.counts().withheld, 2 * guesses.counts().fetched);
	EXPECT_NE(guesses.words().find(" came true: none are taken for "), std::string::npos)
		<< guesses.words();
	for (int pass = 0; pass < 2000; pass++) { // they have become right
		guesses.begin_pass();
		for (const auto granule : guesses.take(std::vector<itme::Guess>{{1, 1}, {2, 1}}))
			guesses.see(granule, true);
	}
	guesses.begin_pass();
	EXPECT_EQ(guesses.take(std::vector<itme::Guess>{{1, 1}, {2, 1}}).size(), 2U);
	EXPECT_EQ(guesses.words().find("came true"), std::string::npos) << guesses.words();
}

// What is guessed and not in memory, that is: what is right is often there already.
TEST(Guesses, TwoOfThreeHaveToComeTrue)
{
	const auto stays_open = [](int right_of_ten) {
		Guesses guesses;

		guesses.allow(100, 10);
		EXPECT_TRUE(guesses.open());
		for (int pass = 0; pass < 10; pass++) {
			guesses.begin_pass();
			std::vector<itme::Guess> ten;
			for (std::uint32_t i = 0; i < 10; i++)
				ten.push_back({i, 1});
			const auto taken = guesses.take(ten);
			for (int i = 0; i < right_of_ten && !taken.empty(); i++)
				guesses.see(static_cast<std::uint64_t>(i), true);
			EXPECT_EQ(guesses.reach(2).size(),
				  taken.empty() ? 0U : 10U - static_cast<unsigned>(right_of_ten));
		}
		return guesses.open();
	};

	EXPECT_TRUE(stays_open(8));
	EXPECT_FALSE(stays_open(5));
	Guesses closed;
	EXPECT_FALSE(closed.open());
	closed.allow(0, 10);
	EXPECT_FALSE(closed.open());
}
