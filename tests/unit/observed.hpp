// SPDX-License-Identifier: GPL-2.0-only
// A made-up observation, with something of everything.
#pragma once

#include "lib/observer.hpp"

inline itme::Observation observed(std::uint64_t seconds)
{
	using namespace itme;
	const auto number = [&](std::uint64_t a_second) {
		return std::to_string(a_second * seconds);
	};
	Observation now{.time_ns = seconds * 1'000'000'000,
			.instances = {},
			.seen = {},
			.places = {},
			.missing = {"something is not seen"}};
	Instance instance{"itme0",
			  {{"granule_bytes", "2097152"},
			   {"dram_bytes", "1073741824"},
			   {"dram_current_bytes", "1073741824"},
			   {"dram_free_bytes", "536870912"},
			   {"cxl_bytes", "4294967296"},
			   {"cxl_current_bytes", "4294967296"},
			   {"cxl_free_bytes", "0"}},
			  {}};
	for (const auto *name :
	     {"fault_count",    "miss_count",    "late_count",      "touch_count",
	      "fill_bytes",     "direct_bytes",  "error_count",     "prefetch_bytes",
	      "useful_bytes",   "wasted_bytes",  "accepted_bytes",  "clipped_bytes",
	      "refused_bytes",  "expired_bytes", "cancelled_bytes", "degraded_bytes",
	      "promote_bytes",  "demote_bytes",  "evict_bytes",     "held_count",
	      "timeout_count",  "retired_bytes", "writeback_bytes", "writeback_error_count",
	      "throttle_count", "lost_bytes"})
		instance.attributes[name] = number(3'000'000);
	Region region{"m.gguf", instance.attributes};
	region.attributes["size_bytes"] = "8589934592";
	for (const auto *name : {"dram_resident_bytes", "cxl_resident_bytes", "pinned_bytes",
				 "queued_bytes", "dirty_bytes"})
		region.attributes[name] = "4194304";
	instance.regions.push_back(region);
	now.instances.push_back(instance);

	Snapshot seen;
	seen.attached_ns = 1;
	seen.time_ns = now.time_ns;
	RegionCounts counts;
	counts.id = {7, 9};
	counts.instance = "itme0";
	counts.name = "m.gguf";
	counts.granule_bytes = 2 << 20;
	counts.region_bytes = 8ULL << 30;
	counts.faults = 10 * seconds;
	counts.promote_ns = seconds * 7'000'000;
	counts.demote_ns = seconds * 9'000'000;
	for (auto &tier : counts.bytes)
		tier.fill(1'000'000 * seconds);
	for (auto &stall : counts.stalls.by_cause)
		stall = {.count = seconds, .bytes = seconds << 21, .ns = seconds * 100'000'000};
	counts.prefetch.fill({.fetched = seconds << 20, .useful = seconds << 19, .wasted = 0});
	for (auto *histogram : {&counts.latency_ns, &counts.lead_ns, &counts.fill_ns}) {
		histogram->count[20] = seconds;
		histogram->sum = seconds << 20;
	}
	seen.regions.push_back(counts);
	ThreadStalls thread;
	thread.pid = thread.tid = 4711;
	thread.comm = "llama-cli";
	thread.cgroup_id = 42;
	thread.first_ns = 1;
	thread.last_ns = now.time_ns;
	thread.stalls.by_cause[0] = {
		.count = seconds, .bytes = seconds << 21, .ns = seconds * 400'000'000};
	thread.stalls.by_cause[1] = {
		.count = seconds, .bytes = seconds << 21, .ns = seconds * 100'000'000};
	seen.threads.push_back(thread);
	seen.cgroups = {{42, "/llama.service"}};
	seen.drops = {{"the ring was full", 0}};
	now.seen = seen;

	Position position;
	position.region = counts.id;
	position.stream = position.program = "decode";
	position.pass = 10 * seconds;
	position.position = 12;
	position.name = "blk.3.mixer";
	position.pid = position.tid = 4711;
	position.time_ns = now.time_ns;
	now.places.push_back({position, 83});
	return now;
}
