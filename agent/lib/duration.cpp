// SPDX-License-Identifier: GPL-2.0-only
#include "lib/duration.hpp"
#include "lib/decimal.hpp"

#include <algorithm>
#include <cstddef>

namespace itme {

namespace {

struct Unit {
	std::string_view name;
	std::uint64_t ns;
};

constexpr std::uint64_t second_ns = 1'000'000'000;
constexpr Unit units[] = {
	{"ns", 1},        {"us", 1000},          {"ms", 1'000'000},
	{"s", second_ns}, {"m", 60 * second_ns}, {"h", 3600 * second_ns},
};

constexpr std::size_t most_digits = 19;
constexpr std::uint64_t most_ns = INT64_MAX; // what the kernel takes for a time

} // namespace

std::optional<std::uint64_t> parse_duration(std::string_view text)
{
	const auto number = parse_decimal(text, most_digits);
	if (!number)
		return std::nullopt;
	auto [value, scale, rest] = *number;

	const auto *unit = std::ranges::find(units, rest, &Unit::name);
	if (unit == std::end(units))
		return std::nullopt;
	// 19 digits are below 2^64 and an hour is below 2^42 ns: no overflow.
	value *= unit->ns;
	if (value % scale != 0 || value / scale > most_ns)
		return std::nullopt;
	return static_cast<std::uint64_t>(value / scale);
}

std::string format_duration(std::uint64_t ns)
{
	for (const auto &unit : units) {
		const auto tenths =
			(static_cast<unsigned __int128>(ns) * 10 + unit.ns / 2) / unit.ns;
		if (tenths >= 10000 && unit.ns < second_ns)
			continue;

		auto text = std::to_string(static_cast<std::uint64_t>(tenths / 10));
		if (tenths % 10)
			text += "." + std::to_string(static_cast<unsigned>(tenths % 10));
		return text + " " + std::string(unit.name);
	}
	return {}; // not reached: seconds hold everything
}

} // namespace itme
