// SPDX-License-Identifier: GPL-2.0-only
// itmectl stat: counters of instances and regions, or faults as BPF sees them.
#include "itmectl/command.hpp"
#include "itmectl/output.hpp"
#include "itmectl/target.hpp"
#include "lib/explain.hpp"
#include "lib/instances.hpp"
#include "lib/table.hpp"
#include "lib/telemetry.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <ctime>
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

void print_human(std::ostream &out, const std::vector<Block> &blocks)
{
	if (blocks.empty())
		out << "No instance is mounted.\n";
	for (const auto &block : blocks) {
		Table table{{printable(block.instance + (block.region.empty() ? "" : ":") +
				       block.region),
			     ">"}};

		for (const auto &[name, value] : block.attributes)
			table.add({name, attribute_text(name, value)});
		if (&block != &blocks.front())
			out << '\n';
		table.print(out);
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

// SIGINT and SIGTERM end the wait instead of the program, from now on.
class Stop {
public:
	Stop()
	{
		sigemptyset(&signals_);
		sigaddset(&signals_, SIGINT);
		sigaddset(&signals_, SIGTERM);
		sigprocmask(SIG_BLOCK, &signals_, &before_);
	}
	Stop(const Stop &) = delete;
	Stop &operator=(const Stop &) = delete;
	~Stop() { sigprocmask(SIG_SETMASK, &before_, nullptr); }

	void wait(unsigned seconds) const
	{
		const timespec timeout{.tv_sec = seconds, .tv_nsec = 0};

		sigtimedwait(&signals_, nullptr, &timeout);
	}

private:
	sigset_t signals_{}, before_{};
};

void print_faults(std::ostream &out, const FaultCounts &counts)
{
	constexpr double median = 0.5, nearly_all = 0.99;
	const auto us = [](std::uint64_t ns) { return std::to_string(ns / 1000) + " us"; };
	Table table{{"FAULTS", ">"}};

	table.add({"served", std::to_string(counts.fault_count)});
	table.add({"waited for the store", std::to_string(counts.miss_count)});
	if (counts.fault_count > 0) {
		table.add({"mean latency", us(counts.latency_sum_ns / counts.fault_count)});
		table.add({"half took less than", us(latency_below_ns(counts, median))});
		table.add({"99 % took less than", us(latency_below_ns(counts, nearly_all))});
	}
	table.add({"not counted", std::to_string(counts.dropped_count)});
	table.print(out);
}

Json faults_json(const FaultCounts &counts, bool typed)
{
	return {
		{"tracepoint", typed ? "typed" : "classic"},
		{"fault_count", counts.fault_count},
		{"miss_count", counts.miss_count},
		{"latency_sum_ns", counts.latency_sum_ns},
		{"latency_log2_count", counts.latency_log2_count},
		{"dropped_count", counts.dropped_count},
	};
}

Result<void> watch_faults(const Options &options, Env &env)
{
	if (!is_loaded(env.root))
		return std::unexpected(not_loaded());

	const Stop stop;
	const auto probe = FaultProbe::attach(env.root);
	if (!probe)
		return std::unexpected(probe.error());
	const bool typed = probe->fallback_reason().empty();
	if (!typed)
		env.err << "itmectl: using the classic trace event, which is slower: "
			<< probe->fallback_reason() << '\n';

	stop.wait(options.bpf_seconds);
	const auto counts = probe->read();
	if (!counts)
		return std::unexpected(counts.error());
	if (options.json)
		print_json(env, faults_json(*counts, typed));
	else
		print_faults(env.out, *counts);
	return {};
}

Result<void> run(const Options &options, Env &env)
{
	if (options.bpf_seconds > 0)
		return watch_faults(options, env);

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
