// SPDX-License-Identifier: GPL-2.0-only
#include "lib/schedule.hpp"

#include <algorithm>
#include <unordered_set>

namespace itme {

namespace {

// What a schedule may hold: enough for any model, and a bound on the work that
// a hostile file can ask for.
constexpr uint32_t most_reads = 1 << 20;
constexpr uint64_t most_bytes = 1ULL << 62;
constexpr double most_weight = 1e9;

using Wrong = std::optional<std::string>;

template <typename T> Wrong unique_names(const std::vector<T> &things, const char *what)
{
	std::unordered_set<std::string_view> names;

	for (const T &thing : things) {
		if (thing.name.empty())
			return std::string(what) + " without a name";
		if (!names.insert(thing.name).second)
			return std::string(what) + " '" + thing.name + "' stands twice";
	}
	return std::nullopt;
}

Wrong check_object(const Object &object, const Schedule &schedule)
{
	if (object.extents.empty())
		return "object '" + object.name + "' has no extents";
	for (const Extent &extent : object.extents) {
		if (extent.region >= schedule.regions.size())
			return "object '" + object.name + "' lies in a region that is not there";
		const DeclaredRegion &region = schedule.regions[extent.region];

		if (extent.bytes == 0 || extent.offset > region.bytes ||
		    extent.bytes > region.bytes - extent.offset)
			return "object '" + object.name + "' does not lie within region '" +
			       region.name + "'";
	}
	return std::nullopt;
}

Wrong check_group(const Group &group, const Schedule &schedule)
{
	double total = 0;

	if (group.objects.empty())
		return "group '" + group.name + "' is empty";
	for (const uint32_t object : group.objects) {
		if (object >= schedule.objects.size())
			return "group '" + group.name + "' names an object that is not there";
	}
	if (!group.popularity.empty() && group.popularity.size() != group.objects.size())
		return "group '" + group.name + "' does not give each object a popularity";
	for (const double share : group.popularity) {
		if (!(share >= 0 && share <= most_weight))
			return "group '" + group.name + "' has a popularity that is no share";
		total += share;
	}
	if (!group.popularity.empty() && !(total > 0))
		return "group '" + group.name + "' has no object that is ever chosen";
	return std::nullopt;
}

Wrong check_step(const Step &step, const Schedule &schedule)
{
	if (step.name.empty())
		return "a step without a name";
	if (step.group.has_value() == !step.objects.empty())
		return "step '" + step.name + "' must either read objects or choose from a group";
	if (step.reads == 0 || step.reads > most_reads)
		return "step '" + step.name + "' reads " + std::to_string(step.reads) + " times";
	for (const uint32_t object : step.objects) {
		if (object >= schedule.objects.size())
			return "step '" + step.name + "' names an object that is not there";
	}
	if (!step.group && step.pick != 0)
		return "step '" + step.name + "' picks, but is no choice";
	if (!step.group)
		return std::nullopt;
	if (*step.group >= schedule.groups.size())
		return "step '" + step.name + "' names a group that is not there";
	if (step.pick == 0 || step.pick > schedule.groups[*step.group].objects.size())
		return "step '" + step.name + "' picks " + std::to_string(step.pick) + " of " +
		       std::to_string(schedule.groups[*step.group].objects.size());
	return std::nullopt;
}

} // namespace

uint64_t Object::bytes() const
{
	uint64_t sum = 0;

	for (const Extent &extent : extents)
		sum += extent.bytes;
	return sum;
}

std::string_view kind_name(Kind kind)
{
	static constexpr std::string_view names[] = {"weight", "expert", "kv", "state", "scratch"};

	return names[static_cast<size_t>(kind)];
}

Wrong check(const Schedule &schedule)
{
	for (const Wrong &wrong :
	     {unique_names(schedule.regions, "region"), unique_names(schedule.objects, "object"),
	      unique_names(schedule.groups, "group"), unique_names(schedule.programs, "program"),
	      unique_names(schedule.streams, "stream")}) {
		if (wrong)
			return wrong;
	}
	for (const DeclaredRegion &region : schedule.regions) {
		if (region.bytes == 0 || region.bytes > most_bytes)
			return "region '" + region.name + "' of " + std::to_string(region.bytes) +
			       " bytes";
	}
	for (const Object &object : schedule.objects) {
		if (const Wrong wrong = check_object(object, schedule))
			return wrong;
	}
	for (const Group &group : schedule.groups) {
		if (const Wrong wrong = check_group(group, schedule))
			return wrong;
	}
	for (const Program &program : schedule.programs) {
		if (program.steps.empty())
			return "program '" + program.name + "' has no steps";
		for (const Step &step : program.steps) {
			if (const Wrong wrong = check_step(step, schedule))
				return wrong;
		}
	}
	for (const Stream &stream : schedule.streams) {
		if (stream.program >= schedule.programs.size())
			return "stream '" + stream.name + "' runs a program that is not there";
		if (!(stream.weight > 0 && stream.weight <= most_weight))
			return "stream '" + stream.name + "' has a weight that is not above 0";
	}
	if (schedule.streams.empty())
		return "no streams";
	return std::nullopt;
}

} // namespace itme
