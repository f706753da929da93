// SPDX-License-Identifier: GPL-2.0-only
// Small schedules and machines for tests of the planner.
#pragma once

#include "lib/plan.hpp"
#include "lib/schedule.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace itme::test {

constexpr uint64_t granule = 2ULL << 20;

// One region; each item is so many granules, with so much compute, in order.
struct Item {
	uint64_t granules = 1;
	uint64_t compute_ns = 0;
	uint32_t reads = 1;
};

inline Schedule cyclic(const std::vector<Item> &items, const std::string &name = "model")
{
	Schedule schedule;
	uint64_t offset = 0;

	schedule.name = name;
	schedule.programs.push_back({"pass", true, {}});
	for (size_t i = 0; i < items.size(); i++) {
		const std::string item = name + "." + std::to_string(i);
		Step step;

		schedule.objects.push_back(
			{item, Kind::weight, {{0, offset, items[i].granules * granule}}});
		step.name = item;
		step.objects = {static_cast<uint32_t>(i)};
		step.compute_ns = items[i].compute_ns;
		step.reads = items[i].reads;
		schedule.programs[0].steps.push_back(step);
		offset += items[i].granules * granule;
	}
	schedule.regions.push_back({name, "", offset});
	schedule.streams.push_back({name, 0, 1});
	return schedule;
}

// 40 layers of a dense part and 64 experts of 3 granules, 4 of them chosen.
inline Schedule with_experts()
{
	Schedule schedule = cyclic(std::vector<Item>(40, {20, 3'000'000}));
	std::vector<Step> dense;

	dense.swap(schedule.programs[0].steps);
	for (uint32_t layer = 0; layer < dense.size(); layer++) {
		Group group{"experts." + std::to_string(layer), {}, {}};
		Step step;

		for (uint32_t e = 0; e < 64; e++) {
			group.objects.push_back(static_cast<uint32_t>(schedule.objects.size()));
			schedule.objects.push_back(
				{"e." + std::to_string(layer) + "." + std::to_string(e),
				 Kind::expert,
				 {{0, schedule.regions[0].bytes, 3 * granule}}});
			schedule.regions[0].bytes += 3 * granule;
		}
		step.name = group.name;
		step.group = layer;
		step.pick = 4;
		step.compute_ns = 1'000'000;
		schedule.groups.push_back(group);
		schedule.programs[0].steps.push_back(dense[layer]);
		schedule.programs[0].steps.push_back(step);
	}
	return schedule;
}

// A link that moves a granule in so many seconds.
inline Link link(double granule_s, double p99 = 1)
{
	return {static_cast<double>(granule) / granule_s, p99, 0};
}

inline PlanOptions machine(uint64_t dram_granules, double store_granule_s, double p99 = 1)
{
	PlanOptions options;

	options.budget.dram_bytes = dram_granules * granule;
	options.budget.granule_bytes = granule;
	options.rates.store = link(store_granule_s, p99);
	options.rates.cxl = link(1e-12);
	options.rates.dram = link(1e-12);
	return options;
}

} // namespace itme::test
