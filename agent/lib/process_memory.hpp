// SPDX-License-Identifier: GPL-2.0-only
// Whose memory is where: anonymous memory and mapped regions of a process, by tier.
#pragma once

#include "lib/file.hpp"
#include "lib/json.hpp"

#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace itme {

// Bytes. A region's are those that the process has mapped: several may map the same.
struct ProcessMemory {
	std::uint64_t anon_dram = 0, anon_cxl = 0, region_dram = 0, region_cxl = 0;

	bool operator==(const ProcessMemory &) const = default;
};

// Of /proc/PID/numa_maps; `cxl` are the nodes of CXL memory, `mounts` those of regions.
[[nodiscard]] ProcessMemory parse_numa_maps(const std::string &text, const std::set<int> &cxl,
					    const std::vector<Path> &mounts);

// Of each process that maps a region or has declared memory: what `itmectl top` shows.
// declared: MemoryKeeper::to_json(), or a null.
[[nodiscard]] Json memory_json(const Path &root, const Json &declared);

} // namespace itme
