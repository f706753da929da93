// SPDX-License-Identifier: GPL-2.0-only
#include "lib/region_names.hpp"

#include "lib/device.hpp"

#include <sys/stat.h>
#include <sys/sysmacros.h>

namespace itme {

std::uint32_t kernel_dev(dev_t dev)
{
	constexpr unsigned minor_bits = 20;

	return (static_cast<std::uint32_t>(major(dev)) << minor_bits) |
	       static_cast<std::uint32_t>(minor(dev));
}

void RegionNames::look(const Path &root)
{
	const auto mounts = read_mounts(root);

	devices_.clear();
	if (!mounts)
		return;
	for (const auto &mount : *mounts) {
		const auto directory = open_path(mount.path);
		const auto info = directory ? read_info(*directory) : std::unexpected(0);
		struct stat status{};

		if (!info || fstat(directory->get(), &status) != 0)
			continue;
		devices_.insert(kernel_dev(status.st_dev));
		for (const auto &name : list_folder(mount.path)) {
			if (stat((mount.path / name).c_str(), &status) != 0)
				continue;
			regions_[{kernel_dev(status.st_dev), status.st_ino}] = {
				info->instance, name, info->granule_bytes,
				static_cast<std::uint64_t>(status.st_size)};
		}
	}
}

void RegionNames::keep_up(const Path &root)
{
	if (!mounts_.changed(root))
		return;
	missing_.clear();
	look(root);
}

void RegionNames::look_for(const Path &root, RegionId id)
{
	if (regions_.contains(id))
		return;
	keep_up(root);
	if (!regions_.contains(id) && missing_.insert(id).second)
		look(root);
}

void RegionNames::fill_in(RegionCounts &counts) const
{
	const auto found = regions_.find(counts.id);
	if (found == regions_.end())
		return;
	counts.instance = found->second.instance;
	counts.name = found->second.name;
	if (counts.granule_bytes == 0)
		counts.granule_bytes = found->second.granule_bytes;
	if (counts.region_bytes == 0)
		counts.region_bytes = found->second.region_bytes;
}

} // namespace itme
