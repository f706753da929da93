// SPDX-License-Identifier: GPL-2.0-only
// One frame of itmectl top, as lines. Pure, so that a test can look at it.
#pragma once

#include "lib/json.hpp"

#include <cstddef>
#include <string>
#include <vector>

namespace itme {

struct Screen {
	std::size_t columns = 80, lines = 24; // lines 0: as many as it takes
};

// `flow` is what itmed answers to "observe". No line is longer than the screen is
// wide; what does not fit is counted in the last line.
[[nodiscard]] std::vector<std::string> top_lines(const Json &flow, const Screen &screen);

} // namespace itme
