// SPDX-License-Identifier: GPL-2.0-only
// One plan for all regions of an instance that run, and what becomes of it.
#include "lib/conductor_state.hpp"

#include "lib/joint.hpp"

#include <algorithm>
#include <utility>

namespace itme {

Result<Plan> Conductor::State::plan_for(InstanceState &instance, const Regions &planned)
{
	std::vector<Schedule> schedules;
	std::vector<JoinPart> parts;

	for (auto *region : planned) {
		auto &schedule = schedules.emplace_back(region->what.schedule);

		for (auto &stream : region->streams) {
			stream.choices.tell(schedule, region->set.homes());
			if (stream.compute_s > 0)
				set_compute(schedule, schedule.streams[stream.number].program,
					    static_cast<std::uint64_t>(stream.compute_s * 1e9));
		}
	}
	for (std::size_t i = 0; i < planned.size(); i++)
		parts.push_back({&schedules[i], planned[i]->what.declared});
	const auto joint = join(parts);
	PlanOptions options;

	options.thorough = false; // the run goes on meanwhile
	options.budget = {.dram_bytes = instance.room.dram_bytes,
			  .cxl_bytes = instance.room.cxl_bytes,
			  .granule_bytes = instance.room.granule_bytes};
	if (const auto link = instance.rate.link()) {
		options.rates.store = *link;
		options.rates.origin = "measured";
	}
	instance.planned_with = options.rates.store;
	instance.joint = Joint{joint, options};
	auto plan = make_plan(joint, options);
	if (!plan)
		return plan;
	// What may not be pinned is part of the window, whether it is wanted there or not.
	const auto frames = (options.budget.dram_bytes + options.budget.cxl_bytes) /
			    options.budget.granule_bytes;
	const auto limit = instance.room.pin_limit_bytes / options.budget.granule_bytes;
	if (plan->window_slots == 0 || limit >= frames ||
	    plan->dram_granules + plan->cxl_granules <= limit)
		return plan;
	options.budget.window_bytes = (frames - limit + planned.size() - 1) / planned.size() *
				      options.budget.granule_bytes;
	return make_plan(joint, options);
}

// What has begun to be read is not taken back: what is certain waits for it. So the guesses
// of a pass are spread over all that it chooses, rather than being as many at once as there
// is room for.
void Conductor::State::allow_guesses(const RegionState &region, StreamState &stream,
				     std::uint64_t room)
{
	const auto a_pass =
		static_cast<std::uint64_t>(stream.plan.likely_bytes) / region.what.granule_bytes;
	const auto steps = std::max(stream.choices.steps(), 1U);

	if (!chooses(stream.plan))
		room = 0;
	stream.guesses.allow(
		a_pass, static_cast<std::uint32_t>(std::min(room, (a_pass + steps - 1) / steps)));
}

void Conductor::State::adopt(const InstanceState &instance, const Plan &plan,
			     const Regions &planned)
{
	std::size_t number = 0; // of the stream in the plan
	const auto top_bytes =
		plan.window_in_cxl ? instance.room.cxl_bytes : instance.room.dram_bytes;
	const auto top = top_bytes / instance.room.granule_bytes;
	const auto kept = plan.window_in_cxl ? plan.cxl_granules : plan.dram_granules;
	const auto streaming = static_cast<std::uint64_t>(std::ranges::count_if(
		plan.streams, [](const auto &stream) { return !stream.hints.empty(); }));
	// All that is not kept are slots, also more than the plan asks for: but what choices
	// ask for needs some, and guesses may have half of the others.
	std::uint64_t chosen = 0, choosing = 0;
	for (const auto &stream : plan.streams) {
		chosen += chooses(stream) ? stream.demand_slots : 0;
		choosing += chooses(stream);
	}
	const auto spare = top - std::min(top, kept + chosen);
	const auto guessed = choosing == 0 ? 0 : streaming == 0 ? spare : spare / 2;
	const auto slots = std::max<std::uint64_t>(
		1, (spare - guessed) / std::max<std::uint64_t>(streaming, 1));

	for (std::uint32_t i = 0; i < planned.size(); i++) {
		auto &region = *planned[i];
		const auto first = plan.grid.at(i, 0);
		const auto end =
			i + 1 < planned.size() ? plan.grid.at(i + 1, 0) : plan.grid.granules();

		region.planned = true;
		region.fits = plan.window_slots == 0;
		region.settled = false;
		region.failure.clear();
		region.set.want({plan.homes.begin() + first, plan.homes.begin() + end},
				!region.fits);
		for (auto &stream : region.streams) {
			std::vector<Streamed> order;

			stream.plan = plan.streams[number++];
			stream.streamed_bytes = 0;
			for (const auto &hint : stream.plan.hints) {
				const bool copied = plan.homes[hint.granule] == Home::copied;
				const auto granule = hint.granule - first;

				order.push_back({granule, hint.step, copied});
				stream.streamed_bytes += copied ? 0 : region.set.bytes_of(granule);
			}
			stream.plan.hints.clear();
			allow_guesses(region, stream, choosing == 0 ? 0 : guessed / choosing);
			stream.executor =
				Executor{std::move(order), static_cast<std::uint32_t>(slots),
					 stream.executor};
			stream.meter.restart();
			stream.judge.planned();
		}
	}
	// First what goes, then what comes: else there is no room under the limit of pins.
	for (auto *region : planned)
		region->set.unpin(region->fd);
	for (auto *region : planned)
		region->settled = region->set.settle(region->fd);
}

// No plan: nothing of it is kept, nothing is hinted.
void Conductor::State::leave(RegionState &region)
{
	InstanceState nothing;

	region.planned = region.fits = region.settled = false;
	region.set.want_nothing();
	region.set.unpin(region.fd);
	for (auto &stream : region.streams) {
		stream.executor.end();
		give(nothing, region, stream, 0); // takes its hints back
		drop(region, stream.guesses.end());
		stream.guesses.allow(0, 0);
		stream.executor = Executor{{}, 1, stream.executor};
		stream.streamed_bytes = 0;
		stream.plan = {};
		stream.meter.restart();
		stream.judge.planned();
	}
}

void Conductor::State::plan(const std::string &name, std::uint64_t now_ns)
{
	auto &instance = instances[name];
	Regions planned;

	if (instance.room.granule_bytes == 0)
		return; // not seen yet
	instance.stale = instance.outdated = false;
	instance.joint.reset();
	instance.update_ns = now_ns + instance.pause_ns;
	for (auto *region : of(name)) {
		region->active = region->lives(now_ns);
		if (!region->refused())
			planned.push_back(region);
	}
	// Memory is for those that run. Where nobody does, all get theirs ready.
	if (std::ranges::any_of(planned, &RegionState::active))
		std::erase_if(planned, [](const auto *region) { return !region->active; });
	for (auto *region : of(name))
		if (std::ranges::find(planned, region) == planned.end())
			leave(*region);
	if (planned.empty())
		return;
	const auto made = plan_for(instance, planned);
	if (made) {
		instance.window_in_cxl = made->window_in_cxl;
		adopt(instance, *made, planned);
		return;
	}
	for (auto *region : planned) {
		leave(*region);
		region->failure = made.error().text;
	}
}

} // namespace itme
