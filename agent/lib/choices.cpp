// SPDX-License-Identifier: GPL-2.0-only
#include "lib/choices.hpp"

#include <algorithm>
#include <functional>
#include <set>

namespace itme {

namespace {

// Each of the first passes is counted, and then one in so many.
constexpr std::uint64_t first_passes = 64, one_in = 8;
constexpr std::uint64_t enough = 4; // counted passes, to plan by
// Older uses count half as much after so many counted passes.
constexpr std::uint64_t half_life = 128;
constexpr double lead = 0.5; // uses: of what stays, over what would come in its place

} // namespace

Choices::Choices(const Schedule &schedule, std::uint32_t stream, std::uint32_t region,
		 std::uint64_t granule_bytes, std::uint64_t granules)
    : number_(granules)
{
	const auto &program = schedule.programs[schedule.streams[stream].program];
	std::set<std::uint32_t> groups;

	for (std::uint32_t step = 0; step < program.steps.size(); step++) {
		const auto &group = program.steps[step].group;

		if (!group)
			continue;
		steps_++;
		const bool is_new = groups.insert(*group).second;
		const auto &objects = schedule.groups[*group].objects;
		for (std::uint32_t i = 0; i < objects.size(); i++) {
			Chosen object{.group = *group, .index = i, .members = {}};

			for (const auto &extent : schedule.objects[objects[i]].extents) {
				const auto end = extent.offset + extent.bytes;

				if (extent.region != region)
					continue;
				for (auto g = extent.offset / granule_bytes;
				     g * granule_bytes < end && g < granules; g++)
					object.members.push_back(
						add(static_cast<std::uint32_t>(g), step));
			}
			if (is_new && !object.members.empty())
				objects_.push_back(std::move(object));
		}
	}
	for (std::uint64_t g = 0; g < number_.size(); g++)
		if (number_[g] != 0)
			append(ranges_, g);
}

std::uint32_t Choices::add(std::uint32_t granule, std::uint32_t step)
{
	if (number_[granule] == 0) {
		members_.push_back({.granule = granule});
		number_[granule] = static_cast<std::uint32_t>(members_.size());
	}
	members_[number_[granule] - 1].step = step;
	return number_[granule] - 1;
}

Choices::Member *Choices::find(std::uint64_t granule)
{
	if (granule >= number_.size() || number_[granule] == 0)
		return nullptr;
	return &members_[number_[granule] - 1];
}

std::optional<std::uint32_t> Choices::step_of(std::uint64_t granule) const
{
	if (granule >= number_.size() || number_[granule] == 0)
		return std::nullopt;
	return members_[number_[granule] - 1].step;
}

void Choices::see(std::uint64_t granule)
{
	auto *member = counts_ ? find(granule) : nullptr;

	if (member == nullptr || member->used)
		return;
	member->used = true;
	member->uses++;
}

std::vector<GranuleRange> Choices::begin_pass()
{
	if (empty())
		return {};
	counted_ += counts_;
	if (counts_ && counted_ % half_life == 0)
		for (auto &member : members_)
			member.uses /= 2;
	counts_ = passes_ < first_passes || passes_ % one_in == 0;
	passes_++;
	if (!counts_)
		return {};
	for (auto &member : members_)
		member.used = false;
	return ranges_;
}

bool Choices::known() const
{
	return counted_ >= enough;
}

void Choices::tell(Schedule &schedule, std::span<const Home> homes) const
{
	if (!known())
		return;
	for (const auto &object : objects_) {
		auto &group = schedule.groups[object.group];
		double uses = 1; // what was never seen may come all the same

		for (const auto number : object.members) {
			const auto &member = members_[number];

			uses += (static_cast<double>(member.uses) +
				 (stays(member, homes) ? lead : 0)) /
				static_cast<double>(object.members.size());
		}
		group.popularity.resize(group.objects.size(), 1);
		group.popularity[object.index] = uses;
	}
}

double Choices::worth(std::span<const Home> homes) const
{
	std::vector<float> uses;
	std::size_t kept = 0;
	double saved = 0, best = 0;

	for (const auto &member : members_) {
		const bool kept_now = stays(member, homes);

		uses.push_back(member.uses);
		kept += kept_now;
		saved += kept_now ? static_cast<double>(member.uses) : 0;
	}
	std::ranges::nth_element(uses, uses.begin() + static_cast<std::ptrdiff_t>(kept),
				 std::greater<>());
	for (std::size_t i = 0; i < kept; i++)
		best += static_cast<double>(uses[i]);
	return best > 0 ? saved / best : 1;
}

} // namespace itme
