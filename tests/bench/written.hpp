// SPDX-License-Identifier: GPL-2.0-only
// Data that says what it is: pages of numbers, for what is written by a measurement
// to be found in the store, whole and in its place.
#pragma once

#include "replay/buffer.hpp"

#include "lib/error.hpp"
#include "lib/fd.hpp"
#include "lib/file.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

namespace itme::bench {

// Each page begins with its number and the turn in which it was written. So little is
// computed that the copy itself is what costs.
inline void stamp_pages(std::byte *data, uint64_t offset, size_t bytes, uint64_t turn)
{
	for (size_t i = 0; i < bytes; i += replay::page_bytes) {
		const uint64_t stamp[] = {(offset + i) / replay::page_bytes, turn};

		std::memcpy(data + i, stamp, sizeof(stamp));
	}
}

// Is every page of a file stamped with this turn? Reads past its page cache.
inline Result<void> check_pages(const Path &path, uint64_t bytes, uint64_t turn)
{
	const replay::Buffer buffer{replay::huge_bytes};
	const Fd file{open(path.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC)};

	if (!file)
		return fail(path.string() + ": " + errno_text(errno));
	for (uint64_t offset = 0; offset < bytes; offset += buffer.size()) {
		const size_t n = std::min<uint64_t>(buffer.size(), bytes - offset);

		if (pread(file.get(), buffer.data(), n, static_cast<off_t>(offset)) !=
		    static_cast<ssize_t>(n))
			return fail(path.string() + ": cannot be read again");
		for (size_t i = 0; i < n; i += replay::page_bytes) {
			const uint64_t stamp[] = {(offset + i) / replay::page_bytes, turn};

			if (std::memcmp(buffer.data() + i, stamp, sizeof(stamp)) != 0)
				return fail(path.string() + ": page " + std::to_string(stamp[0]) +
					    " is not what was written last");
		}
	}
	return {};
}

} // namespace itme::bench
