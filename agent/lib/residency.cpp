// SPDX-License-Identifier: GPL-2.0-only
#include "lib/residency.hpp"

#include <algorithm>

namespace itme {

TierShares add_up(const std::vector<Granule> &granules, std::uint64_t granule_bytes,
		  std::uint64_t region_bytes)
{
	TierShares shares{};
	std::uint64_t left = region_bytes;

	for (const auto &granule : granules) {
		const auto tier = static_cast<std::size_t>(granule.tier);
		const auto bytes = std::min(left, granule_bytes);

		left -= bytes;
		if (tier >= shares.size())
			continue;
		shares[tier].bytes += bytes;
		shares[tier].granules++;
		shares[tier].busy += granule.busy;
		shares[tier].dirty += granule.dirty;
		shares[tier].pinned += granule.pinned;
		shares[tier].held += granule.held;
		shares[tier].watched += granule.watched;
	}
	return shares;
}

std::vector<GranuleRun> runs_of(const std::vector<Granule> &granules)
{
	std::vector<GranuleRun> runs;

	for (std::uint64_t i = 0; i < granules.size(); i++) {
		if (!runs.empty() && runs.back().state == granules[i])
			runs.back().count++;
		else
			runs.push_back({i, 1, granules[i]});
	}
	return runs;
}

} // namespace itme
