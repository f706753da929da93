// SPDX-License-Identifier: GPL-2.0-only
// itmectl attach: make a region of a file or a block device.
#include "itmectl/command.hpp"
#include "itmectl/target.hpp"
#include "lib/device.hpp"
#include "lib/explain.hpp"
#include "lib/size.hpp"
#include "lib/table.hpp"

#include <CLI/CLI.hpp>
#include <cerrno>
#include <memory>
#include <ostream>
#include <sys/stat.h>

namespace itme {

namespace {

struct Options {
	Path mount, store;
	std::string name;
	std::string mode;
	bool write = false, pinnable = false;
};

constexpr std::uint32_t all_permissions = 0777;

// "640" or "0640"
std::string mode_fault(std::string &text)
{
	const auto digits = text.find_first_not_of("01234567") == text.npos;

	if (text.empty() || text.size() > 4 || !digits ||
	    std::stoul(text, nullptr, 8) > all_permissions)
		return "'" + text + "' is no mode such as 0640";
	return {};
}

Error explain(int err, const Options &options, const std::string &name, Env &env)
{
	std::error_code ec;
	AttachAttempt attempt{.store = options.store, .mount = options.mount, .name = name};

	attempt.is_block_device = std::filesystem::is_block_file(options.store, ec);
	attempt.writable = options.write;
	attempt.odd_size = std::filesystem::file_size(options.store, ec) % page_bytes != 0 && !ec;
	if (err == ETXTBSY && !options.write)
		attempt.writers =
			writers_of(env.root, std::filesystem::weakly_canonical(options.store, ec));
	return explain_attach(err, attempt);
}

Result<void> run(const Options &options, Env &env)
{
	// Before anything is changed, and because the module says EINVAL to several things.
	const auto name = region_name(options.name, options.store);
	if (!name)
		return std::unexpected(name.error());
	const auto root = open_mount(options.mount);
	if (!root)
		return std::unexpected(root.error());
	const auto store = open_path(options.store, options.write);
	if (!store && store.error() == ETXTBSY)
		return std::unexpected(explain(ETXTBSY, options, *name, env));
	if (!store)
		return std::unexpected(explain_path(store.error(), options.store));

	Attach request{.name = *name, .writable = options.write, .pinnable = options.pinnable};
	if (!options.mode.empty())
		request.mode = std::stoul(options.mode, nullptr, 8);
	const auto bytes = attach(*root, *store, request);
	if (!bytes)
		return std::unexpected(explain(bytes.error(), options, *name, env));
	env.out << printable((options.mount / *name).string()) << ": " << format_size(*bytes)
		<< '\n';
	return {};
}

} // namespace

void add_attach(CLI::App &app, Action &action)
{
	auto options = std::make_shared<Options>();
	auto *command = app.add_subcommand("attach", "make a region of a file or a block device");

	command->add_option("MOUNT", options->mount, "an itme mount")->required();
	command->add_option("FILE", options->store, "the store")->required();
	command->add_option("--name", options->name, "of the region; else that of the file");
	command->add_option("--mode", options->mode, "permissions of the region; else 0600")
		->check(CLI::Validator{mode_fault, "OCTAL"});
	auto *write =
		command->add_flag("--write", options->write,
				  "the region can be written to, and the store is; else read-only");
	command->add_flag("--pinnable", options->pinnable,
			  "DMA may hold all of it for long; it must fit the budgets")
		->needs(write);
	command->callback([options, &action] {
		action = [options](Env &env) { return run(*options, env); };
	});
}

} // namespace itme
