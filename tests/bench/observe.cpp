// SPDX-License-Identifier: GPL-2.0-only
// Observes a run of a model in a region until its standard input ends: positions, as
// itmed would publish them. Prints "ready" when it does.
#include "bench/program.hpp"

#include "lib/clock.hpp"
#include "lib/derive.hpp"
#include "lib/model.hpp"
#include "lib/probe.hpp"
#include "lib/tracker.hpp"

#include <poll.h>
#include <unistd.h>

using namespace itme;

namespace {

struct Options {
	Path region, model;
};

void declare(CLI::App &app, Options &options)
{
	app.add_option("REGION", options.region)->required();
	app.add_option("MODEL", options.model, "the file behind it, for its headers")->required();
}

Result<bench::Json> measure(const Options &options)
{
	constexpr uint64_t look_ns = 2000000000;
	const auto model = read_model(options.model);
	if (!model)
		return std::unexpected(model.error());
	const auto schedule = derive(*model, {});
	if (!schedule)
		return std::unexpected(schedule.error());
	auto probe = Probe::attach({});
	if (!probe)
		return std::unexpected(probe.error());
	Tracker tracker;
	if (const auto followed = tracker.follow(options.region, *schedule); !followed)
		return std::unexpected(followed.error());

	bench::Json positions = bench::Json::array();
	const auto publish = [&](const Position &position) {
		positions.push_back({position.time_ns, position.pass, position.name,
				     source_name(position.source)});
	};
	uint64_t looked_ns = 0, events = 0;
	pollfd fds[] = {{STDIN_FILENO, POLLIN, 0}, {probe->event_fd(), POLLIN, 0}};

	std::cout << "ready" << std::endl;
	while (poll(fds, 2, 2000) >= 0 && fds[0].revents == 0) {
		const auto seen =
			probe->events(std::chrono::milliseconds(0),
				      [&](const Event &event) { tracker.see(event, publish); });
		if (!seen)
			return std::unexpected(seen.error());
		events += *seen;
		if (monotonic_ns() - looked_ns < look_ns)
			continue;
		looked_ns = monotonic_ns();
		probe->find_runtimes();
		if (const auto snapshot = probe->snapshot(); !snapshot)
			return std::unexpected(snapshot.error());
	}
	const auto snapshot = probe->snapshot();
	if (!snapshot)
		return std::unexpected(snapshot.error());
	auto lost = snapshot->degradations;
	for (auto &sentence : tracker.degradations())
		lost.push_back(std::move(sentence));
	return bench::Json{{"positions", positions}, {"events", events}, {"degradations", lost}};
}

} // namespace

int main(int argc, char **argv)
{
	Options options;

	return bench::run(argc, argv, options, declare, measure);
}
