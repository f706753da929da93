// SPDX-License-Identifier: GPL-2.0-only
// Several schedules as one, so that one plan shares budgets and links between them.
#pragma once

#include "lib/schedule.hpp"

#include <cstdint>
#include <span>

namespace itme {

struct JoinPart {
	const Schedule *schedule;
	std::uint32_t region = 0; // of that schedule: what lies in others is left out
	double weight = 1;        // of its streams, beside those of the other parts
};

// Region i of it is part i's. Streams keep their order, part after part, and steps
// their numbers, also those that read nothing of the region.
[[nodiscard]] Schedule join(std::span<const JoinPart> parts);

// A pass of this program was measured to compute so long: its steps get their shares
// of it, by the times they have, or, where not all have one or all are 0, by the bytes they read.
void set_compute(Schedule &schedule, std::uint32_t program, std::uint64_t pass_ns);

} // namespace itme
