// SPDX-License-Identifier: GPL-2.0-only
#include "lib/cgroups.hpp"

#include <sys/stat.h>

namespace itme {

namespace {

std::uint64_t inode_of(const Path &folder)
{
	struct stat status{};

	return stat(folder.c_str(), &status) == 0 ? status.st_ino : 0;
}

} // namespace

std::map<std::uint64_t, std::string> find_cgroups(const Path &root,
						  const std::set<std::uint64_t> &ids)
{
	std::map<std::uint64_t, std::string> found;

	// Where systemd mounts it: alone, or beside the controllers of cgroup1.
	for (const auto *mount : {"sys/fs/cgroup/unified", "sys/fs/cgroup"}) {
		const auto top = root / mount;
		std::error_code ec;

		if (!std::filesystem::exists(top / "cgroup.controllers", ec))
			continue;
		const auto note = [&](const Path &folder, const std::string &name) {
			if (const auto id = inode_of(folder); ids.contains(id))
				found[id] = name;
		};

		note(top, "/");
		for (std::filesystem::recursive_directory_iterator it{top, ec}, end;
		     !ec && it != end && found.size() < ids.size(); it.increment(ec))
			if (it->is_directory(ec))
				note(it->path(), "/" + it->path().lexically_relative(top).string());
		break;
	}
	return found;
}

} // namespace itme
