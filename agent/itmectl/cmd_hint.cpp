// SPDX-License-Identifier: GPL-2.0-only
// itmectl hint, and itmectl drop, which releases a whole region and what is pinned.
#include "itmectl/command.hpp"
#include "itmectl/hint_output.hpp"
#include "itmectl/hinting.hpp"
#include "lib/duration.hpp"
#include "lib/explain.hpp"
#include "lib/holders.hpp"
#include "lib/size.hpp"

#include <CLI/CLI.hpp>
#include <ctime>
#include <limits>
#include <memory>
#include <ostream>
#include <unistd.h>

namespace itme {

namespace {

struct Options {
	Path region;
	HintOp op = HintOp::prefetch;
	std::uint64_t offset = 0;
	std::optional<std::uint64_t> length; // else to the region's end
	std::optional<std::string> tier;
	std::string hint_class = "exact";
	std::optional<std::uint64_t> deadline_ns; // from now
	std::optional<std::uint64_t> hold_ns;     // else until a signal
	bool wait = true;
	bool force = false;
	bool json = false;
};

constexpr std::uint64_t the_cookie = 1; // one hint an open file

std::uint64_t monotonic_ns()
{
	timespec now{};

	clock_gettime(CLOCK_MONOTONIC, &now);
	return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
	       static_cast<std::uint64_t>(now.tv_nsec);
}

// Without a choice: a prefetch goes to the fastest tier there is, a pin stays where it is.
Tier tier_of(const Options &options, const OpenRegion &region)
{
	if (options.tier)
		return parse_tier(*options.tier).value_or(Tier::dram);
	if (options.op == HintOp::pin)
		return Tier::store;
	return region.info.dram_bytes > 0 ? Tier::dram : Tier::cxl;
}

Result<Hint> hint_of(const Options &options, const OpenRegion &region)
{
	if (options.offset >= region.bytes ||
	    options.length.value_or(0) > region.bytes - options.offset)
		return fail("the range ends past the region's end, which is at " +
			    std::to_string(region.bytes));

	Hint hint{
		.op = options.op,
		.hint_class = parse_class(options.hint_class).value_or(HintClass::exact),
		.tier = tier_of(options, region),
		.offset = options.offset,
		.length = options.length.value_or(region.bytes - options.offset),
		.force = options.force,
	};
	if (options.op == HintOp::prefetch || options.op == HintOp::pin) {
		hint.cookie = the_cookie;
		if (options.deadline_ns)
			hint.deadline_ns = monotonic_ns() + *options.deadline_ns;
	}
	return hint;
}

// What the exit code is about. What had no room, has expired or was dropped again
// is no failure: the report says how much it is.
Result<void> judge(const HintReport &report, const Hint &hint, const OpenRegion &region)
{
	const auto path = region.path.string();

	if (report.cancelled)
		return fail("interrupted: what had not begun was cancelled");
	if (report.outcome && report.outcome->failed_bytes > 0)
		return fail(format_size(report.outcome->failed_bytes) + " of " + path +
			    " could not be read from the store: dmesg says why");
	if (report.result.refused_bytes > 0)
		return fail(format_size(report.result.refused_bytes) + " of " + path +
			    " were refused: " + refusal(report, hint));
	if (const auto held = held_elsewhere(report, hint); held > 0)
		return fail(std::to_string(held) + " granules of " + path +
			    " stay in the other tier: " + refusal(report, hint));
	return {};
}

Result<void> run_once(const Options &options, Env &env)
{
	const auto region = open_region(options.region);
	if (!region)
		return std::unexpected(region.error());
	const auto hint = hint_of(options, *region);
	if (!hint)
		return std::unexpected(hint.error());

	const Stop stop;
	const auto report = carry_out_and_wait(*region, *hint, options.wait, stop, env);
	if (!report)
		return std::unexpected(report.error());
	print_hint(env, *region, *hint, *report, options.json);
	if (!options.wait && report->result.accepted_bytes > 0)
		env.err << "itmectl: not waiting: what has not begun yet ends with itmectl, for "
			   "hints belong to the open file\n";
	return judge(*report, *hint, *region);
}

std::string until_when(const Options &options)
{
	const auto pid = std::to_string(getpid());

	if (options.hold_ns)
		return "for " + format_duration(*options.hold_ns) + ", or until kill " + pid;
	return "until Ctrl-C or kill " + pid;
}

// A pin ends with the open file that made it, so this goes on.
Result<void> run_pin(const Options &options, Env &env)
{
	const auto region = open_region(options.region);
	if (!region)
		return std::unexpected(region.error());
	const auto hint = hint_of(options, *region);
	if (!hint)
		return std::unexpected(hint.error());

	const Stop stop;
	const auto report = carry_out_and_wait(*region, *hint, options.wait, stop, env);
	if (!report)
		return std::unexpected(report.error());
	print_hint(env, *region, *hint, *report, options.json);
	env.out << std::flush;
	if (auto good = judge(*report, *hint, *region); !good)
		return good;
	if (report->result.accepted_bytes + report->result.resident_bytes == 0)
		return fail("nothing was pinned: pins of all users together keep " +
			    format_size(region->info.pin_limit_bytes) +
			    " at most (itmectl info; pin_limit_bytes in /sys/fs/itme/" +
			    region->info.instance + ")");
	env.err << "itmectl: pinned while this runs: " << until_when(options) << '\n';
	stop.wait(options.hold_ns);
	return {};
}

// A watch ends with the open file too. At the end it tells what was touched.
Result<void> run_watch(const Options &options, Env &env)
{
	const auto region = open_region(options.region);
	if (!region)
		return std::unexpected(region.error());
	const auto hint = hint_of(options, *region);
	if (!hint)
		return std::unexpected(hint.error());

	const Stop stop;
	const auto report = carry_out_and_wait(*region, *hint, false, stop, env);
	if (!report)
		return std::unexpected(report.error());
	env.err << "itmectl: watching " << format_size(hint->length) << ": " << until_when(options)
		<< '\n';
	stop.wait(options.hold_ns);
	const auto granules = granules_of(*region, *hint);
	if (!granules)
		return std::unexpected(granules.error());
	print_watch(env, *region, *hint, *granules, options.json);
	return {};
}

// Who has the region open may hold its pins.
Result<void> refuse_undoing(const Options &options, Env &env)
{
	if (auto there = require_itme(options.region); !there)
		return std::unexpected(there.error());

	std::error_code ec;
	const auto path = std::filesystem::canonical(options.region, ec);
	const auto users = users_below(env.root, path);
	const auto by = users.empty() ? std::string{} : " (it is open by " + describe(users) + ")";

	if (options.op == HintOp::unpin)
		return fail("without itmed there is nothing of yours to unpin: a pin belongs to "
			    "the open "
			    "file that made it and ends with it. End the process that pins" +
				    by +
				    ", or drop what is pinned with itmectl drop, which needs "
				    "CAP_SYS_ADMIN",
			    Exit::unsupported);
	return fail("without itmed there is nothing of yours to cancel: a hint belongs to the open "
		    "file "
		    "that made it and ends with it. End the process that hints" +
			    by,
		    Exit::unsupported);
}

// ----------------------------------------------------------------------

void as_duration(CLI::Option *option)
{
	option->transform(CLI::Validator{
		[](std::string &text) -> std::string {
			const auto ns = parse_duration(text);

			// What is added to the clock must not wrap.
			if (!ns || *ns > std::numeric_limits<std::int64_t>::max() / 2)
				return "'" + text + "' is no duration such as 500ms, 2s or 1h";
			text = std::to_string(*ns);
			return {};
		},
		"DURATION"});
}

CLI::App *add_op(CLI::App *parent, HintOp op, const std::string &text,
		 const std::shared_ptr<Options> &options)
{
	auto *command = parent->add_subcommand(op_name(op), text);

	command->add_option("PATH", options->region, "the region")->required();
	command->add_flag("--json", options->json, "print JSON");
	as_size(command->add_option("--offset", options->offset, "first byte; else 0"));
	as_size(command->add_option("--length", options->length, "bytes; else to the end"));
	return command;
}

using Run = Result<void> (*)(const Options &, Env &);

void runs(CLI::App *command, const std::shared_ptr<Options> &options, Action &action, HintOp op,
	  Run run)
{
	command->callback([options, op, run, &action] {
		options->op = op;
		action = [options, run](Env &env) { return run(*options, env); };
	});
}

// What a prefetch and a pin take.
void add_fetching(CLI::App *command, const std::shared_ptr<Options> &options,
		  const std::string &tier)
{
	command->add_option("--tier", options->tier, "dram or cxl; else " + tier)
		->check(CLI::IsMember{{"dram", "cxl"}});
	command->add_option(
		       "--class", options->hint_class,
		       "how sure it is: exact takes the frames of others, likely those that the "
		       "window has been read past, maybe only free ones; else exact")
		->check(CLI::IsMember{{"exact", "likely", "maybe"}});
	as_duration(command->add_option(
		"--deadline", options->deadline_ns,
		"what has not begun so long from now expires; else it is waited for"));
	command->add_flag("--wait,!--no-wait", options->wait,
			  "wait until it is there, which is the default; or not");
}

void add_hold(CLI::App *command, const std::shared_ptr<Options> &options)
{
	as_duration(command->add_option("--for", options->hold_ns,
					"end after so long; else by Ctrl-C or kill"));
}

} // namespace

void add_hint(CLI::App &app, Action &action)
{
	auto options = std::make_shared<Options>();
	auto *hint = app.add_subcommand("hint", "ask for a range to be in memory, or out of it");
	hint->require_subcommand(1);

	auto *prefetch = add_op(hint, HintOp::prefetch,
				"bring a range into memory, and wait until it is there", options);
	add_fetching(prefetch, options, "the fastest that has a budget");
	runs(prefetch, options, action, HintOp::prefetch, run_once);

	auto *release = add_op(hint, HintOp::release,
			       "drop a range from memory, but what is pinned", options);
	runs(release, options, action, HintOp::release, run_once);

	auto *pin = add_op(hint, HintOp::pin,
			   "bring a range into memory and keep it there while this runs", options);
	add_fetching(pin, options, "where it is, or the fastest");
	add_hold(pin, options);
	runs(pin, options, action, HintOp::pin, run_pin);

	auto *unpin = add_op(hint, HintOp::unpin, "undo pins; only with itmed", options);
	runs(unpin, options, action, HintOp::unpin, refuse_undoing);

	auto *watch = add_op(hint, HintOp::watch,
			     "see which granules of a range are touched while this runs", options);
	add_hold(watch, options);
	runs(watch, options, action, HintOp::watch, run_watch);

	auto *cancel =
		add_op(hint, HintOp::cancel, "forget outstanding hints; only with itmed", options);
	runs(cancel, options, action, HintOp::cancel, refuse_undoing);
}

void add_drop(CLI::App &app, Action &action)
{
	auto options = std::make_shared<Options>();
	auto *command =
		app.add_subcommand("drop", "drop a whole region from memory, pinned or not (needs "
					   "CAP_SYS_ADMIN)");

	options->force = true;
	command->add_option("PATH", options->region, "the region")->required();
	command->add_flag("--json", options->json, "print JSON");
	runs(command, options, action, HintOp::release, run_once);
}

} // namespace itme
