// SPDX-License-Identifier: GPL-2.0-only
// What is accounted against what the waiting thread has timed itself.
#include "world.hpp"

#include "lib/clock.hpp"
#include "lib/file.hpp"
#include "lib/stalls.hpp"

#include <algorithm>
#include <cstdio>
#include <gtest/gtest.h>
#include <numeric>
#include <pthread.h>
#include <thread>
#include <unistd.h>

using itme::HintClass;
using itme::HintOp;
using itme::Probe;
using itme::StallCause;

namespace {

// Long against what a fault takes beside its wait, on an emulated processor.
constexpr unsigned delay_ms = 40;

class Stall : public testing::TestWithParam<bool> {}; // classic events?

// Waits as events tell them, beside the times that the thread took, one by one: the
// median ratio. (A busy host can hold the thread up at any point outside its wait.)
void expect_near(const char *what, const std::vector<std::uint64_t> &accounted_ns,
		 const std::vector<std::uint64_t> &timed_ns)
{
	std::vector<double> ratios;

	ASSERT_EQ(accounted_ns.size(), timed_ns.size()) << what;
	for (std::size_t i = 0; i < timed_ns.size(); i++) {
		ratios.push_back(static_cast<double>(accounted_ns[i]) /
				 static_cast<double>(timed_ns[i]));
		EXPECT_LE(accounted_ns[i], timed_ns[i]) << what;
	}
	std::ranges::sort(ratios);
	const double median = ratios[ratios.size() / 2];
	std::printf("# %s: %.4f to %.4f of what was timed, median %.4f\n", what, ratios.front(),
		    ratios.back(), median);
	EXPECT_GE(median, 0.97) << what;
}

std::uint64_t sum(const std::vector<std::uint64_t> &values)
{
	return std::accumulate(values.begin(), values.end(), std::uint64_t{0});
}

// The ns of all waits in the ring, in their order.
std::vector<std::uint64_t> waits(Probe &probe)
{
	std::vector<std::uint64_t> all_ns;

	EXPECT_TRUE(probe.events(std::chrono::milliseconds(0), [&](const itme::Event &event) {
		if (event.kind == itme::Event::Kind::stall)
			all_ns.push_back(static_cast<std::uint64_t>(event.value));
	}));
	return all_ns;
}

void expect_nothing_lost(const itme::Snapshot &snapshot)
{
	for (const auto &drop : snapshot.drops)
		EXPECT_EQ(drop.count, 0) << drop.reason;
}

// In a thread of its own, with a name. Its tid, once the kernel has forgotten the thread:
// who joins it may go on a little earlier.
std::uint32_t in_thread(const char *name, auto &&run)
{
	std::uint32_t tid = 0;

	std::thread([&] {
		pthread_setname_np(pthread_self(), name);
		tid = static_cast<std::uint32_t>(gettid());
		run();
	}).join();
	const auto task = "/proc/self/task/" + std::to_string(tid);
	const auto deadline = itme::monotonic_ns() + 10'000'000'000;
	while (access(task.c_str(), F_OK) == 0 && itme::monotonic_ns() < deadline)
		std::this_thread::yield();
	return tid;
}

// "0::/kselftest"
std::string own_cgroup()
{
	const auto line = itme::read_line("/proc/self/cgroup");

	return line ? line->substr(line->rfind(':') + 1) : "none";
}

const itme::ThreadStalls *thread_of(const itme::Snapshot &snapshot, std::uint32_t tid)
{
	for (const auto &thread : snapshot.threads)
		if (thread.tid == tid)
			return &thread;
	return nullptr;
}

} // namespace

