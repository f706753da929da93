// SPDX-License-Identifier: GPL-2.0-only
// Is the order that is learned of a region the one in which it is read? Another process
// plays programs over the region, at most so many passes of each; what the agent has
// learned by then is compared with the truth.
#include "bench/program.hpp"
#include "replay/play.hpp"

#include "lib/clock.hpp"
#include "lib/device.hpp"
#include "lib/probe.hpp"
#include "lib/tracker.hpp"

#include <csignal>
#include <sys/wait.h>
#include <unistd.h>

using namespace itme;

namespace {

struct Options {
	Path region;
	size_t passes = 3;
	double sleep_ms = 5;
	uint64_t seed = 1;
};

constexpr std::pair<const char *, replay::Way> programs[] = {
	{"backward", replay::Way::backward}, {"strided", replay::Way::strided},
	{"shuffled", replay::Way::shuffled}, {"part", replay::Way::part},
	{"twice", replay::Way::twice},
};

void declare(CLI::App &app, Options &options)
{
	app.add_option("REGION", options.region, "a region without another reader")->required();
	app.add_option("--passes", options.passes, "of each program")->check(CLI::Range(2, 1000));
	app.add_option("--sleep-ms", options.sleep_ms, "for each granule");
	app.add_option("--seed", options.seed, "of what is shuffled");
}

// The same cycle, wherever it begins.
bool is_same_cycle(std::vector<uint32_t> learned, const std::vector<uint32_t> &truth)
{
	if (learned.size() != truth.size())
		return false;
	for (size_t i = 0; i < learned.size(); i++) {
		if (learned == truth)
			return true;
		std::ranges::rotate(learned, learned.begin() + 1);
	}
	return false;
}

// The granules of a schedule's one program, in its order.
std::vector<uint32_t> granules_of(const Schedule &schedule, uint64_t granule_bytes)
{
	std::vector<uint32_t> granules;

	for (const auto &step : schedule.programs[0].steps)
		for (const auto object : step.objects)
			for (const auto &extent : schedule.objects[object].extents)
				for (auto at = extent.offset; at < extent.offset + extent.bytes;
				     at += granule_bytes)
					granules.push_back(
						static_cast<uint32_t>(at / granule_bytes));
	return granules;
}

// The process that reads: a program's passes, once something comes through the pipe.
pid_t start_reader(const Options &options, const replay::Program &program, const int go[2])
{
	const pid_t reader = fork();
	if (reader != 0)
		return reader;
	replay::Play play;
	char byte = 0;

	play.path = options.region;
	play.look = replay::Look::lines;
	play.passes = options.passes;
	play.sleep_s = options.sleep_ms / 1e3;
	close(go[1]);
	if (read(go[0], &byte, 1) != 1)
		_exit(1);
	const auto played = replay::play(play, program);
	if (!played)
		std::cerr << played.error().text << '\n';
	_exit(played ? 0 : 1);
}

Result<bench::Json> learn(const Options &options, Probe &probe, const char *name, replay::Way way)
{
	const auto region = replay::Region::open(options.region);
	if (!region)
		return std::unexpected(region.error());
	const auto granule_bytes = region->info().granule_bytes;
	const auto program = replay::arranged(way, region->bytes(), granule_bytes, options.seed);
	if (!program)
		return std::unexpected(program.error());
	if (auto dropped = region->drop(0, region->bytes()); !dropped)
		return std::unexpected(dropped.error());

	int go[2];
	if (pipe(go) != 0)
		return fail("no pipe");
	const pid_t reader = start_reader(options, *program, go);
	close(go[0]);
	Tracker tracker;
	const auto id = tracker.learn(options.region);
	if (!id) {
		close(go[1]);
		waitpid(reader, nullptr, 0);
		return std::unexpected(id.error());
	}
	tracker.keep_up(monotonic_ns());

	uint64_t touches = 0;
	int status = 0;
	const auto begin_ns = monotonic_ns();
	uint64_t learned_ns = 0;
	const auto known = [&] { return tracker.learned(*id).value_or(LearnedOrder{}); };
	const auto take = [&] {
		const auto seen =
			probe.events(std::chrono::milliseconds(1), [&](const Event &event) {
				touches += event.kind == Event::Kind::touch;
				tracker.see(event, [](const Position &) {});
			});

		tracker.keep_up(monotonic_ns());
		if (learned_ns == 0 && known().schedule != nullptr)
			learned_ns = monotonic_ns() - begin_ns;
		return seen.has_value();
	};
	bool taken = write(go[1], "x", 1) == 1;
	close(go[1]);
	while (taken && waitpid(reader, &status, WNOHANG) == 0)
		taken = take();
	taken = taken && take();
	if (!taken || status != 0)
		return fail(std::string{name} + ": the region could not be read and observed");

	const auto learned = known();
	const auto &truth = program->passes[0];
	const auto order = learned.schedule != nullptr
				   ? granules_of(*learned.schedule, granule_bytes)
				   : std::vector<uint32_t>{};
	return bench::Json{
		{"program", name},          {"equal", is_same_cycle(order, truth)},
		{"words", learned.words},   {"confidence", learned.confidence},
		{"passes", learned.passes}, {"seconds", 1e-9 * static_cast<double>(learned_ns)},
		{"touches", touches},       {"truth", truth},
		{"learned", order},         {"degradations", tracker.degradations()}};
}

Result<bench::Json> measure(const Options &options)
{
	bench::Json all = bench::Json::array();
	size_t equal = 0;
	auto probe = Probe::attach({});
	if (!probe)
		return std::unexpected(probe.error());

	for (const auto &[name, way] : programs) {
		auto one = learn(options, *probe, name, way);
		if (!one)
			return std::unexpected(one.error());
		equal += (*one)["equal"].get<bool>();
		all.push_back(std::move(*one));
	}
	return bench::Json{
		{"share", static_cast<double>(equal) / static_cast<double>(std::size(programs))},
		{"programs", all}};
}

} // namespace

int main(int argc, char **argv)
{
	Options options;

	return bench::run(argc, argv, options, declare, measure);
}
