// SPDX-License-Identifier: GPL-2.0-only
#include "lib/host.hpp"

#include "lib/cxl_checks.hpp"
#include "lib/instances.hpp"
#include "lib/size.hpp"

#include <algorithm>
#include <cstdio>
#include <optional>
#include <sstream>

namespace itme {

namespace {

constexpr int least_major = 6, least_minor = 12;

bool is_there(const Path &path)
{
	std::error_code ec;

	return std::filesystem::exists(path, ec);
}

std::string text_of(const Path &file)
{
	return read_line(file).value_or("");
}

// "node12" -> 12
std::optional<int> node_number(const std::string &name)
{
	if (!name.starts_with("node"))
		return std::nullopt;
	const auto number = parse_number(std::string_view{name}.substr(4));
	if (!number)
		return std::nullopt;
	return static_cast<int>(*number);
}

// "Node 0 MemTotal:        2030000 kB"
std::uint64_t memory_bytes(const Path &node, const std::string &field)
{
	std::istringstream words{read_file(node / "meminfo").value_or("")};

	for (std::string word; words >> word;) {
		std::uint64_t kib = 0;

		if (word == field && words >> kib)
			return kib * 1024;
	}
	return 0;
}

Check check_kernel(const std::string &release)
{
	return {.name = "kernel",
		.good = is_supported_kernel(release),
		.found = release.empty() ? "unknown" : release,
		.fix = "boot 6.12 or newer (Debian 12: apt-get install linux-image-6.12-amd64)"};
}

Check check_module(const Path &root, const std::string &release)
{
	const auto listed = read_file(root / "lib/modules" / release / "modules.dep");
	const bool available = listed && listed->find("/itme.ko") != listed->npos;
	Check check{.name = "module"};

	check.good = is_loaded(root);
	if (check.good) {
		check.found = "loaded";
	} else if (available) {
		check.found = "installed, not loaded";
		check.fix = "modprobe itme";
	} else {
		check.found = "not installed for this kernel";
		check.fix = "make kmod && make install, as root; then modprobe itme";
	}
	return check;
}

Check check_headers(const Path &root, const std::string &release)
{
	const auto modules = root / "lib/modules" / release / "build";
	const auto package = root / "usr/src" / ("linux-headers-" + release);
	Check check{.name = "headers", .needed = false};

	check.good = is_there(modules / "include/config/kernel.release") ||
		     is_there(package / "include/config/kernel.release");
	check.found = check.good ? "for this kernel" : "none for this kernel";
	check.fix = "to build the module here: apt-get install linux-headers-" + release;
	return check;
}

// Lockdown or sig_enforce refuse a module that nobody signed.
Check check_signing(const Path &root)
{
	const auto enforced = text_of(root / "sys/module/module/parameters/sig_enforce");
	const auto lockdown = text_of(root / "sys/kernel/security/lockdown");
	const bool locked = !lockdown.empty() && lockdown.find("[none]") == lockdown.npos;
	Check check{.name = "signing", .good = enforced != "Y" && !locked};

	check.found =
		check.good ? "unsigned modules may be loaded" : "unsigned modules are refused";
	check.fix = "sign itme.ko with a key that the machine trusts (mokutil), or turn Secure "
		    "Boot off";
	return check;
}

Check check_btf(const Path &root)
{
	const bool kernel = is_there(root / "sys/kernel/btf/vmlinux");
	const bool module = is_there(root / "sys/kernel/btf/itme");
	Check check{.name = "btf", .needed = false};

	check.good = kernel && (module || !is_loaded(root));
	check.found = !kernel       ? "this kernel has no type information"
		      : !check.good ? "the module has no type information"
				    : "there";
	check.fix =
		kernel ? "build itme.ko against headers with a vmlinux file, with dwarves installed"
		       : "boot a kernel with CONFIG_DEBUG_INFO_BTF; stat --bpf is slower without";
	return check;
}

Check check_damon(const Path &root)
{
	const bool there = is_there(root / "sys/kernel/mm/damon/admin");

	return {.name = "damon",
		.good = there,
		.needed = false,
		.found = there ? "there" : "accesses to declared memory are not seen",
		.fix = "a kernel with CONFIG_DAMON_VADDR and CONFIG_DAMON_SYSFS, as Debian's are"};
}

Check check_huge_pages(const Path &root)
{
	const auto mode = text_of(root / "sys/kernel/mm/transparent_hugepage/enabled");
	Check check{.name = "huge pages", .good = !mode.empty(), .needed = false};

	check.found = check.good ? mode : "not in this kernel";
	check.fix = "boot a kernel with CONFIG_TRANSPARENT_HUGEPAGE: without, mappings are of 4 "
		    "KiB pages";
	return check;
}

std::uint64_t number_in(const Path &file)
{
	return parse_number(text_of(file)).value_or(0);
}

std::string tier_of(const Path &root, int id)
{
	const auto folder = root / "sys/devices/virtual/memory_tiering";

	for (const auto &name : list_folder(folder))
		if (is_in_list(text_of(folder / name / "nodelist"), id))
			return name;
	return "";
}

std::string describe(const Node &node)
{
	return "node " + std::to_string(node.id) + " " + format_size(node.memory_bytes);
}

std::string join(const std::vector<Node> &nodes)
{
	std::string text;

	for (const auto &node : nodes)
		text += (text.empty() ? "" : ", ") + describe(node);
	return text;
}

Check check_dram(const std::vector<Node> &nodes)
{
	std::vector<Node> found;

	std::ranges::copy_if(nodes, std::back_inserter(found),
			     [](const Node &n) { return n.has_cpus && n.memory_bytes > 0; });
	return {.name = "dram",
		.good = !found.empty(),
		.found = found.empty() ? "no NUMA node with CPUs has memory" : join(found),
		.fix = "mount without a DRAM budget: cxl=SIZE@NODE"};
}

} // namespace

std::map<int, std::uint64_t> parse_movable(const std::string &zoneinfo)
{
	std::map<int, std::uint64_t> bytes;
	std::istringstream lines{zoneinfo};
	std::optional<int> movable_node; // while in its Movable zone

	for (std::string line; std::getline(lines, line);) {
		int node = 0;
		char zone[16];
		unsigned long long pages = 0;

		if (std::sscanf(line.c_str(), "Node %d, zone %15s", &node, zone) == 2)
			movable_node =
				std::string{zone} == "Movable" ? std::optional{node} : std::nullopt;
		else if (movable_node && std::sscanf(line.c_str(), " managed %llu", &pages) == 1)
			bytes[*movable_node] += pages * page_bytes;
	}
	return bytes;
}

bool is_supported_kernel(const std::string &release)
{
	int major = 0, minor = 0;

	if (std::sscanf(release.c_str(), "%d.%d", &major, &minor) != 2)
		return false;
	return major > least_major || (major == least_major && minor >= least_minor);
}

bool is_in_list(const std::string &numbers, int number)
{
	std::istringstream parts{numbers};

	for (std::string part; std::getline(parts, part, ',');) {
		int first = 0, last = 0;
		const int n = std::sscanf(part.c_str(), "%d-%d", &first, &last);

		if (n >= 1 && number >= first && number <= (n == 2 ? last : first))
			return true;
	}
	return false;
}

std::vector<Node> read_nodes(const Path &root)
{
	const auto folder = root / "sys/devices/system/node";
	const auto movable = parse_movable(read_file(root / "proc/zoneinfo").value_or(""));
	std::vector<Node> nodes;

	for (const auto &name : list_folder(folder)) {
		const auto id = node_number(name);
		if (!id)
			continue;

		const auto zone = movable.find(*id);
		nodes.push_back({
			.id = *id,
			.memory_bytes = memory_bytes(folder / name, "MemTotal:"),
			.free_bytes = memory_bytes(folder / name, "MemFree:"),
			.has_cpus = !text_of(folder / name / "cpulist").empty(),
			.movable_bytes = zone == movable.end() ? 0 : zone->second,
			.memory_tier = tier_of(root, *id),
			.read_bandwidth_mbps =
				number_in(folder / name / "access0/initiators/read_bandwidth"),
			.read_latency_ns =
				number_in(folder / name / "access0/initiators/read_latency"),
		});
	}
	std::ranges::sort(nodes, {}, &Node::id);
	return nodes;
}

std::vector<Check> check_host(const Path &root, const CxlDevices &devices)
{
	const auto release = text_of(root / "proc/sys/kernel/osrelease");
	const auto nodes = read_nodes(root);
	std::vector<Check> checks{
		check_kernel(release), check_headers(root, release),
		check_signing(root),   check_module(root, release),
		check_btf(root),       check_huge_pages(root),
		check_damon(root),     check_dram(nodes),
	};
	const auto cxl = check_cxl_memory(
		devices, nodes, text_of(root / "sys/devices/system/memory/auto_online_blocks"));

	checks.insert(checks.end(), cxl.begin(), cxl.end());
	return checks;
}

} // namespace itme
