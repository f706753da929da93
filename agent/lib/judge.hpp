// SPDX-License-Identifier: GPL-2.0-only
// Is the plan worth it? Passes with hints are compared with what demand alone takes:
// first with an estimate of that, and where they lose against it, with passes that
// are left to demand on purpose. Pure.
#pragma once

#include "lib/meter.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace itme {

class Judge {
public:
	// There is another plan: what was measured with the one before is forgotten.
	void planned();
	// From time to time. `meter` was restarted with each plan, and when refuses() changed;
	// `streamed`: granules a pass that the plan fetches; `ahead`: hints are being given.
	void look(const Meter &meter, std::uint64_t streamed, bool ahead);

	// The region is better left to demand for now.
	[[nodiscard]] bool refuses() const { return refuses_; }
	// What a pass takes without hints; nothing while that is not known.
	[[nodiscard]] std::optional<std::uint64_t> demand_ns() const { return demand_ns_; }
	[[nodiscard]] bool demand_measured() const { return measured_; }
	[[nodiscard]] const std::string &why() const { return why_; }

private:
	std::optional<std::uint64_t> demand_ns_;
	std::uint64_t with_ns_ = 0; // a pass with hints, when they were refused
	std::uint64_t looked_ = 0;  // passes that the last look had
	std::uint32_t strikes_ = 0, refusals_ = 0;
	bool measured_ = false, refuses_ = false;
	std::string why_;
};

} // namespace itme
