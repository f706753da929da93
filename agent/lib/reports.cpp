// SPDX-License-Identifier: GPL-2.0-only
#include "lib/reports.hpp"

#include "lib/flow.hpp"

#include <algorithm>
#include <cstdio>

namespace itme {

namespace {

constexpr std::size_t most_rows = 256;

Json stalls_of(const Stalls &stalls)
{
	auto json = Json::object();

	for (std::size_t i = 0; i < stall_causes; i++) {
		const auto &stall = stalls.by_cause[i];

		json[cause_name(static_cast<StallCause>(i))] = {
			{"count", stall.count}, {"bytes", stall.bytes}, {"ns", stall.ns}};
	}
	return json;
}

Json times_of(const Histogram &histogram)
{
	const auto total = histogram.total();

	return {{"count", total},
		{"mean_ns", total > 0 ? histogram.sum / total : 0},
		{"p50_below_ns", histogram.below(0.5)},
		{"p99_below_ns", histogram.below(0.99)}};
}

Shares shares_of(const auto &stalled) // a thread or a process
{
	return {.miss = stalled.share(StallCause::miss),
		.late = stalled.share(StallCause::late),
		.move = stalled.share(StallCause::promote) + stalled.share(StallCause::demote)};
}

// What came into each tier, on whose behalf, and how long the copies into it took.
Json tiers_of(const RegionCounts &region)
{
	auto json = Json::array();

	for (const auto &[tier, name, copy_ns] :
	     {std::tuple{2U, "dram", region.promote_ns}, {1U, "cxl", region.demote_ns}}) {
		Json row{{"tier", name}};

		for (std::size_t i = 0; i < byte_causes; i++)
			row[std::string{cause_name(static_cast<ByteCause>(i))} + "_bytes"] =
				region.bytes[tier][i];
		row["copy_ns"] = copy_ns;
		json.push_back(std::move(row));
	}
	return json;
}

std::string cgroup_of(const Snapshot &seen, std::uint64_t id)
{
	const auto path = seen.cgroups.find(id);

	return path == seen.cgroups.end() ? "" : path->second;
}

Json with_shares(Json json, const Shares &shares)
{
	json["shares"] = {{"compute", std::max(0.0, 1 - shares.all())},
			  {"miss", shares.miss},
			  {"late", shares.late},
			  {"move", shares.move}};
	json["verdict"] = verdict(shares);
	return json;
}

// The process that stood still longest decides for all.
Shares worst_of(const std::vector<ProcessStalls> &processes)
{
	Shares worst;

	for (const auto &process : processes)
		if (const auto shares = shares_of(process); shares.all() > worst.all())
			worst = shares;
	return worst;
}

Json about(const Observation &now)
{
	return {{"time_ns", now.time_ns},
		{"seconds",
		 now.seen ? static_cast<double>(now.time_ns - now.seen->attached_ns) / 1e9 : 0.0},
		{"seen", now.seen.has_value()},
		{"missing", now.missing}};
}

const char *cause_of_most(const PositionStalls &position)
{
	const auto most = std::ranges::max_element(position.stall_ns);

	if (*most == 0)
		return "none";
	return cause_name(static_cast<StallCause>(most - position.stall_ns.begin()));
}

Json layer_json(const LayerStalls &layer)
{
	Json json{{"instance", layer.instance},
		  {"region", layer.region},
		  {"stream", layer.stream},
		  {"program", layer.program},
		  {"positions", Json::array()}};

	for (const auto &position : layer.positions) {
		Json row{{"position", position.position}, {"step", position.name}};
		std::uint64_t all = 0;

		for (std::size_t i = 0; i < stall_causes; i++) {
			row[std::string{cause_name(static_cast<StallCause>(i))} + "_ns"] =
				position.stall_ns[i];
			all += position.stall_ns[i];
		}
		row["stall_ns"] = all;
		row["cause"] = cause_of_most(position);
		json["positions"].push_back(std::move(row));
	}
	return json;
}

// Whether what was fetched ahead was worth it, and what helps.
std::string prefetch_verdict(const RegionCounts &region, std::uint64_t fetched,
			     std::uint64_t useful, std::uint64_t wasted)
{
	char text[192];
	const auto late = region.stalls.of(StallCause::late);
	const auto miss = region.stalls.of(StallCause::miss);
	const auto share = [](std::uint64_t part, std::uint64_t whole) {
		return whole > 0 ? 100.0 * static_cast<double>(part) / static_cast<double>(whole)
				 : 0.0;
	};

	if (fetched == 0)
		return miss.count > 0
			       ? "nothing was fetched ahead: every read from the store was a "
				 "miss"
			       : "nothing was fetched ahead, and nothing was missed";
	if (share(wasted, fetched) > 10)
		std::snprintf(text, sizeof(text),
			      "%.0f %% was dropped untouched: hint less, or closer to its use",
			      share(wasted, fetched));
	else if (late.bytes > 0 && share(late.bytes, late.bytes + useful) > 5)
		std::snprintf(text, sizeof(text),
			      "%.0f %% came too late: hint earlier, or the store is at its limit",
			      share(late.bytes, late.bytes + useful));
	else
		std::snprintf(text, sizeof(text), "%.0f %% was used, in time",
			      share(useful, fetched));
	return text;
}

} // namespace

Json stalls_json(const Observation &now, const std::vector<LayerStalls> &layers)
{
	auto json = about(now);

	json["regions"] = Json::array();
	json["processes"] = Json::array();
	json["threads"] = Json::array();
	json["cgroups"] = Json::array();
	json["layers"] = Json::array();
	if (!now.seen)
		return json;

	const auto processes = by_process(now.seen->threads);
	json = with_shares(std::move(json), worst_of(processes));
	for (const auto &region : now.seen->regions)
		json["regions"].push_back({{"instance", region.instance},
					   {"region", region.name},
					   {"fault_count", region.faults},
					   {"error_count", region.errors},
					   {"stalls", stalls_of(region.stalls)},
					   {"tiers", tiers_of(region)},
					   {"latency", times_of(region.latency_ns)},
					   {"fill", times_of(region.fill_ns)}});
	for (const auto &process : processes) {
		if (json["processes"].size() >= most_rows)
			break;
		json["processes"].push_back(
			with_shares({{"pid", process.pid},
				     {"command", process.comm},
				     {"cgroup", cgroup_of(*now.seen, process.cgroup_id)},
				     {"threads", process.threads},
				     {"wall_ns", process.last_ns - process.first_ns},
				     {"stalls", stalls_of(process.stalls)}},
				    shares_of(process)));
	}
	for (const auto &thread : now.seen->threads) {
		if (json["threads"].size() >= most_rows)
			break;
		json["threads"].push_back(
			with_shares({{"pid", thread.pid},
				     {"tid", thread.tid},
				     {"command", thread.comm},
				     {"cgroup", cgroup_of(*now.seen, thread.cgroup_id)},
				     {"alive", thread.alive},
				     {"wall_ns", thread.last_ns - thread.first_ns},
				     {"stalls", stalls_of(thread.stalls)}},
				    shares_of(thread)));
	}
	for (const auto &group : by_cgroup(now.seen->threads, now.seen->cgroups)) {
		if (json["cgroups"].size() >= most_rows)
			break;
		json["cgroups"].push_back({{"cgroup", group.path},
					   {"threads", group.threads},
					   {"stalls", stalls_of(group.stalls)}});
	}
	for (const auto &layer : layers)
		json["layers"].push_back(layer_json(layer));
	return json;
}

Json prefetch_json(const Observation &now)
{
	auto json = about(now);

	json["regions"] = Json::array();
	if (!now.seen)
		return json;
	for (const auto &region : now.seen->regions) {
		Json row{{"instance", region.instance},
			 {"region", region.name},
			 {"classes", Json::array()}};
		PrefetchBytes all;

		for (std::size_t i = 0; i < hint_classes_seen; i++) {
			const auto &bytes = region.prefetch[i];

			all.fetched += bytes.fetched;
			all.useful += bytes.useful;
			all.wasted += bytes.wasted;
			if (bytes == PrefetchBytes{})
				continue;
			row["classes"].push_back(
				{{"class", class_name(static_cast<HintClassSeen>(i))},
				 {"fetched_bytes", bytes.fetched},
				 {"useful_bytes", bytes.useful},
				 {"wasted_bytes", bytes.wasted}});
		}
		row["fetched_bytes"] = all.fetched;
		row["useful_bytes"] = all.useful;
		row["wasted_bytes"] = all.wasted;
		row["stalls"] = stalls_of(region.stalls);
		row["lead"] = times_of(region.lead_ns);
		row["verdict"] = prefetch_verdict(region, all.fetched, all.useful, all.wasted);
		json["regions"].push_back(std::move(row));
	}
	return json;
}

Json heat_json(const std::vector<std::pair<RegionCounts, HeatMap>> &maps, const std::string &region,
	       std::size_t most_columns)
{
	Json json{{"regions", Json::array()}};

	for (const auto &[counts, map] : maps) {
		if (!region.empty() && counts.name != region)
			continue;
		const std::size_t granules =
			counts.granule_bytes > 0
				? std::max<std::uint64_t>(map.granules, (counts.region_bytes +
									 counts.granule_bytes -
									 1) / counts.granule_bytes)
				: map.granules;
		const std::size_t each = std::max<std::size_t>(
			1, (granules + most_columns - 1) / std::max<std::size_t>(most_columns, 1));
		const std::size_t columns = (granules + each - 1) / each;
		auto rows = Json::array();

		for (const auto &accesses : map.accesses) {
			std::vector<std::uint64_t> row(columns);

			for (std::size_t i = 0; i < accesses.size() && i / each < columns; i++)
				row[i / each] += accesses[i];
			rows.push_back(row);
		}
		json["regions"].push_back({{"instance", counts.instance},
					   {"region", counts.name},
					   {"granule_bytes", counts.granule_bytes},
					   {"granules", granules},
					   {"granules_a_column", each},
					   {"interval_ns", map.interval_ns},
					   {"first_ns", map.first_ns},
					   {"accesses", std::move(rows)}});
	}
	return json;
}

} // namespace itme
