// SPDX-License-Identifier: GPL-2.0-only
// Heat: how often each granule was faulted in, touched or filled, over time. What
// stays mapped is not seen, and faults without a wait are by sample: heat is about a lower
// bound of use. Watches see more.
#pragma once

#include "lib/snapshot.hpp"

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <vector>

namespace itme {

// The newest intervals of one region, oldest first.
struct HeatMap {
	RegionId region;
	std::uint64_t interval_ns = 0;
	std::uint64_t first_ns = 0; // when the first interval began
	std::uint64_t granules = 0; // the highest one seen, plus one
	// [interval][granule]: accesses seen, `granules` of them in each row.
	std::vector<std::vector<std::uint32_t>> accesses;
};

// Keeps the last `intervals` of `interval` each; what is older is forgotten.
class HeatHistory {
public:
	HeatHistory(std::chrono::nanoseconds interval, std::size_t intervals);

	// Counts since attach, as Probe::granules() gives them, in any rhythm.
	void add(const std::vector<GranuleCounts> &counts, std::uint64_t time_ns);
	[[nodiscard]] HeatMap map(RegionId region) const;
	[[nodiscard]] std::vector<RegionId> regions() const;
	void forget(RegionId region);

private:
	struct Row {
		std::uint64_t begin_ns = 0;
		std::map<RegionId, std::vector<std::uint32_t>> accesses;
	};

	std::uint64_t interval_ns_;
	std::size_t intervals_;
	std::map<RegionId, std::map<std::uint64_t, std::uint64_t>> before_; // as added last
	std::deque<Row> rows_;
};

} // namespace itme
