// SPDX-License-Identifier: GPL-2.0-only
#include "itmed/daemon.hpp"
#include "itmed/job.hpp"
#include "lib/derive.hpp"
#include "lib/model.hpp"

#include <CLI/CLI.hpp>
#include <iostream>

namespace itme {

namespace {

struct Options {
	DaemonOptions daemon;
	bool check = false;
	std::string job, schedule, damon;
};

Exit tell(const Error &error)
{
	std::cerr << "itmed: " << error.text << '\n';
	return error.code;
}

// What follows are the processes that itmed starts of itself. Their output is
// the result, or why there is none.
Exit run_job(const std::string &text)
{
	const auto job = parse_job(text);
	if (!job)
		return tell(job.error());
	const auto done = carry_out(*job);
	if (done)
		return Exit::ok;
	std::cout << done.error().text;
	return Exit::failed;
}

Result<Schedule> read_schedule(const std::string &file)
{
	const auto name = Path{file}.filename().string();

	if (!name.ends_with(".json") || name.ends_with(".safetensors.index.json")) {
		const auto model = read_model(file);

		if (!model)
			return std::unexpected(model.error());
		return derive(*model, {});
	}
	const auto text = read_file(file);
	if (!text)
		return fail(file + ": " + errno_text(text.error()));
	auto schedule = parse_schedule(*text);
	if (!schedule)
		return fail(file + ": " + schedule.error().text());
	return std::move(*schedule);
}

Exit run_schedule(const std::string &file)
{
	const auto schedule = read_schedule(file);

	std::cout << (schedule ? schedule_text(*schedule) : schedule.error().text);
	return schedule ? Exit::ok : Exit::failed;
}

Exit run_damon(const std::string &request)
{
	Damon damon;
	const auto answer = carry_out_damon(request, damon);

	std::cout << (answer ? *answer : answer.error().text);
	return answer ? Exit::ok : Exit::failed;
}

Exit run(const Options &options)
{
	auto read = read_config(options.daemon.config);
	if (!read)
		return tell(read.error());
	for (const auto &fault : read->faults)
		std::cerr << fault << '\n';
	if (!read->faults.empty())
		return Exit::failed;
	if (options.check) {
		std::error_code ec;

		if (std::filesystem::exists(options.daemon.config, ec))
			std::cout << options.daemon.config.string() << ": good\n";
		else
			std::cout << options.daemon.config.string()
				  << " is not there: nothing would be restored\n";
		return Exit::ok;
	}
	auto loop = Loop::make();
	if (!loop)
		return tell(loop.error());
	Daemon daemon{options.daemon, std::move(read->config), *loop};
	if (const auto done = daemon.run(); !done)
		return tell(done.error());
	return Exit::ok;
}

} // namespace

} // namespace itme

int main(int argc, char **argv)
{
	itme::Options options;
	CLI::App app{"Restores ITME's mounts and regions, observes them, and answers itmectl and "
		     "Prometheus.\nSIGHUP reads the configuration again. At its end everything "
		     "stays mounted.",
		     "itmed"};

	app.set_version_flag("--version", "itmed 0.1");
	app.add_option("--config", options.daemon.config, "the configuration")
		->capture_default_str();
	app.add_option("--socket", options.daemon.socket, "the control socket")
		->capture_default_str();
	app.add_flag("--check-config", options.check,
		     "look at the configuration and do nothing else; status 1 if it is wrong");
	app.add_option("--job", options.job)->group("");
	app.add_option("--schedule", options.schedule)->group("");
	app.add_option("--damon", options.damon)->group("");
	try {
		app.parse(argc, argv);
	} catch (const CLI::ParseError &e) {
		return static_cast<int>(app.exit(e) == 0 ? itme::Exit::ok : itme::Exit::usage);
	}
	if (!options.job.empty())
		return static_cast<int>(itme::run_job(options.job));
	if (!options.schedule.empty())
		return static_cast<int>(itme::run_schedule(options.schedule));
	if (!options.damon.empty())
		return static_cast<int>(itme::run_damon(options.damon));
	return static_cast<int>(itme::run(options));
}
