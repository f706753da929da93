// SPDX-License-Identifier: GPL-2.0-only
// What a replay costs in reads from the store: the region's own counters, or on
// other files what the kernel counts for the process.
#pragma once

#include "replay/region.hpp"

#include <optional>

namespace itme::replay {

struct Cost {
	uint64_t store_bytes = 0;
	uint64_t misses = 0, late = 0; // of a region; else misses are major faults

	Cost operator-(const Cost &before) const
	{
		return {store_bytes - before.store_bytes, misses - before.misses,
			late - before.late};
	}
};

class Meter {
public:
	[[nodiscard]] static Result<Meter> open(const Path &path);
	[[nodiscard]] Result<Cost> read() const;

private:
	std::optional<Region> region_;
};

} // namespace itme::replay
