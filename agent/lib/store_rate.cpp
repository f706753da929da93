// SPDX-License-Identifier: GPL-2.0-only
#include "lib/store_rate.hpp"

#include <algorithm>

namespace itme {

namespace {

constexpr std::uint64_t few_reads = 16;
constexpr double most_variation = 8;
// The 99th percentile is known by its power of two.
constexpr double other_rate = 1.25, other_variation = 1.5;

} // namespace

bool differ(double a, double b, double factor)
{
	return a > factor * b || b > factor * a;
}

bool differ(const Link &a, const Link &b)
{
	return differ(a.bytes_per_s, b.bytes_per_s, other_rate) ||
	       differ(a.p99_over_mean, b.p99_over_mean, other_variation);
}

void StoreRate::add(std::uint64_t time_ns, std::uint64_t bytes, const Histogram &fill_ns,
		    std::uint64_t granule_bytes)
{
	if (bytes < bytes_) { // counted anew
		bytes_ = bytes;
		before_ = fill_ns;
	}
	if (time_ns_ != 0 && time_ns > time_ns_) {
		auto read = fill_ns;

		read -= before_;
		intervals_.push_back({static_cast<double>(bytes - bytes_) * 1e9 /
				      static_cast<double>(time_ns - time_ns_)});
		if (intervals_.size() > kept)
			intervals_.pop_front();
		if (read.total() >= few_reads) {
			recent_ = read;
			before_ = fill_ns;
		}
	} else {
		before_ = fill_ns;
	}
	time_ns_ = time_ns;
	bytes_ = bytes;
	granule_bytes_ = granule_bytes;
}

std::optional<Link> StoreRate::link() const
{
	const auto reads = recent_.total();

	if (reads == 0)
		return std::nullopt;
	const double mean_ns = static_cast<double>(recent_.sum) / static_cast<double>(reads);
	double best = static_cast<double>(granule_bytes_) * 1e9 / std::max(1.0, mean_ns);

	for (const auto &interval : intervals_)
		best = std::max(best, interval.bytes_per_s);
	// A power of two: on average 3/4 of it.
	const double p99_ns = 0.75 * static_cast<double>(recent_.below(0.99));

	return Link{.bytes_per_s = best,
		    .p99_over_mean = std::clamp(p99_ns / mean_ns, 1.0, most_variation)};
}

} // namespace itme
