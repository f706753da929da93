// SPDX-License-Identifier: GPL-2.0-only
#include "lib/instances.hpp"

#include <algorithm>
#include <set>

namespace itme {

namespace {

// Of the 1024 that a process may have by default.
constexpr std::size_t most_open = 384;

// All of them, each folder's lines read by a function.
template <typename Lines> std::vector<Instance> read_with(const Path &root, Lines lines)
{
	std::vector<Instance> instances;

	for (const auto &name : list_folder(root / "sys/fs/itme")) {
		std::error_code ec;
		const auto folder = root / "sys/fs/itme" / name;

		if (!std::filesystem::is_directory(folder, ec))
			continue;
		auto &instance = instances.emplace_back(name, lines(folder));
		for (const auto &region : list_folder(folder / "regions"))
			instance.regions.push_back({region, lines(folder / "regions" / region)});
	}
	return instances;
}

} // namespace

bool is_number(const std::string &attribute)
{
	return attribute.ends_with("_bytes") || attribute.ends_with("_count");
}

std::optional<std::uint64_t> number(const Attributes &attributes, const std::string &name)
{
	const auto found = attributes.find(name);

	if (found == attributes.end())
		return std::nullopt;
	return parse_number(found->second);
}

bool is_loaded(const Path &root)
{
	std::error_code ec;

	return std::filesystem::is_directory(root / "sys/fs/itme", ec);
}

std::vector<Instance> read_instances(const Path &root)
{
	return read_with(root, read_lines);
}

std::vector<Instance> InstanceReader::read()
{
	std::set<Path> there;
	std::size_t files = 0;

	for (const auto &[path, folder] : folders_)
		files += folder.files();
	auto instances = read_with(root_, [&](const Path &path) {
		const auto most = most_open - std::min(files, most_open);
		auto [at, added] = folders_.try_emplace(path, path, most);
		auto lines = at->second.lines();

		there.insert(path);
		files += added ? at->second.files() : 0;
		return lines;
	});
	std::erase_if(folders_, [&](const auto &entry) { return !there.contains(entry.first); });
	return instances;
}

} // namespace itme
