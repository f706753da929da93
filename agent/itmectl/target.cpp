// SPDX-License-Identifier: GPL-2.0-only
#include "itmectl/target.hpp"

#include "lib/explain.hpp"
#include "lib/size.hpp"
#include "lib/table.hpp"

#include <CLI/CLI.hpp>
#include <cerrno>
#include <ostream>
#include <sys/stat.h>

namespace itme {

Result<std::vector<MountInfo>> read_mount_infos(Env &env)
{
	const auto mounts = read_mounts(env.root);
	if (!mounts)
		return std::unexpected(explain_path(mounts.error(), "/proc/self/mountinfo"));

	std::vector<MountInfo> infos;
	for (const auto &mount : *mounts) {
		const auto fd = open_path(mount.path);
		const auto info = fd ? read_info(*fd) : std::unexpected(fd.error());

		if (info)
			infos.push_back({mount.path, *info});
		else
			env.err << "itmectl: "
				<< explain_call(info.error(), "reading", mount.path).text << '\n';
	}
	return infos;
}

Result<void> require_itme(const Path &path)
{
	const auto there = is_itme(path);

	if (!there)
		return std::unexpected(explain_path(there.error(), path));
	if (!*there)
		return std::unexpected(not_itme(path));
	return {};
}

Result<OpenRegion> open_region(const Path &path)
{
	if (auto there = require_itme(path); !there)
		return std::unexpected(there.error());

	OpenRegion region{.path = path};
	auto fd = open_path(path);
	if (!fd)
		return std::unexpected(explain_path(fd.error(), path));
	region.fd = std::move(*fd);

	struct stat stat;
	if (fstat(region.fd.get(), &stat) < 0)
		return std::unexpected(explain_path(errno, path));
	if (!S_ISREG(stat.st_mode))
		return fail(path.string() + " is no region: name a file in the mount");
	region.bytes = static_cast<std::uint64_t>(stat.st_size);

	auto info = read_info(region.fd);
	if (!info)
		return std::unexpected(explain_call(info.error(), "reading", path));
	region.info = std::move(*info);
	return region;
}

Result<Fd> open_mount(const Path &path)
{
	if (auto there = require_itme(path); !there)
		return std::unexpected(there.error());
	auto root = open_path(path);
	if (!root)
		return std::unexpected(explain_path(root.error(), path));
	return std::move(*root);
}

Result<std::string> region_name(const std::string &asked, const Path &store)
{
	auto name = asked.empty() ? store.filename().string() : asked;

	if (const auto fault = name_fault(name); !fault.empty())
		return fail("'" + printable(name) + "' cannot name a region: " + fault +
				    "; give another with --name",
			    Exit::usage);
	return name;
}

void as_size(CLI::Option *option)
{
	option->transform(CLI::Validator{
		[](std::string &text) -> std::string {
			const auto bytes = parse_size(text);

			if (!bytes)
				return "'" + text + "' is no size such as 4096, 64K or 1.5G";
			text = std::to_string(*bytes);
			return {};
		},
		"SIZE"});
}

} // namespace itme
