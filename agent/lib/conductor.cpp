// SPDX-License-Identifier: GPL-2.0-only
#include "lib/conductor.hpp"

#include "lib/choices.hpp"
#include "lib/device.hpp"
#include "lib/executor.hpp"
#include "lib/guesses.hpp"
#include "lib/joint.hpp"
#include "lib/judge.hpp"
#include "lib/meter.hpp"
#include "lib/plan.hpp"
#include "lib/resident_set.hpp"
#include "lib/store_rate.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

namespace itme {

namespace {

constexpr std::uint64_t second_ns = 1'000'000'000;
constexpr std::uint64_t active_ns = 60 * second_ns; // since its last sign of life
constexpr std::uint64_t least_patience_ns = second_ns / 1000;
constexpr std::uint64_t most_patience_ns = second_ns / 10;
constexpr std::uint64_t passes_to_trust = 2;
constexpr std::uint64_t few_accesses = 16; // before a schedule is called wrong
// Between plans that only other measurements are the reason for: longer each time.
constexpr std::uint64_t least_pause_ns = 2 * second_ns, most_pause_ns = 300 * second_ns;
// So much another time of a pass is worth another plan; and so much less that is saved than
// could be, by the residents among what is chosen from.
constexpr double other_compute = 1.2, other_choice = 0.9;

// Of an instance, as sysfs has it.
struct Room {
	std::uint64_t dram_bytes = 0, cxl_bytes = 0, window_bytes = 0, pin_limit_bytes = 0;
	std::uint64_t granule_bytes = 0;

	bool operator==(const Room &) const = default;
};

struct StreamState {
	StreamState(const Conducted &what, std::uint32_t stream, std::uint64_t granules)
	    : number(stream),
	      choices(what.schedule, stream, what.declared, what.granule_bytes, granules)
	{
	}

	std::uint32_t number; // of the schedule
	Choices choices;
	Guesses guesses;
	std::uint64_t pass = 0;
	std::uint64_t unknown = 0; // waits for what the schedule does not read
	Executor executor{{}, 1};
	Meter meter;
	Judge judge;
	StreamPlan plan; // without its hints
	std::uint64_t streamed_bytes = 0;
	double compute_s = 0;  // measured, that the plan was made with; 0: estimated
	std::uint32_t pid = 0; // who reads
};

struct RegionState {
	RegionState(Conducted region, Fd file)
	    : what(std::move(region)), fd(std::move(file)), set(what.granule_bytes, what.bytes)
	{
		for (std::uint32_t i = 0; i < what.schedule.streams.size(); i++)
			streams.emplace_back(what, i, set.homes().size());
	}

	Conducted what;
	Fd fd;
	ResidentSet set;
	std::vector<StreamState> streams;
	std::uint64_t seen_ns = 0; // last sign of life
	bool active = false;       // when it was planned last
	bool planned = false;
	bool fits = false;    // with all that is planned beside it
	bool settled = false; // all is where it is to be
	std::string failure;  // why there is no plan

	[[nodiscard]] bool lives(std::uint64_t now_ns) const
	{
		return seen_ns != 0 && now_ns < seen_ns + active_ns;
	}
	[[nodiscard]] bool stays(std::uint64_t granule) const
	{
		return !planned || granule >= set.homes().size() ||
		       set.homes()[granule] != Home::store;
	}
	[[nodiscard]] bool refused() const
	{
		return std::ranges::any_of(
			streams, [](const auto &stream) { return stream.judge.refuses(); });
	}
};

// Experts, say, of which some stay in the store; looking up tokens is too little to matter.
bool chooses(const StreamPlan &plan)
{
	return plan.has_choices && plan.demand_slots > 0;
}

} // namespace

struct Conductor::State {
	struct InstanceState {
		Room room;
		StoreRate rate;
		Link planned_with;
		bool stale = true; // plan anew: there are others, or other budgets
		// Measured figures have changed: plan anew, but not time and again.
		bool outdated = false;
		std::uint64_t update_ns = 0, pause_ns = least_pause_ns; // from when on; and then
		bool window_in_cxl = false;
		// Longer than a pass of any stream: hints that are so late expire.
		std::uint64_t longest_ns = second_ns;
	};
	using Regions = std::vector<RegionState *>;

	std::map<RegionId, RegionState> regions;
	std::map<std::string, InstanceState> instances;

