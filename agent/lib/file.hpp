// SPDX-License-Identifier: GPL-2.0-only
// Small files of /sys and /proc.
#pragma once

#include <cstdint>
#include <expected>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace itme {

using Path = std::filesystem::path;

// What a system call gives: a value, or an errno.
template <typename T> using Sys = std::expected<T, int>;

// The whole file, or an errno.
[[nodiscard]] Sys<std::string> read_file(const Path &file);

// The first line, without the newline.
[[nodiscard]] Sys<std::string> read_line(const Path &file);

// Names in a folder, sorted; none if it cannot be read.
[[nodiscard]] std::vector<std::string> list_folder(const Path &folder);

// The first lines of all files in a folder that can be read, by name. For who samples many:
// no path is made, nor walked, for each.
[[nodiscard]] std::map<std::string, std::string> read_lines(const Path &folder);

// A whole decimal number, nothing before or after it.
[[nodiscard]] std::optional<std::uint64_t> parse_number(std::string_view text);

// What strerror() says, without its shared buffer.
[[nodiscard]] std::string errno_text(int err);

} // namespace itme
