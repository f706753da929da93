// SPDX-License-Identifier: GPL-2.0-only
#include "lib/division.hpp"

#include "lib/memory_plan.hpp"

#include <algorithm>
#include <optional>

namespace itme {

namespace {

constexpr std::uint64_t parts = 8; // that are tried first
constexpr int closer = 3;          // and then each time half as far beside the best
constexpr std::uint64_t keep = 8;  // granules that stay with the regions
constexpr double worth = 1 - 1e-6; // a cost that is less by less is the same

class Divider {
public:
	Divider(const Schedule &with, const PlanOptions &from, std::uint64_t bytes)
	    : regions(with), options(from), memory(bytes),
	      unit(std::max(from.budget.granule_bytes, memory_piece_bytes)),
	      whole(from.budget.dram_bytes)
	{
		options.with_hints = false;
		options.thorough = false;
	}

	Result<Division> run()
	{
		const auto kept = keep * options.budget.granule_bytes;
		const auto most = std::min(whole - std::min(whole, kept), memory) / unit;

		if (auto done = attempt(0); !done)
			return std::unexpected(done.error());
		best->memory_before_s = best->memory_s;
		best->regions_before_s = best->regions_s;
		const auto before = *best;
		const auto step = std::max<std::uint64_t>(most / parts, 1);
		for (auto units = step; units <= most; units += step)
			if (auto done = attempt(units * unit); !done)
				return std::unexpected(done.error());
		auto distance = step / 2;
		for (int i = 0; i < closer && distance > 0; i++, distance /= 2) {
			const auto middle = best->memory_bytes / unit;

			for (const auto units : {middle - std::min(middle, distance),
						 std::min(most, middle + distance)})
				if (auto done = attempt(units * unit); !done)
					return std::unexpected(done.error());
		}
		best->memory_before_s = before.memory_s;
		best->regions_before_s = before.regions_s;
		return *best;
	}

private:
	// So much of it for the memory: is that better than what was tried before?
	Result<void> attempt(std::uint64_t bytes)
	{
		const auto in_dram = static_cast<double>(std::min(bytes, memory));
		Division next{.memory_bytes = bytes, .frames_bytes = whole - bytes};

		options.budget.dram_bytes = next.frames_bytes;
		const auto plan = make_plan(regions, options);
		if (!plan)
			return std::unexpected(plan.error());
		for (const auto &stream : plan->streams)
			next.regions_s += stream.weight * stream.timing.pass_s;
		next.memory_s =
			in_dram / options.rates.dram.bytes_per_s +
			(static_cast<double>(memory) - in_dram) / options.rates.cxl.bytes_per_s;
		if (!best ||
		    next.memory_s + next.regions_s < worth * (best->memory_s + best->regions_s))
			best = next;
		return {};
	}

	const Schedule &regions;
	PlanOptions options;
	std::uint64_t memory, unit, whole;
	std::optional<Division> best;
};

} // namespace

Result<Division> divide(const Schedule &regions, const PlanOptions &options,
			std::uint64_t memory_bytes)
{
	return Divider{regions, options, memory_bytes}.run();
}

} // namespace itme
