// SPDX-License-Identifier: GPL-2.0-only
// The module's trace events as bpf/itme_events.h expects them.
#pragma once

#include "lib/file.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace itme {

struct EventKind {
	std::string_view name; // as itme:NAME
	unsigned arguments;    // of the typed tracepoint, that bpf/ reads
	std::string_view lost; // what is not seen without it
};

// All that bpf/ attaches to.
[[nodiscard]] const std::vector<EventKind> &event_kinds();

// The format file of itme:NAME, below tracefs.
[[nodiscard]] Sys<std::string> read_event_format(const Path &root, std::string_view name);

// Does it have the fields of this event where bpf/ expects them?
[[nodiscard]] bool is_known_format(std::string_view name, const std::string &format);

} // namespace itme
