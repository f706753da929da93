// SPDX-License-Identifier: GPL-2.0-only
#include "lib/joint.hpp"

#include <algorithm>

namespace itme {

namespace {

void add(Schedule &whole, const JoinPart &part)
{
	const auto &from = *part.schedule;
	const auto region = static_cast<std::uint32_t>(whole.regions.size());
	const auto first_object = static_cast<std::uint32_t>(whole.objects.size());
	const auto first_group = static_cast<std::uint32_t>(whole.groups.size());
	const auto first_program = static_cast<std::uint32_t>(whole.programs.size());
	const auto shift = [&](std::vector<std::uint32_t> &objects) {
		for (auto &object : objects)
			object += first_object;
	};

	whole.regions.push_back(from.regions[part.region]);
	for (auto object : from.objects) {
		std::erase_if(object.extents,
			      [&](const Extent &extent) { return extent.region != part.region; });
		for (auto &extent : object.extents)
			extent.region = region;
		whole.objects.push_back(std::move(object));
	}
	for (auto group : from.groups) {
		shift(group.objects);
		whole.groups.push_back(std::move(group));
	}
	for (auto program : from.programs) {
		for (auto &step : program.steps) {
			shift(step.objects);
			if (step.group)
				*step.group += first_group;
		}
		whole.programs.push_back(std::move(program));
	}
	for (auto stream : from.streams) {
		stream.program += first_program;
		stream.weight *= part.weight;
		whole.streams.push_back(std::move(stream));
	}
}

double bytes_of(const Schedule &schedule, const Step &step)
{
	double bytes = 0;

	for (const auto object : step.objects)
		bytes += static_cast<double>(schedule.objects[object].bytes());
	if (step.group) {
		const auto &group = schedule.groups[*step.group];
		double all = 0;

		for (const auto object : group.objects)
			all += static_cast<double>(schedule.objects[object].bytes());
		bytes += all * step.pick /
			 std::max<double>(1, static_cast<double>(group.objects.size()));
	}
	return bytes * step.reads;
}

} // namespace

void set_compute(Schedule &schedule, std::uint32_t program, std::uint64_t pass_ns)
{
	auto &steps = schedule.programs[program].steps;
	const bool timed =
		std::ranges::all_of(steps,
				    [](const Step &step) { return step.compute_ns.has_value(); }) &&
		std::ranges::any_of(steps, [](const Step &step) { return *step.compute_ns > 0; });
	std::vector<double> shares;
	double sum = 0;

	for (const auto &step : steps) {
		shares.push_back(timed ? static_cast<double>(*step.compute_ns)
				       : bytes_of(schedule, step));
		sum += shares.back();
	}
	if (sum <= 0)
		return;
	for (std::size_t i = 0; i < steps.size(); i++)
		steps[i].compute_ns =
			static_cast<std::uint64_t>(static_cast<double>(pass_ns) * shares[i] / sum);
}

Schedule join(std::span<const JoinPart> parts)
{
	Schedule whole;

	for (const auto &part : parts)
		add(whole, part);
	if (parts.size() == 1) {
		whole.name = parts[0].schedule->name;
		whole.model = parts[0].schedule->model;
	}
	return whole;
}

} // namespace itme
