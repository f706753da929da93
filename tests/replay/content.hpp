// SPDX-License-Identifier: GPL-2.0-only
// Files of known content: what a seed and an offset say, with a checksum of
// each block beside it.
#pragma once

#include "lib/error.hpp"
#include "lib/file.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace itme::replay {

// The unit of checksums: the smallest granule, so that all sizes are made of it.
constexpr uint64_t block_bytes = 64 << 10;

// Fletcher's: the second sum depends on the order of words, so that a word in the
// wrong place is seen as well as a wrong one.
[[nodiscard]] uint64_t checksum(std::span<const std::byte> data);

// One word of each cache line: everything is fetched, little is computed.
[[nodiscard]] uint64_t touch_lines(std::span<const std::byte> data);

// What a file of this seed holds at the offset, a multiple of 8.
void fill_content(std::span<std::byte> data, uint64_t seed, uint64_t offset);

// The checksums of a file's blocks; the last block may be short.
struct Sums {
	uint64_t bytes = 0;
	std::vector<uint64_t> blocks;

	bool operator==(const Sums &) const = default;
};

[[nodiscard]] Result<Sums> parse_sums(const std::string &json);
[[nodiscard]] std::string format_sums(const Sums &sums);

// The first block of the range that is not what it should be, as the offset in
// the file. The range begins at a block; a last block that it cuts is not looked at.
[[nodiscard]] Result<void> verify(const Sums &sums, uint64_t offset,
				  std::span<const std::byte> data);

// Writes a file of known content and gives its sums.
[[nodiscard]] Result<Sums> make_file(const Path &path, uint64_t bytes, uint64_t seed);

} // namespace itme::replay
