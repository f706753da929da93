// SPDX-License-Identifier: GPL-2.0-only
#pragma once

#include <cstdint>
#include <vector>

namespace itme {

// Granules in a row.
struct GranuleRange {
	std::uint64_t first = 0, count = 0;

	bool operator==(const GranuleRange &) const = default;
};

// One more granule, behind those of the ranges or their last one.
inline void append(std::vector<GranuleRange> &ranges, std::uint64_t granule)
{
	if (!ranges.empty() && ranges.back().first + ranges.back().count >= granule)
		ranges.back().count = granule + 1 - ranges.back().first;
	else
		ranges.push_back({granule, 1});
}

} // namespace itme
