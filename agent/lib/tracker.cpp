// SPDX-License-Identifier: GPL-2.0-only
#include "lib/tracker.hpp"

#include "lib/device.hpp"
#include "lib/region_names.hpp"

#include <algorithm>
#include <cerrno>
#include <sys/stat.h>

namespace itme {

struct Tracker::State {
	struct Followed {
		RegionId id;
		std::string file;
		Fd region; // what the watches belong to
		std::uint64_t granule_bytes = 0, bytes = 0;
		std::vector<Follower> followers;
		std::string problem; // with a watch

		[[nodiscard]] std::uint64_t granules() const
		{
			return (bytes + granule_bytes - 1) / granule_bytes;
		}
	};
	std::vector<Followed> regions;

	static void watch(Followed &region);
	static Result<void> announce(Followed &region, const Declaration &said, const Sink &sink);
	static Result<void> release(const Followed &region, const Declaration &said);
};

Tracker::Tracker() : state_(std::make_unique<State>()) {}
Tracker::Tracker(Tracker &&) noexcept = default;
Tracker &Tracker::operator=(Tracker &&) noexcept = default;
Tracker::~Tracker() = default;

void Tracker::State::watch(Followed &region)
{
	for (auto &follower : region.followers) {
		for (const auto granule : follower.wanted_watches()) {
			const auto done =
				carry_out(region.region, {.op = HintOp::watch,
							  .offset = granule * region.granule_bytes,
							  .length = 1});
			const int err = done ? done->error : done.error();
			if (err != 0 && err != EALREADY)
				region.problem = region.file + ": granules cannot be watched (" +
						 errno_text(err) +
						 "): positions are seen only where the run waits";
		}
	}
}

Result<RegionId> Tracker::follow(const Path &region_file, const Schedule &schedule,
				 std::uint32_t declared)
{
	State::Followed followed;
	auto region = open_path(region_file);
	struct stat status{};

	if (!region)
		return fail(region_file.string() + ": " + errno_text(region.error()));
	const auto info = read_info(*region);
	if (!info || fstat(region->get(), &status) != 0)
		return fail(region_file.string() + ": is not a region", Exit::unsupported);
	if (declared >= schedule.regions.size() ||
	    schedule.regions[declared].bytes != static_cast<std::uint64_t>(status.st_size))
		return fail(region_file.string() + ": has " + std::to_string(status.st_size) +
			    " bytes, which is not what the schedule is about");
	followed.id = {kernel_dev(status.st_dev), status.st_ino};
	followed.file = region_file.string();
	followed.region = std::move(*region);
	followed.granule_bytes = info->granule_bytes;
	followed.bytes = static_cast<std::uint64_t>(status.st_size);
	for (std::uint32_t stream = 0; stream < schedule.streams.size(); stream++) {
		auto landmarks = Landmarks::make(schedule, stream, declared, info->granule_bytes);
		if (!landmarks)
			return std::unexpected(landmarks.error());
		followed.followers.emplace_back(followed.id, std::move(*landmarks));
	}
	forget(followed.id);
	State::watch(followed);
	state_->regions.push_back(std::move(followed));
	return state_->regions.back().id;
}

void Tracker::forget(RegionId region)
{
	std::erase_if(state_->regions, [&](const auto &followed) { return followed.id == region; });
}

void Tracker::see(const Event &event, const Sink &sink)
{
	for (auto &region : state_->regions) {
		for (auto &follower : region.followers)
			if (const auto position = follower.see(event))
				sink(*position);
		State::watch(region);
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
		watch(region);
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
			if (follower.last())
				positions.push_back(*follower.last());
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