TEST_P(Stall, MissAndLateAreWhatTheThreadTimes)
{
	const World world({.delay_ms = delay_ms});
	ASSERT_TRUE(world.ready());
	auto probe = Probe::attach({.classic = GetParam()});
	ASSERT_TRUE(probe) << probe.error().text;
	EXPECT_EQ(probe->fallback_reason().empty(), !GetParam());

	constexpr std::uint64_t misses = 8, late_waits = 8;
	std::vector<std::uint64_t> miss_ns, late_ns;
	std::uint64_t touching_ns = 0;
	const auto started_ns = itme::monotonic_ns();
	const auto tid = in_thread("toucher", [&] {
		const auto first_ns = itme::monotonic_ns();

		for (std::uint64_t g = 0; g < misses; g++)
			miss_ns.push_back(world.touch(g));
		for (std::uint64_t g = misses; g < misses + late_waits; g++) {
			world.hint(HintOp::prefetch, g, 1, HintClass::likely);
			late_ns.push_back(world.touch(g));
		}
		touching_ns = itme::monotonic_ns() - first_ns;
		for (std::uint64_t g = 0; g < misses; g++)
			world.touch(g); // mapped: nothing is seen of it
	});
	const auto snapshot = probe->snapshot();
	ASSERT_TRUE(snapshot) << snapshot.error().text;

	const auto region = counts_of(*snapshot, world.id());
	const auto &miss = region.stalls.of(StallCause::miss);
	const auto &late = region.stalls.of(StallCause::late);
	EXPECT_EQ(region.name, "model");
	EXPECT_EQ(region.granule_bytes, granule_bytes);
	EXPECT_EQ(region.region_bytes, 24 * granule_bytes);
	EXPECT_EQ(miss.count, misses);
	EXPECT_EQ(late.count, late_waits);
	if (!GetParam()) { // a classic event does not tell a size before the first fill
		EXPECT_EQ(miss.bytes, misses * granule_bytes);
		EXPECT_EQ(late.bytes, late_waits * granule_bytes);
	}
	auto accounted_ns = waits(*probe);
	ASSERT_EQ(accounted_ns.size(), misses + late_waits);
	const std::vector late_events(accounted_ns.begin() + misses, accounted_ns.end());
	accounted_ns.resize(misses);
	expect_near("miss", accounted_ns, miss_ns);
	expect_near("late", late_events, late_ns);
	EXPECT_EQ(miss.ns, sum(accounted_ns));
	EXPECT_EQ(late.ns, sum(late_events));
	EXPECT_EQ(region.faults, misses + late_waits);
	EXPECT_EQ(region.latency_ns.total(), misses + late_waits);
	EXPECT_EQ(region.lead_ns.total(), 0); // nothing was there in time
	// Who touches what is still queued has it read at once, on demand.
	EXPECT_GE(region.bytes[2][0], misses * granule_bytes);
	EXPECT_EQ(region.bytes[2][0] + region.bytes[2][2], (misses + late_waits) * granule_bytes);
	EXPECT_EQ(region.prefetch[2].accepted, late_waits * granule_bytes);
	EXPECT_EQ(region.prefetch[2].fetched, region.bytes[2][2]);
	EXPECT_EQ(region.prefetch[2].useful, region.bytes[2][2]);

	const auto *thread = thread_of(*snapshot, tid);
	ASSERT_TRUE(thread);
	EXPECT_EQ(thread->pid, static_cast<std::uint32_t>(getpid()));
	EXPECT_EQ(thread->comm, "toucher");
	EXPECT_NE(thread->cgroup_id, 0);
	EXPECT_EQ(snapshot->cgroups.at(thread->cgroup_id), own_cgroup());
	EXPECT_FALSE(thread->alive);
	EXPECT_GE(thread->first_ns, started_ns);
	EXPECT_EQ(thread->stalls, region.stalls);
	// Of the time that the thread itself took from its first wait to its last.
	EXPECT_NEAR(thread->share(),
		    static_cast<double>(miss.ns + late.ns) / static_cast<double>(touching_ns),
		    0.05);

	const auto granules = probe->granules();
	ASSERT_TRUE(granules);
	std::uint64_t by_granule_ns = 0;
	for (const auto &granule : *granules)
		by_granule_ns += granule.stall_ns[0] + granule.stall_ns[1];
	EXPECT_EQ(granules->size(), misses + late_waits);
	EXPECT_EQ(by_granule_ns, miss.ns + late.ns);

	if (!GetParam())
		expect_nothing_lost(*snapshot);
	EXPECT_EQ(says(snapshot->degradations, "classic trace events"), GetParam());
}

