// SPDX-License-Identifier: GPL-2.0-only
#include "replay/source.hpp"

#include "replay/buffer.hpp"

#include "lib/fd.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>

namespace itme::replay {

namespace {

class Mapped : public Source {
public:
	Mapped(Mapping mapping, const Reading &reading)
	    : mapping_(std::move(mapping)), reading_(reading)
	{
	}

	Result<std::span<const std::byte>> fetch(size_t position) override
	{
		const Item &item = (*reading_.items)[(*reading_.sequence)[position]];
		const std::byte *data = mapping_.data() + item.offset;

		touch_pages(data, item.length);
		return std::span{data, item.length};
	}

private:
	Mapping mapping_;
	Reading reading_;
};

class Pread : public Source {
public:
	Pread(Fd fd, const Reading &reading, size_t most)
	    : fd_(std::move(fd)), reading_(reading), buffer_(most)
	{
	}

	Result<std::span<const std::byte>> fetch(size_t position) override
	{
		const Item &item = (*reading_.items)[(*reading_.sequence)[position]];

		if (const int err = read_item(fd_.get(), item, buffer_.data()))
			return fail(reading_.path.string() + ": " + errno_text(err));
		return std::span<const std::byte>{buffer_.data(), item.length};
	}

private:
	Fd fd_;
	Reading reading_;
	Buffer buffer_;
};

} // namespace

int read_item(int fd, const Item &item, std::byte *to)
{
	const size_t wanted = (item.length + page_bytes - 1) / page_bytes * page_bytes;

	for (size_t done = 0; done < item.length;) {
		const ssize_t got =
			pread(fd, to + done, wanted - done, static_cast<off_t>(item.offset + done));
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? errno : EIO;
		done += static_cast<size_t>(got);
	}
	return 0;
}

Result<std::unique_ptr<Source>> open_mapped(const Reading &reading, Advice advice,
					    const std::vector<uint32_t> &locked)
{
	const Fd fd{open(reading.path.c_str(), O_RDONLY | O_CLOEXEC)};
	struct stat st;
	if (!fd || fstat(fd.get(), &st) < 0)
		return fail(reading.path.string() + ": " + errno_text(errno));

	auto mapping = Mapping::of_file(fd.get(), 0, static_cast<size_t>(st.st_size));
	if (!mapping)
		return fail(reading.path.string() + ": mapping: " + errno_text(errno));
	if (advice != Advice::normal)
		madvise(mapping.data(), mapping.size(),
			advice == Advice::random ? MADV_RANDOM : MADV_SEQUENTIAL);
	for (const uint32_t number : locked) {
		const Item &item = (*reading.items)[number];

		if (mlock(mapping.data() + item.offset, item.length) < 0)
			return fail(reading.path.string() + ": mlock: " + errno_text(errno));
	}
	return std::make_unique<Mapped>(std::move(mapping), reading);
}

Result<std::unique_ptr<Source>> open_pread(const Reading &reading, bool direct)
{
	Fd fd{open(reading.path.c_str(), O_RDONLY | O_CLOEXEC | (direct ? O_DIRECT : 0))};
	if (!fd)
		return fail(reading.path.string() + ": " + errno_text(errno));
	return std::make_unique<Pread>(std::move(fd), reading,
				       std::ranges::max(*reading.items, {}, &Item::length).length);
}

} // namespace itme::replay
