// SPDX-License-Identifier: GPL-2.0-only
#include "lib/cxl_checks.hpp"

#include <gtest/gtest.h>

using namespace itme;

namespace {

constexpr std::uint64_t gib = 1ULL << 30;

// One card, all of it in a region, online as node 1 in ZONE_NORMAL.
CxlDevices good_devices()
{
	CxlDevices devices;

	devices.memdevs = {{"mem0", 64 * gib, true}};
	devices.regions = {{"region0", 64 * gib, true}};
	devices.dax = {{"dax0.0", 64 * gib, 1, true, 32, 32, false}};
	devices.root_decoder = "decoder0.0";
	return devices;
}

std::vector<Node> good_nodes()
{
	Node dram, cxl;

	dram.memory_bytes = 128 * gib;
	dram.has_cpus = true;
	dram.memory_tier = "memory_tier4";
	cxl.id = 1;
	cxl.memory_bytes = 64 * gib;
	cxl.memory_tier = "memory_tier22";
	cxl.read_bandwidth_mbps = 22000;
	cxl.read_latency_ns = 250;
	return {dram, cxl};
}

// "NAME: FIX" of each that is not good.
std::string bad(const CxlDevices &devices, const std::vector<Node> &nodes,
		const std::string &auto_online = "offline")
{
	std::string text;

	for (const auto &check : check_cxl_memory(devices, nodes, auto_online))
		if (!check.good)
			text += check.name + ": " + check.fix + "\n";
	return text;
}

} // namespace

TEST(CxlChecks, NothingToMend)
{
	EXPECT_EQ(bad(good_devices(), good_nodes()), "");
	// A stand-in, or firmware that has done it all.
	EXPECT_EQ(bad({}, good_nodes()), "");
}

TEST(CxlChecks, DevicesAndRegions)
{
	auto devices = good_devices();

	devices.memdevs[0].enabled = false;
	EXPECT_NE(bad(devices, good_nodes()).find("cxl enable-memdev mem0"), std::string::npos);
	devices = good_devices();
	devices.regions[0].enabled = false;
	EXPECT_EQ(bad(devices, good_nodes()), "cxl regions: cxl enable-region region0\n");
	devices.regions.clear();
	EXPECT_NE(bad(devices, good_nodes()).find("cxl create-region -m -t ram -d decoder0.0 mem0"),
		  std::string::npos);
}

TEST(CxlChecks, DaxDevices)
{
	auto devices = good_devices();

	devices.dax[0].online_blocks = 0;
	EXPECT_EQ(bad(devices, good_nodes()),
		  "dax devices: daxctl online-memory --no-movable dax0.0\n");
	devices.dax[0].system_ram = false;
	EXPECT_EQ(bad(devices, good_nodes()),
		  "dax devices: daxctl reconfigure-device -m system-ram --no-movable dax0.0\n");
	devices.dax.clear();
	EXPECT_EQ(bad(devices, good_nodes()), "dax devices: modprobe -a dax_cxl device_dax kmem\n");
}

TEST(CxlChecks, ZonesTheirPolicyAndSpeed)
{
	auto devices = good_devices();
	auto nodes = good_nodes();

	nodes[1].movable_bytes = 64 * gib;
	devices.dax[0].movable = true;
	EXPECT_NE(bad(devices, nodes).find("for b in /sys/devices/system/node/node1/memory*;"),
		  std::string::npos);
	EXPECT_NE(bad(good_devices(), good_nodes(), "online_movable").find("onlining: "),
		  std::string::npos);
	EXPECT_EQ(bad({}, {}, "online_movable").find("onlining: "), std::string::npos);
	nodes = good_nodes();
	nodes[1].read_bandwidth_mbps = 0;
	EXPECT_NE(bad(good_devices(), nodes).find("itmectl plan --rates cxl=BANDWIDTH"),
		  std::string::npos);
}
