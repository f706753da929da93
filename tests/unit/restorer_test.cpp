// SPDX-License-Identifier: GPL-2.0-only
#include "itmed/restorer.hpp"

#include <gtest/gtest.h>
#include <set>

namespace {

using namespace itme;

constexpr std::uint64_t second = 1'000'000'000;

// A host in which jobs do what they are told, or fail.
struct Host {
	std::set<Path> mounts;
	std::set<Path> regions;
	std::set<Path> broken; // stores that are not there
	int jobs = 0;

	Restorer::Facts facts()
	{
		return {[this](const Path &path) { return mounts.contains(path); },
			[this](const Path &mount, const std::string &name) {
				return regions.contains(mount / name);
			}};
	}

	// Until nothing is to be done at this time.
	void settle(Restorer &restorer, std::uint64_t now)
	{
		for (auto tasks = restorer.step(now, facts()); !tasks.empty();
		     tasks = restorer.step(now, facts()))
			for (const auto &task : tasks)
				restorer.done(task, carry_out(task.job), now);
	}

	Result<void> carry_out(const Job &job)
	{
		jobs++;
		if (!job.attach) {
			mounts.insert(job.mount);
			return {};
		}
		if (broken.contains(job.attach->store))
			return fail(job.attach->store.string() + " does not exist");
		regions.insert(job.mount / job.attach->name);
		return {};
	}
};

MountConfig mount_of(const Path &path, std::vector<AttachConfig> attachments = {})
{
	return {.path = path, .options = "dram=1G", .attachments = std::move(attachments)};
}

AttachConfig attach_of(const Path &store)
{
	return {.store = store, .name = store.filename(), .owner = {}, .group = {}};
}

} // namespace

TEST(Restorer, MountsAndThenAttaches)
{
	Host host;
	Restorer restorer{{mount_of("/a", {attach_of("/s/x"), attach_of("/s/y")}), mount_of("/b")}};

	EXPECT_FALSE(restorer.tried());
	host.settle(restorer, second);
	EXPECT_EQ(host.mounts, (std::set<Path>{"/a", "/b"}));
	EXPECT_EQ(host.regions, (std::set<Path>{"/a/x", "/a/y"}));
	EXPECT_TRUE(restorer.tried());
	EXPECT_EQ(restorer.next_ns(), UINT64_MAX);
	EXPECT_EQ(host.jobs, 4);
	host.settle(restorer, 100 * second);
	EXPECT_EQ(host.jobs, 4);
}

TEST(Restorer, WhatIsThereIsLeftAsItIs)
{
	Host host{.mounts = {"/a"}, .regions = {"/a/x"}, .broken = {}};
	Restorer restorer{{mount_of("/a", {attach_of("/s/x")})}};

	host.settle(restorer, second);
	EXPECT_EQ(host.jobs, 0);
	EXPECT_TRUE(restorer.tried());
}

TEST(Restorer, AMissingStoreIsTriedAgainAndNothingElseSuffers)
{
	Host host;
	Restorer restorer{{mount_of("/a", {attach_of("/s/x"), attach_of("/s/y")})}};

	host.broken = {"/s/x"};
	host.settle(restorer, second);
	EXPECT_TRUE(restorer.tried());
	EXPECT_EQ(host.regions, (std::set<Path>{"/a/y"}));
	EXPECT_EQ(restorer.attach_goal(0, 0).state, GoalState::waiting);
	EXPECT_EQ(restorer.attach_goal(0, 0).reason, "/s/x does not exist");
	// Ever more seldom, up to once a minute.
	std::uint64_t last = second, longest = 0;
	for (int i = 0; i < 10; i++) {
		const auto next = restorer.next_ns();

		ASSERT_GT(next, last);
		longest = std::max(longest, next - last);
		last = next;
		host.settle(restorer, last);
	}
	EXPECT_EQ(longest, 60 * second);
	host.broken.clear();
	host.settle(restorer, last + 60 * second);
	EXPECT_TRUE(host.regions.contains("/a/x"));
	EXPECT_EQ(restorer.attach_goal(0, 0).reason, "");
}

TEST(Restorer, WhatSomebodyTookAwayStaysAway)
{
	Host host;
	Restorer restorer{{mount_of("/a", {attach_of("/s/x"), attach_of("/s/y")})}};

	host.settle(restorer, second);
	host.regions.erase("/a/x");
	host.settle(restorer, 200 * second);
	EXPECT_FALSE(host.regions.contains("/a/x"));
	EXPECT_EQ(restorer.attach_goal(0, 0).state, GoalState::released);
	EXPECT_EQ(restorer.attach_goal(0, 1).state, GoalState::there);

	host.mounts.clear();
	host.regions.clear();
	host.settle(restorer, 400 * second);
	EXPECT_TRUE(host.mounts.empty());
	EXPECT_EQ(restorer.released(), (std::set<Path>{"/a"}));
	// By hand it may come back, and its regions are the hand's business.
	host.mounts = {"/a"};
	host.settle(restorer, 500 * second);
	EXPECT_EQ(restorer.mount_goal(0).state, GoalState::there);
	EXPECT_TRUE(restorer.released().empty());
	EXPECT_TRUE(host.regions.empty());
	restorer.restore("/other");
	host.settle(restorer, 550 * second);
	EXPECT_TRUE(host.regions.empty());
	restorer.restore();
	host.settle(restorer, 600 * second);
	EXPECT_EQ(host.regions.size(), 2);
}

TEST(Restorer, ReleaseWaitsForWhatIsUnderWay)
{
	Host host;
	Restorer restorer{{mount_of("/a", {attach_of("/s/x")}), mount_of("/b")}};
	const auto tasks = restorer.step(second, host.facts());

	ASSERT_EQ(tasks.size(), 2);
	EXPECT_FALSE(restorer.release("/none", "r"));
	EXPECT_TRUE(restorer.release("/a", "r"));
	for (const auto &task : tasks)
		restorer.done(task, host.carry_out(task.job), second);
	EXPECT_FALSE(restorer.release("/a", "r"));
	host.mounts.erase("/a"); // umount(2)
	host.settle(restorer, 2 * second);
	EXPECT_EQ(host.mounts, (std::set<Path>{"/b"}));
}

TEST(Restorer, WhatWasReleasedBeforeACrashStaysReleased)
{
	Host host;
	Restorer restorer{{mount_of("/a"), mount_of("/b")}, {"/a"}};

	host.settle(restorer, second);
	EXPECT_EQ(host.mounts, (std::set<Path>{"/b"}));
	EXPECT_TRUE(restorer.tried());
}

TEST(Restorer, JobsSurviveTheirCommandLine)
{
	AttachConfig attach = attach_of("/s/a \"b\" \n\\");
	attach.mode = 0640;
	attach.owner = "o";
	attach.group = "7";
	const auto job = parse_job(job_text({"/m t", "dram=1G", attach}));

	ASSERT_TRUE(job);
	EXPECT_EQ(job->mount, "/m t");
	EXPECT_EQ(job->options, "dram=1G");
	EXPECT_EQ(job->attach->store, attach.store);
	EXPECT_EQ(job->attach->mode, 0640);
	EXPECT_EQ(job->attach->owner, "o");
	EXPECT_EQ(job->attach->group, "7");
	EXPECT_FALSE(parse_job(job_text({"/m", "dram=1G", {}}))->attach);
	EXPECT_FALSE(parse_job("{}"));
	EXPECT_FALSE(parse_job("x"));
}
