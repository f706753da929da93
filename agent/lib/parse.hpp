// SPDX-License-Identifier: GPL-2.0-only
// What every parser of the agent says when it refuses its input.
#pragma once

#include <cstdint>
#include <expected>
#include <string>

namespace itme {

// The offset is that of the first byte that cannot be right, in the input.
struct ParseError {
	uint64_t offset = 0;
	std::string message;
	bool truncated = false; // the input ended; more of it could be right

	[[nodiscard]] std::string text() const
	{
		return "at byte " + std::to_string(offset) + ": " + message;
	}
};

template <typename T> using Parsed = std::expected<T, ParseError>;

[[nodiscard]] inline std::unexpected<ParseError> refuse(uint64_t offset, std::string message)
{
	return std::unexpected(ParseError{offset, std::move(message)});
}

} // namespace itme
