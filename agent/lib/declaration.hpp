// SPDX-License-Identifier: GPL-2.0-only
// What a runtime says of itself, by libitme: a datagram, and who sent it about what.
#pragma once

#include "lib/error.hpp"
#include "lib/file.hpp"
#include "lib/snapshot.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace itme {

struct ByteRange {
	std::uint64_t offset = 0, length = 0;

	bool operator==(const ByteRange &) const = default;
};

struct Declaration {
	enum class Kind : std::uint8_t { step = 1, at = 2, done = 3, guess = 4, memory = 5 };
	static constexpr std::uint32_t never = UINT32_MAX;

	Kind kind = Kind::at;
	RegionId region;       // of a datagram not yet known: see region_of()
	std::uint32_t pid = 0; // the same
	int fd = -1;           // of the region, in that process
	std::string stream;    // of step, at and guess; "": the region's first
	std::uint64_t pass = 0;
	std::uint32_t position = 0;           // of at
	std::uint64_t offset = 0, length = 0; // of done; offset of memory
	std::uint32_t next_use = 0;           // of done: in so many passes; 0: not known; never
	std::vector<ByteRange> guesses;       // of guess, the likeliest first
	std::uint64_t time_ns = 0;            // CLOCK_MONOTONIC
};

// Of bytes that anybody may have sent. Why they are refused has nothing of theirs in it.
[[nodiscard]] Result<Declaration> parse_declaration(std::span<const std::byte> datagram);

// The file that a process has open for reading. The descriptor is not taken over from its
// owner: that could be a file which answers never, and closing it waits for an answer.
[[nodiscard]] Result<RegionId> region_of(const Path &root, std::uint32_t pid, int fd);

} // namespace itme
