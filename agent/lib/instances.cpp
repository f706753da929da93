// SPDX-License-Identifier: GPL-2.0-only
#include "lib/instances.hpp"

namespace itme {

namespace {

Instance read_instance(const Path &folder)
{
	Instance instance{folder.filename(), read_lines(folder), {}};

	for (const auto &name : list_folder(folder / "regions"))
		instance.regions.push_back({name, read_lines(folder / "regions" / name)});
	return instance;
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
	std::vector<Instance> instances;

	for (const auto &name : list_folder(root / "sys/fs/itme")) {
		std::error_code ec;
		const auto folder = root / "sys/fs/itme" / name;

		if (std::filesystem::is_directory(folder, ec))
			instances.push_back(read_instance(folder));
	}
	return instances;
}

} // namespace itme
