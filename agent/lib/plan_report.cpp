// SPDX-License-Identifier: GPL-2.0-only
#include "lib/plan_report.hpp"

#include <array>

namespace itme {

const char *state_name(PlanState state)
{
	static constexpr std::array names = {"idle",    "seeking", "follows",
					     "chooses", "fits",    "demand"};

	return names[static_cast<std::size_t>(state)];
}

Json plans_json(std::span<const PlanReport> reports)
{
	Json json{{"plans", Json::array()}};

	for (const auto &report : reports) {
		Json row{
			{"instance", report.instance},
			{"region", report.region},
			{"stream", report.stream},
			{"program", report.program},
			{"origin", report.origin},
			{"state", state_name(report.state)},
			{"why", report.why},
			{"dram_bytes", report.dram_bytes},
			{"cxl_bytes", report.cxl_bytes},
			{"streamed_bytes", report.streamed_bytes},
			{"slots", report.slots},
			{"store_bytes_per_s", report.store_bytes_per_s},
			{"predicted_ns", report.predicted_ns},
			{"bound_ns", report.bound_ns},
			{"bound_by", report.bound_by},
			{"passes", report.passes},
			{"pass_ns", report.pass_ns},
			{"compute_ns", report.compute_ns},
			{"demand_ns", report.demand_ns},
			{"demand_measured", report.demand_measured},
			{"accesses", report.counts.seen},
			{"strays", report.counts.strays},
			{"unknown", report.unknown},
			{"lost", report.counts.lost},
			{"fetched", report.counts.fetched},
			{"dropped", report.counts.dropped},
			{"guesses_fetched", report.guesses.fetched},
			{"guesses_used", report.guesses.used},
			{"guesses_wasted", report.guesses.wasted},
			{"guesses_withheld", report.guesses.withheld},
			{"guesses_why", report.guesses_why},
		};
		json["plans"].push_back(std::move(row));
	}
	return json;
}

} // namespace itme
