// SPDX-License-Identifier: GPL-2.0-only
// A quick look at this machine: good for a first answer, not for a report.
#pragma once

#include "lib/error.hpp"
#include "lib/rates.hpp"

#include <string>

namespace itme {

// Reads parts of `file` past the page cache for a moment, several at once, and
// sums up memory on all processors. CXL keeps its assumed rate.
[[nodiscard]] Result<Rates> measure_rates(const std::string &file);

} // namespace itme
