// SPDX-License-Identifier: GPL-2.0-only
// CXL memory from the device to the NUMA node, as libcxl and libdaxctl see it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace itme {

struct Memdev {
	std::string name;            // mem0
	std::uint64_t ram_bytes = 0; // volatile capacity
	bool enabled = false;        // its driver is bound, and its ports are there
};

struct CxlRegion {
	std::string name; // region0
	std::uint64_t bytes = 0;
	bool enabled = false;
};

struct DaxDevice {
	std::string name; // dax0.0
	std::uint64_t bytes = 0;
	int node = -1;           // the NUMA node that its memory is, or would be; -1: unknown
	bool system_ram = false; // else a device file
	int blocks = 0;          // of memory, where it is system RAM
	int online_blocks = 0;
	bool movable = false; // some of them are in ZONE_MOVABLE
};

struct CxlDevices {
	std::vector<Memdev> memdevs;
	std::vector<CxlRegion> regions;
	std::vector<DaxDevice> dax;
	std::string root_decoder; // that a region of volatile memory can be made under; or ""
};

// Of this machine. Empty where there are none, or the drivers are not loaded.
[[nodiscard]] CxlDevices read_cxl_devices();

} // namespace itme
