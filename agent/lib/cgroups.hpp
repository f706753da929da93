// SPDX-License-Identifier: GPL-2.0-only
// The names of cgroups, which BPF programs know by number only.
#pragma once

#include "lib/file.hpp"

#include <cstdint>
#include <map>
#include <set>
#include <string>

namespace itme {

// Paths as "/system.slice/llama.service", "/" for the root, by id: the inode number of the
// folder in cgroup2. Those that are gone, or not visible from here, are left out.
[[nodiscard]] std::map<std::uint64_t, std::string> find_cgroups(const Path &root,
								const std::set<std::uint64_t> &ids);

} // namespace itme
