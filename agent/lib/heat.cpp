// SPDX-License-Identifier: GPL-2.0-only
#include "lib/heat.hpp"

#include <algorithm>

namespace itme {

HeatHistory::HeatHistory(std::chrono::nanoseconds interval, std::size_t intervals)
    : interval_ns_(static_cast<std::uint64_t>(std::max<std::int64_t>(interval.count(), 1))),
      intervals_(std::max<std::size_t>(intervals, 1))
{
}

void HeatHistory::add(const std::vector<GranuleCounts> &counts, std::uint64_t time_ns)
{
	const auto begin_ns = time_ns - time_ns % interval_ns_;

	// Intervals in which nobody looked are there as well, and empty.
	if (!rows_.empty() && begin_ns > rows_.back().begin_ns &&
	    (begin_ns - rows_.back().begin_ns) / interval_ns_ > intervals_)
		rows_.clear();
	if (rows_.empty())
		rows_.push_back({begin_ns, {}});
	while (rows_.back().begin_ns < begin_ns)
		rows_.push_back({rows_.back().begin_ns + interval_ns_, {}});
	while (rows_.size() > intervals_)
		rows_.pop_front();

	for (const auto &granule : counts) {
		const auto accesses = granule.faults + granule.touches;
		auto &before = before_[granule.region][granule.granule];
		// A count that is smaller than before has begun anew.
		const auto since = accesses >= before ? accesses - before : accesses;

		before = accesses;
		if (since == 0)
			continue;
		auto &row = rows_.back().accesses[granule.region];
		if (row.size() <= granule.granule)
			row.resize(granule.granule + 1);
		row[granule.granule] = static_cast<std::uint32_t>(
			std::min<std::uint64_t>(row[granule.granule] + since, UINT32_MAX));
	}
}

HeatMap HeatHistory::map(RegionId region) const
{
	HeatMap map{.region = region,
		    .interval_ns = interval_ns_,
		    .first_ns = rows_.empty() ? 0 : rows_.front().begin_ns,
		    .granules = 0,
		    .accesses = {}};

	for (const auto &row : rows_)
		if (const auto found = row.accesses.find(region); found != row.accesses.end())
			map.granules = std::max<std::uint64_t>(map.granules, found->second.size());
	for (const auto &row : rows_) {
		const auto found = row.accesses.find(region);
		auto &accesses = map.accesses.emplace_back();

		if (found != row.accesses.end())
			accesses = found->second;
		accesses.resize(map.granules);
	}
	return map;
}

std::vector<RegionId> HeatHistory::regions() const
{
	std::vector<RegionId> ids;

	for (const auto &[id, granules] : before_)
		ids.push_back(id);
	return ids;
}

void HeatHistory::forget(RegionId region)
{
	before_.erase(region);
	for (auto &row : rows_)
		row.accesses.erase(region);
}

} // namespace itme
