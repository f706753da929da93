// SPDX-License-Identifier: GPL-2.0-only
// Positions against what the run itself has logged.
#include "world.hpp"

#include "lib/clock.hpp"
#include "lib/heat.hpp"
#include "lib/stalls.hpp"
#include "lib/tracker.hpp"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <dlfcn.h>
#include <filesystem>
#include <functional>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using itme::Event;
using itme::Probe;
using itme::Tracker;

namespace {

constexpr std::uint32_t steps = 8, granules_a_step = 3;
constexpr unsigned step_us = 30000;

itme::Schedule schedule()
{
	itme::Schedule schedule;

	schedule.regions.emplace_back();
	schedule.regions[0].bytes = steps * granules_a_step * granule_bytes;
	schedule.programs.emplace_back().name = "decode";
	for (std::uint32_t i = 0; i < steps; i++) {
		auto &object = schedule.objects.emplace_back();
		auto &step = schedule.programs[0].steps.emplace_back();

		object.extents = {
			{0, i * granules_a_step * granule_bytes, granules_a_step * granule_bytes}};
		step.name = "blk." + std::to_string(i);
		step.objects = {i};
	}
	schedule.streams.emplace_back().name = "run";
	return schedule;
}

// What the run knows.
struct Truth {
	std::uint64_t pass = 0;
	std::uint32_t step = 0;
	std::uint64_t begin_ns = 0, end_ns = 0;
};

class Replay {
public:
	explicit Replay(const World &world) : world_(world) {}

	void pass()
	{
		pass_++;
		for (std::uint32_t step = 0; step < steps; step++) {
			auto &truth = truths.emplace_back();

			truth = {pass_, step, itme::monotonic_ns(), 0};
			for (std::uint32_t i = 0; i < granules_a_step; i++) {
				world_.touch(step * granules_a_step + i);
				usleep(step_us / granules_a_step);
			}
			truth.end_ns = itme::monotonic_ns();
		}
	}
	std::vector<Truth> truths;

private:
	const World &world_;
	std::uint64_t pass_ = 0;
};

// The share of steps in the middle of which the position was theirs.
double share_right(const std::vector<Truth> &truths, const std::vector<itme::Position> &positions)
{
	std::size_t right = 0;

	for (const auto &truth : truths) {
		const auto middle_ns = truth.begin_ns + (truth.end_ns - truth.begin_ns) / 2;
		const itme::Position *last = nullptr;

		for (const auto &position : positions)
			if (position.time_ns <= middle_ns)
				last = &position;
		right += last && last->position == truth.step;
	}
	return static_cast<double>(right) / static_cast<double>(truths.size());
}

std::size_t outside(const std::vector<Truth> &truths, const std::vector<itme::Position> &positions)
{
	return static_cast<std::size_t>(
		std::ranges::count_if(positions, [&](const itme::Position &position) {
			return std::ranges::none_of(truths, [&](const Truth &truth) {
				return position.position == truth.step &&
				       position.time_ns >= truth.begin_ns &&
				       position.time_ns <= truth.end_ns;
			});
		}));
}

// Runs `work` in a thread, and the agent here until it has ended: the positions.
std::vector<itme::Position> observe(
	Probe &probe, Tracker &tracker, const std::function<void()> &work,
	const std::function<void(const Event &)> &also = [](const Event &) {})
{
	std::vector<itme::Position> positions;
	std::atomic<bool> done = false;
	std::jthread worker([&] {
		work();
		done = true;
	});

	for (bool last = false; !last;) {
		last = done;
		EXPECT_TRUE(probe.events(
			std::chrono::milliseconds(last ? 0 : 10), [&](const Event &event) {
				also(event);
				tracker.see(event, [&](const auto &p) { positions.push_back(p); });
			}));
		tracker.keep_up(itme::monotonic_ns());
	}
	return positions;
}

std::string beside_this_program(const std::string &name)
{
	return std::filesystem::read_symlink("/proc/self/exe").parent_path() / name;
}

struct LlamaBatch {
	std::int32_t n_tokens;
	void *arrays[6];
};
using Decode = std::int32_t (*)(std::int32_t (*)(std::int32_t), LlamaBatch);

Replay *running = nullptr;
const World *reader = nullptr; // of a child

std::int32_t pass_of_the_run(std::int32_t tokens)
{
	running->pass();
	return tokens + 100;
}

} // namespace

