// SPDX-License-Identifier: GPL-2.0-only
// Pages that the kernel has migrated, by what for: its tracepoint migrate:mm_migrate_pages,
// summed up by a trigger in an instance of tracefs of our own, so that nobody else's is touched.
#pragma once

#include "lib/file.hpp"
#include "lib/json.hpp"

#include <map>
#include <string>

namespace itme {

// reason -> pages that were moved, of the text of a `hist` file.
[[nodiscard]] std::map<std::string, std::uint64_t> parse_migrations(const std::string &hist);

class Migrations {
public:
	explicit Migrations(Path tracefs = "/sys/kernel/tracing") : tracefs_(std::move(tracefs)) {}
	Migrations(const Migrations &) = delete;
	Migrations &operator=(const Migrations &) = delete;
	~Migrations(); // takes the instance away

	// Counts from now on. Where the kernel has no such trigger to_json() says so.
	void watch();
	// {"pages": {"syscall": ..., "demotion": ..., "numa_misplaced": ...}} or {"missing": why}
	[[nodiscard]] Json to_json() const;

private:
	[[nodiscard]] Path instance() const { return tracefs_ / "instances/itmed"; }

	Path tracefs_;
	std::string missing_ = "nothing is declared";
	bool watches_ = false;
};

} // namespace itme
