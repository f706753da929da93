// SPDX-License-Identifier: GPL-2.0-only
#include "lib/tracker.hpp"

#include "lib/clock.hpp"
#include "lib/device.hpp"
#include "lib/region_names.hpp"

#include <algorithm>
#include <span>
#include <sys/stat.h>

namespace itme {

struct Tracker::State {
	struct Learning {
		Learner learner;
		std::uint64_t version = 0; // that the schedule is of
		std::optional<Schedule> schedule;
		bool watches = false; // some are set for the learner
	};
	struct Followed {
		RegionId id;
		std::string file;
		Fd region; // what the watches belong to
		std::uint64_t bytes = 0, granule_bytes = 0;
		std::vector<Follower> followers;
		std::optional<Learning> learning; // where the order is not declared
		std::string problem;              // with a watch
		std::uint64_t watch_ns = 0;       // that setting one takes, about
		bool touched = false;             // since the last process went

		[[nodiscard]] std::uint64_t granules() const
		{
			return (bytes + granule_bytes - 1) / granule_bytes;
		}
	};
	std::vector<Followed> regions;

	static Result<Followed> open(const Path &file);
	static Result<void> follow(Followed &region, const Schedule &schedule,
				   std::uint32_t declared);
	static void watch(Followed &region, std::uint64_t now_ns);
	static void keep_up(Followed &region, Learning &learning);
	static Result<void> announce(Followed &region, const Declaration &said, const Sink &sink);
	static Result<void> release(const Followed &region, const Declaration &said);
};

Tracker::Tracker() : state_(std::make_unique<State>()) {}
Tracker::Tracker(Tracker &&) noexcept = default;
Tracker &Tracker::operator=(Tracker &&) noexcept = default;
Tracker::~Tracker() = default;

Result<Tracker::State::Followed> Tracker::State::open(const Path &file)
{
	Followed followed;
	auto region = open_path(file);
	struct stat status{};

	if (!region)
		return fail(file.string() + ": " + errno_text(region.error()));
	const auto info = read_info(*region);
	if (!info || fstat(region->get(), &status) != 0)
		return fail(file.string() + ": is not a region", Exit::unsupported);
	followed.id = {kernel_dev(status.st_dev), status.st_ino};
	followed.file = file.string();
	followed.region = std::move(*region);
	followed.bytes = static_cast<std::uint64_t>(status.st_size);
	followed.granule_bytes = info->granule_bytes;
	return followed;
}

// All that is wanted, at once.
void Tracker::State::watch(Followed &region, std::uint64_t now_ns)
{
	std::vector<Hint> hints;
	const auto add = [&](const GranuleRange &range) {
		hints.push_back(watch_of(range, region.granule_bytes, region.bytes));
	};

	for (auto &follower : region.followers)
		for (const auto granule : follower.wanted_watches())
			add({granule, 1});
	if (region.learning) {
		const auto ranges = region.learning->learner.wanted_watches(now_ns);

		region.learning->watches = region.learning->watches || !ranges.empty();
		std::ranges::for_each(ranges, add);
	}
	if (hints.empty())
		return;
	const auto began_ns = monotonic_ns();
	const auto done = carry_out(region.region, hints);
	const auto each_ns = (monotonic_ns() - began_ns) / hints.size();
	region.watch_ns = region.watch_ns == 0 ? each_ns : (3 * region.watch_ns + each_ns) / 4;
	int err = done ? 0 : done.error();
	for (std::size_t i = 0; done && i < done->size() && err == 0; i++)
		err = (*done)[i].error;
	if (err != 0)
		region.problem = region.file + ": granules cannot be watched (" + errno_text(err) +
				 "): positions are seen only where the run waits";
}

Result<void> Tracker::State::follow(Followed &region, const Schedule &schedule,
				    std::uint32_t declared)
{
	for (std::uint32_t stream = 0; stream < schedule.streams.size(); stream++) {
		auto landmarks = Landmarks::make(schedule, stream, declared, region.granule_bytes);
		if (!landmarks)
			return std::unexpected(landmarks.error());
		region.followers.emplace_back(region.id, std::move(*landmarks));
	}
	return {};
}

Result<RegionId> Tracker::follow(const Path &region_file, const Schedule &schedule,
				 std::uint32_t declared)
{
	auto followed = State::open(region_file);

	if (!followed)
		return std::unexpected(followed.error());
	if (declared >= schedule.regions.size() ||
	    schedule.regions[declared].bytes != followed->bytes)
		return fail(region_file.string() + ": has " + std::to_string(followed->bytes) +
			    " bytes, which is not what the schedule is about");
	if (auto done = State::follow(*followed, schedule, declared); !done)
		return std::unexpected(done.error());
	forget(followed->id);
	State::watch(*followed, 0);
	state_->regions.push_back(std::move(*followed));
	return state_->regions.back().id;
}

Result<RegionId> Tracker::learn(const Path &region_file)
{
	auto followed = State::open(region_file);

	if (!followed)
		return std::unexpected(followed.error());
	const auto granules = followed->granules();
	if (granules == 0 || granules > Learner::most_granules)
		return fail(region_file.string() + ": has " + std::to_string(granules) +
			    " granules, and an order is learned of at most " +
			    std::to_string(Learner::most_granules) +
			    ": mount with larger ones, or declare a schedule");
	forget(followed->id);
	followed->learning.emplace(Learner{followed->id, static_cast<std::uint32_t>(granules)});
	state_->regions.push_back(std::move(*followed));
	return state_->regions.back().id;
}

void Tracker::State::keep_up(Followed &region, Learning &learning)
{
	auto &learner = learning.learner;
	const bool learned = learner.state() == Learner::State::learned;

	if (learning.watches && learner.state() != Learner::State::learning) {
		// Nothing of it is wanted any more: the granules would fault once each.
		[[maybe_unused]] const auto done = carry_out(
			region.region, {.op = HintOp::cancel, .offset = 0, .length = region.bytes});
		learning.watches = false;
	}
	if (learning.schedule && (!learned || learner.version() != learning.version)) {
		learning.schedule.reset();
		region.followers.clear();
	}
	if (learned && !learning.schedule) {
		learning.schedule = schedule_of(learner.order(), Path{region.file}.filename(),
						region.bytes, region.granule_bytes);
		learning.version = learner.version();
		if (auto done = follow(region, *learning.schedule, 0); !done)
			region.problem = region.file + ": " + done.error().text;
	}
}

void Tracker::keep_up(std::uint64_t now_ns)
{
	for (auto &region : state_->regions) {
		if (region.learning)
			State::keep_up(region, *region.learning);
		State::watch(region, now_ns);
	}
}

std::uint64_t Tracker::patience_ns() const
{
	constexpr std::uint64_t most_ns = 1'000'000'000, least_ns = most_ns / 10;
	std::uint64_t patience = most_ns;

	for (const auto &region : state_->regions) {
		if (region.learning && region.learning->learner.state() == Learner::State::learning)
			return least_ns;
		if (!region.touched)
			continue;
		for (const auto &follower : region.followers)
			patience = std::min(patience, follower.patience_ns(region.watch_ns));
	}
	return std::max(patience, least_ns);
}

std::optional<LearnedOrder> Tracker::learned(RegionId region) const
{
	for (const auto &followed : state_->regions) {
		if (followed.id != region || !followed.learning)
			continue;
		const auto &learning = *followed.learning;
		const auto &learner = learning.learner;

		return LearnedOrder{.state = learner.state(),
				    .words = learner.words(),
				    .confidence = learner.confidence(),
				    .passes = learner.passes(),
				    .version = learning.version,
				    .schedule = learning.schedule ? &*learning.schedule : nullptr};
	}
	return std::nullopt;
}

void Tracker::forget(RegionId region)
{
	std::erase_if(state_->regions, [&](const auto &followed) { return followed.id == region; });
}

void Tracker::see(const Event &event, const Sink &sink)
{
	for (auto &region : state_->regions) {
		if (event.region == region.id)
			region.touched = true;
		else if (event.kind == Event::Kind::exec || event.kind == Event::Kind::exit)
			region.touched = false;
		if (region.learning)
			region.learning->learner.see(event);
		for (auto &follower : region.followers)
			if (const auto position = follower.see(event))
				sink(*position);
	}
}

Result<void> Tracker::State::announce(Followed &region, const Declaration &said, const Sink &sink)
{
	for (auto &follower : region.followers) {
		if (!said.stream.empty() && follower.landmarks().stream() != said.stream)
			continue;
		if (said.position >= follower.landmarks().steps())
			return fail("a position that its program does not have");
		sink(follower.announce(said.pass, said.position, said.pid, said.time_ns));
		return {};
	}
	return fail("a stream that the region's schedule does not have");
}

// Only granules that lie wholly in the range, as the others hold more than it; and none
// that is on its way, since a release would wait for the store.
Result<void> Tracker::State::release(const Followed &region, const Declaration &said)
{
	const auto first = (said.offset + region.granule_bytes - 1) / region.granule_bytes;
	const auto whole_end = said.offset + said.length == region.bytes
				       ? region.granules()
				       : (said.offset + said.length) / region.granule_bytes;

	if (said.offset > region.bytes || said.length > region.bytes - said.offset)
		return fail("a range that ends past the region's end");
	if (first >= whole_end)
		return {};
	const auto granules = read_residency(region.region, first, whole_end - first);
	if (!granules)
		return fail("residency cannot be read: " + errno_text(granules.error()));
	const auto may_go = [&](std::size_t i) {
		const auto &granule = (*granules)[i];

		return granule.tier != Tier::store && !granule.busy && !granule.pinned;
	};
	for (std::size_t i = 0, end = 0; i < granules->size(); i = end + 1) {
		for (end = i; end < granules->size() && may_go(end);)
			end++;
		if (end == i)
			continue;
		const auto from = (first + i) * region.granule_bytes;
		const auto to = std::min((first + end) * region.granule_bytes, region.bytes);
		// What somebody pins or holds at this moment is refused: it is needed there.
		[[maybe_unused]] const auto done =
			carry_out(region.region,
				  {.op = HintOp::release, .offset = from, .length = to - from});
	}
	return {};
}

Result<void> Tracker::hear(const Declaration &said, const Sink &sink)
{
	const auto region = std::ranges::find(state_->regions, said.region, &State::Followed::id);

	if (region == state_->regions.end())
		return fail("a file that is no region here, or one without a schedule");
	if (said.kind != Declaration::Kind::done)
		return State::announce(*region, said, sink);
	return said.next_use == Declaration::never ? State::release(*region, said) : Result<void>{};
}

const Landmarks *Tracker::landmarks(RegionId region, const std::string &stream) const
{
	for (const auto &followed : state_->regions) {
		for (const auto &follower : followed.followers)
			if (followed.id == region && follower.landmarks().stream() == stream)
				return &follower.landmarks();
	}
	return nullptr;
}

std::vector<Position> Tracker::positions() const
{
	std::vector<Position> positions;

	for (const auto &followed : state_->regions)
		for (const auto &follower : followed.followers)
			if (const auto &last = follower.last())
				positions.push_back(*last);
	return positions;
}

std::vector<std::string> Tracker::degradations() const
{
	std::vector<std::string> sentences;

	for (const auto &followed : state_->regions) {
		if (!followed.problem.empty())
			sentences.push_back(followed.problem);
		for (const auto &follower : followed.followers)
			for (auto &sentence : follower.degradations())
				sentences.push_back(followed.file + ": " + sentence);
	}
	return sentences;
}

} // namespace itme
