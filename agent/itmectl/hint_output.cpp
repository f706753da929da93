// SPDX-License-Identifier: GPL-2.0-only
#include "itmectl/hint_output.hpp"

#include "itmectl/output.hpp"
#include "lib/size.hpp"
#include "lib/table.hpp"

#include <algorithm>
#include <ostream>

namespace itme {

namespace {

bool fetches(const Hint &hint)
{
	return hint.op == HintOp::prefetch || hint.op == HintOp::pin;
}

// "64 MiB in dram, 2 MiB in cxl"
std::string places(const TierShares &shares)
{
	std::string text;

	for (const auto tier : {Tier::dram, Tier::cxl}) {
		const auto bytes = shares[static_cast<std::size_t>(tier)].bytes;

		if (bytes > 0)
			text += (text.empty() ? "" : ", ") + format_size(bytes) + " in " +
				tier_name(tier);
	}
	return text;
}

// Rows that people need only where there is something to say.
class Rows {
public:
	void always(const std::string &name, std::uint64_t bytes, const std::string &meaning)
	{
		table_.add({name, format_size(bytes), meaning});
	}
	void some(const std::string &name, std::uint64_t bytes, const std::string &meaning)
	{
		if (bytes > 0)
			always(name, bytes, meaning);
	}
	void print(std::ostream &out) const { table_.print(out); }

private:
	Table table_{{"RESULT", ">BYTES", "MEANING"}};
};

void add_fetched(Rows &rows, const Hint &hint, const HintReport &report)
{
	const auto &result = report.result;

	if (report.outcome) {
		const auto &outcome = *report.outcome;

		rows.always("ready", outcome.ready_bytes,
			    outcome.ready_bytes > 0
				    ? "the range has " + places(report.shares) + " now"
				    : "");
		rows.some("resident", result.resident_bytes, "of these: there before");
		rows.some("failed", outcome.failed_bytes, "the store could not give it: see dmesg");
		rows.some("expired", outcome.expired_bytes, "its deadline had passed");
		rows.some("lost", outcome.lost_bytes,
			  "dropped again, cancelled, or without a frame");
	} else {
		rows.always("accepted", result.accepted_bytes, "queued, or on its way");
		rows.always("resident", result.resident_bytes, "there already");
	}
	rows.some("clipped", result.clipped_bytes,
		  hint.op == HintOp::pin ? "no room: the budget, or the limit of pins"
					 : std::string("no room that a hint of class ") +
						   class_name(hint.hint_class) + " may take");
	rows.some("refused", result.refused_bytes, "pinned where it is, in the other tier");
}

void add_released(Rows &rows, const HintReport &report)
{
	const auto &result = report.result;

	rows.always("accepted", result.accepted_bytes, "dropped from memory");
	rows.some("resident", result.resident_bytes, "was not in memory");
	rows.some("refused", result.refused_bytes, "pinned or held");
}

void print_human(Env &env, const Hint &hint, const HintReport &report)
{
	Rows rows;

	if (fetches(hint))
		add_fetched(rows, hint, report);
	else
		add_released(rows, report);
	rows.print(env.out);
}

Json named(const OpenRegion &region, const Hint &hint)
{
	return {
		{"region", region.path.string()},
		{"op", op_name(hint.op)},
		{"offset", hint.offset},
		{"length", hint.length},
	};
}

Json to_json(const OpenRegion &region, const Hint &hint, const HintReport &report)
{
	const auto &result = report.result;
	auto json = named(region, hint);

	if (fetches(hint)) {
		json["class"] = class_name(hint.hint_class);
		json["tier"] = hint.tier == Tier::store ? Json() : Json(tier_name(hint.tier));
		json["deadline_ns"] = hint.deadline_ns ? Json(hint.deadline_ns) : Json();
	}
	json["accepted_bytes"] = result.accepted_bytes;
	json["resident_bytes"] = result.resident_bytes;
	json["clipped_bytes"] = result.clipped_bytes;
	json["refused_bytes"] = result.refused_bytes;
	if (report.outcome) {
		json["ready_bytes"] = report.outcome->ready_bytes;
		json["failed_bytes"] = report.outcome->failed_bytes;
		json["expired_bytes"] = report.outcome->expired_bytes;
		json["lost_bytes"] = report.outcome->lost_bytes;
		json["cancelled"] = report.cancelled;
	}
	json["tiers"] = Json::object();
	for (const auto tier : {Tier::dram, Tier::cxl, Tier::store}) {
		const auto &share = report.shares[static_cast<std::size_t>(tier)];

		json["tiers"][tier_name(tier)] = {
			{"bytes", share.bytes},
			{"pinned_count", share.pinned},
			{"held_count", share.held},
		};
	}
	return json;
}

} // namespace

void print_hint(Env &env, const OpenRegion &region, const Hint &hint, const HintReport &report,
		bool json)
{
	if (json)
		print_json(env, to_json(region, hint, report));
	else
		print_human(env, hint, report);
}

void print_watch(Env &env, const OpenRegion &region, const Hint &hint,
		 std::vector<Granule> granules, bool json)
{
	const auto still = runs_with(granules, &Granule::watched);

	for (auto &granule : granules)
		granule.watched = !granule.watched;
	auto touched = runs_with(granules, &Granule::watched);
	for (auto &run : touched)
		run.first += hint.offset / region.info.granule_bytes;

	const auto count = [](const std::vector<GranuleRun> &runs) {
		std::uint64_t sum = 0;

		for (const auto &run : runs)
			sum += run.count;
		return sum;
	};
	if (json) {
		auto all = named(region, hint);

		all["granule_bytes"] = region.info.granule_bytes;
		all["touched_count"] = count(touched);
		all["watched_count"] = count(still);
		all["touched"] = Json::array();
		for (const auto &run : touched)
			all["touched"].push_back(
				{{"first_granule", run.first}, {"granule_count", run.count}});
		print_json(env, all);
		return;
	}
	Table table{{"RESULT", ">GRANULES", "WHICH"}};
	table.add({"touched", std::to_string(count(touched)), describe(touched)});
	table.add({"watched", std::to_string(count(still)), "not touched"});
	table.print(env.out);
}

} // namespace itme
