// SPDX-License-Identifier: GPL-2.0-only
// What a process has mapped, from /proc/PID/maps.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace itme {

struct Mapping {
	std::string range; // "7f12a000-7f12b000", as in map_files/
	bool executable = false;
	std::uint32_t dev = 0; // as kernel_dev()
	std::uint64_t inode = 0;
	std::string path; // empty for anonymous memory; may end in " (deleted)"
};

// Lines that are not understood are left out.
[[nodiscard]] std::vector<Mapping> parse_mappings(const std::string &maps);

// Is one of these a file on one of these devices?
[[nodiscard]] bool maps_device(const std::vector<Mapping> &mappings,
			       const std::set<std::uint32_t> &devices);

// Where a runtime's step function may be, each file once: the program itself, and
// what is called like a runtime. `program` is the path of /proc/PID/exe.
[[nodiscard]] std::vector<Mapping> runtime_files(const std::vector<Mapping> &mappings,
						 const std::string &program);

} // namespace itme
