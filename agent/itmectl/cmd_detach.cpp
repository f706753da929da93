// SPDX-License-Identifier: GPL-2.0-only
// itmectl detach: take a region away; the file behind it stays.
#include "itmectl/command.hpp"
#include "itmectl/target.hpp"
#include "lib/explain.hpp"

#include <CLI/CLI.hpp>
#include <cerrno>
#include <memory>
#include <unistd.h>

namespace itme {

namespace {

struct Options {
	Path region;
};

Result<void> run(const Options &options)
{
	std::error_code ec;

	// A link would be removed, or a file that is no region: neither is meant.
	const auto type = std::filesystem::symlink_status(options.region, ec).type();
	if (type == std::filesystem::file_type::symlink)
		return fail(options.region.string() +
			    " is a symbolic link: name the region itself");
	if (auto there = require_itme(options.region); !there)
		return std::unexpected(there.error());
	if (type != std::filesystem::file_type::regular)
		return fail(options.region.string() + " is no region: name a file in the mount");

	if (unlink(options.region.c_str()) < 0)
		return std::unexpected(explain_path(errno, options.region));
	return {};
}

} // namespace

void add_detach(CLI::App &app, Action &action)
{
	auto options = std::make_shared<Options>();
	auto *command = app.add_subcommand("detach",
					   "take a region away; the file behind it stays as it is");

	command->add_option("PATH", options->region, "the region")->required();
	command->callback(
		[options, &action] { action = [options](Env &) { return run(*options); }; });
}

} // namespace itme
