// SPDX-License-Identifier: GPL-2.0-only
#include "lib/position.hpp"

#include <algorithm>

namespace itme {

const char *source_name(PositionSource source)
{
	static constexpr std::array names = {"runtime", "touch", "fault", "event"};

	return names[static_cast<std::size_t>(source)];
}

// ----------------------------------------------------------------------

Result<Landmarks> Landmarks::make(const Schedule &schedule, std::uint32_t stream,
				  std::uint32_t region, std::uint64_t granule_bytes)
{
	constexpr std::uint64_t most_granules = std::uint64_t{1} << 26;
	Landmarks landmarks;

	if (stream >= schedule.streams.size() || region >= schedule.regions.size() ||
	    granule_bytes == 0)
		return fail("the schedule has no such stream or region");
	const auto granules = (schedule.regions[region].bytes + granule_bytes - 1) / granule_bytes;
	if (granules > most_granules)
		return fail("the region has too many granules to follow a run in it");
	const auto &program = schedule.programs[schedule.streams[stream].program];
	landmarks.stream_name = schedule.streams[stream].name;
	landmarks.program_name = program.name;
	landmarks.is_cyclic = program.cyclic;
	landmarks.readers.resize(granules);

	// fn(granule) for what a step reads here, in its order.
	const auto for_each = [&](const std::vector<std::uint32_t> &objects, auto &&fn) {
		for (const auto object : objects) {
			for (const auto &extent : schedule.objects[object].extents) {
				if (extent.region != region || extent.bytes == 0)
					continue;
				const auto end = (extent.offset + extent.bytes - 1) / granule_bytes;
				for (auto g = extent.offset / granule_bytes; g <= end; g++)
					fn(g);
			}
		}
	};
	for (std::uint32_t step = 0; step < program.steps.size(); step++) {
		const auto note = [&](std::uint64_t granule) {
			auto &reader = landmarks.readers[granule];

			if (reader.first == none)
				reader.first = step;
			else if (reader.first != step)
				reader.only = false;
		};

		landmarks.names.push_back(program.steps[step].name);
		for_each(program.steps[step].objects, note);
		if (program.steps[step].group)
			for_each(schedule.groups[*program.steps[step].group].objects, note);
	}
	// What a choice will read is not known, so that a watch of it may never be touched.
	for (std::uint32_t step = 0; step < program.steps.size(); step++) {
		auto &mark = landmarks.marks.emplace_back();

		for_each(program.steps[step].objects, [&](std::uint64_t granule) {
			if (!mark && landmarks.readers[granule].only)
				mark = granule;
		});
	}
	return landmarks;
}

std::optional<std::uint32_t> Landmarks::first_step(std::uint64_t granule) const
{
	if (granule >= readers.size() || readers[granule].first == none)
		return std::nullopt;
	return readers[granule].first;
}

std::optional<std::uint32_t> Landmarks::step_of(std::uint64_t granule) const
{
	const auto first = first_step(granule);

	return first && readers[granule].only ? first : std::nullopt;
}

std::optional<std::uint64_t> Landmarks::mark_of(std::uint32_t step) const
{
	return step < marks.size() ? marks[step] : std::nullopt;
}

std::uint32_t Landmarks::without_mark() const
{
	return static_cast<std::uint32_t>(
		std::ranges::count_if(marks, [](const auto &mark) { return !mark; }));
}

// ----------------------------------------------------------------------

Follower::Follower(RegionId region, Landmarks landmarks)
    : region_(region), landmarks_(std::move(landmarks)), watches_(landmarks_.steps())
{
}

Position Follower::publish(std::uint32_t step, const Event &event, std::uint64_t time_ns,
			   PositionSource source)
{
	last_ = Position{
		.region = region_,
		.stream = landmarks_.stream(),
		.program = landmarks_.program(),
		.pass = pass_,
		.position = step,
		.name = landmarks_.name_of(step),
		.pid = event.pid,
		.tid = event.tid,
		.time_ns = time_ns,
		.source = source,
	};
	return *last_;
}

// A watch that was not touched in a whole pass may have been lost, with its event.
void Follower::next_pass(std::uint64_t time_ns)
{
	pass_++;
	if (began_ns_ != 0 && time_ns > began_ns_)
		pass_ns_ = time_ns - began_ns_;
	began_ns_ = time_ns;
	for (auto &watch : watches_) {
		watch.set = watch.set && watch.touched;
		watch.touched = false;
	}
}

void Follower::notice_reader(const Event &event)
{
	if (pid_ == 0)
		pid_ = event.pid;
	else if (event.pid != pid_)
		other_pid_ = event.pid;
	if (event.pid == began_pid_ && event.pid == pid_)
		told_ = true;
}

std::optional<Position> Follower::begin_pass(const Event &event)
{
	began_pid_ = event.pid;
	in_pass_ = true;
	if (event.pid != pid_ || announced_ || landmarks_.steps() == 0)
		return std::nullopt;
	told_ = true;
	cut_short_.clear();
	next_pass(event.time_ns);
	return publish(0, event, event.time_ns, PositionSource::runtime);
}

std::optional<Position> Follower::see_granule(const Event &event)
{
	const bool waited = event.kind == Event::Kind::stall;
	const auto step = landmarks_.step_of(event.granule);
	// What was waited for was wanted when the wait began.
	const auto time_ns = event.time_ns - (waited ? static_cast<std::uint64_t>(event.value) : 0);

	notice_reader(event);
	if (event.kind == Event::Kind::touch && step && landmarks_.mark_of(*step) == event.granule)
		watches_[*step] = {.set = false, .touched = true};
	if (!step || (last_ && time_ns < last_->time_ns))
		return std::nullopt;
	if (pass_ == 0) {
		pass_ = 1;
	} else if (last_ && !told_ && landmarks_.cyclic() && *step < last_->position &&
		   last_->position - *step > landmarks_.steps() / 2) {
		next_pass(time_ns); // it has come round
		if (!waited)
			watches_[*step].touched = true;
	} else if (last_ && last_->position == *step) {
		return std::nullopt;
	}
	return publish(*step, event, time_ns,
		       waited ? PositionSource::fault : PositionSource::touch);
}

std::optional<Position> Follower::see(const Event &event)
{
	switch (event.kind) {
	case Event::Kind::touch:
	case Event::Kind::stall:
	case Event::Kind::use:
		return event.region == region_ ? see_granule(event) : std::nullopt;
	case Event::Kind::pass_begin:
		return begin_pass(event);
	case Event::Kind::pass_end:
		in_pass_ = in_pass_ && event.pid != began_pid_;
		return std::nullopt;
	case Event::Kind::exec:
	case Event::Kind::exit:
		if (event.pid == other_pid_)
			other_pid_ = 0;
		if (event.pid == pid_) { // the next one begins anew
			if (in_pass_ && event.pid == began_pid_ && last_)
				cut_short_ = "process " + std::to_string(pid_) +
					     (event.kind == Event::Kind::exec
						      ? " has executed another program"
						      : " has ended") +
					     " in the middle of pass " + std::to_string(pass_) +
					     ", at " + last_->name + ": that pass is not whole";
			in_pass_ = false;
			pid_ = std::exchange(other_pid_, 0);
			told_ = announced_ = false;
			last_.reset();
			if (pass_ > 0)
				next_pass(0);
			pass_ns_ = 0;
		}
		return std::nullopt;
	}
	return std::nullopt;
}

Position Follower::announce(std::uint64_t pass, std::uint32_t position, std::uint32_t pid,
			    std::uint64_t time_ns)
{
	Event event;

	event.pid = pid;
	if (pid_ != pid && !announced_) // who declares is followed rather than who only reads
		other_pid_ = pid_;
	pid_ = pid;
	if (last_ && pass == pass_ && time_ns < last_->time_ns)
		return *last_; // a touch has told more since it was sent
	if (pass != pass_)
		next_pass(time_ns);
	pass_ = pass;
	told_ = announced_ = true;
	return publish(std::min(position, landmarks_.steps() - 1), event, time_ns,
		       PositionSource::event);
}

std::vector<std::uint64_t> Follower::wanted_watches()
{
	std::vector<std::uint64_t> granules;

	for (std::uint32_t step = 0; step < landmarks_.steps(); step++) {
		const auto mark = landmarks_.mark_of(step);

		// Where it is now it would be touched again at once.
		if (!mark || watches_[step].set || (last_ && last_->position == step))
			continue;
		watches_[step].set = true;
		granules.push_back(*mark);
	}
	return granules;
}

std::uint64_t Follower::patience_ns(std::uint64_t watch_ns) const
{
	// What it takes here, and for the reader a fault and a flush of the TLB: as much again.
	const auto bearable_ns = 100 * 2 * watch_ns * landmarks_.steps();

	// Twice: of passes that are not followed each time, one that was seen looks as long as
	// this patience.
	return pass_ns_ > 0 && pass_ns_ < 2 * bearable_ns ? bearable_ns : pass_ns_ / 4;
}

std::vector<std::string> Follower::degradations() const
{
	std::vector<std::string> sentences;
	const auto stream = "stream " + landmarks_.stream();

	if (const auto lost = landmarks_.without_mark(); lost > 0)
		sentences.push_back(
			stream + ": " + std::to_string(lost) + " of " +
			std::to_string(landmarks_.steps()) +
			" positions read no granule that is only theirs and always read: "
			"they are seen when they wait, or not at all");
	if (other_pid_ != 0)
		sentences.push_back(
			stream + ": processes " + std::to_string(pid_) + " and " +
			std::to_string(other_pid_) +
			" read this region: a position is of whichever came first there");
	if (!cut_short_.empty())
		sentences.push_back(stream + ": " + cut_short_);
	if (pass_ > 0 && !told_)
		sentences.push_back(stream + ": the runtime tells no passes: they are counted "
					     "when positions begin anew");
	return sentences;
}

} // namespace itme
