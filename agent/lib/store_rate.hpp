// SPDX-License-Identifier: GPL-2.0-only
// What a store can give, measured from what it has given. Pure.
#pragma once

#include "lib/rates.hpp"
#include "lib/snapshot.hpp"

#include <cstdint>
#include <deque>
#include <optional>

namespace itme {

// By more than the factor, neither being below 0.
[[nodiscard]] bool differ(double a, double b, double factor);
// Measured, the one is another store than the other to a plan: it streams more or less, or
// its reads vary more or less.
[[nodiscard]] bool differ(const Link &a, const Link &b);

class StoreRate {
public:
	// Sums since some beginning: bytes read from the store, and the time of each read.
	void add(std::uint64_t time_ns, std::uint64_t bytes, const Histogram &fill_ns,
		 std::uint64_t granule_bytes);
	// Nothing before a few reads were seen. A store that was never kept busy is known
	// by the time of single reads: it may give more.
	[[nodiscard]] std::optional<Link> link() const;

private:
	struct Interval {
		double bytes_per_s = 0;
	};
	static constexpr std::size_t kept = 24; // intervals

	std::deque<Interval> intervals_;
	std::uint64_t time_ns_ = 0, bytes_ = 0, granule_bytes_ = 0;
	Histogram before_, recent_; // recent: since few_reads were last seen
};

} // namespace itme
