// SPDX-License-Identifier: GPL-2.0-only
#include "lib/process_memory.hpp"

#include "lib/host.hpp"
#include "lib/mounts.hpp"
#include "lib/size.hpp"

#include <algorithm>
#include <sstream>

namespace itme {

namespace {

bool is_in_mount(const std::string &file, const std::vector<Path> &mounts)
{
	return std::ranges::any_of(
		mounts, [&](const Path &mount) { return file.starts_with(mount.string() + "/"); });
}

// Does it map a region? Cheaper than its numa_maps, for which the kernel walks all its pages.
bool maps_region(const Path &process, const std::vector<Path> &mounts)
{
	const auto maps = read_file(process / "maps").value_or("");

	return std::ranges::any_of(mounts, [&](const Path &mount) {
		return maps.find(" " + mount.string() + "/") != maps.npos;
	});
}

Json process_json(const Path &root, int pid, const std::set<int> &cxl,
		  const std::vector<Path> &mounts)
{
	const auto process = root / "proc" / std::to_string(pid);
	const auto memory =
		parse_numa_maps(read_file(process / "numa_maps").value_or(""), cxl, mounts);

	return {{"pid", pid},
		{"command", read_line(process / "comm").value_or("")},
		{"anon_dram_bytes", memory.anon_dram},
		{"anon_cxl_bytes", memory.anon_cxl},
		{"region_dram_bytes", memory.region_dram},
		{"region_cxl_bytes", memory.region_cxl}};
}

} // namespace

// "7f0000000000 default file=/mnt/itme/m mapped=512 N1=512 kernelpagesize_kB=2048"
ProcessMemory parse_numa_maps(const std::string &text, const std::set<int> &cxl,
			      const std::vector<Path> &mounts)
{
	ProcessMemory memory;
	std::istringstream lines{text};

	for (std::string line; std::getline(lines, line);) {
		std::istringstream words{line};
		std::uint64_t in_dram = 0, in_cxl = 0;
		bool region = false, file = false;

		for (std::string word; words >> word;) {
			int node = 0;
			unsigned long long pages = 0;

			if (word.starts_with("file=")) {
				file = true;
				region = is_in_mount(word.substr(5), mounts);
			} else if (std::sscanf(word.c_str(), "N%d=%llu", &node, &pages) == 2) {
				(cxl.contains(node) ? in_cxl : in_dram) += pages * page_bytes;
			}
		}
		if (region) {
			memory.region_dram += in_dram;
			memory.region_cxl += in_cxl;
		} else if (!file) {
			memory.anon_dram += in_dram;
			memory.anon_cxl += in_cxl;
		}
	}
	return memory;
}

Json memory_json(const Path &root, const Json &declared)
{
	std::set<int> cxl;
	std::vector<Path> mounts;
	auto all = Json::array();

	for (const auto &node : read_nodes(root))
		if (!node.has_cpus)
			cxl.insert(node.id);
	if (const auto found = read_mounts(root))
		for (const auto &mount : *found)
			mounts.push_back(mount.path);
	for (const auto &name : list_folder(root / "proc")) {
		const auto pid = parse_number(name);
		if (!pid)
			continue;

		const auto is_this = [&](const Json &one) { return number_of(one, "pid") == *pid; };
		const auto &processes = list(declared, "processes");
		const auto own = std::ranges::find_if(processes, is_this);
		if (own == processes.end() &&
		    (mounts.empty() || !maps_region(root / "proc" / name, mounts)))
			continue;
		auto json = process_json(root, static_cast<int>(*pid), cxl, mounts);
		if (own != processes.end())
			for (const auto *key : {"bytes", "dram_budget_bytes", "misplaced_bytes"})
				json["declared"][key] = number_of(*own, key);
		all.push_back(std::move(json));
	}
	return all;
}

} // namespace itme
