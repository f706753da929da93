// SPDX-License-Identifier: GPL-2.0-only
// The inside of a Probe: probe.cpp attaches, counts.cpp reads what was counted.
#pragma once

#include "lib/probe.hpp"
#include "lib/region_names.hpp"
#include "lib/uprobes.hpp"

#include "telemetry.skel.h"

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

struct ring_buffer;

namespace itme {

struct DestroyTelemetry {
	void operator()(telemetry_bpf *skeleton) const { telemetry_bpf::destroy(skeleton); }
};
struct DestroyLink {
	void operator()(bpf_link *link) const { bpf_link__destroy(link); }
};
struct FreeRing {
	void operator()(ring_buffer *ring) const;
};

struct Probe::State {
	ProbeOptions options;
	std::string fallback_reason;
	std::vector<std::string> missing; // events that could not be attached, in sentences
	std::uint64_t attached_ns = 0;

	// Order matters: links and the ring go before the programs and maps.
	std::unique_ptr<telemetry_bpf, DestroyTelemetry> skeleton;
	std::vector<std::unique_ptr<bpf_link, DestroyLink>> links;
	std::unique_ptr<ring_buffer, FreeRing> ring;
	const Sink *sink = nullptr; // during events()

	RegionNames names;
	Uprobes uprobes;
	std::vector<Event> pending; // that the agent itself has found out
	std::deque<ThreadStalls> ended;
	std::map<std::uint64_t, std::string> cgroups; // as Snapshot has them
	std::uint64_t forgotten_threads = 0;

	Result<void> load(bool typed);
	Result<void> attach_all(bool typed);
	Result<void> open_ring();
	Result<std::vector<RegionCounts>> read_regions();
	Result<std::vector<ThreadStalls>> read_threads(std::uint64_t now_ns);
	void name_cgroups(const std::vector<ThreadStalls> &threads);
	[[nodiscard]] std::vector<Drop> read_drops() const;
};

} // namespace itme
