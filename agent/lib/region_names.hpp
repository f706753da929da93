// SPDX-License-Identifier: GPL-2.0-only
// Which file a region is, that the kernel names by device and inode.
#pragma once

#include "lib/file.hpp"
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
	// Looks at all itme mounts in sight, as it must to know of new regions. An open root keeps
	// off umount(8), so that this is not for each second.
	void refresh(const Path &root);
	// Does so if the list of mounts has changed.
	void keep_up(const Path &root);
	// No mount in sight has it: it is not looked for again until their list changes.
	void forgo(RegionId id) { regions_.try_emplace(id); }
	[[nodiscard]] bool knows(RegionId id) const { return regions_.contains(id); }
	void fill_in(RegionCounts &counts) const;
	// Of all itme mounts, as kernel_dev().
	[[nodiscard]] const std::set<std::uint32_t> &devices() const { return devices_; }

private:
	struct Known {
		std::string instance, name;
		std::uint64_t granule_bytes = 0, region_bytes = 0;
	};
	std::map<RegionId, Known> regions_;
	std::set<std::uint32_t> devices_;
	std::string mountinfo_;
};

} // namespace itme
