// SPDX-License-Identifier: GPL-2.0-only
#include "lib/cxl_devices.hpp"

#include <cxl/libcxl.h>
#include <daxctl/libdaxctl.h>

namespace itme {

namespace {

void add_memdevs(cxl_ctx *cxl, CxlDevices &devices)
{
	cxl_memdev *memdev;

	cxl_memdev_foreach(cxl, memdev) devices.memdevs.push_back({
		.name = cxl_memdev_get_devname(memdev),
		.ram_bytes = cxl_memdev_get_ram_size(memdev),
		.enabled = cxl_memdev_is_enabled(memdev) != 0,
	});
}

void add_regions(cxl_decoder *decoder, CxlDevices &devices)
{
	cxl_region *region;

	cxl_region_foreach(decoder, region) devices.regions.push_back({
		.name = cxl_region_get_devname(region),
		.bytes = cxl_region_get_size(region),
		.enabled = cxl_region_is_enabled(region) != 0,
	});
}

void add_decoders(cxl_ctx *cxl, CxlDevices &devices)
{
	cxl_bus *bus;
	cxl_decoder *decoder;

	cxl_bus_foreach(cxl, bus)
	{
		cxl_decoder_foreach(cxl_bus_get_port(bus), decoder)
		{
			if (cxl_decoder_is_volatile_capable(decoder) &&
			    devices.root_decoder.empty())
				devices.root_decoder = cxl_decoder_get_devname(decoder);
			add_regions(decoder, devices);
		}
	}
}

DaxDevice describe(daxctl_dev *dev)
{
	DaxDevice device{
		.name = daxctl_dev_get_devname(dev),
		.bytes = daxctl_dev_get_size(dev),
		.node = daxctl_dev_get_target_node(dev),
	};

	if (auto *memory = daxctl_dev_get_memory(dev)) {
		device.system_ram = true;
		device.blocks = daxctl_memory_num_sections(memory);
		device.online_blocks = daxctl_memory_is_online(memory);
		device.movable = device.online_blocks > 0 && daxctl_memory_is_movable(memory) == 1;
	}
	return device;
}

void add_dax(daxctl_ctx *daxctl, CxlDevices &devices)
{
	daxctl_region *region;
	daxctl_dev *dev;

	daxctl_region_foreach(daxctl, region)
	{
		daxctl_dev_foreach(region, dev) if (daxctl_dev_get_size(dev) >
						    0) // else a seed: nothing yet
			devices.dax.push_back(describe(dev));
	}
}

} // namespace

CxlDevices read_cxl_devices()
{
	CxlDevices devices;
	cxl_ctx *cxl = nullptr;
	daxctl_ctx *daxctl = nullptr;

	if (cxl_new(&cxl) == 0) {
		add_memdevs(cxl, devices);
		add_decoders(cxl, devices);
		cxl_unref(cxl);
	}
	if (daxctl_new(&daxctl) == 0) {
		add_dax(daxctl, devices);
		daxctl_unref(daxctl);
	}
	return devices;
}

} // namespace itme
