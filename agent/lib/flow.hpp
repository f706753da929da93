// SPDX-License-Identifier: GPL-2.0-only
// What happened between two observations, as `itmectl top` shows it and as
// itmed answers "observe". The members are described in Documentation/usage.md.
#pragma once

#include "lib/json.hpp"
#include "lib/observer.hpp"

#include <string>

namespace itme {

[[nodiscard]] Json flow_json(const Observation &before, const Observation &now,
			     const Trail &trail = {});

// What one process, region or everything waited for, as shares of a wall time.
struct Shares {
	double miss = 0, late = 0, move = 0; // 0 to 1 each

	[[nodiscard]] double all() const { return miss + late + move; }
};

// The plain answer to "why is it slow?", and what helps.
[[nodiscard]] std::string verdict(const Shares &shares);

} // namespace itme
