// SPDX-License-Identifier: GPL-2.0-only
#include "lib/counters.hpp"

namespace itme {

namespace {

constexpr Meaning setup[] = {
	{"granule_bytes", "the unit of residency"},
	{"dram_bytes", "budget of DRAM frames"},
	{"dram_nodes", "NUMA nodes they come from"},
	{"cxl_bytes", "budget of CXL memory frames"},
	{"cxl_nodes", "NUMA nodes they come from"},
	{"window_bytes", "kept for the newest residents"},
	{"inflight_bytes", "most that hints have under way"},
	{"pin_limit_bytes", "most that pins keep"},
	{"size_bytes", "of the region"},
	{"store", "where it is read from"},
};

constexpr Meaning memory[] = {
	{"dram_current_bytes", "DRAM frames that exist"},
	{"dram_free_bytes", "of these: without a granule"},
	{"cxl_current_bytes", "CXL memory frames that exist"},
	{"cxl_free_bytes", "of these: without a granule"},
	{"dram_resident_bytes", "in DRAM"},
	{"cxl_resident_bytes", "in CXL memory"},
	{"pinned_bytes", "pinned"},
	{"queued_bytes", "wanted by hints, not begun yet"},
	{"metadata_bytes", "memory that describes the granules"},
};

constexpr Meaning demand[] = {
	{"fault_count", "page faults served"},
	{"miss_count", "waited for the store, nothing had been hinted"},
	{"late_count", "waited for the store although it had been hinted"},
	{"touch_count", "first accesses to watched granules"},
	{"direct_bytes", "read by O_DIRECT, straight from the store"},
	{"timeout_count", "waits that ended without a frame or an answer"},
};

constexpr Meaning fills[] = {
	{"fill_count", "granules read from the store"},
	{"fill_bytes", "read from the store, on demand and ahead"},
	{"error_count", "fills that failed"},
};

constexpr Meaning ahead[] = {
	{"prefetch_bytes", "read from the store for hints"},
	{"useful_bytes", "fetched ahead, and then touched"},
	{"wasted_bytes", "fetched ahead, and dropped untouched"},
};

constexpr Meaning hints[] = {
	{"accepted_bytes", "queued, or on their way already"},
	{"clipped_bytes", "no room"},
	{"refused_bytes", "held or pinned"},
	{"expired_bytes", "their deadline had passed"},
	{"cancelled_bytes", "cancelled, or their open file was closed"},
	{"degraded_bytes", "lost their pin, or got it in a slower tier"},
};

constexpr Meaning moves[] = {
	{"demote_bytes", "moved from DRAM to CXL memory"},
	{"promote_bytes", "moved from CXL memory to DRAM"},
	{"evict_bytes", "dropped from memory"},
	{"held_count", "moves and drops given up: the frame was held"},
	{"retired_bytes", "frames taken out of use: poison"},
};

constexpr MeaningGroup groups[] = {
	{"SETUP", setup}, {"MEMORY, NOW", memory}, {"DEMAND", demand}, {"FILLS", fills},
	{"AHEAD", ahead}, {"HINTS", hints},        {"MOVES", moves},
};

} // namespace

std::span<const MeaningGroup> meaning_groups()
{
	return groups;
}

} // namespace itme
