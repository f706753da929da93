// SPDX-License-Identifier: GPL-2.0-only
// itmectl hint, and itmectl drop, which releases a whole region.
#include "itmectl/command.hpp"
#include "itmectl/output.hpp"
#include "itmectl/target.hpp"
#include "lib/explain.hpp"
#include "lib/size.hpp"
#include "lib/table.hpp"

#include <CLI/CLI.hpp>
#include <memory>
#include <ostream>

namespace itme {

namespace {

struct Options {
	Path region;
	HintOp op = HintOp::prefetch;
	std::uint64_t offset = 0;
	std::optional<std::uint64_t> length; // else to the region's end
	std::string tier = "dram";
	bool json = false;
};

void print_human(std::ostream &out, const HintResult &result)
{
	Table table{{"RESULT", ">BYTES"}};

	table.add({"done", format_size(result.accepted_bytes)});
	table.add({"already so", format_size(result.resident_bytes)});
	table.add({"no room", format_size(result.clipped_bytes)});
	table.add({"refused", format_size(result.refused_bytes)});
	table.print(out);
}

Json to_json(const Options &options, const Hint &hint, const HintResult &result)
{
	return {
		{"region", options.region.string()},
		{"op", hint.op == HintOp::prefetch ? "prefetch" : "release"},
		{"offset", hint.offset},
		{"length", hint.length},
		{"accepted_bytes", result.accepted_bytes},
		{"resident_bytes", result.resident_bytes},
		{"clipped_bytes", result.clipped_bytes},
		{"refused_bytes", result.refused_bytes},
		{"error", result.error == 0 ? Json() : Json(errno_text(result.error))},
	};
}

Result<void> run(const Options &options, Env &env)
{
	const auto region = open_region(options.region);
	if (!region)
		return std::unexpected(region.error());
	if (options.offset >= region->bytes ||
	    options.length.value_or(0) > region->bytes - options.offset)
		return fail("the range ends past the region's end, which is at " +
			    std::to_string(region->bytes));

	const Hint hint{
		.op = options.op,
		.tier = parse_tier(options.tier).value_or(Tier::dram),
		.offset = options.offset,
		.length = options.length.value_or(region->bytes - options.offset),
	};
	const auto result = carry_out(region->fd, hint);
	if (!result)
		return std::unexpected(explain_call(result.error(), "hinting", options.region));

	if (options.json)
		print_json(env, to_json(options, hint, *result));
	else if (!result->error)
		print_human(env.out, *result);

	if (result->error)
		return std::unexpected(explain_call(result->error, "hinting", options.region));
	if (result->refused_bytes > 0)
		return fail(
			format_size(result->refused_bytes) + " of " + options.region.string() +
			" could not be moved: direct I/O or DMA holds it, or the store failed (see "
			"held_count and error_count in itmectl stat)");
	return {};
}

// What all of them take.
void add_common(CLI::App *command, const std::shared_ptr<Options> &options, Action &action,
		HintOp op)
{
	command->add_option("PATH", options->region, "the region")->required();
	command->add_flag("--json", options->json, "print JSON");
	command->callback([options, op, &action] {
		options->op = op;
		action = [options](Env &env) { return run(*options, env); };
	});
}

void add_range(CLI::App *command, const std::shared_ptr<Options> &options)
{
	as_size(command->add_option("--offset", options->offset, "first byte; else 0"));
	as_size(command->add_option("--length", options->length, "bytes; else to the end"));
}

} // namespace

void add_hint(CLI::App &app, Action &action)
{
	auto options = std::make_shared<Options>();
	auto *hint = app.add_subcommand("hint", "ask for a range to be in memory, or out of it");
	hint->require_subcommand(1);

	auto *prefetch = hint->add_subcommand("prefetch", "bring a range into memory");
	add_common(prefetch, options, action, HintOp::prefetch);
	add_range(prefetch, options);
	prefetch->add_option("--tier", options->tier, "dram (the default) or cxl")
		->check(CLI::IsMember{{"dram", "cxl"}});

	auto *release = hint->add_subcommand("release", "drop a range from memory");
	add_common(release, options, action, HintOp::release);
	add_range(release, options);
}

void add_drop(CLI::App &app, Action &action)
{
	auto options = std::make_shared<Options>();

	add_common(app.add_subcommand("drop", "drop a whole region from memory"), options, action,
		   HintOp::release);
}

} // namespace itme
