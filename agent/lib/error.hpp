// SPDX-License-Identifier: GPL-2.0-only
// How functions of the agent fail: with an exit code and a sentence.
#pragma once

#include <expected>
#include <string>
#include <utility>

namespace itme {

// Exit codes of every command.
enum class Exit {
	ok = 0,
	failed = 1,
	usage = 2,
	unsupported = 3, // not supported here: no module, no itme mount
};

// A failure: the sentence names the cause and, where there is one, the fix.
struct Error {
	Exit code = Exit::failed;
	std::string text;
};

template <typename T> using Result = std::expected<T, Error>;

[[nodiscard]] inline std::unexpected<Error> fail(std::string text, Exit code = Exit::failed)
{
	return std::unexpected(Error{code, std::move(text)});
}

} // namespace itme
