// SPDX-License-Identifier: GPL-2.0-only
#include "lib/kept_folder.hpp"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>

namespace itme {

namespace {

std::optional<std::string> first_line(const Fd &file)
{
	std::array<char, 4096> buffer;
	ssize_t n = 0;

	do
		n = pread(file.get(), buffer.data(), buffer.size() - 1, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return std::nullopt;
	const std::string_view text{buffer.data(), static_cast<std::size_t>(n)};
	return std::string{text.substr(0, text.find('\n'))};
}

} // namespace

void KeptFolder::open(dev_t device, ino_t inode)
{
	const Fd folder{::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};

	device_ = device;
	inode_ = inode;
	open_.clear();
	others_.clear();
	for (auto &name : list_folder(path_)) {
		struct stat file{};

		if (fstatat(folder.get(), name.c_str(), &file, 0) < 0 || !S_ISREG(file.st_mode))
			continue;
		Fd fd;
		if (open_.size() < most_)
			fd = Fd{openat(folder.get(), name.c_str(), O_RDONLY | O_CLOEXEC)};
		if (fd)
			open_.emplace_back(std::move(name), std::move(fd));
		else
			others_.push_back(std::move(name));
	}
}

std::map<std::string, std::string> KeptFolder::lines()
{
	std::map<std::string, std::string> lines;
	struct stat folder{};

	if (stat(path_.c_str(), &folder) < 0)
		return lines;
	if (folder.st_dev != device_ || folder.st_ino != inode_)
		open(folder.st_dev, folder.st_ino);
	for (const auto &[name, file] : open_)
		if (auto line = first_line(file))
			lines.emplace(name, std::move(*line));
	for (const auto &name : others_)
		if (auto line = read_line(path_ / name))
			lines.emplace(name, std::move(*line));
	return lines;
}

} // namespace itme
