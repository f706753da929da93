// SPDX-License-Identifier: GPL-2.0-only
// itmectl doctor: is this host set up right? Every "no" names the fix.
#include "itmectl/command.hpp"
#include "itmectl/output.hpp"
#include "lib/host.hpp"
#include "lib/table.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <ostream>

namespace itme {

namespace {

struct Options {
	bool json = false;
};

bool is_ready(const std::vector<Check> &checks)
{
	return std::ranges::all_of(checks, [](const Check &c) { return c.good || !c.needed; });
}

void print_human(std::ostream &out, const std::vector<Check> &checks)
{
	Table table{{"CHECK", "GOOD", "FOUND"}};

	for (const auto &check : checks) {
		table.add({check.name, check.good ? "yes" : "no", check.found});
		if (!check.good)
			table.add({"", "", "-> " + check.fix});
	}
	table.print(out);
}

Json to_json(const std::vector<Check> &checks, const std::vector<Node> &nodes)
{
	Json json{
		{"ready", is_ready(checks)},
		{"checks", Json::array()},
		{"nodes", Json::array()},
	};

	for (const auto &check : checks)
		json["checks"].push_back({
			{"name", check.name},
			{"good", check.good},
			{"needed", check.needed},
			{"found", check.found},
			{"fix", check.good ? Json() : Json(check.fix)},
		});
	for (const auto &node : nodes)
		json["nodes"].push_back({
			{"node", node.id},
			{"has_cpus", node.has_cpus},
			{"memory_bytes", node.memory_bytes},
			{"movable_bytes", node.movable_bytes},
		});
	return json;
}

Result<void> run(const Options &options, Env &env)
{
	const auto checks = check_host(env.root);

	if (options.json)
		print_json(env, to_json(checks, read_nodes(env.root)));
	else
		print_human(env.out, checks);
	if (!is_ready(checks))
		return fail("this host is not ready for ITME: carry out what follows each \"->\"");
	return {};
}

} // namespace

void add_doctor(CLI::App &app, Action &action)
{
	auto options = std::make_shared<Options>();
	auto *command =
		app.add_subcommand("doctor", "is this host set up right? says how to mend it");

	command->add_flag("--json", options->json, "print JSON");
	command->callback([options, &action] {
		action = [options](Env &env) { return run(*options, env); };
	});
}

} // namespace itme
