// SPDX-License-Identifier: GPL-2.0-only
#include "lib/size.hpp"
#include "lib/decimal.hpp"

#include <array>
#include <cctype>
#include <cstddef>
#include <cstdio>
#include <limits>

namespace itme {

namespace {

constexpr std::string_view units = "KMGTPE"; // 1024 to the power of 1, 2, ...
constexpr std::size_t most_digits = 20;      // of 2^64 - 1

} // namespace

std::optional<std::uint64_t> parse_size(std::string_view text)
{
	const auto number = parse_decimal(text, most_digits);
	if (!number)
		return std::nullopt;
	auto [value, scale, rest] = *number;

	if (!rest.empty() && rest != "B") {
		const auto letter = std::toupper(static_cast<unsigned char>(rest[0]));
		const auto unit = units.find(static_cast<char>(letter));
		const auto suffix = rest.substr(1);

		if (unit == units.npos || !(suffix.empty() || suffix == "B" || suffix == "iB"))
			return std::nullopt;
		// 20 digits are below 2^67 and the unit at most 2^60: no overflow.
		value <<= 10 * (unit + 1);
	}
	if (value % scale != 0)
		return std::nullopt;
	value /= scale;
	if (value > std::numeric_limits<std::uint64_t>::max())
		return std::nullopt;
	return static_cast<std::uint64_t>(value);
}

std::string format_size(std::uint64_t bytes)
{
	unsigned __int128 scale = 1;

	if (bytes < 1024)
		return std::to_string(bytes) + " B";
	for (const char unit : units) {
		scale *= 1024;
		const auto tenths = static_cast<std::uint64_t>(
			(static_cast<unsigned __int128>(bytes) * 10 + scale / 2) / scale);
		if (tenths >= 10240 && unit != units.back())
			continue;

		auto text = std::to_string(tenths / 10);
		if (tenths % 10)
			text += "." + std::to_string(tenths % 10);
		return text + " " + unit + "iB";
	}
	return {}; // not reached: the last unit holds everything
}

std::string figure(const char *format, double value)
{
	char text[64];

	std::snprintf(text, sizeof(text), format, value);
	return text;
}

} // namespace itme
