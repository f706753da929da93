// SPDX-License-Identifier: GPL-2.0-only
// The module's ioctls, in the agent's own types. Only device.cpp knows uapi/itme.h.
#pragma once

#include "lib/fd.hpp"
#include "lib/file.hpp"

#include <cstdint>
#include <optional>
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
	std::uint32_t hint_max = 0;
	std::vector<std::string> features; // that this agent knows by name
	std::vector<std::string> hint_ops;
};

struct Attach {
	std::string name;
	std::optional<std::uint32_t> mode = {};
};

enum class HintOp { prefetch, release };

struct Hint {
	HintOp op = HintOp::prefetch;
	Tier tier = Tier::dram; // of a prefetch
	std::uint64_t offset = 0, length = 0;
};

struct HintResult {
	std::uint64_t accepted_bytes = 0, resident_bytes = 0;
	std::uint64_t clipped_bytes = 0, refused_bytes = 0;
	int error = 0; // errno of this hint, or 0
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

// Opens a mount's root directory, a region or a store for reading.
[[nodiscard]] Sys<Fd> open_path(const Path &path);

[[nodiscard]] Sys<Info> read_info(const Fd &root_or_region);
[[nodiscard]] Sys<std::uint64_t> attach(const Fd &root, const Fd &store, const Attach &request);
[[nodiscard]] Sys<HintResult> carry_out(const Fd &region, const Hint &hint);
[[nodiscard]] Sys<std::vector<Granule>> read_residency(const Fd &region);
[[nodiscard]] Sys<Counters> read_counters(const Fd &region);

} // namespace itme
