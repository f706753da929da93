// SPDX-License-Identifier: GPL-2.0-only
// Which node the memory of a program is to be on: its declared ranges, cut into pieces,
// placed as the residents of a region are. Pure.
#pragma once

#include "lib/placement.hpp"

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace itme {

// Of a process' address space. Declared in the order in which they are read in each pass.
struct MemoryRange {
	std::uint64_t address = 0, bytes = 0; // of whole pages

	bool operator==(const MemoryRange &) const = default;
};

inline constexpr std::uint64_t memory_piece_bytes = 2ULL << 20; // a huge page

// Cut where huge pages begin and end, in the order of the ranges.
[[nodiscard]] std::vector<MemoryRange> cut(std::span<const MemoryRange> ranges);

// One home a piece, Home::dram or Home::cxl: so many bytes in DRAM, and those spread
// evenly over the pass, as those of a region are.
[[nodiscard]] std::vector<Home> memory_homes(std::span<const MemoryRange> pieces,
					     std::uint64_t dram_bytes);

// Of pieces that are where `homes` says: which are to change places, so that those in DRAM are not
// the idle ones. Pairs of one that leaves DRAM and one that comes, spread evenly over those
// that could; as few as there need be.
[[nodiscard]] std::vector<std::pair<std::size_t, std::size_t>> swaps(std::span<const Home> homes,
								     const std::vector<bool> &idle);

} // namespace itme
