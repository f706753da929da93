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

// Faults of all instances since the probe was attached.
struct FaultCounts {
	std::uint64_t fault_count = 0;
	std::uint64_t miss_count = 0;                       // had to wait for the store
	std::uint64_t latency_sum_ns = 0;                   // of all faults
	std::uint64_t dropped_count = 0;                    // events that could not be counted
	std::array<std::uint64_t, 64> latency_log2_count{}; // [b]: 2^b ns to 2^(b+1)
};

// The least power of two, in ns, that at least this share of faults stayed
// below; 0 without faults.
[[nodiscard]] std::uint64_t latency_below_ns(const FaultCounts &counts, double share);

// Does this format file of a trace event have the fields where bpf/ expects them?
[[nodiscard]] bool is_known_format(const std::string &format);

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
