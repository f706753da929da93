// SPDX-License-Identifier: GPL-2.0-only
// itmectl stat: counters of instances and regions, or faults as BPF sees them.
#include "itmectl/command.hpp"
#include "itmectl/faults.hpp"
#include "itmectl/output.hpp"
#include "itmectl/target.hpp"
#include "lib/counters.hpp"
#include "lib/explain.hpp"
#include "lib/instances.hpp"
#include "lib/table.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <ostream>

namespace itme {

namespace {

struct Options {
	std::string target;
	bool json = false;
	unsigned bpf_seconds = 0;
};

constexpr unsigned most_seconds = 86400;

// Counters of one instance, or of one region of it.
struct Block {
	std::string instance, region;
	Attributes attributes;
};

std::vector<Block> blocks_of(const Instance &instance)
{
	std::vector<Block> blocks{{instance.name, "", instance.attributes}};

	for (const auto &region : instance.regions)
		blocks.push_back({instance.name, region.name, region.attributes});
	return blocks;
}

// An instance and its regions, or the regions of that name.
Result<std::vector<Block>> blocks_of_name(const std::string &name, Env &env)
{
	std::vector<Block> found;

	for (const auto &instance : read_instances(env.root)) {
		auto blocks = blocks_of(instance);

		if (instance.name == name)
			return blocks;
		std::ranges::copy_if(blocks, std::back_inserter(found),
				     [&](const Block &block) { return block.region == name; });
	}
	if (found.empty())
		return fail("no instance or region is named '" + name +
			    "': itmectl list shows them");
	return found;
}

// A region, or a mount's root directory.
Result<std::vector<Block>> blocks_of_path(const Path &path, Env &env)
{
	if (auto there = require_itme(path); !there)
		return std::unexpected(there.error());

	const auto fd = open_path(path);
	if (!fd)
		return std::unexpected(explain_path(fd.error(), path));
	const auto info = read_info(*fd);
	if (!info)
		return std::unexpected(explain_call(info.error(), "reading", path));

	std::error_code ec;
	if (std::filesystem::is_directory(path, ec))
		return blocks_of_name(info->instance, env);

	const auto counters = read_counters(*fd);
	if (!counters)
		return std::unexpected(explain_call(counters.error(), "reading", path));

	Block block{info->instance, path.filename(), {}};
	for (const auto &[name, value] : *counters)
		block.attributes.emplace(name, std::to_string(value));
	return std::vector<Block>{std::move(block)};
}

Result<std::vector<Block>> wanted(const Options &options, Env &env)
{
	if (options.target.find('/') != options.target.npos)
		return blocks_of_path(options.target, env);
	if (!is_loaded(env.root))
		return std::unexpected(not_loaded());
	if (!options.target.empty())
		return blocks_of_name(options.target, env);

	std::vector<Block> blocks;
	for (const auto &instance : read_instances(env.root))
		for (auto &block : blocks_of(instance))
			blocks.push_back(std::move(block));
	return blocks;
}

std::string heading_of(const Block &block)
{
	return printable(block.instance + (block.region.empty() ? "" : ":") + block.region);
}

// By groups; what this itmectl knows no meaning of comes last.
void print_block(std::ostream &out, const Block &block)
{
	Table table{{heading_of(block), ">", ""}};
	auto rest = block.attributes;
	const auto add_group = [&](std::string_view title) {
		table.add({});
		table.add({std::string(title)});
	};

	for (const auto &group : meaning_groups()) {
		bool titled = false;

		for (const auto &meaning : group.meanings) {
			const auto found = rest.find(std::string(meaning.name));
			if (found == rest.end())
				continue;
			if (!titled)
				add_group(group.title);
			titled = true;
			table.add({"  " + found->first, attribute_text(found->first, found->second),
				   std::string(meaning.text)});
			rest.erase(found);
		}
	}
	if (!rest.empty())
		add_group("OTHERS");
	for (const auto &[name, value] : rest)
		table.add({"  " + name, attribute_text(name, value)});
	table.print(out);
}

void print_human(std::ostream &out, const std::vector<Block> &blocks)
{
	if (blocks.empty())
		out << "No instance is mounted.\n";
	for (const auto &block : blocks) {
		if (&block != &blocks.front())
			out << '\n';
		print_block(out, block);
	}
}

Json to_json(const std::vector<Block> &blocks)
{
	Json json{{"stats", Json::array()}};

	for (const auto &block : blocks) {
		Json entry{{"instance", block.instance}};

		entry["region"] = block.region.empty() ? Json() : Json(block.region);
		add_attributes(entry, block.attributes);
		json["stats"].push_back(std::move(entry));
	}
	return json;
}

Result<void> run(const Options &options, Env &env)
{
	if (options.bpf_seconds > 0)
		return watch_faults(env, options.bpf_seconds, options.json);

	const auto blocks = wanted(options, env);
	if (!blocks)
		return std::unexpected(blocks.error());
	if (options.json)
		print_json(env, to_json(*blocks));
	else
		print_human(env.out, *blocks);
	return {};
}

} // namespace

void add_stat(CLI::App &app, Action &action)
{
	auto options = std::make_shared<Options>();
	auto *command = app.add_subcommand("stat", "counters of instances and regions");

	auto *target =
		command->add_option("TARGET", options->target,
				    "a name of an instance or a region, or the path (with a '/') "
				    "of a mount or a region; else all");
	command->add_flag("--json", options->json, "print JSON");
	command->add_option("--bpf", options->bpf_seconds,
			    "count faults of all instances by BPF for this many seconds")
		->check(CLI::Range{1U, most_seconds})
		->excludes(target);
	command->callback([options, &action] {
		action = [options](Env &env) { return run(*options, env); };
	});
}

} // namespace itme
