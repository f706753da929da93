// SPDX-License-Identifier: GPL-2.0-only
// itme mounts, from /proc/self/mountinfo.
#pragma once

#include "lib/file.hpp"

#include <string>
#include <vector>

namespace itme {

struct Mount {
	Path path;
	std::string options; // of the file system, as the kernel shows them
};

// Those of type itme, in mount order. Lines that are not understood are no mounts.
[[nodiscard]] std::vector<Mount> parse_mounts(const std::string &mountinfo);

[[nodiscard]] Sys<std::vector<Mount>> read_mounts(const Path &root);

} // namespace itme
