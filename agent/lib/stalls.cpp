// SPDX-License-Identifier: GPL-2.0-only
#include "lib/stalls.hpp"

#include <algorithm>

namespace itme {

namespace {

template <typename Sum, typename Key> std::vector<Sum> most_stalled_first(std::map<Key, Sum> sums)
{
	std::vector<Sum> sorted;

	for (auto &[key, sum] : sums)
		sorted.push_back(std::move(sum));
	std::ranges::stable_sort(sorted, std::greater<>(),
				 [](const Sum &sum) { return sum.stalls.ns(); });
	return sorted;
}

void subtract(std::uint64_t &later, std::uint64_t earlier)
{
	later = since(later, earlier);
}

void subtract(Stalls &later, const Stalls &earlier)
{
	for (std::size_t i = 0; i < stall_causes; i++) {
		subtract(later.by_cause[i].count, earlier.by_cause[i].count);
		subtract(later.by_cause[i].bytes, earlier.by_cause[i].bytes);
		subtract(later.by_cause[i].ns, earlier.by_cause[i].ns);
	}
}

void subtract(RegionCounts &later, const RegionCounts &earlier)
{
	subtract(later.faults, earlier.faults);
	subtract(later.waited_reads, earlier.waited_reads);
	subtract(later.touches, earlier.touches);
	subtract(later.errors, earlier.errors);
	subtract(later.stalls, earlier.stalls);
	later.latency_ns -= earlier.latency_ns;
	later.lead_ns -= earlier.lead_ns;
	later.fill_ns -= earlier.fill_ns;
	for (std::size_t tier = 0; tier < later.bytes.size(); tier++) {
		for (std::size_t cause = 0; cause < byte_causes; cause++)
			subtract(later.bytes[tier][cause], earlier.bytes[tier][cause]);
		subtract(later.dropped_bytes[tier], earlier.dropped_bytes[tier]);
	}
	for (std::size_t i = 0; i < hint_classes_seen; i++) {
		subtract(later.prefetch[i].accepted, earlier.prefetch[i].accepted);
		subtract(later.prefetch[i].clipped, earlier.prefetch[i].clipped);
		subtract(later.prefetch[i].fetched, earlier.prefetch[i].fetched);
		subtract(later.prefetch[i].useful, earlier.prefetch[i].useful);
		subtract(later.prefetch[i].wasted, earlier.prefetch[i].wasted);
	}
	subtract(later.promote_ns, earlier.promote_ns);
	subtract(later.demote_ns, earlier.demote_ns);
	subtract(later.held_moves, earlier.held_moves);
}

} // namespace

std::vector<ProcessStalls> by_process(std::span<const ThreadStalls> threads)
{
	std::map<std::uint32_t, ProcessStalls> sums;

	for (const auto &thread : threads) {
		auto &sum = sums[thread.pid];

		if (sum.threads == 0 || thread.tid == thread.pid)
			sum.comm = thread.comm;
		if (sum.threads == 0 || thread.first_ns < sum.first_ns)
			sum.first_ns = thread.first_ns;
		sum.pid = thread.pid;
		sum.cgroup_id = thread.cgroup_id;
		sum.last_ns = std::max(sum.last_ns, thread.last_ns);
		sum.threads++;
		sum.stalls += thread.stalls;
	}
	return most_stalled_first(std::move(sums));
}

std::vector<CgroupStalls> by_cgroup(std::span<const ThreadStalls> threads,
				    const std::map<std::uint64_t, std::string> &paths)
{
	std::map<std::uint64_t, CgroupStalls> sums;

	for (const auto &thread : threads) {
		auto &sum = sums[thread.cgroup_id];

		if (const auto path = paths.find(thread.cgroup_id); path != paths.end())
			sum.path = path->second;
		sum.cgroup_id = thread.cgroup_id;
		sum.threads++;
		sum.stalls += thread.stalls;
	}
	return most_stalled_first(std::move(sums));
}

std::vector<PositionStalls> by_position(std::span<const GranuleCounts> granules, RegionId region,
					const Landmarks &landmarks)
{
	std::vector<PositionStalls> positions(landmarks.steps());

	for (std::uint32_t step = 0; step < landmarks.steps(); step++) {
		positions[step].position = step;
		positions[step].name = landmarks.name_of(step);
	}
	for (const auto &granule : granules) {
		const auto step = granule.region == region ? landmarks.first_step(granule.granule)
							   : std::nullopt;
		if (!step)
			continue;
		for (std::size_t i = 0; i < stall_causes; i++)
			positions[*step].stall_ns[i] += granule.stall_ns[i];
	}
	return positions;
}

double ProcessStalls::share(StallCause cause) const
{
	if (last_ns <= first_ns || threads == 0)
		return 0;
	const double wall = static_cast<double>(last_ns - first_ns) * threads;
	return std::min(1.0, static_cast<double>(stalls.of(cause).ns) / wall);
}

Snapshot difference(const Snapshot &later, const Snapshot &earlier)
{
	Snapshot result = later;

	result.attached_ns = earlier.time_ns;
	for (auto &region : result.regions) {
		const auto before =
			std::ranges::find(earlier.regions, region.id, &RegionCounts::id);
		if (before != earlier.regions.end())
			subtract(region, *before);
	}
	for (auto &thread : result.threads) {
		const auto before =
			std::ranges::find_if(earlier.threads, [&](const ThreadStalls &t) {
				return t.tid == thread.tid && t.pid == thread.pid &&
				       t.first_ns == thread.first_ns;
			});
		if (before == earlier.threads.end())
			continue;
		subtract(thread.stalls, before->stalls);
		thread.first_ns = earlier.time_ns;
	}
	std::erase_if(result.threads, [&](const ThreadStalls &thread) {
		return !thread.alive && thread.last_ns < earlier.time_ns;
	});
	std::ranges::stable_sort(result.threads, std::greater<>(),
				 [](const ThreadStalls &t) { return t.stalls.ns(); });
	for (auto &drop : result.drops) {
		const auto before = std::ranges::find(earlier.drops, drop.reason, &Drop::reason);
		if (before != earlier.drops.end())
			subtract(drop.count, before->count);
	}
	return result;
}

} // namespace itme
