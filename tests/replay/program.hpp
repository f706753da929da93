// SPDX-License-Identifier: GPL-2.0-only
// What a replay reads, and in which order: items, and the passes over them.
#pragma once

#include "lib/error.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace itme::replay {

// A range of the file that is needed as a whole before it is computed on.
struct Item {
	uint64_t offset = 0, length = 0;

	bool operator==(const Item &) const = default;
};

// A run of a pass that is known only when the pass is there: the experts of a layer.
struct Burst {
	size_t begin = 0, count = 0;   // positions in the pass
	uint32_t first = 0, items = 0; // from which it was chosen
};

struct Program {
	std::vector<Item> items;
	std::vector<std::vector<uint32_t>> passes; // the items of each pass, in order
	std::vector<std::vector<Burst>> bursts;    // of each pass, in order; or none at all

	// A program of fewer passes than are played begins again.
	[[nodiscard]] const std::vector<uint32_t> &pass(size_t number) const
	{
		return passes[number % passes.size()];
	}
	[[nodiscard]] const std::vector<Burst> &bursts_of(size_t number) const
	{
		static const std::vector<Burst> none;

		return bursts.empty() ? none : bursts[number % bursts.size()];
	}
};

// The sequence of all items of so many passes.
[[nodiscard]] std::vector<uint32_t> sequence(const Program &program, size_t passes);

// The distinct bytes that a pass reads: what a memory of that size would hold.
[[nodiscard]] uint64_t footprint(const Program &program, const std::vector<uint32_t> &pass);

// Every item once a pass, in the order of the file: the weights of a dense model.
[[nodiscard]] Result<Program> dense(uint64_t bytes, uint64_t item_bytes);

// Orders other than that of the file, for what has to find them out.
enum class Way {
	backward,
	strided,  // each second item, then the others
	shuffled, // layers of four items, in random order
	part,     // of such layers one in three, and no more
	twice,    // all items, then the middle third again
};
[[nodiscard]] Result<Program> arranged(Way way, uint64_t bytes, uint64_t item_bytes, uint64_t seed);

// As many items a pass as there are, each drawn at random.
[[nodiscard]] Result<Program> random(uint64_t bytes, uint64_t item_bytes, size_t passes,
				     uint64_t seed);

// Of so many items, so many that lie evenly among them.
[[nodiscard]] std::vector<uint32_t> spread_evenly(size_t items, size_t chosen);

} // namespace itme::replay
