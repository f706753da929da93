// SPDX-License-Identifier: GPL-2.0-only
// What a plan means, said plainly, before anybody waits for it.
#pragma once

#include "lib/plan.hpp"

#include <string>
#include <vector>

namespace itme {

[[nodiscard]] std::vector<std::string> advise(const Schedule &schedule, const PlanOptions &options,
					      const Plan &plan);

// Loading KV beats computing it again above so many bytes a second; 0: not known.
[[nodiscard]] double recompute_bytes_per_s(const ModelFacts &model, double flops);

// So many tokens a pass hide what the store has to send; 0: not known.
[[nodiscard]] double tokens_to_hide(const StreamPlan &stream, const PlanOptions &options);

// What a page cache of the same size does to a program in a fixed order: it
// reads everything, every pass, however well it reads ahead.
[[nodiscard]] double page_cache_seconds(const StreamPlan &stream, const Plan &plan,
					const PlanOptions &options);

} // namespace itme
