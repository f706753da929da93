// SPDX-License-Identifier: GPL-2.0-only
// A plan: what to keep where, which hints to give when, and how long a pass
// will then take. A pure function of the schedule, the budgets and the rates.
#pragma once

#include "lib/bound.hpp"
#include "lib/placement.hpp"
#include "lib/rates.hpp"
#include "lib/schedule.hpp"
#include "lib/timeline.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace itme {

struct Budget {
	uint64_t dram_bytes = 0, cxl_bytes = 0;
	uint64_t window_bytes = 0; // 0: as large as is best
	uint64_t granule_bytes = 2ULL << 20;
};

struct PlanOptions {
	Budget budget;
	Rates rates;
	uint64_t tokens = 1;  // a pass: a batch, or a piece of a prompt
	double recall = 0;    // of a predictor of choices: how much of what comes is guessed
	double precision = 1; // and how much of what is guessed comes
	bool with_hints = true;
	bool thorough = true; // of few granules: try other homes for each; takes a second
};

// Prefetch a granule when the stream has left a position, to be there at another.
// Where both are the same: within it, when the granule before by as many hints as
// there are slots has been used. All of a schedule's own hints are exact.
struct PlannedHint {
	uint32_t granule = 0;
	uint32_t step = 0;       // needed at
	uint32_t after_step = 0; // issue after; a later one than `step` is of the pass before
};

struct StreamPlan {
	std::string name;
	double weight = 1;
	double store_share = 1;
	uint32_t slots = 0;        // of the window, for what is known ahead
	uint32_t demand_slots = 0; // and for what a choice asks for
	double compute_s = 0, read_bytes = 0, flops = 0;
	double fetch_bytes = 0; // with nothing resident: whole granules, at each visit
	Bound bound;
	Timing timing;
	double likely_bytes = 0;  // a pass: the budget for guesses
	bool guesses_pay = false; // with the stated recall and precision
	bool has_choices = false; // more than looking up tokens
	std::vector<PlannedHint> hints;
	std::vector<Leg> legs; // of the first timing; none of a plan that is too large to keep them
	Lane lane;

	[[nodiscard]] double efficiency() const
	{
		return timing.pass_s > 0 ? bound.seconds() / timing.pass_s : 1;
	}
};

struct Plan {
	Budget budget;
	Grid grid;
	std::vector<Home> homes; // of each granule; Home::store where nobody reads it, too
	uint64_t touched_granules = 0, dram_granules = 0, cxl_granules = 0, copied_granules = 0;
	uint32_t window_slots = 0;
	bool window_in_cxl = false;
	std::vector<StreamPlan> streams;
	std::vector<std::string> advice;

	[[nodiscard]] uint64_t window_bytes() const { return window_slots * budget.granule_bytes; }
};

[[nodiscard]] Result<Plan> make_plan(const Schedule &schedule, const PlanOptions &options);

// The same plan where computing takes so many seconds of a pass: how long one takes then, and the
// bound. Links are shared as before. What computes on several granules in a row, only some of them
// in CXL memory, is timed to within the computing on those. Without legs nothing changes.
void retime(StreamPlan &stream, double compute_s);

// For the plan itself and for those who carry it out: a stream's links.
[[nodiscard]] Lane lane_of(const PlanOptions &options, double store_share, double cxl_share);

} // namespace itme
