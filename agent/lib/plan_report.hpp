// SPDX-License-Identifier: GPL-2.0-only
// What became of a plan, for people.
#pragma once

#include "lib/executor.hpp"
#include "lib/guesses.hpp"
#include "lib/json.hpp"

#include <cstdint>
#include <span>
#include <string>

namespace itme {

enum class PlanState : std::uint8_t {
	idle,    // nobody reads
	seeking, // somebody does, but not yet (or no more) in the order of the schedule
	follows, // hints are given
	chooses, // what is known ahead is in memory; the rest is chosen as the run goes on
	fits,    // all of it is in memory: there is nothing to be fetched ahead
	demand,  // left to demand: the plan did not pay, or could not be made
};
[[nodiscard]] const char *state_name(PlanState state);

// What became of the plan of one stream. Times in ns, sizes in bytes; 0: not known.
struct PlanReport {
	std::string instance, region, stream, program, origin;
	PlanState state = PlanState::idle;
	std::string why; // in a sentence; "" where there is nothing to say
	std::uint64_t dram_bytes = 0, cxl_bytes = 0, streamed_bytes = 0; // homes
	std::uint32_t slots = 0;
	double store_bytes_per_s = 0;
	std::uint64_t predicted_ns = 0, bound_ns = 0; // of a pass
	std::string bound_by;                         // "compute", "store", ...
	std::uint64_t pass_ns = 0, compute_ns = 0;    // measured, medians
	std::uint64_t demand_ns = 0;                  // what a pass without hints takes
	bool demand_measured = false;                 // and not estimated
	std::uint64_t passes = 0;                     // that were measured with this plan
	ExecutorCounts counts;
	std::uint64_t unknown = 0; // waits for granules that the schedule does not read
	GuessCounts guesses;
	std::string guesses_why; // in a sentence; "" where nothing was guessed
};

[[nodiscard]] Json plans_json(std::span<const PlanReport> reports);

} // namespace itme
