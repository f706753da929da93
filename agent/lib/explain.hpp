// SPDX-License-Identifier: GPL-2.0-only
// From an errno of the module to a sentence with the cause and the fix.
#pragma once

#include "lib/error.hpp"
#include "lib/file.hpp"
#include "lib/holders.hpp"

#include <string>
#include <vector>

namespace itme {

// Why this is no name for a region, or "" if it is one.
[[nodiscard]] std::string name_fault(const std::string &name);

// What ATTACH of a store was asked to do.
struct AttachAttempt {
	Path store;
	Path mount;
	std::string name;
	bool is_block_device = false;
	bool writable = false;            // it was to be
	bool odd_size = false;            // no multiple of 4096
	std::vector<Holder> writers = {}; // who has the store open for writing, if known
};

[[nodiscard]] Error explain_attach(int err, const AttachAttempt &attempt);

// An open(2), stat(2) or unlink(2) of a path.
[[nodiscard]] Error explain_path(int err, const Path &path);

// An ioctl other than ATTACH, on a region or a mount.
[[nodiscard]] Error explain_call(int err, const std::string &what, const Path &path);

[[nodiscard]] Error explain_umount(int err, const Path &mount, const std::vector<Holder> &users);

// The module is not there, or there is nothing of it to show.
[[nodiscard]] Error not_loaded();
[[nodiscard]] Error not_itme(const Path &path);

} // namespace itme
