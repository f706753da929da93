// SPDX-License-Identifier: GPL-2.0-only
// The number at the beginning of a size or a duration: digits, and perhaps a fraction.
#pragma once

#include <cctype>
#include <cstddef>
#include <optional>
#include <string_view>

namespace itme {

struct Decimal {
	unsigned __int128 value = 0, scale = 1; // the number is value / scale
	std::string_view rest;                  // what comes behind it: the unit
};

// Nothing where text does not begin with a digit, ends its number with a point, or has
// more digits than the caller's unit leaves room for.
[[nodiscard]] inline std::optional<Decimal> parse_decimal(std::string_view text,
							  std::size_t most_digits)
{
	Decimal number;
	std::size_t digits = 0, i = 0;
	bool fraction = false;

	for (; i < text.size(); i++) {
		if (text[i] == '.' && !fraction && digits > 0) {
			fraction = true;
			continue;
		}
		if (!std::isdigit(static_cast<unsigned char>(text[i])))
			break;
		if (++digits > most_digits)
			return std::nullopt;
		number.value = number.value * 10 + static_cast<unsigned>(text[i] - '0');
		if (fraction)
			number.scale *= 10;
	}
	if (digits == 0 || text[i - 1] == '.')
		return std::nullopt;
	number.rest = text.substr(i);
	return number;
}

} // namespace itme
