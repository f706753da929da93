// SPDX-License-Identifier: GPL-2.0-only
// Plays a program over a file, and measures each pass.
#pragma once

#include "replay/content.hpp"
#include "replay/hinter.hpp"
#include "replay/program.hpp"
#include "replay/source.hpp"

namespace itme::replay {

enum class Mode { map, pread, direct, ring };

// How an item is looked at once it is there.
enum class Look { lines, all, verify };

struct Play {
	Path path;
	Mode mode = Mode::map;
	Advice advice = Advice::normal;
	Look look = Look::all;
	size_t passes = 5, warm = 1; // the first ones are played, and not counted
	size_t slots = 8;            // of a ring
	HintPlan hints = {};         // what is pinned is what a ring keeps
	uint64_t work_units = 0;     // of busy work an item
	double sleep_s = 0;          // an item
	Sums sums = {};              // for Look::verify
};

struct PassCost {
	double seconds = 0;
	double compute_s = 0; // looking at the data, and the work
	double stall_s = 0;   // getting it, resident or not
	double hint_s = 0;    // giving hints
	uint64_t read_bytes = 0, footprint_bytes = 0;
	uint64_t store_bytes = 0, misses = 0, late = 0;
};

struct Played {
	std::vector<PassCost> passes; // without the warm ones
	uint64_t sum = 0;             // of all that was read: the same of the same program
};

[[nodiscard]] Result<Played> play(const Play &how, const Program &program);

struct Limit {
	double bandwidth = 0;        // of the store, bytes a second
	uint64_t capacity_bytes = 0; // of the memory that holds what is read
	double compute_s = 0;        // of a pass with all resident; 0: as measured in the pass
};

// No pass is faster: computing, or reading what memory cannot hold.
[[nodiscard]] double bound_s(const PassCost &pass, const Limit &limit);

// The median pass, each figure by itself.
[[nodiscard]] PassCost median_pass(const std::vector<PassCost> &passes);

} // namespace itme::replay
