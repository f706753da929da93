// SPDX-License-Identifier: GPL-2.0-only
#include "itmed/restorer.hpp"

#include <algorithm>

namespace itme {

namespace {

constexpr std::uint64_t second_ns = 1'000'000'000;
constexpr std::uint64_t first_delay_ns = second_ns, longest_delay_ns = 60 * second_ns;

void give_up(Goal &goal, const std::string &reason)
{
	goal.state = GoalState::released;
	goal.reason = reason;
}

void reset(Goal &goal, GoalState state)
{
	const auto tries = goal.tries;

	goal = {};
	goal.state = state;
	goal.tries = tries;
}

// Follows what is there. Is it to be made now?
bool is_due(Goal &goal, bool there, std::uint64_t now_ns, const char *taken_away)
{
	switch (goal.state) {
	case GoalState::there:
		if (!there)
			give_up(goal, taken_away);
		return false;
	case GoalState::released:
	case GoalState::waiting:
		if (there) { // by whomever
			reset(goal, GoalState::there);
			return false;
		}
		return goal.state == GoalState::waiting && now_ns >= goal.next_ns;
	case GoalState::working:
		return false;
	}
	return false;
}

} // namespace

const char *state_name(GoalState state)
{
	switch (state) {
	case GoalState::waiting:
		return "waiting";
	case GoalState::working:
		return "working";
	case GoalState::there:
		return "there";
	case GoalState::released:
		return "released";
	}
	return "?";
}

Restorer::Restorer(std::vector<MountConfig> mounts, std::set<Path> released)
    : mounts_(std::move(mounts))
{
	for (const auto &mount : mounts_) {
		goals_.push_back(
			{.mount = {}, .attachments = std::vector<Goal>(mount.attachments.size())});
		if (released.contains(mount.path))
			release(mount.path, "unmounted before itmed was restarted");
	}
}

std::vector<Restorer::Task> Restorer::step(std::uint64_t now_ns, const Facts &facts)
{
	std::vector<Task> tasks;

	for (std::size_t i = 0; i < mounts_.size(); i++) {
		const auto &config = mounts_[i];
		auto &mount = goals_[i].mount;

		if (is_due(mount, facts.is_mounted(config.path), now_ns, "unmounted by somebody")) {
			mount.state = GoalState::working;
			tasks.push_back({i, -1, {config.path, config.options, {}}});
		}
		for (std::size_t k = 0; k < config.attachments.size(); k++) {
			auto &goal = goals_[i].attachments[k];
			const auto &attach = config.attachments[k];

			if (mount.state != GoalState::there) {
				// Regions end with their mount, and wait for it.
				if (mount.state == GoalState::released &&
				    goal.state != GoalState::working)
					give_up(goal, mount.reason);
				continue;
			}
			if (is_due(goal, facts.has_region(config.path, attach.name), now_ns,
				   "detached by somebody")) {
				goal.state = GoalState::working;
				tasks.push_back({i,
						 static_cast<int>(k),
						 {config.path, config.options, attach}});
			}
		}
	}
	return tasks;
}

Goal &Restorer::goal(const Task &task)
{
	auto &goals = goals_[task.mount];

	return task.attachment < 0 ? goals.mount
				   : goals.attachments[static_cast<std::size_t>(task.attachment)];
}

void Restorer::done(const Task &task, const Result<void> &result, std::uint64_t now_ns)
{
	auto &goal = this->goal(task);

	goal.tries++;
	if (goal.state != GoalState::working)
		return; // released meanwhile
	if (result) {
		goal.state = GoalState::there;
		goal.reason.clear();
		goal.delay_ns = 0;
		return;
	}
	goal.state = GoalState::waiting;
	goal.reason = result.error().text;
	goal.delay_ns = std::clamp(2 * goal.delay_ns, first_delay_ns, longest_delay_ns);
	goal.next_ns = now_ns + goal.delay_ns;
}

bool Restorer::release(const Path &mount, const std::string &reason)
{
	bool working = false;

	for (std::size_t i = 0; i < mounts_.size(); i++) {
		if (mounts_[i].path != mount)
			continue;
		working |= goals_[i].mount.state == GoalState::working;
		give_up(goals_[i].mount, reason);
		for (auto &goal : goals_[i].attachments) {
			working |= goal.state == GoalState::working;
			give_up(goal, reason);
		}
	}
	return working;
}

void Restorer::restore(const Path &mount)
{
	const auto again = [](Goal &goal) {
		if (goal.state == GoalState::released || goal.state == GoalState::waiting)
			reset(goal, GoalState::waiting);
	};

	for (std::size_t i = 0; i < mounts_.size(); i++) {
		if (!mount.empty() && mounts_[i].path != mount)
			continue;
		again(goals_[i].mount);
		std::ranges::for_each(goals_[i].attachments, again);
	}
}

std::uint64_t Restorer::next_ns() const
{
	std::uint64_t next = UINT64_MAX;

	for (const auto &goals : goals_) {
		if (goals.mount.state == GoalState::waiting)
			next = std::min(next, goals.mount.next_ns);
		if (goals.mount.state != GoalState::there)
			continue;
		for (const auto &goal : goals.attachments)
			if (goal.state == GoalState::waiting)
				next = std::min(next, goal.next_ns);
	}
	return next;
}

bool Restorer::tried() const
{
	const auto is_tried = [](const Goal &goal) {
		return goal.tries > 0 || goal.state == GoalState::released ||
		       goal.state == GoalState::there;
	};

	return std::ranges::all_of(goals_, [&](const Goals &goals) {
		return is_tried(goals.mount) && (goals.mount.state != GoalState::there ||
						 std::ranges::all_of(goals.attachments, is_tried));
	});
}

std::set<Path> Restorer::released() const
{
	std::set<Path> paths;

	for (std::size_t i = 0; i < mounts_.size(); i++)
		if (goals_[i].mount.state == GoalState::released)
			paths.insert(mounts_[i].path);
	return paths;
}

Json Restorer::to_json() const
{
	auto json = Json::array();

	for (std::size_t i = 0; i < mounts_.size(); i++) {
		const auto describe = [](Json entry, const Goal &goal) {
			entry["state"] = state_name(goal.state);
			entry["reason"] = goal.reason.empty() ? Json() : Json(goal.reason);
			entry["tries"] = goal.tries;
			return entry;
		};
		auto mount = describe(
			{{"mount", mounts_[i].path.string()}, {"options", mounts_[i].options}},
			goals_[i].mount);

		mount["attachments"] = Json::array();
		for (std::size_t k = 0; k < mounts_[i].attachments.size(); k++) {
			const auto &attach = mounts_[i].attachments[k];

			mount["attachments"].push_back(describe(
				{{"region", attach.name}, {"store", attach.store.string()}},
				goals_[i].attachments[k]));
		}
		json.push_back(std::move(mount));
	}
	return json;
}

} // namespace itme
