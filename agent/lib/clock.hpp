// SPDX-License-Identifier: GPL-2.0-only
#pragma once

#include <cstdint>
#include <ctime>

namespace itme {

// CLOCK_MONOTONIC, which the module and BPF use for all their times.
[[nodiscard]] inline std::uint64_t monotonic_ns()
{
	timespec now{};

	clock_gettime(CLOCK_MONOTONIC, &now);
	return static_cast<std::uint64_t>(now.tv_sec) * 1000000000 +
	       static_cast<std::uint64_t>(now.tv_nsec);
}

} // namespace itme
