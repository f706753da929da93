// SPDX-License-Identifier: GPL-2.0-only
// What a region's residency adds up to.
#pragma once

#include "lib/device.hpp"

#include <array>
#include <cstdint>
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

} // namespace itme
