// SPDX-License-Identifier: GPL-2.0-only
// itmectl residency: which tier holds how much of a region.
#include "itmectl/command.hpp"
#include "itmectl/output.hpp"
#include "itmectl/target.hpp"
#include "lib/explain.hpp"
#include "lib/residency.hpp"
#include "lib/size.hpp"
#include "lib/table.hpp"

#include <CLI/CLI.hpp>
#include <memory>
#include <ostream>

namespace itme {

namespace {

struct Options {
	Path region;
	bool json = false;
};

constexpr Tier fastest_first[] = {Tier::dram, Tier::cxl, Tier::store};

std::string percent(std::uint64_t part, std::uint64_t whole)
{
	const auto share =
		whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);

	return std::to_string(static_cast<int>(share * 100 + 0.5)) + " %";
}

void print_human(std::ostream &out, const OpenRegion &region, const TierShares &shares)
{
	Table table{{"TIER", ">BYTES", ">SHARE", ">GRANULES", ">BUSY", ">DIRTY", ">PINNED", ">HELD",
		     ">WATCHED"}};

	for (const auto tier : fastest_first) {
		const auto &share = shares[static_cast<std::size_t>(tier)];

		table.add({tier_name(tier), format_size(share.bytes),
			   percent(share.bytes, region.bytes), std::to_string(share.granules),
			   std::to_string(share.busy), std::to_string(share.dirty),
			   std::to_string(share.pinned), std::to_string(share.held),
			   std::to_string(share.watched)});
	}
	table.print(out);
}

Json to_json(const OpenRegion &region, const TierShares &shares,
	     const std::vector<GranuleRun> &runs)
{
	Json json{
		{"region", region.path.string()}, {"instance", region.info.instance},
		{"size_bytes", region.bytes},     {"granule_bytes", region.info.granule_bytes},
		{"tiers", Json::object()},        {"runs", Json::array()},
	};

	for (const auto tier : fastest_first) {
		const auto &share = shares[static_cast<std::size_t>(tier)];

		json["tiers"][tier_name(tier)] = {
			{"bytes", share.bytes},           {"granule_count", share.granules},
			{"busy_count", share.busy},       {"dirty_count", share.dirty},
			{"pinned_count", share.pinned},   {"held_count", share.held},
			{"watched_count", share.watched},
		};
	}
	for (const auto &run : runs)
		json["runs"].push_back({
			{"first_granule", run.first},
			{"granule_count", run.count},
			{"tier", tier_name(run.state.tier)},
			{"busy", run.state.busy},
			{"dirty", run.state.dirty},
			{"pinned", run.state.pinned},
			{"held", run.state.held},
			{"watched", run.state.watched},
		});
	return json;
}

Result<void> run(const Options &options, Env &env)
{
	const auto region = open_region(options.region);
	if (!region)
		return std::unexpected(region.error());
	const auto granules = read_residency(region->fd);
	if (!granules)
		return std::unexpected(
			explain_call(granules.error(), "reading the residency of", options.region));

	const auto shares = add_up(*granules, region->info.granule_bytes, region->bytes);
	if (options.json)
		print_json(env, to_json(*region, shares, runs_of(*granules)));
	else
		print_human(env.out, *region, shares);
	return {};
}

} // namespace

void add_residency(CLI::App &app, Action &action)
{
	auto options = std::make_shared<Options>();
	auto *command = app.add_subcommand("residency", "which tier holds how much of a region");

	command->add_option("PATH", options->region, "the region")->required();
	command->add_flag("--json", options->json, "print JSON, with every run of granules");
	command->callback([options, &action] {
		action = [options](Env &env) { return run(*options, env); };
	});
}

} // namespace itme
