// SPDX-License-Identifier: GPL-2.0-only
// itmectl list: instances, their mounts and their regions.
#include "itmectl/command.hpp"

#include <CLI/CLI.hpp>
#include <memory>

namespace itme {

namespace {

struct Options {
	bool json = false;
};

Result<void> run(const Options &, Env &)
{
	return fail("no instance is mounted", Exit::unsupported);
}

} // namespace

void add_list(CLI::App &app, Action &action)
{
	auto options = std::make_shared<Options>();
	auto *command = app.add_subcommand("list", "instances, their mounts and their regions");

	command->add_flag("--json", options->json, "print JSON");
	command->callback([options, &action] {
		action = [options](Env &env) { return run(*options, env); };
	});
}

} // namespace itme
