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
	{"writeback_limit_bytes", "most that may be dirty"},
	{"writeback_background_bytes", "beyond this it is written at once"},
	{"writeback_delay_ms", "so long it may stay dirty below that"},
	{"size_bytes", "of the region"},
	{"mode", "read-only, tiered (it can be written to) or sealed"},
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
	{"dirty_bytes", "the store may not have all of it yet"},
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

constexpr Meaning writes[] = {
	{"dirtied_bytes", "became dirty"},
	{"writeback_count", "granules written to the store"},
	{"writeback_bytes", "written to the store"},
	{"writeback_error_count", "granules that the store did not take"},
	{"writeback_errno", "why the last was not taken; 0: it was"},
	{"throttle_count", "writes and stores that had to wait for write-back"},
	{"lost_bytes", "dirty, and never taken by the store"},
};

constexpr MeaningGroup groups[] = {
	{"SETUP", setup}, {"MEMORY, NOW", memory}, {"DEMAND", demand}, {"FILLS", fills},
	{"AHEAD", ahead}, {"HINTS", hints},        {"MOVES", moves},   {"WRITES", writes},
};

} // namespace

std::span<const MeaningGroup> meaning_groups()
{
	return groups;
}

} // namespace itme
