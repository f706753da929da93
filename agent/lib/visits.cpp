// SPDX-License-Identifier: GPL-2.0-only
#include "lib/visits.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace itme {

namespace {

constexpr uint64_t most_granules = 1ULL << 28;
constexpr size_t most_visits = 1ULL << 26;
// A granule that is read again so soon is still in its slot.
constexpr size_t merge_distance = 2;

struct Touch {
	uint32_t granule;
	uint32_t order; // which of its objects' extents: gate before up before down
	float probability;
	float bytes;
};

// The chance that an object is chosen by at least one of the tokens.
std::vector<float> chances(const Group &group, uint32_t pick, uint64_t tokens)
{
	const size_t count = group.objects.size();
	const double total = std::accumulate(group.popularity.begin(), group.popularity.end(), 0.0);
	std::vector<float> chance(count);

	for (size_t i = 0; i < count; i++) {
		const double share = group.popularity.empty() ? 1.0 / static_cast<double>(count)
							      : group.popularity[i] / total;
		const double once = std::min(1.0, pick * share);

		// Just below 1, so that what is chosen stays a choice.
		chance[i] = static_cast<float>(
			std::min(0.999999, 1 - std::pow(1 - once, static_cast<double>(tokens))));
	}
	return chance;
}

class Expander {
public:
	Expander(const Schedule &from, const Grid &over, const Rates &with, uint64_t count)
	    : schedule(from), grid(over), rates(with), tokens(count)
	{
	}

	Result<Pass> run(const Program &program)
	{
		for (const Step &step : program.steps) {
			add(step);
			if (pass.visits.size() + touches.size() >= most_visits)
				return fail("program '" + program.name + "' touches more than " +
					    std::to_string(most_visits) +
					    " granules; use larger ones");
		}
		if (rates.compute_s > 0)
			stretch(rates.compute_s / std::max(pass.compute_s, 1e-30));
		return std::move(pass);
	}

private:
	void add(const Step &step)
	{
		const size_t begin = pass.visits.size();

		number = static_cast<uint32_t>(pass.is_choice.size());
		pass.is_choice.push_back(step.group.has_value());
		if (step.group)
			choose(step);
		else
			read(step);
		compute(step, begin);
	}

	template <typename F> void granules_of(const Extent &extent, F take)
	{
		const uint64_t size = grid.granule_bytes(), end = extent.offset + extent.bytes;

		for (uint64_t at = extent.offset;
		     at < end && pass.visits.size() + touches.size() < most_visits;) {
			const uint64_t next = std::min(end, (at / size + 1) * size);

			take(grid.at(extent.region, at), next - at);
			at = next;
		}
	}
	void read(const Step &step)
	{
		for (const uint32_t object : step.objects) {
			for (const Extent &extent : schedule.objects[object].extents) {
				granules_of(extent, [&](uint32_t granule, uint64_t bytes) {
					touch(granule, static_cast<float>(bytes) *
							       static_cast<float>(step.reads));
				});
			}
		}
	}
	void touch(uint32_t granule, float bytes)
	{
		auto &visits = pass.visits;

		for (size_t i = visits.size(), n = 0; i > 0 && n < merge_distance; i--, n++) {
			if (!visits[i - 1].exact())
				break;
			if (visits[i - 1].granule == granule) {
				visits[i - 1].bytes += bytes;
				pending += bytes;
				return;
			}
		}
		visits.push_back({granule, number, 1, bytes, 0});
		pending += bytes;
	}

