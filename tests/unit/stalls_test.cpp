// SPDX-License-Identifier: GPL-2.0-only
#include "lib/stalls.hpp"

#include <gtest/gtest.h>

using itme::StallCause;
using itme::ThreadStalls;

namespace {

ThreadStalls thread(std::uint32_t pid, std::uint32_t tid, std::uint64_t miss_ns,
		    std::uint64_t late_ns)
{
	ThreadStalls thread;

	thread.pid = pid;
	thread.tid = tid;
	thread.comm = "thread-" + std::to_string(tid);
	thread.cgroup_id = 7;
	thread.first_ns = 1000;
	thread.last_ns = 2000;
	thread.stalls.by_cause[0] = {1, 4096, miss_ns};
	thread.stalls.by_cause[1] = {1, 4096, late_ns};
	return thread;
}

} // namespace

TEST(Stalls, HistogramIsBelowABucketsEnd)
{
	itme::Histogram histogram;

	EXPECT_EQ(histogram.below(0.5), 0);
	histogram.count[10] = 90; // 1024 to 2047
	histogram.count[20] = 10;
	EXPECT_EQ(histogram.total(), 100);
	EXPECT_EQ(histogram.below(0.9), 2048);
	EXPECT_EQ(histogram.below(0.99), 2097152);
	histogram.count[63] = 1000;
	EXPECT_EQ(histogram.below(1), UINT64_MAX);
}

TEST(Stalls, ShareOfWallTime)
{
	const auto one = thread(1, 1, 250, 500);

	EXPECT_DOUBLE_EQ(one.share(StallCause::miss), 0.25);
	EXPECT_DOUBLE_EQ(one.share(StallCause::late), 0.5);
	EXPECT_DOUBLE_EQ(one.share(StallCause::promote), 0);
	EXPECT_DOUBLE_EQ(one.share(), 0.75);
	EXPECT_DOUBLE_EQ(ThreadStalls{}.share(), 0);
	EXPECT_DOUBLE_EQ(thread(1, 1, 5000, 0).share(), 1); // its clock was read before
}

TEST(Stalls, ByProcessAndCgroup)
{
	const std::vector threads = {thread(10, 11, 100, 0), thread(10, 10, 300, 0),
				     thread(20, 20, 0, 900)};
	const auto processes = itme::by_process(threads);
	const auto cgroups = itme::by_cgroup(threads, {{7, "/user.slice"}, {8, "/"}});

	ASSERT_EQ(processes.size(), 2);
	EXPECT_EQ(processes[0].pid, 20);
	EXPECT_EQ(processes[1].pid, 10);
	EXPECT_EQ(processes[1].comm, "thread-10"); // the process's own name
	EXPECT_EQ(processes[1].threads, 2);
	EXPECT_EQ(processes[1].stalls.of(StallCause::miss).ns, 400);
	EXPECT_EQ(processes[1].stalls.of(StallCause::miss).bytes, 8192);
	EXPECT_DOUBLE_EQ(processes[1].share(StallCause::miss), 0.2);
	ASSERT_EQ(cgroups.size(), 1);
	EXPECT_EQ(cgroups[0].cgroup_id, 7);
	EXPECT_EQ(cgroups[0].path, "/user.slice");
	EXPECT_EQ(itme::by_cgroup(threads, {})[0].path, "");
	EXPECT_EQ(cgroups[0].stalls.ns(), 1300);
}

TEST(Stalls, DifferenceOfTwoSnapshots)
{
	itme::Snapshot earlier, later;

	earlier.time_ns = 1500;
	earlier.threads = {thread(1, 1, 100, 0), thread(2, 2, 5, 0)};
	earlier.threads[1].alive = false;
	earlier.threads[1].last_ns = 1400;
	earlier.regions.resize(1);
	earlier.regions[0].faults = 10;
	earlier.drops = {{"full", 3}};
	later = earlier;
	later.time_ns = 2000;
	later.threads[0].stalls.by_cause[0].ns = 350;
	later.regions[0].faults = 25;
	later.regions.emplace_back().id.inode = 9;
	later.regions[1].faults = 4;
	later.drops = {{"full", 5}};

	const auto between = itme::difference(later, earlier);
	EXPECT_EQ(between.attached_ns, 1500);
	ASSERT_EQ(between.regions.size(), 2);
	EXPECT_EQ(between.regions[0].faults, 15);
	EXPECT_EQ(between.regions[1].faults, 4);
	ASSERT_EQ(between.threads.size(), 1); // the other had ended before
	EXPECT_EQ(between.threads[0].stalls.ns(), 250);
	EXPECT_DOUBLE_EQ(between.threads[0].share(), 0.5);
	EXPECT_EQ(between.drops[0].count, 2);
}
