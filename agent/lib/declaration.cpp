// SPDX-License-Identifier: GPL-2.0-only
#include "lib/declaration.hpp"

#include "lib/region_names.hpp"
#include "libitme/event.h"

#include <algorithm>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

namespace itme {

namespace {

bool good_range(std::uint64_t offset, std::uint64_t length)
{
	return length > 0 && offset <= INT64_MAX && length <= INT64_MAX - offset;
}

// Nothing where they are not as they should be.
std::vector<ByteRange> parse_ranges(std::span<const std::byte> bytes)
{
	std::vector<ByteRange> ranges;
	itme_event_range range{};

	if (bytes.size() % sizeof(range) != 0 ||
	    bytes.size() / sizeof(range) > ITME_EVENT_RANGES_MAX)
		return {};
	for (; !bytes.empty(); bytes = bytes.subspan(sizeof(range))) {
		std::memcpy(&range, bytes.data(), sizeof(range));
		if (!good_range(range.offset, range.length))
			return {};
		ranges.push_back({range.offset, range.length});
	}
	return ranges;
}

bool good_name(std::span<const char> stream)
{
	const auto end = std::ranges::find(stream, '\0');

	return end != stream.end() &&
	       std::all_of(end, stream.end(), [](char c) { return c == '\0'; });
}

} // namespace

Result<Declaration> parse_declaration(std::span<const std::byte> datagram)
{
	itme_event event{};

	if (datagram.size() < sizeof(event))
		return fail("it is too short");
	std::memcpy(&event, datagram.data(), sizeof(event));
	if (event.version != ITME_EVENT_VERSION || event.size != datagram.size())
		return fail("it is of another version of libitme");
	const auto tail = datagram.subspan(sizeof(event));
	const bool position = event.kind == ITME_EVENT_STEP || event.kind == ITME_EVENT_AT;
	const bool guess = event.kind == ITME_EVENT_GUESS;
	const bool memory = event.kind == ITME_EVENT_MEMORY_AT;
	if (!position && !guess && !memory && event.kind != ITME_EVENT_DONE)
		return fail("it is of a kind that is not known here");
	if (!guess &&
	    std::ranges::any_of(tail, [](std::byte byte) { return byte != std::byte{0}; }))
		return fail("it is of a newer libitme, and says what is not known here");
	const auto ranges = guess ? parse_ranges(tail) : std::vector<ByteRange>{};
	const bool has_range = event.offset != 0 || event.length != 0 || event.next_use != 0;
	const bool has_place = event.pass != 0 || event.position != 0;
	if ((memory ? event.fd != -1 : event.fd < 0) || event.reserved != 0 ||
	    !good_name(event.stream) || (position && (event.pass == 0 || has_range)) ||
	    (event.kind == ITME_EVENT_STEP && event.position != 0) ||
	    (guess && (has_place || has_range || ranges.empty())) ||
	    (memory &&
	     (has_place || event.stream[0] != '\0' || event.length != 0 || event.next_use != 0)) ||
	    (event.kind == ITME_EVENT_DONE &&
	     (has_place || event.stream[0] != '\0' || !good_range(event.offset, event.length))))
		return fail("it is not well-formed");

	Declaration said;
	said.kind = static_cast<Declaration::Kind>(event.kind);
	said.fd = event.fd;
	said.stream = event.stream;
	said.pass = event.pass;
	said.position = event.position;
	said.offset = event.offset;
	said.length = event.length;
	said.next_use = event.next_use;
	said.guesses = ranges;
	said.time_ns = event.time_ns;
	return said;
}

Result<RegionId> region_of(const Path &root, std::uint32_t pid, int fd)
{
	const auto link = root / "proc" / std::to_string(pid) / "fd" / std::to_string(fd);
	struct stat status{};
	struct statx file{};

	// The link's own mode tells how the file was opened.
	if (lstat(link.c_str(), &status) != 0 || !S_ISLNK(status.st_mode))
		return fail("its sender has no such descriptor");
	if ((status.st_mode & S_IRUSR) == 0)
		return fail("its sender may not read the region");
	// As it is known here: no file system is asked.
	if (statx(AT_FDCWD, link.c_str(), AT_STATX_DONT_SYNC, STATX_TYPE | STATX_INO, &file) != 0)
		return fail("its sender has no such descriptor");
	return RegionId{kernel_dev(makedev(file.stx_dev_major, file.stx_dev_minor)), file.stx_ino};
}

} // namespace itme
