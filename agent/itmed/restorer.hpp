// SPDX-License-Identifier: GPL-2.0-only
// What is still to be restored, and when to try again. Pure: facts go in, jobs
// come out, and what came of them goes in again.
//
// What has been there once and was taken away by somebody stays away: an
// administrator who unmounts means it. A start or a reload begins anew.
#pragma once

#include "itmed/job.hpp"

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <vector>

namespace itme {

enum class GoalState {
	waiting,  // tried, to be tried again; or not yet tried
	working,  // a job is under way
	there,    // mounted, attached
	released, // itmectl umount, or somebody took it away
};
[[nodiscard]] const char *state_name(GoalState state);

struct Goal {
	GoalState state = GoalState::waiting;
	std::string reason; // why it waits or was released, in a sentence
	std::uint64_t next_ns = 0, delay_ns = 0;
	std::uint64_t tries = 0;
};

class Restorer {
public:
	struct Facts {
		std::function<bool(const Path &)> is_mounted;
		std::function<bool(const Path &, const std::string &)> has_region;
	};
	struct Task {
		std::size_t mount = 0;
		int attachment = -1; // of that mount; -1: the mount itself
		Job job;
	};

	explicit Restorer(std::vector<MountConfig> mounts, std::set<Path> released = {});

	// What is to be begun now; each is answered by done().
	[[nodiscard]] std::vector<Task> step(std::uint64_t now_ns, const Facts &facts);
	void done(const Task &task, const Result<void> &result, std::uint64_t now_ns);

	// Leaves the mount and its regions alone from now on. Is there a job under way in it?
	bool release(const Path &mount, const std::string &reason);
	// Again, what was given up or waits; of one mount, or (empty) of all.
	void restore(const Path &mount = {});

	// When step() has something to do by itself; UINT64_MAX: never.
	[[nodiscard]] std::uint64_t next_ns() const;
	// Has everything been tried once?
	[[nodiscard]] bool tried() const;
	[[nodiscard]] std::set<Path> released() const;
	[[nodiscard]] const std::vector<MountConfig> &mounts() const { return mounts_; }
	[[nodiscard]] const Goal &mount_goal(std::size_t mount) const
	{
		return goals_[mount].mount;
	}
	[[nodiscard]] const Goal &attach_goal(std::size_t mount, std::size_t attachment) const
	{
		return goals_[mount].attachments[attachment];
	}
	[[nodiscard]] Json to_json() const;

private:
	struct Goals {
		Goal mount;
		std::vector<Goal> attachments;
	};

	Goal &goal(const Task &task);

	std::vector<MountConfig> mounts_;
	std::vector<Goals> goals_;
};

} // namespace itme