// A hint's fill may begin at the very moment when somebody comes for it. He waits, and is not the
// first to use what was fetched ahead of him, too.
TEST_P(Stall, WhoWaitsIsCountedOnce)
{
	const World world({});
	ASSERT_TRUE(world.ready());
	auto probe = Probe::attach({.classic = GetParam()});
	ASSERT_TRUE(probe) << probe.error().text;

	constexpr std::uint64_t rounds = 200, granules = 8;
	for (std::uint64_t i = 0; i < rounds * granules; i++) {
		const auto g = i % granules;

		world.hint(HintOp::prefetch, g);
		const auto until_ns = itme::monotonic_ns() + i * 500; // up to 0.8 ms later
		while (itme::monotonic_ns() < until_ns)
			;
		world.touch(g);
		if (g == granules - 1) {
			world.hint(HintOp::release, 0, granules);
			world.wait(0, granules);
		}
	}
	const auto snapshot = probe->snapshot();
	ASSERT_TRUE(snapshot);
	const auto region = counts_of(*snapshot, world.id());
	const auto waited = region.stalls.of(StallCause::miss).count +
			    region.stalls.of(StallCause::late).count;
	std::printf("# %lu waits, %lu in time\n", waited, region.lead_ns.total());
	EXPECT_GT(waited, 0);
	EXPECT_LE(region.faults, rounds * granules);
	EXPECT_LE(waited + region.lead_ns.total(), rounds * granules);
}

TEST_P(Stall, ReadsThatWait)
{
	const World world({.delay_ms = delay_ms});
	ASSERT_TRUE(world.ready());
	auto probe = Probe::attach({.classic = GetParam()});
	ASSERT_TRUE(probe) << probe.error().text;

	std::vector<std::uint64_t> timed_ns;
	char byte = 0;
	for (std::uint64_t g = 0; g < 6; g++) {
		const auto start = itme::monotonic_ns();
		EXPECT_EQ(1, pread(world.region().get(), &byte, 1,
				   static_cast<off_t>(g * granule_bytes)));
		timed_ns.push_back(itme::monotonic_ns() - start);
	}
	world.hint(HintOp::prefetch, 6);
	world.wait(6);
	EXPECT_EQ(1, pread(world.region().get(), &byte, 1, 6 * granule_bytes));
	EXPECT_EQ(1, pread(world.region().get(), &byte, 1, 6 * granule_bytes));
	const auto snapshot = probe->snapshot();
	ASSERT_TRUE(snapshot);
	const auto region = counts_of(*snapshot, world.id());
	EXPECT_EQ(region.waited_reads, 6);
	EXPECT_EQ(region.faults, 0);
	EXPECT_EQ(region.stalls.of(StallCause::miss).count, 6);
	const auto accounted_ns = waits(*probe);
	expect_near("read", accounted_ns, timed_ns);
	EXPECT_EQ(region.stalls.of(StallCause::miss).ns, sum(accounted_ns));
	EXPECT_EQ(region.prefetch[1].useful, granule_bytes);
}

TEST_P(Stall, PrefetchByClass)
{
	const World world({});
	ASSERT_TRUE(world.ready());
	auto probe = Probe::attach({.classic = GetParam()});
	ASSERT_TRUE(probe) << probe.error().text;

	world.hint(HintOp::prefetch, 0, 4, HintClass::exact);
	world.hint(HintOp::prefetch, 4, 3, HintClass::maybe);
	world.wait(0, 7);
	const auto ready_ns = itme::monotonic_ns();
	std::uint64_t used_ns = 0;
	usleep(20000);
	for (std::uint64_t g = 0; g < 5; g++) {
		world.touch(g);
		used_ns += itme::monotonic_ns() - ready_ns;
	}
	world.hint(HintOp::release, 5, 2);
	const auto snapshot = probe->snapshot();
	ASSERT_TRUE(snapshot);
	const auto region = counts_of(*snapshot, world.id());
	const auto &exact = region.prefetch[1], &maybe = region.prefetch[3];

	EXPECT_EQ(exact.accepted, 4 * granule_bytes);
	EXPECT_EQ(exact.fetched, 4 * granule_bytes);
	EXPECT_EQ(exact.useful, 4 * granule_bytes);
	EXPECT_EQ(exact.wasted, 0);
	EXPECT_EQ(maybe.fetched, 3 * granule_bytes);
	EXPECT_EQ(maybe.useful, granule_bytes);
	EXPECT_EQ(maybe.wasted, 2 * granule_bytes);
	EXPECT_EQ(region.dropped_bytes[2], 2 * granule_bytes);
	EXPECT_EQ(world.counter("wasted_bytes"), maybe.wasted);
	EXPECT_EQ(world.counter("useful_bytes"), exact.useful + maybe.useful);
	EXPECT_EQ(world.counter("fill_bytes"), region.fill_ns.total() * granule_bytes);
	EXPECT_EQ(region.stalls.ns(), 0);
	EXPECT_TRUE(snapshot->threads.empty());
	// Ready before the wait ended, used after the pause.
	EXPECT_EQ(region.lead_ns.total(), 5);
	EXPECT_GE(region.lead_ns.sum, 5 * 20000000ULL);
	EXPECT_GE(region.lead_ns.sum + 5 * 1000000, used_ns);
}