TEST(Position, WatchedGranulesTellWhereItIs)
{
	const World world({.granules = steps * granules_a_step});
	ASSERT_TRUE(world.ready());
	for (std::uint64_t g = 0; g < steps * granules_a_step; g++)
		world.touch(g); // all is there and mapped: nothing else is to be seen
	auto probe = Probe::attach({});
	ASSERT_TRUE(probe) << probe.error().text;
	Tracker tracker;
	const auto region = tracker.follow(world.path(), schedule());
	ASSERT_TRUE(region) << region.error().text;
	EXPECT_EQ(*region, world.id());

	Replay run(world);
	constexpr int passes = 5;
	const auto positions = observe(*probe, tracker, [&] {
		for (int pass = 0; pass < passes; pass++)
			run.pass();
	});
	const double right = share_right(run.truths, positions);
	std::printf("# positions right: %.4f of %zu, %zu positions in all\n", right,
		    run.truths.size(), positions.size());
	EXPECT_GE(right, 0.99);
	EXPECT_EQ(outside(run.truths, positions), 0);
	ASSERT_FALSE(positions.empty());
	EXPECT_EQ(positions.back().pass, passes);
	EXPECT_EQ(positions.back().name, "blk.7");
	EXPECT_EQ(positions.back().pid, static_cast<std::uint32_t>(getpid()));
	ASSERT_EQ(tracker.positions().size(), 1);
	EXPECT_TRUE(says(tracker.degradations(), "tells no passes"));

	const auto snapshot = probe->snapshot();
	ASSERT_TRUE(snapshot);
	EXPECT_EQ(counts_of(*snapshot, world.id()).touches, world.counter("touch_count"));
	EXPECT_EQ(counts_of(*snapshot, world.id()).touches, steps * passes);

	// Heat: each mark was touched once a pass.
	itme::HeatHistory history(std::chrono::seconds(1000000), 1);
	const auto granules = probe->granules();
	ASSERT_TRUE(granules);
	history.add(*granules, itme::monotonic_ns());
	const auto map = history.map(world.id());
	ASSERT_EQ(map.accesses.size(), 1);
	for (std::uint32_t step = 0; step < steps; step++)
		EXPECT_GE(map.accesses[0].at(step * granules_a_step), passes);

	itme::Declaration said;
	said.region = *region;
	said.pid = 77;
	said.stream = "run";
	said.pass = 9;
	said.position = 3;
	said.time_ns = itme::monotonic_ns();
	itme::Position announced;
	const auto sink = [&](const itme::Position &position) { announced = position; };
	ASSERT_TRUE(tracker.hear(said, sink));
	EXPECT_EQ(announced.name, "blk.3");
	EXPECT_EQ(announced.pid, 77);
	said.position = steps;
	EXPECT_FALSE(tracker.hear(said, sink));
	said.position = 0;
	said.stream = "walk";
	EXPECT_FALSE(tracker.hear(said, sink));
	EXPECT_FALSE(tracker.follow("/proc/self/exe", schedule()));
	EXPECT_FALSE(Tracker().follow(world.path(), itme::Schedule{}));
}

