// SPDX-License-Identifier: GPL-2.0-only
// What a command is pointed at: mounts and regions, opened with clear errors.
#pragma once

#include "itmectl/command.hpp"
#include "lib/device.hpp"
#include "lib/mounts.hpp"

#include <string>
#include <vector>

namespace CLI {
class Option;
}

namespace itme {

// A mount and what it says about itself.
struct MountInfo {
	Path path;
	Info info = {};
};

// Every itme mount of this mount namespace that answers; the others are told
// on the error stream.
[[nodiscard]] Result<std::vector<MountInfo>> read_mount_infos(Env &env);

// A region, opened for reading.
struct OpenRegion {
	Path path;
	Fd fd = {};
	Info info = {};
	std::uint64_t bytes = 0;
};

[[nodiscard]] Result<OpenRegion> open_region(const Path &path);

// Fails unless the path lies on an itme mount.
[[nodiscard]] Result<void> require_itme(const Path &path);

// A mount, opened to attach to.
[[nodiscard]] Result<Fd> open_mount(const Path &path);

// What a region of that store is called: as asked, else like the store.
[[nodiscard]] Result<std::string> region_name(const std::string &asked, const Path &store);

// Makes an option take a size such as 64M.
void as_size(CLI::Option *option);

} // namespace itme
