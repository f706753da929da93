// SPDX-License-Identifier: GPL-2.0-only
// Finds the cyclic order in a sequence of accesses. Pure; the learner feeds it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace itme {

struct Access {
	std::uint32_t granule = 0;
	std::uint32_t wait_ns = 0;  // until the granule was there; at most 4.3 s are told
	std::uint64_t begin_ns = 0; // CLOCK_MONOTONIC
};

// One pass of a cyclic program, as it was seen.
struct Order {
	std::vector<std::uint32_t> granules;   // one a position; a granule may stand more than once
	std::vector<std::uint64_t> compute_ns; // of each position, without its wait
	std::uint32_t passes = 0;              // that were alike, the last ones
	double confidence = 0;                 // 0 to 1: how alike they were
};

// A way round in an order: tells of each access how far it is from what is expected.
class Round {
public:
	// `granules`: that the region has; every one of the order is below.
	Round(std::span<const std::uint32_t> order, std::uint32_t granules);

	struct Place {
		std::uint32_t position = 0;
		std::int64_t ahead = 0; // positions from `expected`, the short way round
	};
	// The position of the granule that is nearest; nothing where the order has none.
	[[nodiscard]] std::optional<Place> nearest(std::uint32_t granule,
						   std::uint32_t expected) const;
	[[nodiscard]] std::uint32_t length() const
	{
		return static_cast<std::uint32_t>(positions_.size());
	}
	// How far threads may be from each other: positions. Little where granules are few, as
	// any of them would be near.
	[[nodiscard]] std::uint32_t slack() const;

private:
	std::vector<std::uint32_t> first_;     // of each granule, and the end: into positions_
	std::vector<std::uint32_t> positions_; // by granule, ascending
	std::uint32_t distinct_ = 0;           // granules
};

// `begins`: where passes begin, as indices of accesses, ascending, where somebody tells;
// else, or where those passes are not alike, the period is found. Two passes are needed.
// What comes back has a confidence of 0 where there is nothing like an order.
[[nodiscard]] Order find_order(std::span<const Access> accesses,
			       std::span<const std::size_t> begins, std::uint32_t granules);

} // namespace itme
