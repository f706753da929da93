// SPDX-License-Identifier: GPL-2.0-only
// Is this host set up for ITME? Facts from /sys, /proc and /lib/modules.
#pragma once

#include "lib/cxl_devices.hpp"
#include "lib/file.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace itme {

// One question and its answer. A "no" says how to mend it.
struct Check {
	std::string name;
	bool good = false;
	bool needed = true; // ITME does not run without it
	std::string found = {};
	std::string fix = {}; // when not good
};

struct Node {
	int id = 0;
	std::uint64_t memory_bytes = 0;
	std::uint64_t free_bytes = 0;
	bool has_cpus = false;
	std::uint64_t movable_bytes = 0; // in ZONE_MOVABLE
	std::string memory_tier = {};    // memory_tier4: the kernel's, for its own demotion
	// Of reads by the nearest processors, by the firmware's HMAT or CDAT; 0: not told.
	std::uint64_t read_bandwidth_mbps = 0, read_latency_ns = 0;
};

// NUMA node -> bytes that ZONE_MOVABLE manages there, of /proc/zoneinfo.
[[nodiscard]] std::map<int, std::uint64_t> parse_movable(const std::string &zoneinfo);

// "6.12.117+deb12-amd64" against the oldest kernel that is supported.
[[nodiscard]] bool is_supported_kernel(const std::string &release);

// Is the number in a list such as "0,2-3"?
[[nodiscard]] bool is_in_list(const std::string &numbers, int number);

// Nodes with or without memory, by number.
[[nodiscard]] std::vector<Node> read_nodes(const Path &root);

// Everything that doctor asks, in the order it tells.
[[nodiscard]] std::vector<Check> check_host(const Path &root, const CxlDevices &devices = {});

} // namespace itme
