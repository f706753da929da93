// SPDX-License-Identifier: GPL-2.0-only
// Pictures as gnuplot scripts with their data inside; who calls runs gnuplot.
#pragma once

#include "lib/plan.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace itme {

struct Timeline {
	std::string title;
	double pass_s = 0, bound_s = 0;
	std::vector<Span> spans;
};
// One pass of one stream, from where it begins.
[[nodiscard]] std::vector<Span> spans_of(const Schedule &schedule, const PlanOptions &options,
					 const Plan &plan, size_t stream);
[[nodiscard]] std::string timeline_script(const Timeline &timeline, std::string_view png);

struct SweepPoint {
	double bytes = 0, pass_s = 0, bound_s = 0, store_bytes = 0;
};
struct Curve {
	std::string title, tier;
	double compute_s = 0;
	std::vector<SweepPoint> points;
};
[[nodiscard]] std::string curve_script(const Curve &curve, std::string_view png);

} // namespace itme
