// SPDX-License-Identifier: GPL-2.0-only
// Where each granule lives between its visits.
#pragma once

#include "lib/visits.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace itme {

enum class Home : uint8_t {
	store,  // fetched for every visit
	cxl,    // read in place
	copied, // in CXL, copied to a slot in DRAM ahead of its visit and back after
	dram,
};

// A granule that somebody visits, and how much keeping it resident is worth.
struct Candidate {
	uint32_t granule = 0;
	float value = 0;     // fetches a pass that keeping it saves, weighted over streams
	float when = 0;      // its first visit, as a share of the pass
	bool choice = false; // visited by choice slots only
};

// The granules of streams that share some, best kept first, in the order of
// time where they are worth the same.
struct Ranking {
	std::vector<Candidate> exact, choice;

	[[nodiscard]] size_t size() const { return exact.size() + choice.size(); }
};

struct WeightedPass {
	const Pass *pass;
	double weight;
};
[[nodiscard]] Ranking rank(std::span<const WeightedPass> passes, const Grid &grid);

// How many frames hold what. The rest of the ranking stays in the store.
struct Split {
	size_t exact = 0;  // of the exact granules, so many resident
	size_t choice = 0; // and so many of those that only choice slots visit
	size_t cxl = 0;    // of all residents, so many in CXL
	size_t copied = 0; // of those in CXL, so many copied up ahead of their visits
};

// Residents are spread evenly over the pass wherever they are worth the same.
void place(const Ranking &ranking, const Split &split, std::vector<Home> &homes);

// Takes `count` of `from` out, the least worthy first; among equals, evenly in
// time. Returns what was taken; both lists keep their order.
[[nodiscard]] std::vector<Candidate> take_evenly(std::vector<Candidate> &from, size_t count);

} // namespace itme
