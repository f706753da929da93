// SPDX-License-Identifier: GPL-2.0-only
// What of a region is to stay in memory, and where: wanted by a plan, held by pins.
#pragma once

#include "lib/device.hpp"
#include "lib/placement.hpp"

#include <cstdint>
#include <vector>

namespace itme {

class ResidentSet {
public:
	ResidentSet(std::uint64_t granule_bytes, std::uint64_t region_bytes);

	// One home a granule. Without `pinned` it is only fetched: there is room for all.
	void want(std::vector<Home> homes, bool pinned);
	void want_nothing();

	// Undoes pins that are wanted no more: before others ask for their room.
	void unpin(const Fd &region);
	// Asks for what is not where it should be. True when nothing was left to be asked for.
	bool settle(const Fd &region);

	[[nodiscard]] const std::vector<Home> &homes() const { return homes_; }
	// That are wanted: in DRAM; in CXL memory, with those that are copied up for their use.
	[[nodiscard]] std::uint64_t dram_bytes() const { return dram_bytes_; }
	[[nodiscard]] std::uint64_t cxl_bytes() const { return cxl_bytes_; }
	// Of the region's last granule, less than the others.
	[[nodiscard]] std::uint64_t bytes_of(std::uint64_t granule) const;

private:
	void add(std::vector<Hint> &hints, const Hint &hint, std::uint64_t granule) const;

	std::uint64_t granule_bytes_, region_bytes_;
	std::uint64_t dram_bytes_ = 0, cxl_bytes_ = 0;
	std::vector<Home> homes_;
	bool pinned_ = true;
	std::vector<Tier> pins_; // ours; store: none
};

} // namespace itme
