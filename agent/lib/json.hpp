// SPDX-License-Identifier: GPL-2.0-only
// JSON between itmed and itmectl, read without trust: what is missing or of
// another type reads as zero or "".
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace itme {

// Keys stay in the order in which they were added.
using Json = nlohmann::ordered_json;

// On one line; names are bytes and not always UTF-8.
[[nodiscard]] std::string one_line(const Json &json);

// The member, or a null; an element of an array that is none is no element.
[[nodiscard]] const Json &member(const Json &json, std::string_view key);
[[nodiscard]] const Json &list(const Json &json, std::string_view key);

[[nodiscard]] std::uint64_t number_of(const Json &json, std::string_view key);
[[nodiscard]] double real_of(const Json &json, std::string_view key);
[[nodiscard]] bool is_set(const Json &json, std::string_view key);
[[nodiscard]] std::string text_of(const Json &json, std::string_view key);

} // namespace itme
