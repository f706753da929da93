// SPDX-License-Identifier: GPL-2.0-only
// itme mounts, from /proc/self/mountinfo.
#pragma once

#include "lib/fd.hpp"
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

// Tells whether mounts have come or gone without reading the list, which the kernel writes
// anew for each reader. See proc_pid_mountinfo(5).
class MountWatch {
public:
	// Since the last call; true at the first, and where the kernel does not tell.
	[[nodiscard]] bool changed(const Path &root);

private:
	Fd file_;
};

} // namespace itme
