// SPDX-License-Identifier: GPL-2.0-only
#pragma once

#include "replay/play.hpp"

#include <iosfwd>

namespace itme::replay {

// Each pass and their median, for people or as JSON. With a bandwidth also the
// bound and the efficiency.
void print(std::ostream &out, const Played &played, const Limit &limit, bool json);

} // namespace itme::replay
