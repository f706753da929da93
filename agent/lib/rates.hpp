// SPDX-License-Identifier: GPL-2.0-only
// What the links and the processors of a machine can do: stated or measured.
#pragma once

#include "lib/error.hpp"
#include "lib/parse.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace itme {

struct Link {
	double bytes_per_s = 0;
	double p99_over_mean = 1; // of the time one granule takes
	uint64_t depth_bytes = 0; // in flight, at least, to reach bytes_per_s
};

struct Rates {
	// Assumed where nothing is stated: one PCIe 4 drive, one x8 CXL 2 card, and a
	// desktop's two channels of memory.
	Link store{5e9, 2, 2ULL << 20};
	Link cxl{20e9, 1.2, 0};
	Link dram{60e9, 1, 0};
	double flops = 0;     // arithmetic of the processor, at what it reaches; 0: not known
	double compute_s = 0; // of a whole pass with everything resident; 0: estimate it
	std::string origin = "assumed";
};

// The JSON of a rates file.
[[nodiscard]] Parsed<Rates> parse_rates(std::string_view text);
[[nodiscard]] std::string rates_text(const Rates &rates);

// "store=7G,cxl=25G,p99=3,flops=2T,compute=0.4": decimal units, a second.
[[nodiscard]] Result<Rates> state_rates(std::string_view words, Rates rates);

} // namespace itme
