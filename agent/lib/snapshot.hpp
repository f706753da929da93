// SPDX-License-Identifier: GPL-2.0-only
// What the BPF programs have counted, at one moment: plain structs, all times in
// nanoseconds (CLOCK_MONOTONIC) and all sizes in bytes. Everything counts up from
// zero since the probe was attached, so that two snapshots can be subtracted.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace itme {

// What was counted since; a count that is smaller now began anew.
[[nodiscard]] constexpr std::uint64_t since(std::uint64_t later, std::uint64_t earlier)
{
	return later >= earlier ? later - earlier : later;
}

// How often a value came, by its power of two.
struct Histogram {
	std::array<std::uint64_t, 64> count{}; // [b]: 2^b to 2^(b+1); [0] has 0 as well
	std::uint64_t sum = 0;                 // of all values

	[[nodiscard]] std::uint64_t total() const;
	// The least power of two that at least this share of the values stayed
	// below; 0 without values.
	[[nodiscard]] std::uint64_t below(double share) const;
	Histogram &operator+=(const Histogram &other);
	// What came since; a count that is smaller now began anew.
	Histogram &operator-=(const Histogram &earlier);
	bool operator==(const Histogram &) const = default;
};

// What a thread waited for.
enum class StallCause : std::uint8_t {
	miss,    // for the store: nothing had been hinted
	late,    // for the store: hinted, and not there yet
	promote, // for a copy from CXL memory to DRAM to end
	demote,  // for a copy to CXL memory, or for a drop, to end
};
inline constexpr std::size_t stall_causes = 4;
[[nodiscard]] const char *cause_name(StallCause cause);

struct Stall {
	std::uint64_t count = 0; // waits; one access may wait twice
	std::uint64_t bytes = 0; // of the granules waited for, once a wait
	std::uint64_t ns = 0;

	Stall &operator+=(const Stall &other);
	bool operator==(const Stall &) const = default;
};

struct Stalls {
	std::array<Stall, stall_causes> by_cause{};

	[[nodiscard]] const Stall &of(StallCause cause) const
	{
		return by_cause[static_cast<std::size_t>(cause)];
	}
	[[nodiscard]] std::uint64_t ns() const; // all causes
	Stalls &operator+=(const Stalls &other);
	bool operator==(const Stalls &) const = default;
};

// On whose behalf bytes came into a tier.
enum class ByteCause : std::uint8_t {
	demand, // read from the store by who touched it
	exact,  // read ahead, by the class of the hint
	likely,
	maybe,
	promote, // copied from CXL memory to DRAM
	demote,  // copied from DRAM to CXL memory
};
inline constexpr std::size_t byte_causes = 6;
[[nodiscard]] const char *cause_name(ByteCause cause);

// The class of a hint. `unknown` counts what was fetched before the probe was
// attached, or whose note was lost (see Snapshot::drops).
enum class HintClassSeen : std::uint8_t { unknown, exact, likely, maybe };
inline constexpr std::size_t hint_classes_seen = 4;
[[nodiscard]] const char *class_name(HintClassSeen hint_class);

// Bytes fetched ahead for hints of one class, from the store or from CXL memory.
struct PrefetchBytes {
	std::uint64_t accepted = 0; // when they were submitted; pins too
	std::uint64_t clipped = 0;  // for which there was no room then
	std::uint64_t fetched = 0;
	std::uint64_t useful = 0; // touched since
	std::uint64_t wasted = 0; // dropped from memory before anything touched them

	bool operator==(const PrefetchBytes &) const = default;
};

// A region as the kernel names it: stat(2) of its file gives the same numbers,
// with dev as the kernel's own 32 bits (major << 20 | minor).
struct RegionId {
	std::uint32_t dev = 0;
	std::uint64_t inode = 0;

	auto operator<=>(const RegionId &) const = default;
};

struct RegionCounts {
	RegionId id;
	std::string instance, name; // as last seen; empty without a mount in sight
	std::uint64_t granule_bytes = 0, region_bytes = 0;

	// Page faults, each of its waits counted as one more; those without a wait by sample.
	std::uint64_t faults = 0;
	std::uint64_t waited_reads = 0; // read(2) and its like that waited; others are not seen
	std::uint64_t touches = 0;      // of watched granules
	std::uint64_t errors = 0;       // fills that failed, and frames that were retired
	Stalls stalls;
	Histogram latency_ns; // of those of them that waited
	Histogram lead_ns;    // ready until used, of what was fetched ahead and in time
	Histogram fill_ns;    // reads from the store, from their start

	// [1] is cxl and [2] is dram, as enum Tier.
	std::array<std::array<std::uint64_t, byte_causes>, 3> bytes{};
	std::array<std::uint64_t, 3> dropped_bytes{}; // from that tier, out of memory
	std::array<PrefetchBytes, hint_classes_seen> prefetch{};
	std::uint64_t promote_ns = 0, demote_ns = 0; // the time that copies took, whoever waited
	std::uint64_t held_moves = 0;                // copies given up: held

	// Bytes that a tier (1 or 2, as above) has got from the store, on demand and ahead.
	[[nodiscard]] std::uint64_t from_store(std::size_t tier) const;
};

// One thread that has waited at least once.
struct ThreadStalls {
	std::uint32_t pid = 0, tid = 0; // in the initial PID name space
	std::string comm;
	std::uint64_t cgroup_id = 0; // inode number of its folder in cgroup2; 0 without
	std::uint64_t first_ns = 0;  // when its first wait began
	std::uint64_t last_ns = 0;   // when it was last seen: now, or its last wait if it has ended
	bool alive = true;
	Stalls stalls;

	// Of its wall time since first_ns, 0 to 1.
	[[nodiscard]] double share(StallCause cause) const;
	[[nodiscard]] double share() const; // all causes
};

// One granule that was touched, filled or waited for.
struct GranuleCounts {
	RegionId region;
	std::uint64_t granule = 0;
	std::uint64_t faults = 0; // and reads that waited; faults that did not, by sample
	std::uint64_t fills = 0;
	std::uint64_t touches = 0; // while watched
	std::array<std::uint64_t, stall_causes> stall_ns{};
};

// Why something was not counted, in words, and how often.
struct Drop {
	std::string reason;
	std::uint64_t count = 0;
};

struct Snapshot {
	std::uint64_t attached_ns = 0, time_ns = 0;
	std::vector<RegionCounts> regions; // by id
	std::vector<ThreadStalls> threads; // most stalled first
	// Path of each cgroup_id, "/" the root; "" where it was gone or could not be seen.
	std::map<std::uint64_t, std::string> cgroups;
	std::vector<Drop> drops; // every reason, also with 0
	// Whole sentences: what could not be had, and what is lost by it.
	std::vector<std::string> degradations;
};

} // namespace itme
