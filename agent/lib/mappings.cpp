// SPDX-License-Identifier: GPL-2.0-only
#include "lib/mappings.hpp"

#include <algorithm>
#include <cstdio>
#include <sstream>
#include <utility>

namespace itme {

namespace {

constexpr unsigned minor_bits = 20;

bool is_called_like_a_runtime(const std::string &path)
{
	const auto name = path.substr(path.rfind('/') + 1);

	return name.find("llama") != name.npos;
}

} // namespace

std::vector<Mapping> parse_mappings(const std::string &maps)
{
	std::vector<Mapping> mappings;
	std::istringstream lines{maps};

	for (std::string line; std::getline(lines, line);) {
		// 7f12a000-7f12b000 r-xp 00000000 08:01 1234   /usr/lib/libc.so.6
		char range[64], permissions[8];
		unsigned major = 0, minor = 0;
		unsigned long long inode = 0;
		int path_at = 0;

		if (std::sscanf(line.c_str(), "%63s %7s %*x %x:%x %llu %n", range, permissions,
				&major, &minor, &inode, &path_at) != 5)
			continue;
		mappings.push_back({
			.range = range,
			.executable = std::string(permissions).find('x') != std::string::npos,
			.dev = (major << minor_bits) | minor,
			.inode = inode,
			.path = path_at > 0 ? line.substr(static_cast<std::size_t>(path_at)) : "",
		});
	}
	return mappings;
}

bool maps_device(const std::vector<Mapping> &mappings, const std::set<std::uint32_t> &devices)
{
	return std::ranges::any_of(mappings, [&](const Mapping &mapping) {
		return mapping.inode != 0 && devices.contains(mapping.dev);
	});
}

std::vector<Mapping> runtime_files(const std::vector<Mapping> &mappings, const std::string &program)
{
	std::vector<Mapping> files;
	std::set<std::pair<std::uint32_t, std::uint64_t>> seen;

	for (const auto &mapping : mappings) {
		if (!mapping.executable || mapping.inode == 0)
			continue;
		if (mapping.path != program && !is_called_like_a_runtime(mapping.path))
			continue;
		if (seen.emplace(mapping.dev, mapping.inode).second)
			files.push_back(mapping);
	}
	return files;
}

} // namespace itme
