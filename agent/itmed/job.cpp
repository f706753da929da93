// SPDX-License-Identifier: GPL-2.0-only
#include "itmed/job.hpp"

#include "lib/device.hpp"
#include "lib/explain.hpp"
#include "lib/instances.hpp"
#include "lib/mounts.hpp"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sstream>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

namespace itme {

namespace {

// What the kernel wrote to the log of a mount under way: "e itme: text".
std::string log_of(const Fd &context)
{
	std::array<char, 1024> line;
	std::string text;

	for (;;) {
		const auto n = read(context.get(), line.data(), line.size());
		if (n <= 0)
			return text;
		std::string said(line.data(), static_cast<std::size_t>(n));
		if (!said.starts_with("e "))
			continue;
		said.erase(0, 2);
		if (said.starts_with("itme: "))
			said.erase(0, 6);
		while (said.ends_with('\n'))
			said.pop_back();
		text += (text.empty() ? "" : "; ") + said;
	}
}

Error explain_mount(int err, const Job &job, const std::string &log)
{
	const auto path = job.mount.string();

	if (!log.empty())
		return {Exit::failed, "mounting " + path + " (" + job.options + "): " + log};
	switch (err) {
	case ENODEV:
		return not_loaded();
	case EPERM:
		return {Exit::failed, "mounting needs CAP_SYS_ADMIN: run itmed as root"};
	case ENOMEM:
		return {Exit::failed, "mounting " + path + " (" + job.options +
					      "): a node has not so much memory free (dmesg "
					      "says which); lower the budget"};
	case EBUSY:
		return {Exit::failed, "mounting " + path +
					      ": an instance of that name is "
					      "mounted elsewhere (itmectl list)"};
	default:
		return {Exit::failed, "mounting " + path + " (" + job.options +
					      "): " + errno_text(err) + " (dmesg may say why)"};
	}
}

bool set_options(const Fd &context, const std::string &options)
{
	std::istringstream words{options};

	for (std::string option; std::getline(words, option, ',');) {
		const auto equals = option.find('=');

		if (fsconfig(context.get(), FSCONFIG_SET_STRING, option.substr(0, equals).c_str(),
			     option.substr(equals + 1).c_str(), 0) < 0)
			return false;
	}
	return true;
}

bool is_mounted(const Path &path)
{
	const auto mounts = read_mounts("/");

	return mounts && std::ranges::find(*mounts, path, &Mount::path) != mounts->end();
}

Result<void> mount_instance(const Job &job)
{
	std::error_code ec;

	if (is_mounted(job.mount))
		return {};
	std::filesystem::create_directories(job.mount, ec);
	if (ec)
		return fail("the mount point " + job.mount.string() +
			    " cannot be made: " + ec.message());

	// An itmed that was killed may have left such a job behind, which is mounting now.
	const Fd turn{open(job.mount.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
	if (!turn || flock(turn.get(), LOCK_EX) < 0)
		return std::unexpected(explain_path(errno, job.mount));
	if (is_mounted(job.mount))
		return {};

	// By the new calls, because they tell why the kernel refuses.
	const Fd context{fsopen("itme", FSOPEN_CLOEXEC)};
	if (!context)
		return std::unexpected(explain_mount(errno, job, ""));
	if (!set_options(context, job.options) ||
	    fsconfig(context.get(), FSCONFIG_SET_STRING, "source", "none", 0) < 0 ||
	    fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) < 0) {
		const int err = errno;
		return std::unexpected(explain_mount(err, job, log_of(context)));
	}
	const Fd mount{fsmount(context.get(), FSMOUNT_CLOEXEC, 0)};
	if (!mount ||
	    move_mount(mount.get(), "", AT_FDCWD, job.mount.c_str(), MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return std::unexpected(explain_mount(errno, job, ""));
	return {};
}

Result<uid_t> owner_of(const std::string &name)
{
	if (name.empty())
		return static_cast<uid_t>(-1);
	if (const auto number = parse_number(name))
		return static_cast<uid_t>(*number);
	const auto *user = getpwnam(name.c_str());
	if (user == nullptr)
		return fail("there is no user '" + name +
			    "': give owner = a user's name or number");
	return user->pw_uid;
}

Result<gid_t> group_of(const std::string &name)
{
	if (name.empty())
		return static_cast<gid_t>(-1);
	if (const auto number = parse_number(name))
		return static_cast<gid_t>(*number);
	const auto *group = getgrnam(name.c_str());
	if (group == nullptr)
		return fail("there is no group '" + name +
			    "': give group = a group's name or number");
	return group->gr_gid;
}

// The store of a region that is there, as the kernel names it.
std::string store_of(const Job &job, const Info &info)
{
	for (const auto &instance : read_instances("/"))
		for (const auto &region : instance.regions)
			if (instance.name == info.instance && region.name == job.attach->name &&
			    region.attributes.contains("store"))
				return region.attributes.at("store");
	return {};
}

Error explain_attach_of(int err, const Job &job)
{
	std::error_code ec;
	const auto &store = job.attach->store;
	AttachAttempt attempt{.store = store, .mount = job.mount, .name = job.attach->name};

	attempt.is_block_device = std::filesystem::is_block_file(store, ec);
	if (err == ETXTBSY)
		attempt.writers = writers_of("/", std::filesystem::weakly_canonical(store, ec));
	return explain_attach(err, attempt);
}

Result<void> attach_region(const Job &job)
{
	const auto &wanted = *job.attach;
	const auto owner = owner_of(wanted.owner);
	if (!owner)
		return std::unexpected(owner.error());
	const auto group = group_of(wanted.group);
	if (!group)
		return std::unexpected(group.error());

	if (!is_mounted(job.mount))
		return fail(job.mount.string() + " is not mounted");
	const auto root = open_path(job.mount);
	if (!root)
		return std::unexpected(explain_path(root.error(), job.mount));
	const auto info = read_info(*root);
	if (!info)
		return std::unexpected(explain_call(info.error(), "reading", job.mount));
	const auto store = open_path(wanted.store);
	if (!store)
		return std::unexpected(explain_path(store.error(), wanted.store));

	const auto bytes = attach(*root, *store, {.name = wanted.name, .mode = wanted.mode});
	if (!bytes && bytes.error() == EEXIST) {
		std::error_code ec;
		const auto there = store_of(job, *info);

		if (there == std::filesystem::canonical(wanted.store, ec))
			return {};
		return fail((job.mount / wanted.name).string() + " is a region of " + there +
			    " already, not of " + wanted.store.string() +
			    ": detach it, or give another name");
	}
	if (!bytes)
		return std::unexpected(explain_attach_of(bytes.error(), job));
	if (fchownat(root->get(), wanted.name.c_str(), *owner, *group, AT_SYMLINK_NOFOLLOW) < 0)
		return fail((job.mount / wanted.name).string() +
			    " could not be given to its owner: " + errno_text(errno));
	return {};
}

} // namespace

Result<void> carry_out(const Job &job)
{
	return job.attach ? attach_region(job) : mount_instance(job);
}

std::string job_text(const Job &job)
{
	Json json{{"mount", job.mount.string()}, {"options", job.options}};

	if (job.attach) {
		const auto &attach = *job.attach;

		json["store"] = attach.store.string();
		json["name"] = attach.name;
		if (attach.mode)
			json["mode"] = *attach.mode;
		json["owner"] = attach.owner;
		json["group"] = attach.group;
	}
	return one_line(json);
}

Result<Job> parse_job(const std::string &text)
{
	const auto json = Json::parse(text, nullptr, false);

	if (!json.is_object() || text_of(json, "mount").empty())
		return fail("this is no job of itmed's own", Exit::usage);
	Job job{.mount = text_of(json, "mount"), .options = text_of(json, "options"), .attach = {}};
	if (!text_of(json, "store").empty()) {
		job.attach = AttachConfig{.store = text_of(json, "store"),
					  .name = text_of(json, "name"),
					  .owner = text_of(json, "owner"),
					  .group = text_of(json, "group")};
		if (member(json, "mode").is_number())
			job.attach->mode = number_of(json, "mode");
	}
	return job;
}

} // namespace itme