TEST(Position, WaitsTellWhereItIsAndWhatItCost)
{
	const World world({.granules = steps * granules_a_step, .delay_ms = 20});
	ASSERT_TRUE(world.ready());
	auto probe = Probe::attach({});
	ASSERT_TRUE(probe) << probe.error().text;
	Tracker tracker;
	const auto region = tracker.follow(world.path(), schedule());
	ASSERT_TRUE(region);

	Replay run(world);
	const auto positions = observe(*probe, tracker, [&] { run.pass(); });
	EXPECT_EQ(share_right(run.truths, positions), 1);
	EXPECT_EQ(outside(run.truths, positions), 0);

	const auto *landmarks = tracker.landmarks(*region, "run");
	const auto granules = probe->granules();
	ASSERT_TRUE(landmarks && granules);
	const auto stalls = itme::by_position(*granules, *region, *landmarks);
	ASSERT_EQ(stalls.size(), steps);
	for (std::uint32_t step = 0; step < steps; step++) {
		const auto &truth = run.truths[step];

		// dm-delay counts in jiffies, of 4 ms at most: the first may be a short one.
		EXPECT_GE(stalls[step].stall_ns[0], granules_a_step * 16000000ULL) << step;
		EXPECT_LE(stalls[step].stall_ns[0], truth.end_ns - truth.begin_ns) << step;
	}
}

TEST(Position, TheStepFunctionTellsPasses)
{
	const World world({.granules = steps * granules_a_step});
	ASSERT_TRUE(world.ready());
	auto probe = Probe::attach({});
	ASSERT_TRUE(probe) << probe.error().text;
	Tracker tracker;
	ASSERT_TRUE(tracker.follow(world.path(), schedule()));

	// A library without the symbol, then one with it that comes later.
	void *stripped = dlopen(beside_this_program("libllama-stripped.so").c_str(), RTLD_NOW);
	ASSERT_TRUE(stripped) << dlerror();
	probe->find_runtimes();
	EXPECT_TRUE(says(probe->degradations(), "has no symbol llama_decode"));
	EXPECT_TRUE(says(probe->degradations(), "watched granules only"));
	void *library = dlopen(beside_this_program("libllama-standin.so").c_str(), RTLD_NOW);
	ASSERT_TRUE(library) << dlerror();
	const auto decode = reinterpret_cast<Decode>(dlsym(library, "llama_decode"));
	ASSERT_TRUE(decode);
	probe->find_runtimes();
	EXPECT_FALSE(says(probe->degradations(), "llama_decode"));

	Replay run(world);
	running = &run;
	std::vector<Event> begins, ends;
	auto positions = observe(
		*probe, tracker,
		[&] {
			world.touch(0); // so that it is known who reads the region
			for (int tokens = 1; tokens <= 3; tokens++)
				EXPECT_EQ(tokens + 100, decode(pass_of_the_run, {tokens, {}}));
		},
		[&](const Event &event) {
			if (event.kind == Event::Kind::pass_begin)
				begins.push_back(event);
			if (event.kind == Event::Kind::pass_end)
				ends.push_back(event);
		});
	dlclose(library);
	dlclose(stripped);
	ASSERT_EQ(begins.size(), 3);
	ASSERT_EQ(ends.size(), 3);
	for (std::size_t i = 0; i < 3; i++) {
		EXPECT_EQ(begins[i].value, static_cast<std::int64_t>(i + 1));
		EXPECT_EQ(ends[i].value, static_cast<std::int64_t>(i + 101));
		EXPECT_EQ(begins[i].pid, static_cast<std::uint32_t>(getpid()));
		const auto &first = run.truths[i * steps];
		const auto &last = run.truths[i * steps + steps - 1];
		EXPECT_LE(begins[i].time_ns, first.begin_ns);
		EXPECT_GE(ends[i].time_ns, last.end_ns);
	}
	EXPECT_GE(share_right(run.truths, positions), 0.99);
	EXPECT_FALSE(says(tracker.degradations(), "tells no passes"));
	ASSERT_FALSE(positions.empty());
	EXPECT_EQ(positions.back().pass - positions.front().pass, 3);
	// The step function is entered, and granule 0 was touched, before the run has begun.
	std::erase_if(positions, [&](const itme::Position &position) {
		return position.source == itme::PositionSource::runtime ||
		       position.time_ns < run.truths[0].begin_ns;
	});
	EXPECT_EQ(outside(run.truths, positions), 0);
}

