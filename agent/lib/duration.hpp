// SPDX-License-Identifier: GPL-2.0-only
// Durations as people write and read them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace itme {

// "500ms", "1.5s", "250us", "20ns", "3m" or "2h", as nanoseconds. Nothing if it has
// no unit, is no whole number of nanoseconds, or is above 2^63 - 1.
[[nodiscard]] std::optional<std::uint64_t> parse_duration(std::string_view text);

// The largest unit up to seconds, with at most one decimal: "1.5 ms", "90 s".
[[nodiscard]] std::string format_duration(std::uint64_t ns);

} // namespace itme
