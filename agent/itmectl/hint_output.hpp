// SPDX-License-Identifier: GPL-2.0-only
// What came of a hint, as people and programs read it.
#pragma once

#include "itmectl/hinting.hpp"

namespace itme {

void print_hint(Env &env, const OpenRegion &region, const Hint &hint, const HintReport &report,
		bool json);

// At the end of a watch: the granules of its range. What is watched no more was touched.
void print_watch(Env &env, const OpenRegion &region, const Hint &hint,
		 std::vector<Granule> granules, bool json);

} // namespace itme
