// SPDX-License-Identifier: GPL-2.0-only
// itmectl doctor: is this host set up right? Every "no" names the fix.
#include "itmectl/command.hpp"
#include "itmectl/output.hpp"
#include "lib/cxl_devices.hpp"
#include "lib/host.hpp"
#include "lib/instances.hpp"
#include "lib/json.hpp"
#include "lib/size.hpp"
#include "lib/table.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <ostream>

namespace itme {

namespace {

struct Options {
	bool json = false;
};

bool is_ready(const std::vector<Check> &checks)
{
	return std::ranges::all_of(checks, [](const Check &c) { return c.good || !c.needed; });
}

void print_human(std::ostream &out, const std::vector<Check> &checks)
{
	Table table{{"CHECK", "GOOD", "FOUND"}};

	for (const auto &check : checks) {
		table.add({check.name, check.good ? "yes" : "no", check.found});
		if (!check.good)
			table.add({"", "", "-> " + check.fix});
	}
	table.print(out);
}

// Frames of all instances that come from this node alone, or from it and others.
Json frames_on(int id, const std::vector<Instance> &instances)
{
	Json json = Json::array();

	for (const auto &instance : instances)
		for (const std::string tier : {"dram", "cxl"}) {
			const auto nodes = instance.attributes.find(tier + "_nodes");
			const auto bytes =
				number(instance.attributes, tier + "_current_bytes").value_or(0);

			if (bytes > 0 && nodes != instance.attributes.end() &&
			    is_in_list(nodes->second, id))
				json.push_back({
					{"instance", instance.name},
					{"tier", tier},
					{"nodes", nodes->second},
					{"current_bytes", bytes},
				});
		}
	return json;
}

// Whose each node is: what is left of it is for the others.
void print_nodes(std::ostream &out, const std::vector<Node> &nodes,
		 const std::vector<Instance> &instances)
{
	Table table{{">NODE", ">MEMORY", ">FREE", "ITME HOLDS"}};

	for (const auto &node : nodes) {
		std::string held;

		for (const auto &frames : frames_on(node.id, instances)) {
			held += (held.empty() ? "" : ", ") + text_of(frames, "instance") + " " +
				text_of(frames, "tier") + " " +
				format_size(number_of(frames, "current_bytes"));
			if (text_of(frames, "nodes") != std::to_string(node.id))
				held += " (of nodes " + text_of(frames, "nodes") + ")";
		}
		table.add({std::to_string(node.id), format_size(node.memory_bytes),
			   format_size(node.free_bytes), held.empty() ? "-" : held});
	}
	if (!table.empty()) {
		out << '\n';
		table.print(out);
	}
}

void add_devices(Json &json, const CxlDevices &devices)
{
	json["memdevs"] = Json::array();
	for (const auto &memdev : devices.memdevs)
		json["memdevs"].push_back({
			{"memdev", memdev.name},
			{"ram_bytes", memdev.ram_bytes},
			{"enabled", memdev.enabled},
		});
	json["cxl_regions"] = Json::array();
	for (const auto &region : devices.regions)
		json["cxl_regions"].push_back({
			{"region", region.name},
			{"bytes", region.bytes},
			{"enabled", region.enabled},
		});
	json["dax_devices"] = Json::array();
	for (const auto &dax : devices.dax)
		json["dax_devices"].push_back({
			{"dax", dax.name},
			{"bytes", dax.bytes},
			{"node", dax.node < 0 ? Json() : Json(dax.node)},
			{"mode", dax.system_ram ? "system-ram" : "devdax"},
			{"online_blocks", dax.online_blocks},
			{"blocks", dax.blocks},
			{"movable", dax.movable},
		});
}

Json to_json(const std::vector<Check> &checks, const std::vector<Node> &nodes,
	     const CxlDevices &devices, const std::vector<Instance> &instances)
{
	Json json{
		{"ready", is_ready(checks)},
		{"checks", Json::array()},
		{"nodes", Json::array()},
	};

	for (const auto &check : checks)
		json["checks"].push_back({
			{"name", check.name},
			{"good", check.good},
			{"needed", check.needed},
			{"found", check.found},
			{"fix", check.good ? Json() : Json(check.fix)},
		});
	for (const auto &node : nodes)
		json["nodes"].push_back({
			{"node", node.id},
			{"has_cpus", node.has_cpus},
			{"memory_bytes", node.memory_bytes},
			{"free_bytes", node.free_bytes},
			{"movable_bytes", node.movable_bytes},
			{"memory_tier", node.memory_tier},
			{"read_bandwidth_mbps", node.read_bandwidth_mbps},
			{"read_latency_ns", node.read_latency_ns},
			{"frames", frames_on(node.id, instances)},
		});
	add_devices(json, devices);
	return json;
}

Result<void> run(const Options &options, Env &env)
{
	// The libraries look at this machine only.
	const auto devices = env.root == "/" ? read_cxl_devices() : CxlDevices{};
	const auto checks = check_host(env.root, devices);
	const auto nodes = read_nodes(env.root);
	const auto instances = read_instances(env.root);

	if (options.json) {
		print_json(env, to_json(checks, nodes, devices, instances));
	} else {
		print_human(env.out, checks);
		print_nodes(env.out, nodes, instances);
	}
	if (!is_ready(checks))
		return fail("this host is not ready for ITME: carry out what follows each \"->\"");
	return {};
}

} // namespace

void add_doctor(CLI::App &app, Action &action)
{
	auto options = std::make_shared<Options>();
	auto *command =
		app.add_subcommand("doctor", "is this host set up right? says how to mend it");

	command->add_flag("--json", options->json, "print JSON");
	command->callback([options, &action] {
		action = [options](Env &env) { return run(*options, env); };
	});
}

} // namespace itme
