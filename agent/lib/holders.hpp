// SPDX-License-Identifier: GPL-2.0-only
// Other processes that keep something in use, from /proc.
#pragma once

#include "lib/file.hpp"

#include <string>
#include <vector>

namespace itme {

struct Holder {
	int pid = 0;
	std::string command;
};

// Who has an open file, a mapping, or a working directory at or below this
// path. Without root only the caller's own processes are seen.
[[nodiscard]] std::vector<Holder> users_below(const Path &root, const Path &path);

// Who has this file open for writing.
[[nodiscard]] std::vector<Holder> writers_of(const Path &root, const Path &file);

// "vlc (12), bash (34) and 3 more"
[[nodiscard]] std::string describe(const std::vector<Holder> &holders);

} // namespace itme
