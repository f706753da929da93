// SPDX-License-Identifier: GPL-2.0-only
// Where a replay's items come from: a mapping, read(2), or a ring of buffers
// that are filled ahead by direct I/O.
#pragma once

#include "replay/program.hpp"

#include "lib/error.hpp"
#include "lib/file.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace itme::replay {

class Source {
public:
	virtual ~Source() = default;

	// The item at this position of the whole sequence, all of it in memory: the
	// time this takes is the stall. It is valid until the next call.
	[[nodiscard]] virtual Result<std::span<const std::byte>> fetch(size_t position) = 0;
};

// What is read, for sources that work ahead.
struct Reading {
	Path path;
	const std::vector<Item> *items = nullptr;
	const std::vector<uint32_t> *sequence = nullptr;
};

enum class Advice { normal, sequential, random };

// 0 or an errno. Direct I/O takes whole pages: there must be room for them.
[[nodiscard]] int read_item(int fd, const Item &item, std::byte *to);

// The file is mapped; fetching touches every page of the item.
[[nodiscard]] Result<std::unique_ptr<Source>> open_mapped(const Reading &reading, Advice advice,
							  const std::vector<uint32_t> &locked);

// pread(2) through the page cache, or past it.
[[nodiscard]] Result<std::unique_ptr<Source>> open_pread(const Reading &reading, bool direct);

// So many buffers, each filled by a thread of its own by O_DIRECT, in the order of
// the sequence; the kept items are read once and stay in memory of their own.
[[nodiscard]] Result<std::unique_ptr<Source>> open_ring(const Reading &reading, size_t slots,
							const std::vector<uint32_t> &kept);

} // namespace itme::replay
