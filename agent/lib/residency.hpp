// SPDX-License-Identifier: GPL-2.0-only
// What a region's residency adds up to.
#pragma once

#include "lib/device.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace itme {

struct TierShare {
	std::uint64_t bytes = 0; // of the region: the last granule may be short
	std::uint64_t granules = 0;
	std::uint64_t busy = 0, dirty = 0, pinned = 0, held = 0, watched = 0; // granules
};

// Indexed by Tier.
using TierShares = std::array<TierShare, 3>;

[[nodiscard]] TierShares add_up(const std::vector<Granule> &granules, std::uint64_t granule_bytes,
				std::uint64_t region_bytes);

// Neighbours in the same state.
struct GranuleRun {
	std::uint64_t first = 0, count = 0;
	Granule state;
};

[[nodiscard]] std::vector<GranuleRun> runs_of(const std::vector<Granule> &granules);

// Neighbours that have one flag, such as &Granule::pinned; their state is the first's.
[[nodiscard]] std::vector<GranuleRun> runs_with(const std::vector<Granule> &granules,
						bool Granule::*flag);

// "0-7, 16, 20-21 and 3 more"
[[nodiscard]] std::string describe(const std::vector<GranuleRun> &runs);

// One character for each cell of so many granules:
//   .      nothing of it is in memory
//   D C    all of it is, and most of that in DRAM, or in CXL memory
//   d c    some of it is, and most of that in DRAM, or in CXL memory
//   ~      a fill or a move in it is queued or under way
[[nodiscard]] std::string map_of(const std::vector<Granule> &granules, std::uint64_t per_cell);

} // namespace itme
