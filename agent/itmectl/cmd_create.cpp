// SPDX-License-Identifier: GPL-2.0-only
// itmectl create: a new file, and a region of it that can be written to.
#include "itmectl/command.hpp"
#include "itmectl/target.hpp"
#include "lib/device.hpp"
#include "lib/explain.hpp"
#include "lib/size.hpp"
#include "lib/table.hpp"

#include <CLI/CLI.hpp>
#include <cerrno>
#include <fcntl.h>
#include <memory>
#include <ostream>
#include <unistd.h>

namespace itme {

namespace {

struct Options {
	Path mount, store;
	std::string name;
	std::uint64_t bytes = 0;
	bool pinnable = false;
};

// Its space is there from now on: a store that is full is found here and not later.
Result<Fd> make_file(const Options &options)
{
	const auto path = options.store.string();
	Fd fd{open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600)};

	if (!fd && errno == EEXIST)
		return fail(path +
			    " is there already: itmectl attach --write makes a region of it");
	if (!fd)
		return std::unexpected(explain_path(errno, options.store));
	const int err = posix_fallocate(fd.get(), 0, static_cast<off_t>(options.bytes));
	if (!err)
		return fd;
	unlink(path.c_str());
	if (err == ENOSPC)
		return fail("there is no room for " + format_size(options.bytes) + " at " + path);
	return std::unexpected(explain_path(err, options.store));
}

Result<void> run(const Options &options, Env &env)
{
	const auto name = region_name(options.name, options.store);
	if (!name)
		return std::unexpected(name.error());
	if (!options.bytes || options.bytes % page_bytes != 0)
		return fail("--size must be a multiple of 4096 bytes, and more than 0",
			    Exit::usage);
	const auto root = open_mount(options.mount);
	if (!root)
		return std::unexpected(root.error());
	const auto store = make_file(options);
	if (!store)
		return std::unexpected(store.error());
	const auto bytes = attach(*root, *store,
				  {.name = *name, .writable = true, .pinnable = options.pinnable});
	if (!bytes) {
		unlink(options.store.c_str()); // as if nothing had been asked
		return std::unexpected(explain_attach(bytes.error(), {.store = options.store,
								      .mount = options.mount,
								      .name = *name,
								      .writable = true}));
	}
	env.out << printable((options.mount / *name).string()) << ": " << format_size(*bytes)
		<< '\n';
	return {};
}

} // namespace

void add_create(CLI::App &app, Action &action)
{
	auto options = std::make_shared<Options>();
	auto *command = app.add_subcommand(
		"create", "make a new file, and a region of it that can be written to");

	command->add_option("MOUNT", options->mount, "an itme mount")->required();
	as_size(command->add_option("--size", options->bytes, "of both")->required());
	command->add_option("--store", options->store, "the file to be made")->required();
	command->add_option("--name", options->name, "of the region; else that of the file");
	command->add_flag("--pinnable", options->pinnable,
			  "DMA may hold all of it for long; it must fit the budgets");
	command->callback([options, &action] {
		action = [options](Env &env) { return run(*options, env); };
	});
}

} // namespace itme
