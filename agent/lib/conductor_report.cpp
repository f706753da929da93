// SPDX-License-Identifier: GPL-2.0-only
// What itmectl report plan tells.
#include "lib/conductor_state.hpp"

namespace itme {

namespace {

constexpr std::uint64_t few_accesses = 16; // before a schedule is called wrong

} // namespace

PlanReport Conductor::State::report(const RegionState &region, const StreamState &stream) const
{
	const auto &declared = region.what.schedule.streams[stream.number];
	const auto instance = instances.find(region.what.instance);
	PlanReport report;

	report.instance = region.what.instance;
	report.region = region.what.region;
	report.stream = declared.name;
	report.program = region.what.schedule.programs[declared.program].name;
	report.origin = region.what.origin;
	report.counts = stream.executor.counts();
	report.guesses = stream.guesses.counts();
	report.guesses_why = stream.guesses.words();
	report.passes = stream.meter.counted();
	report.pass_ns = stream.meter.pass_ns().value_or(0);
	report.compute_ns = stream.meter.compute_ns().value_or(0);
	report.demand_ns = stream.judge.demand_ns().value_or(0);
	report.demand_measured = stream.judge.demand_measured();
	if (instance != instances.end())
		report.store_bytes_per_s = instance->second.planned_with.bytes_per_s;
	if (!region.planned) {
		report.state = region.active ? PlanState::demand : PlanState::idle;
		report.why = region.refused()          ? stream.judge.why()
			     : !region.failure.empty() ? region.failure
			     : region.active           ? ""
						       : "others run in this instance";
		return report;
	}
	report.dram_bytes = region.set.dram_bytes();
	report.cxl_bytes = region.set.cxl_bytes();
	report.streamed_bytes = stream.streamed_bytes;
	report.slots = stream.executor.slots();
	report.predicted_ns = static_cast<std::uint64_t>(stream.plan.timing.pass_s * 1e9);
	report.bound_ns = static_cast<std::uint64_t>(stream.plan.bound.seconds() * 1e9);
	report.bound_by = stream.plan.bound.by();
	report.state = !region.active || stream.pid == 0 ? PlanState::idle
		       : stream.executor.follows()       ? PlanState::follows
		       : stream.executor.streamed() > 0  ? PlanState::seeking
		       : chooses(stream.plan)            ? PlanState::chooses
							 : PlanState::fits;
	report.unknown = stream.unknown;
	const auto &counts = report.counts;
	if (report.state == PlanState::seeking && counts.seen >= few_accesses &&
	    (counts.lost > 0 || 2 * counts.strays > counts.seen))
		report.why = "the run does not go as its schedule says: " +
			     std::to_string(counts.strays) + " of " + std::to_string(counts.seen) +
			     " accesses were elsewhere";
	// Three in order are enough to be followed.
	else if (report.state == PlanState::seeking && counts.seen >= 2 * few_accesses &&
		 counts.fetched == 0)
		report.why =
			"the run does not go as its schedule says: " + std::to_string(counts.seen) +
			" accesses, and no three in its order";
	else if (region.active && stream.unknown >= few_accesses &&
		 4 * stream.unknown > counts.seen)
		report.why = "the run waits for what its schedule does not read, " +
			     std::to_string(stream.unknown) + " times so far";
	return report;
}

std::vector<PlanReport> Conductor::reports() const
{
	std::vector<PlanReport> reports;

	for (const auto &[id, region] : state_->regions)
		for (const auto &stream : region.streams)
			reports.push_back(state_->report(region, stream));
	return reports;
}

} // namespace itme
