// SPDX-License-Identifier: GPL-2.0-only
// Stalls summed up the ways that people ask for: by process, cgroup and position.
#pragma once

#include "lib/position.hpp"
#include "lib/snapshot.hpp"

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace itme {

struct ProcessStalls {
	std::uint32_t pid = 0;
	std::string comm; // of the thread whose tid is the pid, or else of any
	std::uint64_t cgroup_id = 0;
	std::uint64_t first_ns = 0, last_ns = 0;
	std::uint32_t threads = 0;
	Stalls stalls;

	// The mean over its threads that have waited, 0 to 1: what share of the wall time
	// since first_ns one of them stood still.
	[[nodiscard]] double share(StallCause cause) const;
};

struct CgroupStalls {
	std::uint64_t cgroup_id = 0;
	std::string path; // "/system.slice/llama.service"; empty where it is not found
	std::uint32_t threads = 0;
	Stalls stalls;
};

struct PositionStalls {
	std::uint32_t position = 0; // index into the program's steps
	std::string name;
	std::array<std::uint64_t, stall_causes> stall_ns{};
};

// All most stalled first, but positions in their order.
[[nodiscard]] std::vector<ProcessStalls> by_process(std::span<const ThreadStalls> threads);
[[nodiscard]] std::vector<CgroupStalls>
by_cgroup(std::span<const ThreadStalls> threads, const std::map<std::uint64_t, std::string> &paths);
// A granule that several steps share counts for the first of them.
[[nodiscard]] std::vector<PositionStalls> by_position(std::span<const GranuleCounts> granules,
						      RegionId region, const Landmarks &landmarks);

// Of two snapshots of one probe: what happened between them.
[[nodiscard]] Snapshot difference(const Snapshot &later, const Snapshot &earlier);

} // namespace itme
