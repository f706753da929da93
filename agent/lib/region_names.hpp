// SPDX-License-Identifier: GPL-2.0-only
// Which file a region is, that the kernel names by device and inode.
#pragma once

#include "lib/mounts.hpp"
#include "lib/snapshot.hpp"

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <sys/types.h>

namespace itme {

// The kernel's own 32 bits of a device number of stat(2).
[[nodiscard]] std::uint32_t kernel_dev(dev_t dev);

// Remembers regions that are gone: their counts are still there.
class RegionNames {
public:
	// Looks at all itme mounts in sight if their list has changed: not each time, as an open
	// root keeps off umount(8).
	void keep_up(const Path &root);
	// Looks for a region that is new. One that no mount has is looked for once, and again
	// when their list has changed.
	void look_for(const Path &root, RegionId id);
	void fill_in(RegionCounts &counts) const;
	// Of all itme mounts, as kernel_dev().
	[[nodiscard]] const std::set<std::uint32_t> &devices() const { return devices_; }

private:
	struct Known {
		std::string instance, name;
		std::uint64_t granule_bytes = 0, region_bytes = 0;
	};
	void look(const Path &root);

	MountWatch mounts_;
	std::map<RegionId, Known> regions_;
	std::set<RegionId> missing_; // that were looked for
	std::set<std::uint32_t> devices_;
};

} // namespace itme
