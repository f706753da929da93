// SPDX-License-Identifier: GPL-2.0-only
#include "lib/holders.hpp"

#include <algorithm>
#include <fcntl.h>
#include <sstream>

namespace itme {

namespace {

constexpr std::size_t most_described = 5;

bool is_below(const std::string &file, const std::string &folder)
{
	return file == folder || file.starts_with(folder == "/" ? folder : folder + "/");
}

std::string link_target(const Path &link)
{
	std::error_code ec;

	return std::filesystem::read_symlink(link, ec).string();
}

bool has_open(const Path &process, auto &&matches)
{
	return std::ranges::any_of(list_folder(process / "fd"),
				   [&](const auto &fd) { return matches(process, fd); });
}

bool maps_below(const Path &process, const std::string &folder)
{
	const auto text = read_file(process / "maps");
	if (!text)
		return false;

	// ADDRESS PERMISSIONS OFFSET DEVICE INODE PATH; no word before PATH holds a '/'.
	std::istringstream lines{*text};
	for (std::string line; std::getline(lines, line);) {
		const auto path = line.find('/');
		if (path != line.npos && is_below(line.substr(path), folder))
			return true;
	}
	return false;
}

// /proc/PID/fdinfo/FD has a line "flags:", in octal.
bool is_for_writing(const Path &fdinfo)
{
	const auto text = read_file(fdinfo);
	if (!text)
		return false;

	std::istringstream words{*text};
	for (std::string word; words >> word;) {
		int flags = 0;

		if (word == "flags:" && words >> std::oct >> flags)
			return (flags & O_ACCMODE) != O_RDONLY;
	}
	return false;
}

std::vector<Holder> holders(const Path &root, auto &&holds)
{
	std::vector<Holder> found;
	const auto self = link_target(root / "proc/self");

	for (const auto &name : list_folder(root / "proc")) {
		const auto pid = parse_number(name);
		const auto process = root / "proc" / name;

		if (pid && name != self && holds(process))
			found.push_back({static_cast<int>(*pid),
					 read_line(process / "comm").value_or("?")});
	}
	return found;
}

} // namespace

std::vector<Holder> users_below(const Path &root, const Path &path)
{
	const auto folder = path.string();

	return holders(root, [&](const Path &process) {
		return is_below(link_target(process / "cwd"), folder) ||
		       is_below(link_target(process / "root"), folder) ||
		       has_open(process,
				[&](const Path &p, const std::string &fd) {
					return is_below(link_target(p / "fd" / fd), folder);
				}) ||
		       maps_below(process, folder);
	});
}

std::vector<Holder> writers_of(const Path &root, const Path &file)
{
	return holders(root, [&](const Path &process) {
		return has_open(process, [&](const Path &p, const std::string &fd) {
			return link_target(p / "fd" / fd) == file.string() &&
			       is_for_writing(p / "fdinfo" / fd);
		});
	});
}

std::string describe(const std::vector<Holder> &holders)
{
	std::string text;

	for (std::size_t i = 0; i < holders.size() && i < most_described; i++) {
		if (i > 0)
			text += ", ";
		text += holders[i].command + " (" + std::to_string(holders[i].pid) + ")";
	}
	if (holders.size() > most_described)
		text += " and " + std::to_string(holders.size() - most_described) + " more";
	return text;
}

} // namespace itme
