// SPDX-License-Identifier: GPL-2.0-only
// itmectl umount: end an instance, or say who uses it.
#include "itmectl/command.hpp"
#include "lib/client.hpp"
#include "lib/explain.hpp"
#include "lib/mounts.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <memory>
#include <sys/mount.h>
#include <thread>

namespace itme {

namespace {

// What nobody is seen to hold goes by itself: a process that has just ended, a look at its memory.
constexpr std::chrono::seconds patience{2};
constexpr std::chrono::milliseconds pause{20};

struct Options {
	Path mount;
	Path socket = default_socket;
};

// 0, or an errno, with who holds it if it is EBUSY.
int unmount(const Path &path, const Path &root, std::vector<Holder> &users)
{
	const auto end = std::chrono::steady_clock::now() + patience;

	while (umount2(path.c_str(), UMOUNT_NOFOLLOW) < 0) {
		if (errno != EBUSY)
			return errno;
		users = users_below(root, path);
		if (!users.empty() || std::chrono::steady_clock::now() >= end)
			return EBUSY;
		std::this_thread::sleep_for(pause);
	}
	return 0;
}

Result<void> run(const Options &options, Env &env)
{
	std::error_code ec;
	const auto path = std::filesystem::canonical(options.mount, ec);
	if (ec)
		return std::unexpected(explain_path(ec.value(), options.mount));

	const auto mounts = read_mounts(env.root);
	if (!mounts)
		return std::unexpected(explain_path(mounts.error(), "/proc/self/mountinfo"));
	if (std::ranges::find(*mounts, path, &Mount::path) == mounts->end())
		return fail(path.string() + " is no itme mount: itmectl list shows them",
			    Exit::unsupported);

	// What itmed holds would keep the mount busy. Without an itmed nothing is held.
	Request request{.kind = RequestKind::release, .mount = path, .region = {}};
	const auto released = ask_itmed(options.socket, request);
	if (!released && released.error().code != Exit::unsupported)
		env.err << "itmectl: itmed did not let go of " << path.string() << ": "
			<< released.error().text << '\n';

	std::vector<Holder> users;
	const int err = unmount(path, env.root, users);
	if (err == 0)
		return {};
	request.kind = RequestKind::restore; // it stays mounted: itmed may go on with it
	if (released)
		(void)ask_itmed(options.socket, request);
	return std::unexpected(explain_umount(err, path, users));
}

} // namespace

void add_umount(CLI::App &app, Action &action)
{
	auto options = std::make_shared<Options>();
	auto *command = app.add_subcommand(
		"umount", "unmount an instance, once itmed has let go of it; says who uses it");

	command->add_option("MOUNT", options->mount, "the mount")->required();
	command->add_option("--socket", options->socket, "where itmed listens")
		->capture_default_str();
	command->callback([options, &action] {
		action = [options](Env &env) { return run(*options, env); };
	});
}

} // namespace itme
