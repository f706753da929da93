// SPDX-License-Identifier: GPL-2.0-only
#include "lib/conductor_state.hpp"

#include "lib/device.hpp"

#include <algorithm>
#include <optional>
#include <utility>

namespace itme {

namespace {

constexpr std::uint64_t least_patience_ns = second_ns / 1000;
constexpr std::uint64_t most_patience_ns = second_ns / 5;
constexpr std::uint64_t passes_to_trust = 2;
// So much another time of a pass is worth another plan; and so much less that is saved than
// could be, by the residents among what is chosen from.
constexpr double other_compute = 1.2, other_choice = 0.9;
// And so much is worth to time the same plan again.
constexpr double other_time = 1.05;

} // namespace

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

bool Conductor::takes_guesses(RegionId region) const
{
	const auto *state = state_->find(region);

	return state != nullptr && std::ranges::any_of(state->streams, [](const auto &stream) {
		       return stream.guesses.open();
	       });
}

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
// Hints

void Conductor::State::give(InstanceState &instance, RegionState &region, StreamState &stream,
			    std::uint64_t now_ns)
{
	const auto due = stream.executor.take();
	// By the plan, in which only computing is as measured: by measured passes, who has fallen
	// behind and waits would get later deadlines for it, and so stay behind.
	const auto pass_ns = static_cast<std::uint64_t>(stream.plan.timing.pass_s * 1e9);
	const auto each_ns = pass_ns / std::max<std::uint64_t>(stream.executor.streamed(), 1);
	const Tier top = instance.window_in_cxl ? Tier::cxl : Tier::dram;
	std::vector<Hint> hints;
	std::vector<std::pair<std::size_t, std::uint64_t>> fetches; // hint, ticket
	auto behind_ns = stream.served.behind_ns(instance.most_served_ns, pass_ns);

	for (const auto &one : due) {
		Hint hint{.tier = top,
			  .offset = one.granule * region.what.granule_bytes,
			  .length = region.set.bytes_of(one.granule)};

		switch (one.op) {
		case DueHint::Op::fetch:
			// Of two streams the one goes first that needs it first, or that is
			// behind. What is late is wanted all the same, for longer than any
			// pass takes.
			if (pass_ns > 0)
				hint.deadline_ns = now_ns + instance.longest_ns + pass_ns +
						   each_ns * one.ahead - behind_ns;
			behind_ns -= std::min(behind_ns, each_ns);
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

		if (taken) {
			stream.served.add(each_ns);
			continue;
		}
		stream.executor.refused(ticket); // and those behind it
		break;
	}
	instance.most_served_ns = std::max(instance.most_served_ns, stream.served.ns());
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
		if (region.planned && differ(seconds, stream.plan.compute_s, other_time))
			retime(stream.plan, seconds);
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

const Joint *Conductor::joint(const std::string &instance) const
{
	const auto found = state_->instances.find(instance);

	return found == state_->instances.end() || !found->second.joint ? nullptr
									: &*found->second.joint;
}

// How long a stream's passes take: as measured, or until then as planned with what computing on
// them was measured to take. Each new plan measures anew.
std::optional<std::uint64_t> Conductor::State::pass_ns(const StreamState &stream)
{
	if (const auto measured = stream.meter.pass_ns())
		return measured;
	if (stream.compute_s > 0)
		return static_cast<std::uint64_t>(stream.plan.timing.pass_s * 1e9);
	return std::nullopt;
}

// Between two turns five eighths of what is fetched in advance are read: the rest outlasts the
// fetches of the next one. They are whole granules, since of few all may be read in quick
// succession; of a single one it is half.
std::uint64_t Conductor::patience_ns() const
{
	std::uint64_t patience = UINT64_MAX;

	for (const auto &[id, region] : state_->regions)
		for (const auto &stream : region.streams) {
			const auto &executor = stream.executor;
			auto wish = most_patience_ns; // until it follows

			if (executor.streamed() == 0)
				continue;
			if (executor.follows()) {
				const auto pass = State::pass_ns(stream);
				const auto each = pass.value_or(0) / executor.streamed();

				wish = std::max(each * (executor.ahead() * 5 / 8), each / 2);
			}
			patience = std::min(patience,
					    std::clamp(wish, least_patience_ns, most_patience_ns));
		}
	return patience;
}

} // namespace itme
