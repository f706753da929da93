// SPDX-License-Identifier: GPL-2.0-only
// itmectl report: why is it slow: a miss, a late prefetch, or not memory at all?
#include "itmectl/command.hpp"
#include "itmectl/gnuplot.hpp"
#include "itmectl/output.hpp"
#include "itmectl/report_view.hpp"
#include "itmectl/source.hpp"
#include "itmectl/stop.hpp"

#include <CLI/CLI.hpp>
#include <memory>
#include <ostream>

namespace itme {

namespace {

constexpr unsigned most_seconds = 86400;
constexpr std::uint64_t second_ns = 1'000'000'000;
constexpr std::size_t columns = 80;

struct Options {
	RequestKind kind = RequestKind::stalls;
	std::string region;
	unsigned seconds = 0; // above 0: a look of its own
	bool json = false;
	std::string png;
	std::filesystem::path socket = default_socket;
};

constexpr unsigned own_seconds = 10; // where no itmed has counted before

Result<void> draw(const Options &options, const Json &report)
{
	const auto script = options.kind == RequestKind::stalls ? stalls_script(report, options.png)
			    : options.kind == RequestKind::prefetch
				    ? prefetch_script(report, options.png)
				    : heat_script(report, options.png);

	if (script.empty())
		return fail("there is nothing to draw yet");
	return run_gnuplot(script);
}

Result<void> run(const Options &options, Env &env)
{
	auto source = Source::open(env, options.socket, options.seconds > 0);
	if (!source)
		return std::unexpected(source.error());
	if (source->is_own()) {
		const Stop stop;
		const auto seconds = options.seconds > 0 ? options.seconds : own_seconds;

		if (options.seconds == 0)
			env.err << "itmectl: " << source->reason() << "; looking for " << seconds
				<< " s\n";
		stop.wait(seconds * second_ns);
	}
	const auto report = source->report(options.kind, options.region);
	if (!report)
		return std::unexpected(report.error());

	if (options.json)
		print_json(env, *report);
	else if (options.kind == RequestKind::stalls)
		print_stalls(env.out, *report);
	else if (options.kind == RequestKind::prefetch)
		print_prefetch(env.out, *report);
	else if (options.kind == RequestKind::plan) {
		print_plans(env.out, *report);
		print_shares(env.out, *report);
	} else
		print_heat(env.out, *report, columns);
	return options.png.empty() ? Result<void>{} : draw(options, *report);
}

void add_kind(CLI::App &report, Action &action, RequestKind kind, const char *text)
{
	auto options = std::make_shared<Options>();
	auto *command = report.add_subcommand(request_name(kind), text);

	options->kind = kind;
	if (kind == RequestKind::heat)
		command->add_option("REGION", options->region, "a region's name; else all");
	// A plan is carried out by itmed, or not at all; and it has a picture of its own.
	if (kind != RequestKind::plan) {
		command->add_option("--seconds", options->seconds,
				    "look for so long and report that; else what itmed has counted")
			->check(CLI::Range{1U, most_seconds});
		command->add_option("--png", options->png,
				    "draw a picture into this file, by gnuplot");
	}
	command->add_flag("--json", options->json, "print JSON");
	command->add_option("--socket", options->socket, "where itmed listens")
		->capture_default_str();
	command->callback([options, &action] {
		action = [options](Env &env) { return run(*options, env); };
	});
}

} // namespace

void add_report(CLI::App &app, Action &action)
{
	auto *report = app.add_subcommand(
		"report", "why is it slow: a miss, a late prefetch, or not memory at all?");

	report->require_subcommand(1);
	add_kind(*report, action, RequestKind::stalls,
		 "what was waited for, by region, process, cgroup and layer");
	add_kind(*report, action, RequestKind::prefetch,
		 "what was fetched ahead, and whether it was worth it");
	add_kind(*report, action, RequestKind::plan,
		 "what is kept and fetched ahead, and what came of it");
	add_kind(*report, action, RequestKind::heat, "which granules were used, over time");
}

} // namespace itme
