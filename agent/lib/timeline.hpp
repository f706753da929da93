// SPDX-License-Identifier: GPL-2.0-only
// How long a pass takes with given homes and a given window: the consumer walks
// through its visits, fetches run ahead of it into the slots as these come free.
#pragma once

#include "lib/placement.hpp"
#include "lib/rates.hpp"
#include "lib/visits.hpp"

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace itme {

// What varies, without chance: quantiles of a distribution in a fixed shuffled
// order, so that a plan is the same whenever and wherever it is made.
struct Variation {
	static constexpr size_t count = 1024;

	std::array<double, count> fetch;  // times of fetches, in units of their mean
	std::array<double, count> normal; // a standard normal deviate
};
[[nodiscard]] std::shared_ptr<const Variation> variation_of(double p99_over_mean);

// What a stream has of the links, and how they behave.
struct Lane {
	double store_bytes_per_s = 0, cxl_bytes_per_s = 0, dram_bytes_per_s = 0;
	std::shared_ptr<const Variation> variation; // of a fetch
	uint64_t granule_bytes = 0;
	uint32_t channels = 1;     // granules in flight that fill the store
	bool slots_in_cxl = false; // there is no DRAM
	double recall = 0;         // of the choices' misses, so many are guessed
	double precision = 1;      // of the guesses, so many come true
	double likely_bytes = 0;   // at most so many guessed bytes a pass
};

enum class Part : uint8_t { resident, fetched, copied, choice };

// Consecutive visits of one kind, or one visit that has to be waited for.
struct Leg {
	Part part = Part::resident;
	uint32_t visit = 0; // the first
	double seconds = 0; // of work once the data are there
	// Of each visit the longer one is in `seconds`: their sums, and that of the computing in
	// it.
	double compute_s = 0, read_s = 0, computing_s = 0;
	double bytes = 0;     // to fetch or copy before it
	double cxl_bytes = 0; // read in place on the way
	double dram_bytes = 0;
	double misses = 0; // of a choice: granules expected to be fetched
	double visits = 1; // of a choice: granules expected to be read
};

[[nodiscard]] std::vector<Leg> legs_of(const Pass &pass, const std::vector<Home> &homes,
				       const Grid &grid, const Lane &lane);

struct Span {
	enum class Row : uint8_t { use, wait, store, cxl } row;
	double begin, end;
};

struct Timing {
	double pass_s = 0;
	double miss_s = 0, late_s = 0; // waited: nothing hinted / hinted, not there yet
	double exact_bytes = 0, demand_bytes = 0, likely_bytes = 0; // from the store
	double cxl_bytes = 0, copy_bytes = 0, dram_bytes = 0;
	double lead_least_s = 0, lead_mean_s = 0; // from the start of a fetch to its use
	uint32_t fetches = 0;                     // granules a pass that go through the slots
};

// Steady state: passes follow each other without a gap. `slots` may be 0 only if
// no leg needs one. With `spans`, those of one pass are appended.
[[nodiscard]] Timing run_legs(std::span<const Leg> legs, const Lane &lane, uint32_t slots,
			      std::vector<Span> *spans = nullptr);

} // namespace itme
