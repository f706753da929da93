// SPDX-License-Identifier: GPL-2.0-only
#include "lib/explain.hpp"

#include <algorithm>
#include <cerrno>

namespace itme {

namespace {

constexpr std::size_t longest_name = 255; // as the module and most file systems have it

std::string by_whom(const std::vector<Holder> &holders, const std::string &how_to_find)
{
	if (holders.empty())
		return " (" + how_to_find + " names the process)";
	return " by " + describe(holders);
}

} // namespace

std::string name_fault(const std::string &name)
{
	const auto is_control = [](char c) {
		const auto byte = static_cast<unsigned char>(c);
		return byte < 0x20 || byte == 0x7f;
	};

	if (name.empty())
		return "it is empty";
	if (name == "." || name == "..")
		return "it is a directory's own";
	if (name.find('/') != name.npos)
		return "it contains '/'";
	if (std::ranges::any_of(name, is_control))
		return "it contains a control character";
	if (name.size() > longest_name)
		return "it is longer than " + std::to_string(longest_name) + " bytes";
	return "";
}

Error explain_attach(int err, const AttachAttempt &attempt)
{
	const auto store = attempt.store.string();
	const auto mount = attempt.mount.string();

	switch (err) {
	case EPERM:
		return {Exit::failed, "attaching needs CAP_SYS_ADMIN: run as root"};
	case EACCES:
		return {Exit::failed,
			store + (attempt.writable ? " may not be written by this user, "
						    "or not at all"
						  : " may not be read by this user")};
	case EISDIR:
		return {Exit::failed, store + " is a directory: name a file or a block device"};
	case EBADF:
		return {Exit::failed, store + " could not be opened for reading"};
	case EINVAL:
		if (attempt.writable && attempt.odd_size)
			return {Exit::failed, store + " cannot be written to as a region: its size "
						      "is no multiple of 4096 bytes; make it "
						      "larger with truncate -s %4096"};
		return {Exit::failed,
			store + " cannot be a store: it must be a regular file or a block device "
				"that can be read with O_DIRECT (tmpfs cannot, for one; copy the "
				"file "
				"to ext4 or XFS)"};
	case ENODATA:
		return {Exit::failed, store + " is empty: there is nothing to attach"};
	case EFBIG:
		return {Exit::failed, store + " is larger than a file can be"};
	case ENAMETOOLONG:
		return {Exit::failed, "the name '" + attempt.name +
					      "' is too long: give a shorter "
					      "one with --name"};
	case EEXIST:
		return {Exit::failed, "a region named '" + attempt.name + "' is there already in " +
					      mount +
					      ": give another name with --name, or detach "
					      "that one first"};
	case EBUSY:
		if (attempt.is_block_device)
			return {Exit::failed,
				store + " is attached already (see itmectl list), or in use "
					"by a mount or another driver (see lsblk)"};
		return {Exit::failed, store + " is attached already, here or in another instance: "
					      "see itmectl list"};
	case ETXTBSY:
		if (attempt.writable)
			return {Exit::failed, store + " is attached read-only, being executed, or "
						      "in use for swap: see itmectl list"};
		return {Exit::failed,
			store + " is open for writing" +
				by_whom(attempt.writers, "fuser -v " + store) +
				": a read-only region needs it unchanged, so end the writer first"};
	case ELOOP:
		return {Exit::failed,
			store + " lies on an itme mount itself, or is a loop device while "
				"a region backs one: attach the file behind it instead"};
	case ENOTTY:
		return not_itme(attempt.mount);
	default:
		return explain_call(err, "attaching " + store + " to", attempt.mount);
	}
}

Error explain_path(int err, const Path &path)
{
	const auto name = path.string();

	switch (err) {
	case ENOENT:
		return {Exit::failed, name + " does not exist"};
	case EACCES:
	case EPERM:
		return {Exit::failed,
			name + " may not be accessed by this user: run as root, or as "
			       "the region's owner"};
	default:
		return {Exit::failed, name + ": " + errno_text(err)};
	}
}

Error explain_call(int err, const std::string &what, const Path &path)
{
	const auto whole = what + " " + path.string() + ": ";

	switch (err) {
	case ENOTTY:
		return not_itme(path);
	case EOPNOTSUPP:
		return {Exit::unsupported, whole + "the loaded module does not do this; itmectl "
						   "info shows what it does"};
	case E2BIG:
		return {Exit::unsupported,
			whole + "the loaded module is older than this itmectl: load the one built "
				"with it"};
	case EPERM:
		return {Exit::failed, whole + "needs CAP_SYS_ADMIN: run as root"};
	case EINTR:
		return {Exit::failed, whole + "interrupted"};
	case EIO:
		return {Exit::failed, whole + "the store could not be read (dmesg says where)"};
	case ETIMEDOUT:
		return {Exit::failed,
			whole + "the store did not answer in time (dmesg may say why)"};
	default:
		return {Exit::failed, whole + errno_text(err)};
	}
}

Error explain_umount(int err, const Path &mount, const std::vector<Holder> &users)
{
	const auto name = mount.string();

	switch (err) {
	case EBUSY:
		return {Exit::failed, name + " is in use" + by_whom(users, "fuser -vm " + name) +
					      ": nothing was changed"};
	case EPERM:
		return {Exit::failed, "unmounting needs CAP_SYS_ADMIN: run as root"};
	default:
		return {Exit::failed, name + ": " + errno_text(err)};
	}
}

Error not_loaded()
{
	return {Exit::unsupported,
		"the itme module is not loaded: modprobe itme (itmectl doctor checks this host)"};
}

Error not_itme(const Path &path)
{
	return {Exit::unsupported,
		path.string() + " is not on an itme mount: itmectl list shows what is"};
}

} // namespace itme
