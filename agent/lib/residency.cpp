// SPDX-License-Identifier: GPL-2.0-only
#include "lib/residency.hpp"

#include <algorithm>
#include <span>

namespace itme {

namespace {

constexpr std::size_t most_named = 8; // runs in one line of text

char cell_of(std::span<const Granule> cell)
{
	const auto in = [cell](Tier tier) {
		return std::ranges::count(cell, tier, &Granule::tier);
	};
	const auto dram = in(Tier::dram), cxl = in(Tier::cxl);
	const bool whole = in(Tier::store) == 0;

	if (std::ranges::any_of(cell, &Granule::busy))
		return '~';
	if (dram + cxl == 0)
		return '.';
	if (dram >= cxl)
		return whole ? 'D' : 'd';
	return whole ? 'C' : 'c';
}

} // namespace

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

std::vector<GranuleRun> runs_with(const std::vector<Granule> &granules, bool Granule::*flag)
{
	std::vector<GranuleRun> runs;
	bool inside = false;

	for (std::uint64_t i = 0; i < granules.size(); i++) {
		if (granules[i].*flag && inside)
			runs.back().count++;
		else if (granules[i].*flag)
			runs.push_back({i, 1, granules[i]});
		inside = granules[i].*flag;
	}
	return runs;
}

std::string describe(const std::vector<GranuleRun> &runs)
{
	std::string text;
	std::size_t named = 0;

	for (const auto &run : runs) {
		if (named == most_named)
			return text + " and " + std::to_string(runs.size() - named) + " more";
		text += (named++ ? ", " : "") + std::to_string(run.first);
		if (run.count > 1)
			text += "-" + std::to_string(run.first + run.count - 1);
	}
	return text;
}

std::string map_of(const std::vector<Granule> &granules, std::uint64_t per_cell)
{
	std::string map;

	for (std::uint64_t first = 0; first < granules.size(); first += per_cell)
		map += cell_of({granules.data() + first,
				std::min<std::uint64_t>(per_cell, granules.size() - first)});
	return map;
}

} // namespace itme
