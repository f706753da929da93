// SPDX-License-Identifier: GPL-2.0-only
#include "itmectl/command.hpp"

#include <CLI/CLI.hpp>
#include <ostream>

namespace itme {

namespace {

// The table of commands, in the order of the help.
constexpr void (*commands[])(CLI::App &, Action &) = {
	add_list, add_info,      add_attach, add_create, add_detach, add_umount,
	add_stat, add_residency, add_hint,   add_drop,   add_doctor, add_schedule,
	add_plan, add_memory,    add_top,    add_report,
};

} // namespace

int run_itmectl(int argc, const char *const *argv, Env &env)
{
	CLI::App app{"Shows and steers ITME's tiered memory.", "itmectl"};
	app.set_version_flag("--version", "itmectl 0.1");
	app.require_subcommand(1);

	Action action;
	for (auto add : commands)
		add(app, action);

	try {
		app.parse(argc, argv);
	} catch (const CLI::ParseError &e) {
		const bool good = app.exit(e, env.out, env.err) == 0;
		return static_cast<int>(good ? Exit::ok : Exit::usage);
	}

	const auto result = action(env);
	if (result)
		return static_cast<int>(Exit::ok);
	env.err << "itmectl: " << result.error().text << '\n';
	return static_cast<int>(result.error().code);
}

} // namespace itme
