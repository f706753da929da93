// SPDX-License-Identifier: GPL-2.0-only
// What doctor asks about CXL memory, from the device to its zone. Pure.
#pragma once

#include "lib/cxl_devices.hpp"
#include "lib/host.hpp"

#include <vector>

namespace itme {

// In the order in which memory comes up: device, region, dax device, node, zone, tier.
// auto_online: what /sys/devices/system/memory/auto_online_blocks says, or "".
[[nodiscard]] std::vector<Check> check_cxl_memory(const CxlDevices &devices,
						  const std::vector<Node> &nodes,
						  const std::string &auto_online);

} // namespace itme
