// SPDX-License-Identifier: GPL-2.0-only
#include "lib/event_format.hpp"

#include <cstdio>
#include <map>
#include <sstream>
#include <utility>

namespace itme {

namespace {

// Name -> offset and size, as the structs in bpf/itme_events.h.
using Fields = std::map<std::string, std::pair<unsigned, unsigned>, std::less<>>;

const std::map<std::string_view, Fields> &fields_of_events()
{
	static const std::map<std::string_view, Fields> events = {
		{"fault",
		 {{"dev", {8, 4}},
		  {"tier", {12, 4}},
		  {"cause", {16, 4}},
		  {"count", {20, 4}},
		  {"region", {24, 8}},
		  {"granule", {32, 8}},
		  {"latency_ns", {40, 8}},
		  {"lead_ns", {48, 8}}}},
		{"fill",
		 {{"dev", {8, 4}},
		  {"tier", {12, 4}},
		  {"region", {16, 8}},
		  {"granule", {24, 8}},
		  {"bytes", {32, 8}},
		  {"latency_ns", {40, 8}},
		  {"error", {48, 4}},
		  {"class", {52, 4}}}},
		{"migrate",
		 {{"dev", {8, 4}},
		  {"to", {16, 4}},
		  {"region", {24, 8}},
		  {"granule", {32, 8}},
		  {"error", {40, 4}},
		  {"class", {44, 4}},
		  {"latency_ns", {48, 8}}}},
		{"evict",
		 {{"dev", {8, 4}},
		  {"tier", {12, 4}},
		  {"region", {16, 8}},
		  {"granule", {24, 8}},
		  {"wasted", {32, 4}}}},
		{"hint",
		 {{"dev", {8, 4}},
		  {"class", {16, 4}},
		  {"region", {24, 8}},
		  {"accepted_bytes", {64, 8}},
		  {"clipped_bytes", {80, 8}}}},
		{"touch", {{"dev", {8, 4}}, {"region", {16, 8}}, {"granule", {24, 8}}}},
		{"error", {{"dev", {8, 4}}, {"region", {16, 8}}, {"granule", {24, 8}}}},
	};
	return events;
}

} // namespace

const std::vector<EventKind> &event_kinds()
{
	static const std::vector<EventKind> kinds = {
		{"fault", 7, "stalls, latencies and leads"},
		{"fill", 7, "bytes read from the store, by cause"},
		{"migrate", 7, "copies between tiers"},
		{"evict", 4, "what was dropped, and wasted prefetches"},
		{"hint", 2, "bytes of hints accepted and clipped"},
		{"touch", 3, "positions by watched granules"},
		{"error", 3, "failed fills"},
	};
	return kinds;
}

Sys<std::string> read_event_format(const Path &root, std::string_view name)
{
	const auto event = Path("events/itme") / name / "format";
	const auto tracefs = root / "sys/kernel/tracing" / event;
	std::error_code ec;

	if (std::filesystem::exists(tracefs, ec))
		return read_file(tracefs);
	return read_file(root / "sys/kernel/debug/tracing" / event);
}

bool is_known_format(std::string_view name, const std::string &format)
{
	const auto event = fields_of_events().find(name);
	if (event == fields_of_events().end())
		return false;

	std::istringstream lines{format};
	std::size_t found = 0;
	for (std::string line; std::getline(lines, line);) {
		// field:u32 cause;	offset:16;	size:4;	signed:0;
		char field[64];
		unsigned offset = 0, size = 0;

		if (std::sscanf(line.c_str(), " field:%*s %63[^;]; offset:%u; size:%u;", field,
				&offset, &size) != 3)
			continue;
		const auto expected = event->second.find(field);
		if (expected != event->second.end() && expected->second == std::pair{offset, size})
			found++;
	}
	return found == event->second.size();
}

} // namespace itme
