// SPDX-License-Identifier: GPL-2.0-only
// Who gets DRAM: what is read from a store without it, or what is read from CXL memory.
#include "lib/division.hpp"

#include <gtest/gtest.h>

using itme::Division;

namespace {

constexpr std::uint64_t mib = 1 << 20, granule = 2 * mib;

// So many granules read in turn, each computed on for so long.
itme::Schedule model(std::uint32_t granules, std::uint64_t compute_ns)
{
	itme::Schedule schedule;
	itme::Program program;

	schedule.regions = {{"model", "", granules * granule}};
	for (std::uint32_t i = 0; i < granules; i++) {
		itme::Object object;
		itme::Step step;

		object.name = "o" + std::to_string(i);
		object.extents = {{0, i * granule, granule}};
		schedule.objects.push_back(object);
		step.name = "s" + std::to_string(i);
		step.objects = {i};
		step.compute_ns = compute_ns;
		program.steps.push_back(step);
	}
	program.name = "pass";
	schedule.programs = {program};
	schedule.streams = {{"run", 0, 1}};
	return schedule;
}

Division divided(const itme::Schedule &schedule, std::uint64_t dram, std::uint64_t memory,
		 double store = 5e9)
{
	itme::PlanOptions options;

	options.budget = {.dram_bytes = dram, .granule_bytes = granule};
	options.rates.store.bytes_per_s = store;
	const auto division = itme::divide(schedule, options, memory);
	EXPECT_TRUE(division) << division.error().text;
	EXPECT_EQ(division->memory_bytes + division->frames_bytes, dram);
	// Never worse than to leave all to the regions.
	EXPECT_LE(division->memory_s + division->regions_s,
		  division->memory_before_s + division->regions_before_s);
	return *division;
}

} // namespace

// A byte that the store has to give for want of DRAM costs more than one that CXL memory gives.
TEST(Division, WhatTheStoreWouldHaveToGiveComesFirst)
{
	const auto division = divided(model(128, 0), 128 * mib, 128 * mib);

	EXPECT_EQ(division.memory_bytes, 0);
	EXPECT_GT(division.regions_s, division.memory_s);
}

// What is hidden behind compute needs no DRAM: the memory gets it.
TEST(Division, WhatIsHiddenBehindComputeGivesWay)
{
	const auto division = divided(model(128, 10'000'000), 128 * mib, 256 * mib);

	EXPECT_GE(division.memory_bytes, 96 * mib);
	EXPECT_NEAR(division.regions_s, division.regions_before_s,
		    division.regions_before_s / 1000);
	EXPECT_LT(division.memory_s, division.memory_before_s);
}

// Between both: as much as the regions can spare.
TEST(Division, OnlyWhatIsOverIsGiven)
{
	// All of the model has room, and 128 MiB are left: and some more, since a little of it can
	// be fetched while the rest is read.
	const auto division = divided(model(64, 0), 256 * mib, 512 * mib);

	EXPECT_GE(division.memory_bytes, 96 * mib);
	EXPECT_LE(division.memory_bytes, 160 * mib);
	EXPECT_LT(division.regions_s, 1.1 * division.regions_before_s);
	EXPECT_LT(division.memory_s, division.memory_before_s);
}

// A slow store makes the same memory worth less.
TEST(Division, RatesCount)
{
	const auto fast = divided(model(64, 1'000'000), 64 * mib, 256 * mib, 100e9),
		   slow = divided(model(64, 1'000'000), 64 * mib, 256 * mib, 1e8);

	EXPECT_GT(fast.memory_bytes, slow.memory_bytes);
	EXPECT_EQ(slow.memory_bytes, 0);
}

TEST(Division, HardlyAnyThing)
{
	EXPECT_EQ(divided(model(64, 1'000'000), 64 * mib, 0).memory_bytes, 0);
	EXPECT_EQ(divided(model(64, 1'000'000), 16 * mib, 64 * mib).memory_bytes, 0);
	EXPECT_LE(divided(model(64, 10'000'000), 64 * mib, 8 * mib).memory_bytes, 8 * mib);
	itme::PlanOptions none;
	none.budget = {.granule_bytes = granule};
	EXPECT_FALSE(itme::divide(model(4, 0), none, mib));
}