TEST(Position, TwoRuntimesOnOneRegion)
{
	const World world({.granules = steps * granules_a_step});
	ASSERT_TRUE(world.ready());
	auto probe = Probe::attach({});
	ASSERT_TRUE(probe) << probe.error().text;
	Tracker tracker;
	ASSERT_TRUE(tracker.follow(world.path(), schedule()));

	const auto positions = observe(*probe, tracker, [&] {
		world.touch(0);
		const pid_t child = fork();
		if (child == 0) {
			world.touch(granules_a_step);
			_exit(0);
		}
		EXPECT_EQ(child, waitpid(child, nullptr, 0));
	});
	EXPECT_EQ(positions.size(), 2);
	EXPECT_TRUE(
		says(tracker.degradations(), "processes " + std::to_string(getpid()) + " and "));
	EXPECT_TRUE(says(tracker.degradations(), "a position is of whichever came first there"));
	const auto snapshot = probe->snapshot();
	ASSERT_TRUE(snapshot);
	EXPECT_EQ(snapshot->threads.size(), 2); // what was waited for is told apart all the same
}

TEST(Position, ARuntimeThatDiesOrExecsInMidPass)
{
	const World world({.granules = steps * granules_a_step});
	ASSERT_TRUE(world.ready());
	for (const bool exec : {false, true}) {
		auto probe = Probe::attach({});
		ASSERT_TRUE(probe) << probe.error().text;
		Tracker tracker;
		ASSERT_TRUE(tracker.follow(world.path(), schedule()));
		int ready[2];
		ASSERT_EQ(0, pipe(ready));
		const pid_t child = fork();
		if (child == 0) {
			void *library = dlopen(beside_this_program("libllama-standin.so").c_str(),
					       RTLD_NOW);
			auto decode =
				library ? reinterpret_cast<Decode>(dlsym(library, "llama_decode"))
					: nullptr;

			if (write(ready[1], "x", 1) != 1 || !decode)
				_exit(1);
			usleep(4000000); // until it was found
			reader = &world;
			decode(exec ? [](std::int32_t) -> std::int32_t {
				reader->touch(0);
				usleep(1000000);
				execlp("sleep", "sleep", "60", nullptr);
				_exit(1);
			} : [](std::int32_t) -> std::int32_t { reader->touch(0); pause(); return 0; }, {1, {}});
			_exit(1);
		}
		char byte = 0;
		ASSERT_EQ(1, read(ready[0], &byte, 1));
		close(ready[0]);
		close(ready[1]);
		probe->find_runtimes();
		EXPECT_FALSE(says(probe->degradations(), std::to_string(child) + " "));

		bool began = false, touched = false, ended = false, gone = false;
		const auto deadline = itme::monotonic_ns() + 40000000000;
		while (!gone && itme::monotonic_ns() < deadline) {
			const auto seen = probe->events(
				std::chrono::milliseconds(100), [&](const Event &event) {
					if (event.pid != static_cast<std::uint32_t>(child))
						return;
					tracker.see(event, [](const itme::Position &) {});
					touched |= event.kind == Event::Kind::touch;
					began |= event.kind == Event::Kind::pass_begin;
					ended |= event.kind == Event::Kind::pass_end;
					gone |= event.kind ==
						(exec ? Event::Kind::exec : Event::Kind::exit);
				});
			ASSERT_TRUE(seen);
			if (touched && !exec) {
				kill(child, SIGKILL);
				waitpid(child, nullptr, 0);
			}
			if (touched)
				probe->find_runtimes();
		}
		EXPECT_TRUE(began);
		EXPECT_TRUE(says(tracker.degradations(),
				 (exec ? "has executed another program" : "has ended") +
					 std::string(" in the middle of pass 1, at blk.0")));
		EXPECT_FALSE(ended);
		EXPECT_TRUE(gone) << (exec ? "exec" : "exit");
		if (exec) {
			kill(child, SIGKILL);
			waitpid(child, nullptr, 0);
		}
	}
}
