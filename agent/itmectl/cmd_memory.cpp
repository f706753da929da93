// SPDX-License-Identifier: GPL-2.0-only
// itmectl memory: the own memory of programs, placed by itmed.
#include "itmectl/command.hpp"
#include "itmectl/output.hpp"
#include "lib/client.hpp"
#include "lib/explain.hpp"
#include "lib/mappings.hpp"
#include "lib/size.hpp"
#include "lib/table.hpp"

#include <CLI/CLI.hpp>
#include <charconv>
#include <memory>
#include <ostream>

namespace itme {

namespace {

struct Options {
	int pid = 0;
	std::vector<std::string> ranges;
	std::string larger, dram, share, order = "declared";
	bool json = false;
	std::filesystem::path socket = default_socket;
};

std::optional<std::uint64_t> parse_hex(std::string_view text)
{
	std::uint64_t value = 0;

	if (text.starts_with("0x"))
		text.remove_prefix(2);
	const auto end = text.data() + text.size();
	const auto [at, error] = std::from_chars(text.data(), end, value, 16);
	if (error != std::errc{} || at != end || text.empty())
		return std::nullopt;
	return value;
}

// "7f0000000000+64M"
Result<MemoryRange> parse_range(const std::string &text)
{
	const auto plus = text.find('+');
	const auto address = parse_hex(std::string_view{text}.substr(0, plus));
	const auto bytes = plus == text.npos ? std::nullopt
					     : parse_size(std::string_view{text}.substr(plus + 1));

	if (!address || !bytes)
		return fail("--range: '" + text + "' is not ADDRESS+SIZE, such as 7f0000000000+64M",
			    Exit::usage);
	return MemoryRange{*address, *bytes};
}

// The anonymous mappings of a process that are at least so large.
Result<std::vector<MemoryRange>> large_ranges(const Env &env, int pid, std::uint64_t least)
{
	const auto file = env.root / "proc" / std::to_string(pid) / "maps";
	const auto maps = read_file(file);
	std::vector<MemoryRange> ranges;

	if (!maps)
		return std::unexpected(explain_path(maps.error(), file));
	for (const auto &mapping : parse_mappings(*maps)) {
		const auto dash = mapping.range.find('-');
		const auto begin = parse_hex(std::string_view{mapping.range}.substr(0, dash));
		const auto end = parse_hex(std::string_view{mapping.range}.substr(dash + 1));

		if (begin && end && mapping.inode == 0 && *end - *begin >= least &&
		    (mapping.path.empty() || mapping.path == "[heap]"))
			ranges.push_back({*begin, *end - *begin});
	}
	if (ranges.empty())
		return fail("process " + std::to_string(pid) + " has no anonymous mapping of " +
			    format_size(least) + " or more: a smaller --larger-than takes more");
	return ranges;
}

Result<MemoryDeclaration> declaration_of(const Options &options, const Env &env)
{
	MemoryDeclaration memory{.pid = options.pid, .ranges = {}};
	const auto dram = parse_size(options.dram);

	if (options.dram.empty() == options.share.empty())
		return fail("--dram SIZE says how much of it may be in DRAM, or --share INSTANCE "
			    "whose budget it shares",
			    Exit::usage);
	if (!dram && options.share.empty())
		return fail("--dram: '" + options.dram + "' is no size, such as 8G", Exit::usage);
	memory.dram_bytes = dram.value_or(0);
	memory.share = options.share;
	memory.ordered = options.order == "declared";
	for (const auto &text : options.ranges) {
		const auto range = parse_range(text);
		if (!range)
			return std::unexpected(range.error());
		memory.ranges.push_back(*range);
	}
	if (options.larger.empty())
		return memory;
	const auto least = parse_size(options.larger);
	if (!least)
		return fail("--larger-than: '" + options.larger + "' is no size, such as 64M",
			    Exit::usage);
	auto ranges = large_ranges(env, options.pid, *least);
	if (!ranges)
		return std::unexpected(ranges.error());
	memory.ranges = std::move(*ranges);
	return memory;
}

void print_human(std::ostream &out, const Json &answer)
{
	Table table{{">PID", ">DECLARED", ">DRAM", ">OF AT MOST", ">CXL", ">MISPLACED", ">TOUCHED",
		     ">IDLE", ">TO DRAM", ">TO CXL", ">FAILED"}};

	for (const auto &process : list(answer, "processes")) {
		const auto size = [&](const char *key) {
			return format_size(number_of(process, key));
		};

		const auto seen = [&](const char *key) {
			return member(process, key).is_null() ? "-" : size(key);
		};
		table.add({std::to_string(number_of(process, "pid")), size("bytes"),
			   size("dram_bytes"), size("dram_budget_bytes"), size("cxl_bytes"),
			   size("misplaced_bytes"), seen("touched_bytes"), seen("idle_bytes"),
			   size("to_dram_bytes"), size("to_cxl_bytes"), size("failed_bytes")});
	}
	if (table.empty())
		out << "No memory is declared.\n";
	else
		table.print(out);
	if (!table.empty() && !text_of(answer, "accesses_missing").empty())
		out << printable(text_of(answer, "accesses_missing")) << "\n";
	print_shares(out, answer);
	for (const auto &process : list(answer, "processes")) {
		const auto &stream = member(process, "stream");

		if (!stream.is_null())
			out << "process " << number_of(process, "pid") << " "
			    << (text_of(stream, "state") == "placed" ? "is placed"
				: text_of(stream, "state") == "tried"
					? "is being tried with streaming"
					: "streams")
			    << ": " << printable(text_of(stream, "why")) << "\n";
	}
	for (const auto &process : list(answer, "processes"))
		for (const auto &node : list(process, "moved_to"))
			out << "moved by itmed to node " << number_of(node, "node")
			    << ", of process " << number_of(process, "pid") << ": "
			    << format_size(number_of(node, "bytes")) << "\n";
	const auto &migrations = member(answer, "migrations");
	for (const auto &node : list(migrations, "nodes"))
		out << "moved by the kernel's tiering: "
		    << format_size(number_of(node, "promoted_here_bytes")) << " to node "
		    << number_of(node, "node") << ", "
		    << format_size(number_of(node, "demoted_away_bytes")) << " away from it\n";
	for (const auto &[reason, pages] : member(migrations, "pages").items())
		out << "migrated by the kernel for " << printable(reason) << ": " << one_line(pages)
		    << " pages\n";
}

Result<void> ask(const Options &options, Env &env, const Request &request)
{
	const auto answer = ask_itmed(options.socket, request);
	if (!answer)
		return std::unexpected(answer.error());
	if (options.json)
		print_json(env, *answer);
	else
		print_human(env.out, *answer);
	return {};
}

Result<void> declare(const Options &options, Env &env)
{
	auto memory = declaration_of(options, env);
	if (!memory)
		return std::unexpected(memory.error());

	Request request{.kind = RequestKind::declare, .mount = {}, .region = {}};
	request.memory = std::move(*memory);
	return ask(options, env, request);
}

CLI::App *add(CLI::App &memory, Action &action, const std::shared_ptr<Options> &options,
	      const char *name, const char *text,
	      const std::function<Result<void>(const Options &, Env &)> &run)
{
	auto *command = memory.add_subcommand(name, text);

	command->add_flag("--json", options->json, "print JSON");
	command->add_option("--socket", options->socket, "where itmed listens")
		->capture_default_str();
	command->callback([options, run, &action] {
		action = [options, run](Env &env) { return run(*options, env); };
	});
	return command;
}

} // namespace

void add_memory(CLI::App &app, Action &action)
{
	auto options = std::make_shared<Options>();
	auto *memory = app.add_subcommand(
		"memory", "the own memory of programs, kept in DRAM and CXL memory by itmed");

	memory->require_subcommand(1);
	auto *place =
		add(*memory, action, options, "declare",
		    "have ranges of a process placed: a share in DRAM, the rest in CXL memory",
		    declare);
	place->add_option("PID", options->pid, "the process")->required();
	auto *dram = place->add_option("--dram", options->dram,
				       "at most so much of them in DRAM, such as 8G");
	place->add_option(
		     "--share", options->share,
		     "the instance whose DRAM budget itmed divides between its regions and them")
		->excludes(dram);
	auto *ranges = place->add_option(
		"--range", options->ranges,
		"ADDRESS+SIZE, in the order in which each pass reads them; may be repeated");
	place->add_option("--order", options->order,
			  "declared, or unknown: what is idle leaves DRAM first")
		->check(CLI::IsMember({"declared", "unknown"}))
		->capture_default_str();
	place->add_option("--larger-than", options->larger,
			  "all anonymous mappings of at least this size")
		->excludes(ranges);
	auto *forget =
		add(*memory, action, options, "forget",
		    "leave the memory of a process to the kernel again",
		    [](const Options &o, Env &env) {
			    Request request{.kind = RequestKind::forget, .mount = {}, .region = {}};

			    request.memory.pid = o.pid;
			    return ask(o, env, request);
		    });
	forget->add_option("PID", options->pid, "the process")->required();
	add(*memory, action, options, "show", "what is declared, and where it is",
	    [](const Options &o, Env &env) {
		    return ask(o, env, {.kind = RequestKind::memory, .mount = {}, .region = {}});
	    });
}

} // namespace itme
