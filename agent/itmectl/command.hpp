// SPDX-License-Identifier: GPL-2.0-only
// What a command of itmectl is: one file cmd_<noun>.cpp each, with a function
// add_<noun>() that declares its options, entered in the table of app.cpp.
#pragma once

#include "lib/error.hpp"

#include <filesystem>
#include <functional>
#include <iosfwd>

namespace CLI {
class App;
}

namespace itme {

// Where a command reads and writes. Tests give other streams and another root.
struct Env {
	std::ostream &out;
	std::ostream &err;
	std::filesystem::path root = "/"; // above sys/ and proc/
	bool err_is_terminal = false;     // somebody watches: progress may be shown
	bool out_is_terminal = false;     // and may be shown a screen
};

// What is to be done once the command line is known to be right.
using Action = std::function<Result<void>(Env &)>;

// Runs itmectl and gives its exit code.
[[nodiscard]] int run_itmectl(int argc, const char *const *argv, Env &env);

void add_list(CLI::App &app, Action &action);
void add_info(CLI::App &app, Action &action);
void add_attach(CLI::App &app, Action &action);
void add_create(CLI::App &app, Action &action);
void add_detach(CLI::App &app, Action &action);
void add_umount(CLI::App &app, Action &action);
void add_stat(CLI::App &app, Action &action);
void add_residency(CLI::App &app, Action &action);
void add_hint(CLI::App &app, Action &action);
void add_drop(CLI::App &app, Action &action);
void add_doctor(CLI::App &app, Action &action);
void add_schedule(CLI::App &app, Action &action);
void add_plan(CLI::App &app, Action &action);
void add_memory(CLI::App &app, Action &action);
void add_top(CLI::App &app, Action &action);
void add_report(CLI::App &app, Action &action);

} // namespace itme
