// SPDX-License-Identifier: GPL-2.0-only
// A program in terms of granules: which are touched, in which order, how surely
// and for how long. The planner works on nothing else.
#pragma once

#include "lib/error.hpp"
#include "lib/rates.hpp"
#include "lib/schedule.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace itme {

// Regions laid end to end and cut into granules, so that a granule is a number.
class Grid {
public:
	[[nodiscard]] static Result<Grid> make(const std::vector<DeclaredRegion> &regions,
					       uint64_t granule_bytes);

	[[nodiscard]] uint32_t granules() const { return first.back(); }
	[[nodiscard]] uint64_t granule_bytes() const { return bytes; }
	[[nodiscard]] uint32_t at(uint32_t region, uint64_t offset) const
	{
		return first[region] + static_cast<uint32_t>(offset / bytes);
	}
	[[nodiscard]] uint32_t region_of(uint32_t granule) const;
	[[nodiscard]] uint64_t offset_of(uint32_t granule) const
	{
		return (granule - first[region_of(granule)]) * bytes;
	}
	// Of a region's last granule, less than the others.
	[[nodiscard]] uint64_t bytes_of(uint32_t granule) const;

private:
	uint64_t bytes = 0;
	std::vector<uint32_t> first; // of each region, and the end
	std::vector<uint64_t> region_bytes;
};

struct Visit {
	uint32_t granule = 0;
	uint32_t step = 0;
	float probability = 1; // below 1 in choice slots only
	float bytes = 0;       // read from it, if it is visited
	float compute_s = 0;   // with it resident in DRAM, if it is visited

	[[nodiscard]] bool exact() const { return probability >= 1; }
};

// One pass of one program.
struct Pass {
	std::vector<Visit> visits;      // in order; those of a choice slot in one run
	std::vector<uint8_t> is_choice; // of each step
	double compute_s = 0;           // expected, all resident
	double read_bytes = 0;          // expected, every read counted
	double flops = 0;
};

[[nodiscard]] Result<Pass> expand(const Schedule &schedule, uint32_t program, const Grid &grid,
				  const Rates &rates, uint64_t tokens);

} // namespace itme
