// SPDX-License-Identifier: GPL-2.0-only
#include "lib/plan_file.hpp"

#include "lib/advice.hpp"

#include <nlohmann/json.hpp>

namespace itme {

namespace {

using Tree = nlohmann::ordered_json;

constexpr uint64_t version = 1;

// Whole bytes: a fraction of one only comes from an average.
uint64_t whole(double value)
{
	return static_cast<uint64_t>(value + 0.5);
}

// Runs of granules that live in the same place, per region: [offset, bytes].
Tree residents(const Schedule &schedule, const Plan &plan, Home home)
{
	Tree all = Tree::object();
	const uint64_t size = plan.grid.granule_bytes();

	for (uint32_t i = 0; i < plan.homes.size();) {
		if (plan.homes[i] != home) {
			i++;
			continue;
		}
		const uint32_t begin = i, region = plan.grid.region_of(i);
		uint64_t bytes = 0;

		for (; i < plan.homes.size() && plan.homes[i] == home &&
		       plan.grid.region_of(i) == region;
		     i++)
			bytes += plan.grid.bytes_of(i);
		all[schedule.regions[region].name].push_back(
			{(begin - plan.grid.at(region, 0)) * size, bytes});
	}
	return all;
}

Tree bound_json(const Bound &bound)
{
	return {{"seconds", bound.seconds()},
		{"by", bound.by()},
		{"compute_s", bound.compute_s},
		{"store_s", bound.store_s},
		{"cxl_s", bound.cxl_s},
		{"dram_s", bound.dram_s},
		{"store_bytes", whole(bound.store_bytes)}};
}

Tree links_json(const Timing &t)
{
	return {{"store",
		 {{"exact_bytes", whole(t.exact_bytes)},
		  {"demand_bytes", whole(t.demand_bytes)},
		  {"likely_bytes", whole(t.likely_bytes)}}},
		{"cxl",
		 {{"in_place_bytes", whole(t.cxl_bytes)}, {"copy_bytes", whole(t.copy_bytes)}}},
		{"dram", {{"bytes", whole(t.dram_bytes)}}}};
}

// [region, offset, bytes, needed at, issue after]; steps by number.
Tree hints_json(const Plan &plan, const StreamPlan &stream)
{
	Tree hints = Tree::array();

	for (const PlannedHint &hint : stream.hints) {
		hints.push_back({plan.grid.region_of(hint.granule),
				 plan.grid.offset_of(hint.granule),
				 plan.grid.bytes_of(hint.granule), hint.step, hint.after_step});
	}
	return hints;
}

Tree stream_json(const PlanOptions &options, const Plan &plan, const StreamPlan &stream)
{
	const Timing &t = stream.timing;
	Tree json = {{"name", stream.name},
		     {"weight", stream.weight},
		     {"store_share", stream.store_share},
		     {"pass_s", t.pass_s},
		     {"compute_s", stream.compute_s},
		     {"stall_miss_s", t.miss_s},
		     {"stall_late_s", t.late_s},
		     {"bound", bound_json(stream.bound)},
		     {"efficiency", stream.efficiency()},
		     {"page_cache_s", page_cache_seconds(stream, plan, options)},
		     {"read_bytes", whole(stream.read_bytes)},
		     {"links", links_json(t)},
		     {"slots", stream.slots},
		     {"demand_slots", stream.demand_slots},
		     {"lead",
		      {{"granules", stream.slots},
		       {"least_s", t.lead_least_s},
		       {"mean_s", t.lead_mean_s}}},
		     {"likely_bytes", whole(stream.likely_bytes)}};

	json["hints"] = hints_json(plan, stream);
	return json;
}

} // namespace

Tree plan_json(const Schedule &schedule, const PlanOptions &options, const Plan &plan)
{
	Tree json = {{"itme_plan", version},
		     {"schedule", schedule.name},
		     {"granule_bytes", plan.budget.granule_bytes},
		     {"dram_bytes", plan.budget.dram_bytes},
		     {"cxl_bytes", plan.budget.cxl_bytes},
		     {"tokens", options.tokens},
		     {"window_bytes", plan.window_bytes()},
		     {"window_tier", plan.window_in_cxl ? "cxl" : "dram"},
		     {"rates",
		      {{"origin", options.rates.origin},
		       {"store", options.rates.store.bytes_per_s},
		       {"store_p99_over_mean", options.rates.store.p99_over_mean},
		       {"store_depth_bytes", options.rates.store.depth_bytes},
		       {"cxl", options.rates.cxl.bytes_per_s},
		       {"dram", options.rates.dram.bytes_per_s},
		       {"flops", options.rates.flops},
		       {"compute_s", options.rates.compute_s}}},
		     {"granules",
		      {{"touched", plan.touched_granules},
		       {"dram", plan.dram_granules},
		       {"cxl", plan.cxl_granules},
		       {"copied_up", plan.copied_granules}}}};

	json["resident"] = {{"dram", residents(schedule, plan, Home::dram)},
			    {"cxl", residents(schedule, plan, Home::cxl)},
			    {"cxl_copied_up", residents(schedule, plan, Home::copied)}};
	json["streams"] = Tree::array();
	for (const StreamPlan &stream : plan.streams)
		json["streams"].push_back(stream_json(options, plan, stream));
	json["notes"] = schedule.notes;
	json["advice"] = plan.advice;
	return json;
}

} // namespace itme
