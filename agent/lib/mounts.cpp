// SPDX-License-Identifier: GPL-2.0-only
#include "lib/mounts.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sstream>

namespace itme {

namespace {

bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

// The kernel writes space, tab, newline and backslash as \ooo.
std::string unescape(const std::string &text)
{
	std::string plain;

	for (std::size_t i = 0; i < text.size(); i++) {
		if (text[i] == '\\' && i + 3 < text.size() && is_octal(text[i + 1]) &&
		    is_octal(text[i + 2]) && is_octal(text[i + 3])) {
			plain += static_cast<char>((text[i + 1] - '0') * 64 +
						   (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
			i += 3;
		} else {
			plain += text[i];
		}
	}
	return plain;
}

} // namespace

std::vector<Mount> parse_mounts(const std::string &mountinfo)
{
	std::vector<Mount> mounts;
	std::istringstream lines{mountinfo};

	for (std::string line; std::getline(lines, line);) {
		// ID PARENT MAJOR:MINOR ROOT PATH OPTIONS TAG... - TYPE SOURCE SUPER-OPTIONS
		std::istringstream words{line};
		std::string word, path, type, source, options;

		for (int i = 0; i < 5 && words >> path; i++)
			;
		while (words >> word && word != "-")
			;
		if (words >> type >> source >> options && type == "itme")
			mounts.push_back({unescape(path), unescape(options)});
	}
	return mounts;
}

Sys<std::vector<Mount>> read_mounts(const Path &root)
{
	const auto text = read_file(root / "proc/self/mountinfo");

	if (!text)
		return std::unexpected(text.error());
	return parse_mounts(*text);
}

bool MountWatch::changed(const Path &root)
{
	if (!file_) {
		file_ = Fd{open((root / "proc/self/mountinfo").c_str(), O_RDONLY | O_CLOEXEC)};
		return true;
	}
	pollfd wait{.fd = file_.get(), .events = POLLPRI, .revents = 0};
	return poll(&wait, 1, 0) != 0;
}

} // namespace itme
