// SPDX-License-Identifier: GPL-2.0-only
// A plan as JSON: what `itmectl plan --json` prints.
#pragma once

#include "lib/plan.hpp"
#include "lib/schedule.hpp"

#include <nlohmann/json_fwd.hpp>

namespace itme {

[[nodiscard]] nlohmann::ordered_json plan_json(const Schedule &schedule, const PlanOptions &options,
					       const Plan &plan);

} // namespace itme
