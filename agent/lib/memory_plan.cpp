// SPDX-License-Identifier: GPL-2.0-only
#include "lib/memory_plan.hpp"

#include <algorithm>

namespace itme {

std::vector<MemoryRange> cut(std::span<const MemoryRange> ranges)
{
	std::vector<MemoryRange> pieces;

	for (const auto &range : ranges) {
		const auto end = range.address + range.bytes;

		for (auto at = range.address; at < end;) {
			const auto next = (at / memory_piece_bytes + 1) * memory_piece_bytes;

			pieces.push_back({at, std::min(next, end) - at});
			at = std::min(next, end);
		}
	}
	return pieces;
}

std::vector<Home> memory_homes(std::span<const MemoryRange> pieces, std::uint64_t dram_bytes)
{
	const auto dram = std::min<std::uint64_t>(pieces.size(), dram_bytes / memory_piece_bytes);

	if (pieces.empty() || dram == 0)
		return std::vector<Home>(pieces.size(), Home::cxl);
	if (dram == pieces.size())
		return std::vector<Home>(pieces.size(), Home::dram);
	// Each is read once a pass, so each is worth the same: what counts is when.
	Ranking ranking;
	for (std::size_t i = 0; i < pieces.size(); i++)
		ranking.exact.push_back(
			{.granule = static_cast<std::uint32_t>(i),
			 .value = 1,
			 .when = static_cast<float>(i) / static_cast<float>(pieces.size())});
	std::vector<Home> homes(pieces.size(), Home::cxl);
	place(ranking, {.exact = pieces.size(), .cxl = pieces.size() - dram}, homes);
	return homes;
}

std::vector<std::pair<std::size_t, std::size_t>> swaps(std::span<const Home> homes,
						       const std::vector<bool> &idle)
{
	std::vector<std::size_t> leaving, coming;
	std::vector<std::pair<std::size_t, std::size_t>> pairs;

	for (std::size_t i = 0; i < homes.size(); i++) {
		if (idle[i] && homes[i] == Home::dram)
			leaving.push_back(i);
		else if (!idle[i] && homes[i] == Home::cxl)
			coming.push_back(i);
	}
	const auto count = std::min(leaving.size(), coming.size());
	for (std::size_t i = 0; i < count; i++)
		pairs.emplace_back(leaving[i * leaving.size() / count],
				   coming[i * coming.size() / count]);
	return pairs;
}

} // namespace itme
