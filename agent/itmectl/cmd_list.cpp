// SPDX-License-Identifier: GPL-2.0-only
// itmectl list: instances, their mounts and their regions.
#include "itmectl/command.hpp"
#include "itmectl/output.hpp"
#include "itmectl/target.hpp"
#include "lib/explain.hpp"
#include "lib/instances.hpp"
#include "lib/size.hpp"
#include "lib/table.hpp"

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <ostream>

namespace itme {

namespace {

struct Options {
	bool json = false;
};

std::vector<Path> mounts_of(const Instance &instance, const std::vector<MountInfo> &mounts)
{
	std::vector<Path> paths;

	for (const auto &mount : mounts)
		if (mount.info.instance == instance.name)
			paths.push_back(mount.path);
	return paths;
}

std::string size_of(const Attributes &attributes, const std::string &name)
{
	const auto bytes = number(attributes, name);

	return bytes ? format_size(*bytes) : "-";
}

// Frames in use, of the tier's budget.
std::string use_of(const Attributes &attributes, const std::string &tier)
{
	const auto budget = number(attributes, tier + "_bytes");
	const auto current = number(attributes, tier + "_current_bytes");
	const auto free = number(attributes, tier + "_free_bytes");

	if (!budget || !current || !free || *free > *current)
		return "-";
	return format_size(*current - *free) + " of " + format_size(*budget);
}

// What a store has refused, and what to do.
void print_refused(std::ostream &out, const Path &path, const Path &mount,
		   const Attributes &attributes)
{
	const auto found = attributes.find("writeback_errno");

	if (found == attributes.end() || found->second == "0")
		return;
	const int err = std::atoi(found->second.c_str());
	out << '\n'
	    << path.string() << ": its store refuses what was written: " << errno_text(err) << ".\n"
	    << "  " << size_of(attributes, "dirty_bytes")
	    << " stay in memory, and are tried again every few seconds.\n  "
	    << (err == ENOSPC || err == EDQUOT ? "Make room for it" : "Mend the store")
	    << "; then 'sync -f " << mount.string()
	    << "' succeeds. umount would lose what is refused.\n";
}

void print_human(std::ostream &out, const std::vector<Instance> &instances,
		 const std::vector<MountInfo> &mounts)
{
	Table top{{"INSTANCE", "MOUNT", ">GRANULE", ">DRAM IN USE", ">CXL IN USE", ">REGIONS"}};
	Table regions{{"REGION", ">SIZE", ">IN DRAM", ">IN CXL", ">PINNED", "STORE"}};

	for (const auto &instance : instances) {
		const auto &attributes = instance.attributes;
		const auto paths = mounts_of(instance, mounts);

		top.add({instance.name, paths.empty() ? "-" : paths[0].string(),
			 size_of(attributes, "granule_bytes"), use_of(attributes, "dram"),
			 use_of(attributes, "cxl"), std::to_string(instance.regions.size())});
		for (const auto &region : instance.regions) {
			const auto store = region.attributes.find("store");

			regions.add({paths.empty() ? instance.name + ":" + region.name
						   : (paths[0] / region.name).string(),
				     size_of(region.attributes, "size_bytes"),
				     size_of(region.attributes, "dram_resident_bytes"),
				     size_of(region.attributes, "cxl_resident_bytes"),
				     size_of(region.attributes, "pinned_bytes"),
				     store == region.attributes.end() ? "-" : store->second});
		}
	}
	top.print(out);
	if (!regions.empty()) {
		out << '\n';
		regions.print(out);
	}
	for (const auto &instance : instances) {
		const auto paths = mounts_of(instance, mounts);
		const Path mount = paths.empty() ? Path{instance.name} : paths[0];

		for (const auto &region : instance.regions)
			print_refused(out, mount / region.name, mount, region.attributes);
	}
}

Json to_json(const std::vector<Instance> &instances, const std::vector<MountInfo> &mounts)
{
	Json json{{"instances", Json::array()}};

	for (const auto &instance : instances) {
		Json entry{{"instance", instance.name}, {"mounts", Json::array()}};

		for (const auto &path : mounts_of(instance, mounts))
			entry["mounts"].push_back(path.string());
		add_attributes(entry, instance.attributes);
		entry["regions"] = Json::array();
		for (const auto &region : instance.regions) {
			Json item{{"region", region.name}};

			add_attributes(item, region.attributes);
			entry["regions"].push_back(std::move(item));
		}
		json["instances"].push_back(std::move(entry));
	}
	return json;
}

Result<void> run(const Options &options, Env &env)
{
	if (!is_loaded(env.root))
		return std::unexpected(not_loaded());

	const auto mounts = read_mount_infos(env);
	if (!mounts)
		return std::unexpected(mounts.error());
	const auto instances = read_instances(env.root);

	if (options.json)
		print_json(env, to_json(instances, *mounts));
	else if (instances.empty())
		env.out << "No instance is mounted.\n";
	else
		print_human(env.out, instances, *mounts);
	return {};
}

} // namespace

void add_list(CLI::App &app, Action &action)
{
	auto options = std::make_shared<Options>();
	auto *command = app.add_subcommand("list", "instances, their mounts and their regions");

	command->add_flag("--json", options->json, "print JSON");
	command->callback([options, &action] {
		action = [options](Env &env) { return run(*options, env); };
	});
}

} // namespace itme
