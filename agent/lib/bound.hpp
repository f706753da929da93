// SPDX-License-Identifier: GPL-2.0-only
// The least time a pass can take, whoever plans it.
#pragma once

#include "lib/placement.hpp"
#include "lib/timeline.hpp"
#include "lib/visits.hpp"

namespace itme {

struct Capacity {
	double dram_bytes = 0, cxl_bytes = 0;
};

struct Bound {
	double compute_s = 0, store_s = 0, cxl_s = 0, dram_s = 0; // each line of the max
	double store_bytes = 0;                                   // fetched at least

	[[nodiscard]] double seconds() const;
	[[nodiscard]] const char *by() const; // the line that is the longest

	// Less CXL memory is used where its line is the longest: what is expected to be read
	// there is fetched instead, as much as shortens the bound.
	void balance(const Lane &lane);
};

// Any policy that keeps C bytes fetches at least the rest of what a pass reads;
// what it keeps in CXL has to come over that link once. How much of the CXL
// memory is used is free, so that the shortest of all splits is the bound.
[[nodiscard]] Bound bound_of(const Pass &pass, const Grid &grid, const Lane &lane,
			     const Capacity &capacity);

} // namespace itme
