// SPDX-License-Identifier: GPL-2.0-only
#include "lib/cxl_checks.hpp"

#include "lib/size.hpp"

#include <algorithm>

namespace itme {

namespace {

// Of the range, the texts, with commas between them.
std::string list_of(const auto &range, auto &&text)
{
	std::string all;

	for (const auto &one : range)
		all += (all.empty() ? "" : ", ") + text(one);
	return all;
}

template <typename T> std::vector<T> those(const std::vector<T> &all, auto &&which)
{
	std::vector<T> some;

	std::ranges::copy_if(all, std::back_inserter(some), which);
	return some;
}

const auto name_of = [](const auto &one) { return one.name; };
const auto name_and_size = [](const auto &one) { return one.name + " " + format_size(one.bytes); };

// The names, as arguments of one command.
std::string arguments(const auto &range)
{
	std::string all;

	for (const auto &one : range)
		all += " " + one.name;
	return all;
}

Check check_memdevs(const CxlDevices &devices)
{
	const auto off = those(devices.memdevs, [](const Memdev &m) { return !m.enabled; });

	return {.name = "cxl devices",
		.good = off.empty(),
		.needed = false,
		.found = devices.memdevs.empty() ? "none"
			 : off.empty()
				 ? list_of(devices.memdevs,
					   [](const Memdev &m) {
						   return m.name + " " + format_size(m.ram_bytes);
					   })
				 : "not enabled: " + list_of(off, name_of),
		.fix = "modprobe -a cxl_acpi cxl_pci cxl_mem cxl_port, then cxl enable-memdev" +
		       arguments(off)};
}

Check check_regions(const CxlDevices &devices)
{
	const auto off = those(devices.regions, [](const CxlRegion &r) { return !r.enabled; });
	std::uint64_t capacity = 0, used = 0;
	Check check{.name = "cxl regions", .needed = false};

	for (const auto &memdev : devices.memdevs)
		capacity += memdev.ram_bytes;
	for (const auto &region : devices.regions)
		used += region.bytes;
	check.good = off.empty() && used >= capacity;
	if (!off.empty()) {
		check.found = "not enabled: " + list_of(off, name_and_size);
		check.fix = "cxl enable-region" + arguments(off);
	} else if (!check.good) {
		check.found = format_size(capacity - used) + " of volatile memory are in no region";
		check.fix = "cxl create-region -m -t ram -d " +
			    (devices.root_decoder.empty() ? "DECODER" : devices.root_decoder) +
			    arguments(devices.memdevs) + " (cxl-cli 81 or newer)";
	} else {
		check.found =
			devices.regions.empty() ? "none" : list_of(devices.regions, name_and_size);
	}
	return check;
}

Check check_dax(const CxlDevices &devices)
{
	const auto files = those(devices.dax, [](const DaxDevice &d) { return !d.system_ram; });
	const auto off = those(devices.dax, [](const DaxDevice &d) {
		return d.system_ram && d.online_blocks == 0;
	});
	const bool bare =
		devices.dax.empty() && std::ranges::any_of(devices.regions, &CxlRegion::enabled);
	Check check{.name = "dax devices", .needed = false};

	check.good = files.empty() && off.empty() && !bare;
	if (bare) {
		check.found = "none of " + list_of(devices.regions, name_and_size);
		check.fix = "modprobe -a dax_cxl device_dax kmem";
	} else if (!files.empty()) {
		check.found = "not memory, but a device file: " + list_of(files, name_and_size);
		check.fix =
			"daxctl reconfigure-device -m system-ram --no-movable" + arguments(files);
	} else if (!off.empty()) {
		check.found = "memory that is not online: " + list_of(off, name_and_size);
		check.fix = "daxctl online-memory --no-movable" + arguments(off);
	} else {
		check.found =
			devices.dax.empty() ? "none" : list_of(devices.dax, [](const auto &d) {
				return d.name + " is node " + std::to_string(d.node) + ", " +
				       format_size(d.bytes);
			});
	}
	return check;
}

std::string describe(const Node &node)
{
	return "node " + std::to_string(node.id) + " " + format_size(node.memory_bytes);
}

Check check_nodes(const std::vector<Node> &cxl)
{
	const auto found = those(cxl, [](const Node &n) { return n.memory_bytes > 0; });

	return {.name = "cxl",
		.good = !found.empty(),
		.needed = false,
		.found = found.empty() ? "no NUMA node without CPUs has memory"
				       : list_of(found, describe),
		.fix = "ITME runs without: mount with dram= only. With CXL memory: cxl "
		       "create-region, "
		       "then daxctl reconfigure-device -m system-ram --no-movable DAX"};
}

// Block by block: daxctl gives up where one is busy, as one mostly is with the kernel's own data.
Check check_zones(const std::vector<Node> &cxl)
{
	const auto found = those(cxl, [](const Node &n) { return n.movable_bytes > 0; });
	std::string blocks;

	for (const auto &node : found)
		blocks += " /sys/devices/system/node/node" + std::to_string(node.id) + "/memory*";
	return {.name = "zones",
		.good = found.empty(),
		.needed = false,
		.found = found.empty() ? "no CXL memory is in ZONE_MOVABLE"
				       : "in ZONE_MOVABLE, where ITME takes no frames: " +
						 list_of(found, describe),
		.fix = "for b in" + blocks +
		       "; do echo offline >$b/state && echo online_kernel >$b/state; done. Where "
		       "blocks are busy: end who has memory there (numastat -p), or boot with "
		       "memhp_default_state=offline and daxctl online-memory --no-movable"};
}

Check check_auto_online(const std::string &policy, bool has_cxl)
{
	return {.name = "onlining",
		.good = !has_cxl || policy != "online_movable",
		.needed = false,
		.found = policy.empty() ? "the kernel brings no memory online by itself"
					: "new memory: " + policy,
		.fix = "echo offline > /sys/devices/system/memory/auto_online_blocks, and "
		       "memhp_default_state=offline on the kernel's command line: else CXL memory "
		       "comes up in ZONE_MOVABLE"};
}

// The kernel's opinion, for its own demotion; ITME goes by the mount options.
Check check_tiers(const std::vector<Node> &cxl)
{
	const auto known = those(cxl, [](const Node &n) { return !n.memory_tier.empty(); });

	return {.name = "tiers",
		.good = true,
		.needed = false,
		.found = known.empty() ? "the kernel puts no CXL memory into a tier"
				       : list_of(known, [](const Node &n) {
						 return "node " + std::to_string(n.id) + " in " +
							n.memory_tier;
					 })};
}

Check check_hmat(const std::vector<Node> &cxl)
{
	const auto unknown = those(cxl, [](const Node &n) {
		return n.memory_bytes > 0 && n.read_bandwidth_mbps == 0;
	});

	return {.name = "hmat",
		.good = unknown.empty(),
		.needed = false,
		.found = cxl.empty() ? "no CXL memory to know the speed of"
			 : unknown.empty()
				 ? list_of(cxl,
					   [](const Node &n) {
						   return "node " + std::to_string(n.id) + " " +
							  std::to_string(n.read_bandwidth_mbps) +
							  " MB/s, " +
							  std::to_string(n.read_latency_ns) + " ns";
					   })
				 : "the firmware tells no bandwidth of " +
					   list_of(unknown, describe),
		.fix = "plans assume 20 GB/s: itmectl plan --rates cxl=BANDWIDTH tells them"};
}

} // namespace

std::vector<Check> check_cxl_memory(const CxlDevices &devices, const std::vector<Node> &nodes,
				    const std::string &auto_online)
{
	const auto cxl = those(nodes, [](const Node &n) { return !n.has_cpus; });

	return {
		check_memdevs(devices), check_regions(devices),
		check_dax(devices),     check_nodes(cxl),
		check_zones(cxl),       check_auto_online(auto_online, !cxl.empty()),
		check_tiers(cxl),       check_hmat(cxl),
	};
}

} // namespace itme
