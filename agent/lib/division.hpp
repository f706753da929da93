// SPDX-License-Identifier: GPL-2.0-only
// One budget of DRAM for the regions of an instance and for memory that a program has of its
// own: which of both gets how much of it. A pure function.
#pragma once

#include "lib/plan.hpp"

#include <cstdint>

namespace itme {

// What is best by the plan of the regions with what is left to them, and the links that
// the memory is read over: in DRAM, or, for want of a store, in CXL memory.
struct Division {
	std::uint64_t memory_bytes = 0, frames_bytes = 0; // their sum is the budget
	double memory_s = 0;                              // reads of the memory, all of it once
	double regions_s = 0;                             // passes of the regions, by weight
	// The same with all of the budget left to the regions.
	double memory_before_s = 0, regions_before_s = 0;
};

// `options.budget.dram_bytes` is what is divided, `memory_bytes` what a pass reads of the memory. A
// reading of it counts as a pass of a stream of weight 1. The regions keep the
// frames that a plan needs at least. Fails as make_plan() does.
[[nodiscard]] Result<Division> divide(const Schedule &regions, const PlanOptions &options,
				      std::uint64_t memory_bytes);

} // namespace itme