	RegionState *find(RegionId id)
	{
		const auto found = regions.find(id);

		return found == regions.end() ? nullptr : &found->second;
	}
	// Somebody reads the region.
	void live(RegionState &region, std::uint64_t time_ns)
	{
		region.seen_ns = std::max(region.seen_ns, time_ns);
		if (!region.active)
			instances[region.what.instance].stale = true;
	}
	Regions of(const std::string &instance)
	{
		Regions found;

		for (auto &[id, region] : regions)
			if (region.what.instance == instance)
				found.push_back(&region);
		return found;
	}

	void plan(const std::string &name, std::uint64_t now_ns);
	static Result<Plan> plan_for(InstanceState &instance, const Regions &planned);
	static void adopt(const InstanceState &instance, const Plan &plan, const Regions &planned);
	static void leave(RegionState &region);
	static void give(const InstanceState &instance, RegionState &region, StreamState &stream,
			 std::uint64_t now_ns);
	static void begin_pass(RegionState &region, StreamState &stream);
	static void drop(RegionState &region, const std::vector<std::uint32_t> &granules);
	void look(RegionState &region, std::uint64_t now_ns);
	[[nodiscard]] PlanReport report(const RegionState &region, const StreamState &stream) const;
};

Conductor::Conductor() : state_(std::make_unique<State>()) {}
Conductor::Conductor(Conductor &&) noexcept = default;
Conductor &Conductor::operator=(Conductor &&) noexcept = default;
Conductor::~Conductor() = default;

Result<void> Conductor::take_up(Conducted region)
{
	auto fd = open_path(region.file);

	if (!fd)
		return fail(region.file.string() + ": " + errno_text(fd.error()));
	const auto id = region.id;
	let_go(id);
	state_->instances[region.instance].stale = true;
	state_->regions.emplace(id, RegionState{std::move(region), std::move(*fd)});
	return {};
}

void Conductor::let_go(RegionId region)
{
	if (const auto *state = state_->find(region)) {
		state_->instances[state->what.instance].stale = true;
		state_->regions.erase(region);
	}
}

// ----------------------------------------------------------------------
// What is seen

void Conductor::see(const Event &event)
{
	if (event.kind == Event::Kind::exit || event.kind == Event::Kind::exec ||
	    event.kind == Event::Kind::pass_end) {
		for (auto &[id, region] : state_->regions)
			for (auto &stream : region.streams) {
				if (stream.pid != event.pid)
					continue;
				stream.meter.see(event);
				if (event.kind == Event::Kind::pass_end)
					continue;
				stream.pid = 0;
				stream.executor.end();
				stream.meter.cut();
				State::drop(region, stream.guesses.end());
			}
		return;
	}
	auto *region = state_->find(event.region);
	if (region == nullptr)
		return;
	state_->live(*region, event.time_ns);
	for (auto &stream : region->streams) {
		stream.meter.see(event);
		stream.choices.see(event.granule);
		if (event.kind != Event::Kind::stall && event.kind != Event::Kind::use)
			continue;
		const bool known = stream.executor.see(event) ||
				   stream.choices.step_of(event.granule).has_value() ||
				   region->stays(event.granule);
		stream.unknown += !known && event.kind == Event::Kind::stall;
		stream.guesses.see(event.granule, event.kind == Event::Kind::use ||
							  event.cause == StallCause::late);
	}
}

void Conductor::reach(const Position &position)
{
	auto *region = state_->find(position.region);

	if (region == nullptr)
		return;
	const bool certain = position.source == PositionSource::runtime ||
			     position.source == PositionSource::event;
	state_->live(*region, position.time_ns);
	for (auto &stream : region->streams) {
		if (region->what.schedule.streams[stream.number].name != position.stream)
			continue;
		stream.pid = position.pid;
		stream.meter.reach(position);
		stream.executor.reach(position.position, certain);
		if (position.pass != std::exchange(stream.pass, position.pass))
			State::begin_pass(*region, stream);
		State::drop(*region, stream.guesses.reach(position.position));
	}
}

// Watches are for the uses of what is resident, which nothing else tells.
void Conductor::State::begin_pass(RegionState &region, StreamState &stream)
{
	std::vector<Hint> hints;

	stream.guesses.begin_pass();
	if (!chooses(stream.plan))
		return;
	for (const auto &range : stream.choices.begin_pass())
		hints.push_back(watch_of(range, region.what.granule_bytes, region.what.bytes));
	// Uses that are not seen for want of a watch are only not counted.
	[[maybe_unused]] const auto done = itme::carry_out(region.fd, hints);
}

// ----------------------------------------------------------------------
// Guesses

Result<void> Conductor::guess(const Declaration &said)
{
	auto *region = state_->find(said.region);

	if (region == nullptr)
		return fail("a file that is no region here, or one without a plan");
	const auto stream = std::ranges::find_if(region->streams, [&](const auto &one) {
		return said.stream.empty() ||
		       region->what.schedule.streams[one.number].name == said.stream;
	});
	if (stream == region->streams.end())
		return fail("a stream that the region's schedule does not have");
	if (stream->choices.empty())
		return fail("a guess for a stream whose program has no choices: all is known");

	const auto granule_bytes = region->what.granule_bytes;
	std::vector<Guess> guesses;
	for (const auto &range : said.guesses) {
		const auto end = std::min(range.offset + range.length, region->what.bytes);

		for (auto g = range.offset / granule_bytes; g * granule_bytes < end; g++) {
			const auto step = stream->choices.step_of(g);

			if (step && region->set.homes()[g] == Home::store)
				guesses.push_back({static_cast<std::uint32_t>(g), *step});
		}
	}
	const auto wanted = stream->guesses.take(guesses);
	const auto window =
		state_->instances[region->what.instance].window_in_cxl ? Tier::cxl : Tier::dram;
	std::vector<Hint> hints;
	for (const auto g : wanted)
		hints.push_back({.hint_class = HintClass::likely,
				 .tier = window,
				 .offset = g * granule_bytes,
				 .length = region->set.bytes_of(g)});
	const auto results = itme::carry_out(region->fd, hints);
	for (std::size_t i = 0; i < wanted.size(); i++)
		if (!results || (*results)[i].accepted_bytes == 0)
			stream->guesses.not_fetched(wanted[i]);
	return {};
}

// It was fetched for somebody who has passed it by.
void Conductor::State::drop(RegionState &region, const std::vector<std::uint32_t> &granules)
{
	std::vector<Hint> hints;

	for (const auto granule : granules)
		for (const auto op : {HintOp::cancel, HintOp::release})
			hints.push_back({.op = op,
					 .offset = granule * region.what.granule_bytes,
					 .length = region.set.bytes_of(granule)});
	// What somebody else holds or pins stays.
	[[maybe_unused]] const auto done = itme::carry_out(region.fd, hints);
}

// ----------------------------------------------------------------------
// Planning

Result<Plan> Conductor::State::plan_for(InstanceState &instance, const Regions &planned)
{
	std::vector<Schedule> schedules;
	std::vector<JoinPart> parts;

	for (auto *region : planned) {
		auto &schedule = schedules.emplace_back(region->what.schedule);

		for (auto &stream : region->streams) {
			stream.choices.tell(schedule);
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
			stream.guesses.allow(static_cast<std::uint64_t>(stream.plan.likely_bytes) /
						     region.what.granule_bytes,
					     static_cast<std::uint32_t>(chooses(stream.plan)
										? guessed / choosing
										: 0));
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
	region.planned = region.fits = region.settled = false;
	region.set.want_nothing();
	region.set.unpin(region.fd);
	for (auto &stream : region.streams) {
		stream.executor.end();
		give({}, region, stream, 0); // takes its hints back
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

// ----------------------------------------------------------------------
// Hints

void Conductor::State::give(const InstanceState &instance, RegionState &region, StreamState &stream,
			    std::uint64_t now_ns)
{
	const auto due = stream.executor.take();
	const auto pass_ns = stream.meter.pass_ns().value_or(0);
	const Tier top = instance.window_in_cxl ? Tier::cxl : Tier::dram;
	std::vector<Hint> hints;
	std::vector<std::pair<std::size_t, std::uint64_t>> fetches; // hint, ticket

	for (const auto &one : due) {
		Hint hint{.tier = top,
			  .offset = one.granule * region.what.granule_bytes,
			  .length = region.set.bytes_of(one.granule)};

		switch (one.op) {
		case DueHint::Op::fetch:
			// Of two streams the one that needs it first goes first. What is
			// late is wanted all the same, for longer than any pass takes.
			if (pass_ns > 0)
				hint.deadline_ns = now_ns + instance.longest_ns +
						   pass_ns * one.ahead / stream.executor.streamed();
			fetches.emplace_back(hints.size(), one.ticket);
			break;
		case DueHint::Op::back:
			hint.tier = Tier::cxl;
			break;
		case DueHint::Op::drop:
			hint.op = HintOp::cancel;
			hints.push_back(hint);
			hint.op = HintOp::release;
			break;
		}
		hints.push_back(hint);
	}
	if (hints.empty())
		return;
	const auto results = itme::carry_out(region.fd, hints);
	for (const auto &[index, ticket] : fetches) {
		const bool taken = results && (*results)[index].error == 0 &&
				   (*results)[index].clipped_bytes == 0;

		if (taken)
			continue;
		stream.executor.refused(ticket); // and those behind it
		break;
	}
}

void Conductor::carry_out(std::uint64_t now_ns)
{
	for (auto &[name, instance] : state_->instances) {
		const bool update = instance.outdated && now_ns >= instance.update_ns;

		if (instance.stale)
			instance.pause_ns = least_pause_ns;
		else if (update)
			instance.pause_ns = std::min(2 * instance.pause_ns, most_pause_ns);
		if (instance.stale || update)
			state_->plan(name, now_ns);
	}
	for (auto &[id, region] : state_->regions)
		for (auto &stream : region.streams)
			if (region.planned)
				State::give(state_->instances[region.what.instance], region, stream,
					    now_ns);
}

// ----------------------------------------------------------------------
// Every few seconds

void Conductor::State::look(RegionState &region, std::uint64_t now_ns)
{
	auto &instance = instances[region.what.instance];

	if (region.planned && !region.settled)
		region.settled = region.set.settle(region.fd);
	// It has begun to run, or has ended.
	if (region.active != region.lives(now_ns))
		instance.stale = true;
	for (auto &stream : region.streams) {
		instance.longest_ns = std::max(instance.longest_ns,
					       second_ns + stream.meter.pass_ns().value_or(0));
		const bool refused = stream.judge.refuses();
		const auto granule = region.what.granule_bytes;

		stream.judge.look(stream.meter, (stream.streamed_bytes + granule - 1) / granule,
				  stream.executor.follows());
		if (refused != stream.judge.refuses())
			instance.stale = true;
		if (region.planned && !region.fits && stream.choices.known() &&
		    stream.choices.worth(region.set.homes()) < other_choice)
			instance.outdated = true;
		const auto compute = stream.meter.compute_ns();
		if (!compute || stream.meter.counted() < passes_to_trust)
			continue;
		const auto seconds = static_cast<double>(*compute) / 1e9;
		if (!differ(seconds, stream.compute_s, other_compute))
			continue;
		stream.compute_s = seconds;
		instance.outdated = instance.outdated || (region.planned && !region.fits);
	}
}

void Conductor::sample(std::uint64_t now_ns, const std::vector<Instance> &all, const Snapshot *seen)
{
	for (const auto &found : all) {
		auto &instance = state_->instances[found.name];
		const auto value = [&](const char *name) {
			return number(found.attributes, name).value_or(0);
		};
		const Room room{
			.dram_bytes = value("dram_bytes"),
			.cxl_bytes = value("cxl_bytes"),
			.window_bytes = value("window_bytes"),
			.pin_limit_bytes = value("pin_limit_bytes"),
			.granule_bytes = value("granule_bytes"),
		};

		instance.stale = instance.stale || room != instance.room;
		instance.room = room;
		if (seen == nullptr)
			continue;
		std::uint64_t bytes = 0;
		Histogram fills;
		for (const auto &region : seen->regions) {
			if (region.instance != found.name)
				continue;
			fills += region.fill_ns;
			for (std::size_t tier = 1; tier < region.bytes.size(); tier++)
				bytes += region.from_store(tier);
		}
		instance.rate.add(now_ns, bytes, fills, room.granule_bytes);
		if (const auto link = instance.rate.link())
			instance.outdated =
				instance.outdated || differ(*link, instance.planned_with);
	}
	std::erase_if(state_->instances, [&](const auto &entry) {
		return std::ranges::find(all, entry.first, &Instance::name) == all.end();
	});
	for (auto &[name, instance] : state_->instances)
		instance.longest_ns = second_ns;
	for (auto &[id, region] : state_->regions)
		state_->look(region, now_ns);
	carry_out(now_ns);
}

std::uint64_t Conductor::patience_ns() const
{
	std::uint64_t patience = UINT64_MAX;

	for (const auto &[id, region] : state_->regions)
		for (const auto &stream : region.streams) {
			const auto pass = stream.meter.pass_ns();
			const auto &executor = stream.executor;
			auto wish = most_patience_ns; // until it follows

			if (executor.streamed() == 0)
				continue;
			if (executor.follows()) // a quarter of what the slots last
				wish = pass ? *pass / executor.streamed() * executor.slots() / 4
					    : least_patience_ns;
			patience = std::min(patience,
					    std::clamp(wish, least_patience_ns, most_patience_ns));
		}
	return patience;
}

// ----------------------------------------------------------------------

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
