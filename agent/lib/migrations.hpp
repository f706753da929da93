// SPDX-License-Identifier: GPL-2.0-only
// Pages that the kernel has migrated, by what for: its tracepoint migrate:mm_migrate_pages,
// summed up by a trigger in an instance of tracefs of our own, so that nobody else's is touched.
// The tracepoint names no node: what the kernel's own tiering moved is counted by node in vmstat.
#pragma once

#include "lib/file.hpp"
#include "lib/json.hpp"

#include <cstdint>
#include <map>
#include <string>

namespace itme {

// reason -> pages that were moved, of the text of a `hist` file.
[[nodiscard]] std::map<std::string, std::uint64_t> parse_migrations(const std::string &hist);

// Pages that the kernel's tiering has moved to a node, and away from it.
struct NodeMoves {
	std::uint64_t promoted_here = 0, demoted_away = 0;

	bool operator==(const NodeMoves &) const = default;
};

// Of the text of /sys/devices/system/node/nodeN/vmstat.
[[nodiscard]] NodeMoves parse_node_moves(const std::string &vmstat);

class Migrations {
public:
	explicit Migrations(Path tracefs = "/sys/kernel/tracing", Path root = "/")
	    : tracefs_(std::move(tracefs)), root_(std::move(root))
	{
	}
	Migrations(const Migrations &) = delete;
	Migrations &operator=(const Migrations &) = delete;
	~Migrations(); // takes the instance away

	// Counts from now on. Where the kernel has no such trigger to_json() says so.
	void watch();
	// {"pages": {"syscall": ..., "demotion": ..., "numa_misplaced": ...}} or {"missing": why};
	// "nodes": [{"node", "promoted_here_bytes", "demoted_away_bytes"}, ...]. Since watch().
	[[nodiscard]] Json to_json() const;

private:
	[[nodiscard]] Path instance() const { return tracefs_ / "instances/itmed"; }

	[[nodiscard]] std::map<int, NodeMoves> node_moves() const;

	Path tracefs_, root_;
	std::map<int, NodeMoves> before_; // since boot, at watch()
	bool began_ = false;
	std::string missing_ = "nothing is declared";
	bool watches_ = false;
};

} // namespace itme
