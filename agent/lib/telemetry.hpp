// SPDX-License-Identifier: GPL-2.0-only
// What the BPF programs counted. Only telemetry.cpp knows bpf/itme_record.h.
#pragma once

#include "lib/error.hpp"
#include "lib/file.hpp"

#include <array>
#include <cstdint>
#include <memory>
#include <string>

struct fault_bpf;

namespace itme {

// [b] counts values of 2^b ns to 2^(b+1); 0 is in [0].
using Log2Histogram = std::array<std::uint64_t, 64>;

// Faults, and reads that waited, of all instances since the probe was attached.
struct FaultCounts {
	std::uint64_t fault_count = 0;    // those without a wait by sample
	std::uint64_t read_count = 0;     // reads that waited for the store
	std::uint64_t miss_count = 0;     // waited for the store, nothing was hinted
	std::uint64_t late_count = 0;     // waited for the store although it was hinted
	std::uint64_t ahead_count = 0;    // first touch of what a hint had fetched
	std::uint64_t latency_sum_ns = 0; // of those that waited
	std::uint64_t lead_sum_ns = 0;    // how long what was touched so had been ready
	std::uint64_t dropped_count = 0;  // events that could not be counted
	Log2Histogram latency_log2_count{};
	Log2Histogram lead_log2_count{};
};

// The least power of two, in ns, that at least this share of what was counted
// stayed below; 0 where nothing was counted.
[[nodiscard]] std::uint64_t below_ns(const Log2Histogram &histogram, double share);

// Counts page faults of the module while it lives.
class FaultProbe {
public:
	[[nodiscard]] static Result<FaultProbe> attach(const Path &root);
	[[nodiscard]] Result<FaultCounts> read() const;

	// Why the typed tracepoint could not be used; "" if it is.
	[[nodiscard]] const std::string &fallback_reason() const { return fallback_reason_; }

private:
	struct Destroy {
		void operator()(fault_bpf *skeleton) const;
	};
	using Skeleton = std::unique_ptr<fault_bpf, Destroy>;

	static Result<Skeleton> load(bool typed);

	Skeleton skeleton_;
	std::string fallback_reason_;
};

} // namespace itme
