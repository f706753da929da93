// SPDX-License-Identifier: GPL-2.0-only
#include "replay/counters.hpp"

#include <fstream>
#include <sys/resource.h>

namespace itme::replay {

Result<Meter> Meter::open(const Path &path)
{
	Meter meter;

	if (is_region(path)) {
		auto region = Region::open(path);
		if (!region)
			return std::unexpected(region.error());
		meter.region_ = std::move(*region);
	}
	return meter;
}

Result<Cost> Meter::read() const
{
	if (region_) {
		const auto now = region_->counters();
		if (!now)
			return std::unexpected(now.error());
		return Cost{now->fill_bytes + now->direct_bytes, now->miss_count, now->late_count};
	}

	std::ifstream io{"/proc/self/io"};
	rusage usage{};
	Cost cost;
	for (std::string name; io >> name;) {
		uint64_t value = 0;

		io >> value;
		if (name == "read_bytes:")
			cost.store_bytes = value;
	}
	getrusage(RUSAGE_SELF, &usage);
	cost.misses = static_cast<uint64_t>(usage.ru_majflt);
	return cost;
}

} // namespace itme::replay