	void choose(const Step &step)
	{
		const Group &group = schedule.groups[*step.group];
		const auto chance = chances(group, step.pick, tokens);

		for (size_t i = 0; i < group.objects.size(); i++) {
			uint32_t order = 0;

			for (const Extent &extent : schedule.objects[group.objects[i]].extents) {
				granules_of(extent, [&](uint32_t granule, uint64_t bytes) {
					touches.push_back({granule, order, chance[i],
							   static_cast<float>(bytes) *
								   static_cast<float>(step.reads)});
				});
				order++;
			}
		}
		merge_touches();
	}
	// Neighbouring experts share granules: such a one is visited if any of them is.
	void merge_touches()
	{
		std::sort(touches.begin(), touches.end(), [](const Touch &a, const Touch &b) {
			return a.granule != b.granule ? a.granule < b.granule : a.order < b.order;
		});
		size_t kept = 0;

		for (size_t i = 0; i < touches.size();) {
			double none = 1, expected = 0;
			const Touch &first = touches[i];

			for (; i < touches.size() && touches[i].granule == first.granule; i++) {
				none *= 1 - static_cast<double>(touches[i].probability);
				expected += static_cast<double>(touches[i].probability) *
					    static_cast<double>(touches[i].bytes);
			}
			const double any = std::max(1 - none, 1e-9);

			touches[kept++] = {first.granule, first.order,
					   static_cast<float>(std::min(any, 0.999999)),
					   static_cast<float>(expected / any)};
		}
		touches.resize(kept);
		std::stable_sort(touches.begin(), touches.end(),
				 [](const Touch &a, const Touch &b) { return a.order < b.order; });
		for (const Touch &t : touches) {
			pass.visits.push_back({t.granule, number, t.probability, t.bytes, 0});
			pending +=
				static_cast<double>(t.probability) * static_cast<double>(t.bytes);
		}
		touches.clear();
	}

	// Time is spread over a step's bytes. Where it is not stated it is what the
	// slower of memory and arithmetic takes.
	void compute(const Step &step, size_t begin)
	{
		const double bytes = pending;
		const double flops = step.flops_per_token * static_cast<double>(tokens);
		double seconds = bytes / rates.dram.bytes_per_s;

		pending = 0;
		pass.read_bytes += bytes;
		pass.flops += flops;
		if (step.compute_ns)
			seconds = static_cast<double>(*step.compute_ns) * 1e-9;
		else if (rates.flops > 0)
			seconds = std::max(seconds, flops / rates.flops);
		pass.compute_s += seconds;
		spread(seconds, begin);
	}
	// A step whose granules were all merged into earlier visits gives its time
	// to the last of those.
	void spread(double seconds, size_t begin)
	{
		double total = 0;

		if (begin == pass.visits.size()) {
			if (begin > 0)
				pass.visits.back().compute_s += static_cast<float>(seconds);
			return;
		}
		for (size_t i = begin; i < pass.visits.size(); i++)
			total += static_cast<double>(pass.visits[i].probability) *
				 static_cast<double>(pass.visits[i].bytes);
		for (size_t i = begin; i < pass.visits.size(); i++)
			pass.visits[i].compute_s += static_cast<float>(
				seconds * static_cast<double>(pass.visits[i].bytes) / total);
	}
	void stretch(double factor)
	{
		for (Visit &visit : pass.visits)
			visit.compute_s *= static_cast<float>(factor);
		pass.compute_s *= factor;
	}

	const Schedule &schedule;
	const Grid &grid;
	const Rates &rates;
	uint64_t tokens;
	Pass pass;
	uint32_t number = 0; // of the step
	double pending = 0;  // bytes that this step is expected to read
	std::vector<Touch> touches;
};

} // namespace

Result<Grid> Grid::make(const std::vector<DeclaredRegion> &regions, uint64_t granule_bytes)
{
	Grid grid;
	uint64_t total = 0;

	grid.bytes = granule_bytes;
	for (const DeclaredRegion &region : regions) {
		grid.first.push_back(static_cast<uint32_t>(total));
		grid.region_bytes.push_back(region.bytes);
		total += region.bytes / granule_bytes + (region.bytes % granule_bytes != 0 ? 1 : 0);
		if (total > most_granules)
			return fail("the regions hold more than " + std::to_string(most_granules) +
				    " granules; use larger ones");
	}
	grid.first.push_back(static_cast<uint32_t>(total));
	return grid;
}

uint32_t Grid::region_of(uint32_t granule) const
{
	return static_cast<uint32_t>(std::upper_bound(first.begin(), first.end(), granule) -
				     first.begin() - 1);
}

uint64_t Grid::bytes_of(uint32_t granule) const
{
	return std::min(bytes, region_bytes[region_of(granule)] - offset_of(granule));
}

Result<Pass> expand(const Schedule &schedule, uint32_t program, const Grid &grid,
		    const Rates &rates, uint64_t tokens)
{
	return Expander(schedule, grid, rates, std::max<uint64_t>(1, tokens))
		.run(schedule.programs[program]);
}

} // namespace itme
