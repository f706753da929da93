// SPDX-License-Identifier: GPL-2.0-only
// Who shares what: streams that read the same granules are planned as one, and
// teams of streams share the frames and the links by weight.
#pragma once

#include "lib/placement.hpp"

#include <cstddef>
#include <span>
#include <vector>

namespace itme {

struct Team {
	std::vector<size_t> members; // streams
	double weight = 0;
	Ranking ranking;
	size_t dram = 0, cxl = 0; // frames
};

[[nodiscard]] std::vector<Team> teams_of(std::span<const WeightedPass> streams, const Grid &grid);

// Gives each team its frames of either tier.
void share_frames(std::vector<Team> &teams, size_t dram_frames, size_t cxl_frames);

// Shares of a whole in proportion to weights, none above its cap; what the
// capped ones leave goes to the others.
[[nodiscard]] std::vector<double> share_out(double whole, const std::vector<double> &weights,
					    const std::vector<double> &caps);

} // namespace itme
