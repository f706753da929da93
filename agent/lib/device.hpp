// SPDX-License-Identifier: GPL-2.0-only
// The module's ioctls, in the agent's own types. Only device.cpp knows uapi/itme.h.
#pragma once

#include "lib/fd.hpp"
#include "lib/file.hpp"
#include "lib/granule_range.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace itme {

enum class Tier : std::uint8_t { store = 0, cxl = 1, dram = 2 };

[[nodiscard]] const char *tier_name(Tier tier);
[[nodiscard]] std::optional<Tier> parse_tier(const std::string &name);

struct Info {
	std::string instance;
	std::uint32_t version_major = 0, version_minor = 0;
	std::uint64_t granule_bytes = 0;
	std::uint64_t dram_bytes = 0, cxl_bytes = 0, window_bytes = 0;
	std::uint64_t inflight_bytes = 0, pin_limit_bytes = 0;
	std::uint32_t hint_max = 0, queue_max = 0, cookie_max = 0;
	std::vector<std::string> features; // that this agent knows by name
	std::vector<std::string> hint_ops, hint_classes;
};

struct Attach {
	std::string name;
	std::optional<std::uint32_t> mode = {};
	bool writable = false;
};

enum class HintOp : std::uint8_t {
	prefetch = 1,
	release = 2,
	pin = 3,
	unpin = 4,
	watch = 5,
	cancel = 6,
};

enum class HintClass : std::uint8_t { exact = 1, likely = 2, maybe = 3 };

[[nodiscard]] const char *op_name(HintOp op);
[[nodiscard]] const char *class_name(HintClass hint_class);
[[nodiscard]] std::optional<HintClass> parse_class(const std::string &name);

// One hint. What an op has no use for is not looked at.
struct Hint {
	HintOp op = HintOp::prefetch;
	HintClass hint_class = HintClass::exact; // of a prefetch or a pin
	// Of a prefetch dram or cxl; of a pin also store: where it is, or the fastest.
	Tier tier = Tier::dram;
	std::uint64_t offset = 0, length = 0;
	std::uint64_t deadline_ns = 0; // CLOCK_MONOTONIC, of a prefetch or a pin; 0: none
	std::uint64_t cookie = 0;      // of a prefetch, a pin or a cancel; 0: none
	bool force = false;            // of a release: what pins keep too
};

// A watch of these granules. The module refuses what lies behind the region's end.
[[nodiscard]] Hint watch_of(const GranuleRange &range, std::uint64_t granule_bytes,
			    std::uint64_t region_bytes);

struct HintResult {
	std::uint64_t accepted_bytes = 0, resident_bytes = 0;
	std::uint64_t clipped_bytes = 0, refused_bytes = 0;
	int error = 0; // errno of this hint, or 0
};

// What came of hints.
struct Outcome {
	std::uint64_t ready_bytes = 0, failed_bytes = 0;
	std::uint64_t expired_bytes = 0, lost_bytes = 0;
};

// Where one granule is.
struct Granule {
	Tier tier = Tier::store;
	bool busy = false, dirty = false, pinned = false, held = false, watched = false;

	bool operator==(const Granule &) const = default;
};

// A name as in sysfs, and its value.
using Counters = std::vector<std::pair<std::string, std::uint64_t>>;

// Does this path lie on an itme mount?
[[nodiscard]] Sys<bool> is_itme(const Path &path);

// Opens a mount's root directory, a region or a store for reading, or a store also for
// writing.
[[nodiscard]] Sys<Fd> open_path(const Path &path, bool writable = false);

[[nodiscard]] Sys<Info> read_info(const Fd &root_or_region);
[[nodiscard]] Sys<std::uint64_t> attach(const Fd &root, const Fd &store, const Attach &request);
[[nodiscard]] Sys<HintResult> carry_out(const Fd &region, const Hint &hint);
// One result each; as few calls as the module's hint_max allows.
[[nodiscard]] Sys<std::vector<HintResult>> carry_out(const Fd &region, std::span<const Hint> hints);

// Waits at most so long; UINT64_MAX: without an end. ETIMEDOUT: not complete yet.
// A cookie is forgotten when its outcome was told.
[[nodiscard]] Sys<Outcome> wait_cookie(const Fd &region, std::uint64_t cookie,
				       std::uint64_t timeout_ns);
[[nodiscard]] Sys<Outcome> wait_range(const Fd &region, std::uint64_t offset, std::uint64_t length,
				      std::uint64_t timeout_ns);

// So many granules from this one on, fewer at the region's end.
[[nodiscard]] Sys<std::vector<Granule>> read_residency(const Fd &region, std::uint64_t first = 0,
						       std::uint64_t count = UINT64_MAX);
[[nodiscard]] Sys<Counters> read_counters(const Fd &region);

} // namespace itme
