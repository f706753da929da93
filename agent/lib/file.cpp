// SPDX-License-Identifier: GPL-2.0-only
#include "lib/file.hpp"

#include "lib/fd.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <dirent.h>
#include <fcntl.h>
#include <memory>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace itme {

namespace {

// Until its end, or until there is a line.
Sys<std::string> read_some(int folder, const char *file, bool line)
{
	const Fd fd{openat(folder, file, O_RDONLY | O_CLOEXEC)};
	if (!fd)
		return std::unexpected(errno);

	std::string text;
	std::array<char, 4096> buffer;
	for (;;) {
		const ssize_t n = read(fd.get(), buffer.data(), buffer.size());
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return std::unexpected(errno);
		if (n == 0)
			return text;
		text.append(buffer.data(), static_cast<std::size_t>(n));
		if (line && text.find('\n') != text.npos)
			return text;
	}
}

Sys<std::string> read_first(int folder, const char *file)
{
	auto text = read_some(folder, file, true);
	if (text)
		text->resize(std::min(text->find('\n'), text->size()));
	return text;
}

struct CloseFolder {
	void operator()(DIR *folder) const { closedir(folder); }
};

} // namespace

Sys<std::string> read_file(const Path &file)
{
	return read_some(AT_FDCWD, file.c_str(), false);
}

Sys<std::string> read_line(const Path &file)
{
	return read_first(AT_FDCWD, file.c_str());
}

std::map<std::string, std::string> read_lines(const Path &folder)
{
	std::map<std::string, std::string> lines;
	const std::unique_ptr<DIR, CloseFolder> open{opendir(folder.c_str())};

	while (const dirent *entry = open ? readdir(open.get()) : nullptr)
		if (entry->d_type != DT_DIR)
			if (auto line = read_first(dirfd(open.get()), entry->d_name))
				lines.emplace(entry->d_name, std::move(*line));
	return lines;
}

std::vector<std::string> list_folder(const Path &folder)
{
	std::vector<std::string> names;
	std::error_code ec;

	for (std::filesystem::directory_iterator it{folder, ec}, end; !ec && it != end;
	     it.increment(ec))
		names.push_back(it->path().filename());
	std::ranges::sort(names);
	return names;
}

std::optional<std::uint64_t> parse_number(std::string_view text)
{
	std::uint64_t value = 0;
	const auto *end = text.data() + text.size();
	const auto [rest, ec] = std::from_chars(text.data(), end, value);

	if (ec != std::errc{} || rest != end)
		return std::nullopt;
	return value;
}

std::string errno_text(int err)
{
	return std::generic_category().message(err);
}

} // namespace itme
