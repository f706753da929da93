// SPDX-License-Identifier: GPL-2.0-only
// itmectl info: what a mount is and can do.
#include "itmectl/command.hpp"
#include "itmectl/output.hpp"
#include "itmectl/target.hpp"
#include "lib/explain.hpp"
#include "lib/instances.hpp"
#include "lib/size.hpp"
#include "lib/table.hpp"

#include <CLI/CLI.hpp>
#include <memory>
#include <ostream>

namespace itme {

namespace {

struct Options {
	std::string mount;
	bool json = false;
};

std::string join(const std::vector<std::string> &words)
{
	std::string text;

	for (const auto &word : words)
		text += (text.empty() ? "" : ", ") + word;
	return text.empty() ? "-" : text;
}

std::string version_of(const Info &info)
{
	return std::to_string(info.version_major) + "." + std::to_string(info.version_minor);
}

void print_human(std::ostream &out, const MountInfo &mount)
{
	const auto &info = mount.info;
	Table table{{"MOUNT", mount.path.string()}};

	table.add({"instance", info.instance});
	table.add({"module version", version_of(info)});
	table.add({"granule", format_size(info.granule_bytes)});
	table.add({"DRAM budget", format_size(info.dram_bytes)});
	table.add({"CXL budget", format_size(info.cxl_bytes)});
	table.add({"window", format_size(info.window_bytes)});
	table.add({"most in flight", format_size(info.inflight_bytes)});
	table.add({"most pinned", format_size(info.pin_limit_bytes)});
	table.add({"features", join(info.features)});
	table.add({"hints", join(info.hint_ops)});
	table.add({"classes", join(info.hint_classes)});
	table.add({"most hints a call", std::to_string(info.hint_max)});
	table.add({"most outstanding", std::to_string(info.queue_max) + " an open file"});
	table.add({"cookies remembered", std::to_string(info.cookie_max) + " an open file"});
	table.print(out);
}

Json to_json(const MountInfo &mount)
{
	const auto &info = mount.info;

	return {
		{"mount", mount.path.string()},
		{"instance", info.instance},
		{"version", version_of(info)},
		{"granule_bytes", info.granule_bytes},
		{"dram_bytes", info.dram_bytes},
		{"cxl_bytes", info.cxl_bytes},
		{"window_bytes", info.window_bytes},
		{"inflight_bytes", info.inflight_bytes},
		{"pin_limit_bytes", info.pin_limit_bytes},
		{"features", info.features},
		{"hint_ops", info.hint_ops},
		{"hint_classes", info.hint_classes},
		{"hint_max", info.hint_max},
		{"queue_max", info.queue_max},
		{"cookie_max", info.cookie_max},
	};
}

Result<std::vector<MountInfo>> wanted(const Options &options, Env &env)
{
	if (options.mount.empty())
		return read_mount_infos(env);

	if (auto there = require_itme(options.mount); !there)
		return std::unexpected(there.error());
	const auto fd = open_path(options.mount);
	if (!fd)
		return std::unexpected(explain_path(fd.error(), options.mount));
	auto info = read_info(*fd);
	if (!info)
		return std::unexpected(explain_call(info.error(), "reading", options.mount));
	return std::vector<MountInfo>{{options.mount, std::move(*info)}};
}

Result<void> run(const Options &options, Env &env)
{
	if (options.mount.empty() && !is_loaded(env.root))
		return std::unexpected(not_loaded());

	const auto mounts = wanted(options, env);
	if (!mounts)
		return std::unexpected(mounts.error());

	if (options.json) {
		Json json{{"mounts", Json::array()}};

		for (const auto &mount : *mounts)
			json["mounts"].push_back(to_json(mount));
		print_json(env, json);
		return {};
	}
	if (mounts->empty())
		env.out << "Nothing is mounted.\n";
	for (const auto &mount : *mounts) {
		if (&mount != &mounts->front())
			env.out << '\n';
		print_human(env.out, mount);
	}
	return {};
}

} // namespace

void add_info(CLI::App &app, Action &action)
{
	auto options = std::make_shared<Options>();
	auto *command = app.add_subcommand("info", "what a mount is and can do");

	command->add_option("MOUNT", options->mount, "a mount, or a region in it; else all mounts");
	command->add_flag("--json", options->json, "print JSON");
	command->callback([options, &action] {
		action = [options](Env &env) { return run(*options, env); };
	});
}

} // namespace itme
