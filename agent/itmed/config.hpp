// SPDX-License-Identifier: GPL-2.0-only
// /etc/itme/itmed.toml: what to restore, and how to be reached.
#pragma once

#include "lib/file.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace itme {

// A region to attach.
struct AttachConfig {
	Path store;
	std::string name; // never empty: else that of the store
	std::optional<std::uint32_t> mode = {};
	std::string owner, group;      // names or numbers; "": root
	std::string schedule = "auto"; // of the model's header, or learned; "none"; or a file
};

struct MountConfig {
	Path path;
	std::string options; // of mount(8): "dram=32G,cxl=256G@1"
	std::vector<AttachConfig> attachments;
};

struct Config {
	std::string socket_group = "itme"; // who may read; a group that is not there: only root
	std::string metrics = "127.0.0.1:9464"; // "": none
	std::chrono::milliseconds sample{10000};
	bool probe = true; // BPF programs: stalls, links, positions
	bool positions = true;
	bool plans = true; // carry them out; else only observe
	std::vector<MountConfig> mounts;
};

// Every fault as "FILE:LINE: what is wrong; what is right".
struct ConfigResult {
	Config config;
	std::vector<std::string> faults;
};
[[nodiscard]] ConfigResult parse_config(std::string_view text, const std::string &file);

} // namespace itme
