// SPDX-License-Identifier: GPL-2.0-only
#pragma once

#include "lib/error.hpp"

#include <string>

namespace itme {

// Gives a script to gnuplot and waits for it.
[[nodiscard]] Result<void> run_gnuplot(const std::string &script);

} // namespace itme
