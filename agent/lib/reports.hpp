// SPDX-License-Identifier: GPL-2.0-only
// What `itmectl report` prints, as JSON: since the BPF programs were attached.
#pragma once

#include "lib/json.hpp"
#include "lib/observer.hpp"

#include <string>

namespace itme {

[[nodiscard]] Json stalls_json(const Observation &now, const std::vector<LayerStalls> &layers);
[[nodiscard]] Json prefetch_json(const Observation &now);
// At most so many columns: neighbouring granules are added up.
[[nodiscard]] Json heat_json(const std::vector<std::pair<RegionCounts, HeatMap>> &maps,
			     const std::string &region, std::size_t most_columns = 1024);

} // namespace itme
