// SPDX-License-Identifier: GPL-2.0-only
// An open region, and what a program asks of it. Only region.cpp knows
// uapi/itme.h and libitme.
#pragma once

#include "lib/error.hpp"
#include "lib/fd.hpp"
#include "lib/file.hpp"

#include <cstdint>
#include <memory>
#include <span>

struct itme_region;

namespace itme::replay {

enum class Ask { prefetch, release, pin };

// As in the module's interface: how sure a prefetch is.
enum class Sureness { exact = 1, likely = 2, maybe = 3 };

struct RegionHint {
	Ask ask = Ask::prefetch;
	Sureness sureness = Sureness::exact;
	uint64_t offset = 0, length = 0;
	uint64_t cookie = 0;
};

struct RegionRange {
	uint64_t offset = 0, length = 0;
};

// What came of a vector of hints, summed.
struct HintSums {
	uint64_t accepted_bytes = 0, resident_bytes = 0, clipped_bytes = 0, refused_bytes = 0;
};

// Counters of a region since it was attached.
struct RegionCounters {
	uint64_t fault_count = 0, miss_count = 0, late_count = 0;
	uint64_t fill_bytes = 0, direct_bytes = 0, wasted_bytes = 0;
	uint64_t resident_bytes = 0, queued_bytes = 0, metadata_bytes = 0;
	uint64_t dirty_bytes = 0, writeback_bytes = 0, throttle_count = 0;
};

struct RegionInfo {
	uint64_t granule_bytes = 0, window_bytes = 0, inflight_bytes = 0;
	uint32_t hint_max = 0, queue_max = 0;
};

class Region {
public:
	[[nodiscard]] static Result<Region> open(const Path &path, bool writable = false);

	[[nodiscard]] int fd() const { return fd_.get(); }
	[[nodiscard]] uint64_t bytes() const { return bytes_; }
	[[nodiscard]] const RegionInfo &info() const { return info_; }

	// Fails with the first entry that is refused with an error.
	[[nodiscard]] Result<HintSums> hint(std::span<const RegionHint> hints) const;

	// Tells itmed what may be read. Nobody need be there to hear it.
	[[nodiscard]] Result<void> guess(std::span<const RegionRange> ranges) const;

	// Until nothing of the range is queued or under way; what is in memory then.
	[[nodiscard]] Result<uint64_t> wait(uint64_t offset, uint64_t length) const;
	[[nodiscard]] Result<uint64_t> wait(uint64_t cookie) const;

	// Is all of the range in memory?
	[[nodiscard]] Result<bool> holds(uint64_t offset, uint64_t length) const;

	[[nodiscard]] Result<RegionCounters> counters() const;

	// Release of a range, all of it or a failure: what follows is to miss.
	[[nodiscard]] Result<void> drop(uint64_t offset, uint64_t length) const;

private:
	Fd fd_;
	std::shared_ptr<itme_region> declared_; // libitme's handle of it
	Path path_;
	uint64_t bytes_ = 0;
	RegionInfo info_;
};

// Does the file lie on an itme mount?
[[nodiscard]] bool is_region(const Path &path);

// ATTACH alone, timed: the seconds that the call took.
[[nodiscard]] Result<double> time_attach(const Path &mount, const Path &store,
					 const std::string &name);

} // namespace itme::replay
