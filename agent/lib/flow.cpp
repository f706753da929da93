// SPDX-License-Identifier: GPL-2.0-only
#include "lib/flow.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

namespace itme {

namespace {

constexpr double second_ns = 1e9;
constexpr std::size_t most_processes = 64;
constexpr std::size_t cxl = 1, dram = 2; // as enum Tier

// Below this share waiting is no reason to look at memory.
constexpr double little = 0.05;

const Attributes *attributes_in(const Observation &observation, const std::string &name)
{
	const auto found = std::ranges::find(observation.instances, name, &Instance::name);

	return found == observation.instances.end() ? nullptr : &found->attributes;
}

// How much a counter grew; nothing where it, or the instance, is new or began anew.
std::uint64_t growth(const Attributes *before, const Attributes &now, const std::string &name)
{
	const auto last = before ? number(*before, name) : std::nullopt;
	const auto value = number(now, name);

	return last && value && *value >= *last ? *value - *last : 0;
}

Json tier_json(const Attributes &attributes, const std::string &tier)
{
	const auto current = number(attributes, tier + "_current_bytes").value_or(0);
	const auto free = number(attributes, tier + "_free_bytes").value_or(0);

	return {{"tier", tier},
		{"budget_bytes", number(attributes, tier + "_bytes").value_or(0)},
		{"current_bytes", current},
		{"used_bytes", current >= free ? current - free : 0}};
}

// Links in bytes a second: of single tiers where BPF sees them.
Json links_json(const Instance &instance, const Attributes *before, const Snapshot *change,
		double seconds)
{
	const auto rate = [&](std::uint64_t bytes) {
		return seconds > 0 ? static_cast<double>(bytes) / seconds : 0.0;
	};
	const auto link = [&](const char *from, const char *to, std::uint64_t bytes) {
		return Json{{"from", from}, {"to", to}, {"bytes_per_second", rate(bytes)}};
	};
	auto links = Json::array();

	if (change) {
		std::uint64_t to_dram = 0, to_cxl = 0;

		for (const auto &region : change->regions) {
			if (region.instance != instance.name)
				continue;
			to_dram += region.from_store(dram);
			to_cxl += region.from_store(cxl);
		}
		links.push_back(link("store", "dram", to_dram));
		links.push_back(link("store", "cxl", to_cxl));
	} else {
		links.push_back(
			link("store", "memory", growth(before, instance.attributes, "fill_bytes")));
	}
	links.push_back(link("cxl", "dram", growth(before, instance.attributes, "promote_bytes")));
	links.push_back(link("dram", "cxl", growth(before, instance.attributes, "demote_bytes")));
	return links;
}

Json instance_json(const Instance &instance, const Attributes *before, const Snapshot *change,
		   double seconds)
{
	Json json{{"instance", instance.name}, {"tiers", Json::array()}};
	std::uint64_t store_bytes = 0, in_memory = 0;
	auto regions = Json::array();

	for (const auto &region : instance.regions) {
		const auto value = [&](const char *name) {
			return number(region.attributes, name).value_or(0);
		};
		store_bytes += value("size_bytes");
		in_memory += value("dram_resident_bytes") + value("cxl_resident_bytes");
		regions.push_back({{"region", region.name},
				   {"size_bytes", value("size_bytes")},
				   {"dram_bytes", value("dram_resident_bytes")},
				   {"cxl_bytes", value("cxl_resident_bytes")},
				   {"pinned_bytes", value("pinned_bytes")},
				   {"queued_bytes", value("queued_bytes")}});
	}
	json["tiers"].push_back(tier_json(instance.attributes, "dram"));
	json["tiers"].push_back(tier_json(instance.attributes, "cxl"));
	json["tiers"].push_back({{"tier", "store"},
				 {"budget_bytes", store_bytes},
				 {"current_bytes", store_bytes},
				 {"used_bytes", store_bytes}});
	json["resident_bytes"] = in_memory;
	json["links"] = links_json(instance, before, change, seconds);
	for (const auto *name : {"fault_count", "miss_count", "late_count", "prefetch_bytes",
				 "useful_bytes", "wasted_bytes", "evict_bytes", "error_count"})
		json[name] = growth(before, instance.attributes, name);
	json["regions"] = std::move(regions);
	return json;
}

double share_of(std::uint64_t ns, double wall_ns)
{
	return wall_ns > 0 ? std::clamp(static_cast<double>(ns) / wall_ns, 0.0, 1.0) : 0.0;
}

Shares shares_of(const Stalls &stalls, double wall_ns)
{
	return {.miss = share_of(stalls.of(StallCause::miss).ns, wall_ns),
		.late = share_of(stalls.of(StallCause::late).ns, wall_ns),
		.move = share_of(stalls.of(StallCause::promote).ns +
					 stalls.of(StallCause::demote).ns,
				 wall_ns)};
}

Json shares_json(const Shares &shares)
{
	return {{"compute", std::max(0.0, 1 - shares.all())},
		{"miss", shares.miss},
		{"late", shares.late},
		{"move", shares.move}};
}

// The thread of a process that waited most: the others wait for it in turn, at
// the runtime's own barriers, which nothing here can see.
const ThreadStalls *most_stalled(const Snapshot &change, std::uint32_t pid)
{
	const ThreadStalls *most = nullptr;

	for (const auto &thread : change.threads)
		if (thread.pid == pid && (!most || thread.stalls.ns() > most->stalls.ns()))
			most = &thread;
	return most;
}

Json process_json(const ProcessStalls &process, const Snapshot &change, double wall_ns)
{
	const auto *thread = most_stalled(change, process.pid);
	const auto shares = shares_of(thread ? thread->stalls : Stalls{}, wall_ns);

	return {{"pid", process.pid},
		{"command", process.comm},
		{"threads", process.threads},
		{"stall_ns", process.stalls.ns()},
		{"shares", shares_json(shares)},
		{"verdict", verdict(shares)}};
}

const Place *same_place(const Observation &observation, const Position &position)
{
	for (const auto &place : observation.places)
		if (place.at.region == position.region && place.at.stream == position.stream)
			return &place;
	return nullptr;
}

// Passes done until a position, with the part of the one under way.
double passes_until(const Place &place)
{
	const double part =
		place.steps > 0 ? static_cast<double>(place.at.position) / place.steps : 0.0;

	return static_cast<double>(place.at.pass) + part;
}

Json position_json(const Position &at, const Observation &now)
{
	Json json{{"instance", ""},        {"region", ""},    {"stream", at.stream},
		  {"program", at.program}, {"pass", at.pass}, {"position", at.position},
		  {"step", at.name},       {"pid", at.pid},   {"known_by", source_name(at.source)},
		  {"time_ns", at.time_ns}};

	if (now.seen) {
		const auto region =
			std::ranges::find(now.seen->regions, at.region, &RegionCounts::id);

		if (region != now.seen->regions.end()) {
			json["instance"] = region->instance;
			json["region"] = region->name;
		}
	}
	return json;
}

Json place_json(const Place &place, const Place *before, const Observation &now,
		const Snapshot &change, double wall_ns)
{
	const auto &at = place.at;
	auto json = position_json(at, now);

	json["order"] = place.order;
	json["positions"] = place.steps;
	json["age_ns"] = now.time_ns >= at.time_ns ? now.time_ns - at.time_ns : 0;
	json["pass_ns"] = nullptr;
	if (before && at.time_ns > before->at.time_ns) {
		const double passes = passes_until(place) - passes_until(*before);

		if (passes > 0)
			json["pass_ns"] = static_cast<std::uint64_t>(
				static_cast<double>(at.time_ns - before->at.time_ns) / passes);
	}
	const auto *thread = most_stalled(change, at.pid);
	json["shares"] = shares_json(shares_of(thread ? thread->stalls : Stalls{}, wall_ns));
	return json;
}

} // namespace

std::string verdict(const Shares &shares)
{
	char text[192];
	const auto percent = [](double share) { return 100 * share; };

	if (shares.all() < little)
		std::snprintf(text, sizeof(text),
			      "not memory: %.0f %% of the time nothing waited for it",
			      percent(std::max(0.0, 1 - shares.all())));
	else if (shares.miss >= shares.late && shares.miss >= shares.move)
		std::snprintf(
			text, sizeof(text),
			"misses: %.0f %% waiting for the store, with nothing hinted; prefetch "
			"it, or raise a budget",
			percent(shares.miss));
	else if (shares.late >= shares.move)
		std::snprintf(
			text, sizeof(text),
			"late prefetch: %.0f %% waiting for what was hinted; hint earlier, or "
			"the store is at its limit",
			percent(shares.late));
	else
		std::snprintf(text, sizeof(text),
			      "moves: %.0f %% waiting for copies between DRAM and CXL; raise "
			      "the DRAM budget",
			      percent(shares.move));
	return text;
}

Json flow_json(const Observation &before, const Observation &now, const Trail &trail)
{
	const double wall_ns = now.time_ns > before.time_ns
				       ? static_cast<double>(now.time_ns - before.time_ns)
				       : 0.0;
	const double seconds = wall_ns / second_ns;
	std::optional<Snapshot> change;
	Json json{{"time_ns", now.time_ns},
		  {"seconds", seconds},
		  {"instances", Json::array()},
		  {"places", Json::array()},
		  {"processes", Json::array()}};

	// Programs attached in between have counted only a part of it.
	if (now.seen && before.seen && before.seen->attached_ns == now.seen->attached_ns)
		change = difference(*now.seen, *before.seen);
	for (const auto &instance : now.instances)
		json["instances"].push_back(instance_json(instance,
							  attributes_in(before, instance.name),
							  change ? &*change : nullptr, seconds));
	if (change) {
		for (const auto &place : now.places)
			json["places"].push_back(place_json(place, same_place(before, place.at),
							    now, *change, wall_ns));
		for (const auto &process : by_process(change->threads)) {
			if (json["processes"].size() >= most_processes)
				break;
			if (process.stalls.ns() > 0)
				json["processes"].push_back(
					process_json(process, *change, wall_ns));
		}
	}
	json["trail"] = Json::array();
	for (const auto &position : trail.between(before.trail_end, now.trail_end))
		json["trail"].push_back(position_json(position, now));
	json["seen"] = change.has_value();
	json["missing"] = now.missing;
	return json;
}

} // namespace itme
