// SPDX-License-Identifier: GPL-2.0-only
// Sizes and other figures as people write and read them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace itme {

// The only page size that ITME is built for.
inline constexpr std::uint64_t page_bytes = 4096;

// "4096", "64K", "2M", "1.5G" or "64GiB": powers of 1024. Nothing if it is no
// size, no whole number of bytes, or above 2^64 - 1.
[[nodiscard]] std::optional<std::uint64_t> parse_size(std::string_view text);

// The largest unit with at most one decimal: "0 B", "1.5 GiB".
[[nodiscard]] std::string format_size(std::uint64_t bytes);

// One number in printf's words: "%.3g s".
[[nodiscard]] std::string figure(const char *format, double value);

} // namespace itme
