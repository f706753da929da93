// SPDX-License-Identifier: GPL-2.0-only
// Carries out a plan, event by event: a consumer that reads in order, an issuer
// that gives the plan's hints as slots come free, and a device with queues. It
// shares no arithmetic with the planner's own timeline.
#pragma once

#include "lib/plan.hpp"
#include "lib/schedule.hpp"

#include <cstdint>

namespace itme::test {

struct SimOptions {
	uint32_t passes = 6, warm = 2;
	uint64_t seed = 1;
	double compute_jitter = 0; // each visit's time varies by up to this share
};

struct SimResult {
	double pass_s = 0;
	double late_s = 0, miss_s = 0;
	double store_bytes = 0;     // a pass
	uint64_t most_in_slots = 0; // frames of the window in use at once
};

[[nodiscard]] SimResult simulate(const Schedule &schedule, const PlanOptions &options,
				 const Plan &plan, size_t stream, const SimOptions &sim);

} // namespace itme::test
