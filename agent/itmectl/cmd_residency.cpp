// SPDX-License-Identifier: GPL-2.0-only
// itmectl residency: which tier holds how much of a region, and where.
#include "itmectl/command.hpp"
#include "itmectl/output.hpp"
#include "itmectl/target.hpp"
#include "lib/explain.hpp"
#include "lib/residency.hpp"
#include "lib/size.hpp"
#include "lib/table.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <ostream>

namespace itme {

namespace {

struct Options {
	Path region;
	bool json = false;
};

constexpr std::uint64_t cells_a_line = 64, most_lines = 16;

constexpr Tier fastest_first[] = {Tier::dram, Tier::cxl, Tier::store};

std::string percent(std::uint64_t part, std::uint64_t whole)
{
	const auto share =
		whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);

	return std::to_string(static_cast<int>(share * 100 + 0.5)) + " %";
}

// A line of cells for each part of the region, with where it begins.
void print_map(std::ostream &out, const OpenRegion &region, const std::vector<Granule> &granules)
{
	constexpr auto most_cells = cells_a_line * most_lines;
	const auto per_cell =
		std::max<std::uint64_t>((granules.size() + most_cells - 1) / most_cells, 1);
	const auto map = map_of(granules, per_cell);
	const auto cell_bytes = per_cell * region.info.granule_bytes;
	Table table{{">FROM", "EACH CHARACTER " + format_size(cell_bytes)}};

	for (std::uint64_t cell = 0; cell < map.size(); cell += cells_a_line)
		table.add({format_size(cell * cell_bytes), map.substr(cell, cells_a_line)});
	out << '\n';
	table.print(out);
	out << "\nD in DRAM, C in CXL memory, d and c only a part of it, ~ busy, . in the store "
	       "only\n";
}

// Which granules are in a state that matters to whoever wonders why they stay.
void print_flags(std::ostream &out, const std::vector<Granule> &granules)
{
	constexpr std::pair<const char *, bool Granule::*> flags[] = {
		{"busy", &Granule::busy},       {"dirty", &Granule::dirty},
		{"pinned", &Granule::pinned},   {"held", &Granule::held},
		{"watched", &Granule::watched},
	};
	Table table{{"STATE", "GRANULES"}};

	for (const auto &[name, flag] : flags)
		if (const auto runs = runs_with(granules, flag); !runs.empty())
			table.add({name, describe(runs)});
	if (table.empty())
		return;
	out << '\n';
	table.print(out);
}

void print_human(std::ostream &out, const OpenRegion &region, const TierShares &shares,
		 const std::vector<Granule> &granules)
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
	print_map(out, region, granules);
	print_flags(out, granules);
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
		print_human(env.out, *region, shares, *granules);
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
