// SPDX-License-Identifier: GPL-2.0-only
#include "lib/judge.hpp"

#include "lib/duration.hpp"

#include <algorithm>

namespace itme {

namespace {

constexpr std::uint64_t few = 4;      // passes, before anything is said of them
constexpr std::uint64_t enough = 8;   // that are left to demand to measure it
constexpr std::uint32_t patience = 3; // looks at which the plan lost, one after the other
constexpr std::uint32_t most_refusals = 7;
constexpr double margin = 1.05; // that an estimate may be wrong by
constexpr double same = 1.02;

} // namespace

void Judge::planned()
{
	looked_ = 0;
	strikes_ = 0;
	if (!refuses_)
		why_.clear();
}

void Judge::look(const Meter &meter, std::uint64_t streamed, bool ahead)
{
	const auto passes = meter.counted();
	const auto pass = meter.pass_ns();

	if (!pass || passes == looked_)
		return;
	looked_ = passes;
	if (refuses_) {
		if (passes < enough)
			return;
		demand_ns_ = *pass;
		measured_ = true;
		const bool better =
			static_cast<double>(*pass) > same * static_cast<double>(with_ns_);
		if (better || passes >= enough << std::min(refusals_, most_refusals)) {
			refuses_ = false;
			strikes_ = 0;
			why_.clear();
		}
		return;
	}
	if (!ahead || streamed == 0)
		return;
	if (!measured_ && meter.compute_ns() && meter.miss_ns())
		demand_ns_ = *meter.compute_ns() + streamed * *meter.miss_ns();
	if (passes < few || !demand_ns_)
		return;
	const double limit = (measured_ ? same : margin) * static_cast<double>(*demand_ns_);
	strikes_ = static_cast<double>(*pass) > limit ? strikes_ + 1 : 0;
	if (strikes_ < patience)
		return;
	refuses_ = true;
	refusals_++;
	with_ns_ = *pass;
	why_ = "with hints a pass took " + format_duration(*pass) + ", without them it takes " +
	       (measured_ ? "" : "about ") + format_duration(*demand_ns_) +
	       ": left to demand for some passes";
}

} // namespace itme
