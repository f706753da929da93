// SPDX-License-Identifier: GPL-2.0-only
// Instances and their regions, from /sys/fs/itme.
#pragma once

#include "lib/file.hpp"
#include "lib/kept_folder.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace itme {

// The files of one folder: name -> text. Files that may not be read are left out.
using Attributes = std::map<std::string, std::string>;

// Files named like this hold a number.
[[nodiscard]] bool is_number(const std::string &attribute);

// The number in an attribute, or nothing if it is absent or none.
[[nodiscard]] std::optional<std::uint64_t> number(const Attributes &attributes,
						  const std::string &name);

struct Region {
	std::string name;
	Attributes attributes;
};

struct Instance {
	std::string name;
	Attributes attributes;
	std::vector<Region> regions; // by name
};

// Is the module loaded?
[[nodiscard]] bool is_loaded(const Path &root);

// All instances, by name.
[[nodiscard]] std::vector<Instance> read_instances(const Path &root);

// The same, for who does so every second: some hundreds of files stay open.
class InstanceReader {
public:
	explicit InstanceReader(Path root) : root_(std::move(root)) {}

	[[nodiscard]] std::vector<Instance> read();

private:
	Path root_;
	std::map<Path, KeptFolder> folders_;
};

} // namespace itme
