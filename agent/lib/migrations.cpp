// SPDX-License-Identifier: GPL-2.0-only
#include "lib/migrations.hpp"

#include "lib/host.hpp"
#include "lib/size.hpp"

#include <cstdio>
#include <fstream>
#include <sstream>

namespace itme {

namespace {

constexpr auto event = "events/migrate/mm_migrate_pages";
constexpr auto trigger = "hist:keys=reason:vals=succeeded";

// enum migrate_reason of the kernel, from 6.12 on; a newer one is told by its number.
constexpr const char *reasons[] = {
	"compaction",     "memory_failure", "memory_hotplug", "syscall",  "mempolicy_mbind",
	"numa_misplaced", "contig_range",   "longterm_pin",   "demotion", "damon",
};

} // namespace

// "{ reason:          3 } hitcount:         12  succeeded:       6144"
std::map<std::string, std::uint64_t> parse_migrations(const std::string &hist)
{
	std::map<std::string, std::uint64_t> pages;
	std::istringstream lines{hist};

	for (std::string line; std::getline(lines, line);) {
		unsigned long long reason = 0, hits = 0, moved = 0;

		if (std::sscanf(line.c_str(), "{ reason: %llu } hitcount: %llu succeeded: %llu",
				&reason, &hits, &moved) != 3)
			continue;
		pages[reason < std::size(reasons) ? reasons[reason]
						  : "reason " + std::to_string(reason)] += moved;
	}
	return pages;
}

NodeMoves parse_node_moves(const std::string &vmstat)
{
	NodeMoves moves;
	std::istringstream words{vmstat};
	std::uint64_t pages = 0;

	for (std::string name; words >> name >> pages;) {
		if (name == "pgpromote_success")
			moves.promoted_here += pages;
		else if (name.starts_with("pgdemote_"))
			moves.demoted_away += pages;
	}
	return moves;
}

Migrations::~Migrations()
{
	std::error_code ec;

	if (watches_) {
		std::ofstream{instance() / event / "trigger"} << '!' << trigger << std::flush;
		std::filesystem::remove(instance(), ec);
	}
}

std::map<int, NodeMoves> Migrations::node_moves() const
{
	const auto nodes = root_ / "sys/devices/system/node";
	std::map<int, NodeMoves> moves;

	for (const auto &node : read_nodes(root_))
		moves[node.id] = parse_node_moves(
			read_file(nodes / ("node" + std::to_string(node.id)) / "vmstat")
				.value_or(""));
	return moves;
}

void Migrations::watch()
{
	std::error_code ec;

	if (watches_)
		return;
	if (!began_)
		before_ = node_moves();
	began_ = true;
	std::filesystem::create_directory(instance(), ec);
	std::ofstream file{instance() / event / "trigger"};
	file << trigger << std::flush;
	watches_ = file.good();
	missing_ = watches_ ? ""
			    : "the kernel's migrations are not seen: no hist trigger for " +
				      (instance() / event).string();
}

Json Migrations::to_json() const
{
	Json json{{"pages", Json::object()}, {"nodes", Json::array()}};

	if (began_)
		for (const auto &[node, moves] : node_moves()) {
			const auto before = before_.find(node); // none: it came online later
			const auto then = before == before_.end() ? NodeMoves{} : before->second;

			json["nodes"].push_back(
				{{"node", node},
				 {"promoted_here_bytes",
				  (moves.promoted_here - then.promoted_here) * page_bytes},
				 {"demoted_away_bytes",
				  (moves.demoted_away - then.demoted_away) * page_bytes}});
		}
	if (!watches_) {
		json["missing"] = missing_;
		return json;
	}
	for (const auto &[reason, pages] :
	     parse_migrations(read_file(instance() / event / "hist").value_or("")))
		json["pages"][reason] = pages;
	return json;
}

} // namespace itme