TEST_P(Stall, CopiesBetweenTiers)
{
	const auto node = cxl_node();
	if (!node)
		GTEST_SKIP() << "no node of CXL memory";
	const World world({.mount = "dram=64M,cxl=64M@" + *node});
	ASSERT_TRUE(world.ready());
	auto probe = Probe::attach({.classic = GetParam()});
	ASSERT_TRUE(probe) << probe.error().text;

	world.hint(HintOp::prefetch, 0, 8, HintClass::exact, itme::Tier::cxl);
	world.wait(0, 8);
	world.hint(HintOp::prefetch, 0, 4, HintClass::likely, itme::Tier::dram);
	world.wait(0, 4);
	world.touch(0);
	world.touch(1);
	world.hint(HintOp::release, 2);
	const auto snapshot = probe->snapshot();
	ASSERT_TRUE(snapshot);
	const auto region = counts_of(*snapshot, world.id());
	expect_nothing_lost(*snapshot);
	EXPECT_EQ(world.counter("fill_bytes"), 8 * granule_bytes);
	EXPECT_EQ(region.bytes[1][1], 8 * granule_bytes);
	EXPECT_EQ(region.bytes[2][4], 4 * granule_bytes);
	EXPECT_EQ(region.bytes[2][4], world.counter("promote_bytes"));
	EXPECT_GT(region.promote_ns, 4 * 10000);
	EXPECT_EQ(region.demote_ns, 0);
	EXPECT_EQ(region.prefetch[2].fetched, 4 * granule_bytes);
	EXPECT_EQ(region.prefetch[2].useful, 2 * granule_bytes);
	EXPECT_EQ(region.prefetch[2].wasted, granule_bytes);
}

// A copy is short: a thread touches what is promoted again and again until it has waited.
TEST_P(Stall, WaitsForAPromotion)
{
	const auto node = cxl_node();
	if (!node)
		GTEST_SKIP() << "no node of CXL memory";
	const World world({.mount = "dram=64M,cxl=64M@" + *node});
	ASSERT_TRUE(world.ready());
	auto probe = Probe::attach({.classic = GetParam()});
	ASSERT_TRUE(probe) << probe.error().text;

	std::uint64_t waited_ns = 0, timed_ns = 0;
	for (int round = 0; round < 200 && waited_ns == 0; round++) {
		world.hint(HintOp::release, 0, 8);
		world.hint(HintOp::prefetch, 0, 8, HintClass::exact, itme::Tier::cxl);
		world.wait(0, 8);
		world.hint(HintOp::prefetch, 0, 8, HintClass::exact, itme::Tier::dram);
		for (std::uint64_t g = 0; g < 8; g++)
			timed_ns += world.touch(7 - g);
		world.wait(0, 8);
		const auto snapshot = probe->snapshot();
		ASSERT_TRUE(snapshot);
		waited_ns = counts_of(*snapshot, world.id()).stalls.of(StallCause::promote).ns;
	}
	EXPECT_GT(waited_ns, 0);
	EXPECT_LE(waited_ns, timed_ns);
}

INSTANTIATE_TEST_SUITE_P(Events, Stall, testing::Bool(), [](const auto &classic) {
	return classic.param ? std::string("classic") : std::string("typed");
});
