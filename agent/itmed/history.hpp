// SPDX-License-Identifier: GPL-2.0-only
// The last observations, so that rates can be told over any time up to their age.
#pragma once

#include "lib/observer.hpp"

#include <cstdint>
#include <deque>
#include <memory>

namespace itme {

class History {
public:
	using Entry = std::shared_ptr<const Observation>;

	explicit History(std::size_t most) : most_(most) {}

	void add(Observation observation);
	[[nodiscard]] Entry newest() const { return entries_.empty() ? nullptr : entries_.back(); }
	// The one taken then, or the newest before it; the oldest where all are younger.
	[[nodiscard]] Entry since(std::uint64_t time_ns) const;
	[[nodiscard]] std::size_t size() const { return entries_.size(); }

private:
	std::size_t most_;
	std::deque<Entry> entries_; // oldest first
};

} // namespace itme
