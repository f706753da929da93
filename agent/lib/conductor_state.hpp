// SPDX-License-Identifier: GPL-2.0-only
// What a Conductor knows: of instances, of their regions, and of each region's streams.
#pragma once

#include "lib/choices.hpp"
#include "lib/conductor.hpp"
#include "lib/executor.hpp"
#include "lib/guesses.hpp"
#include "lib/judge.hpp"
#include "lib/meter.hpp"
#include "lib/plan.hpp"
#include "lib/resident_set.hpp"
#include "lib/served.hpp"
#include "lib/store_rate.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace itme {

inline constexpr std::uint64_t second_ns = 1'000'000'000;
inline constexpr std::uint64_t active_ns = 60 * second_ns; // since its last sign of life
// Between plans that only other measurements are the reason for: longer each time.
inline constexpr std::uint64_t least_pause_ns = 2 * second_ns, most_pause_ns = 300 * second_ns;

// Of an instance, as sysfs has it.
struct Room {
	std::uint64_t dram_bytes = 0, cxl_bytes = 0, window_bytes = 0, pin_limit_bytes = 0;
	std::uint64_t granule_bytes = 0;

	bool operator==(const Room &) const = default;
};

struct StreamState {
	StreamState(const Conducted &what, std::uint32_t stream, std::uint64_t granules)
	    : number(stream),
	      choices(what.schedule, stream, what.declared, what.granule_bytes, granules)
	{
	}

	std::uint32_t number; // of the schedule
	Choices choices;
	Guesses guesses;
	std::uint64_t pass = 0;
	std::uint64_t unknown = 0; // waits for what the schedule does not read
	Executor executor{{}, 1};
	Meter meter;
	Judge judge;
	StreamPlan plan; // without its hints
	std::uint64_t streamed_bytes = 0;
	double compute_s = 0;  // measured, that the plan was made with; 0: estimated
	std::uint32_t pid = 0; // who reads
	Served served;
};

struct RegionState {
	RegionState(Conducted region, Fd file)
	    : what(std::move(region)), fd(std::move(file)), set(what.granule_bytes, what.bytes)
	{
		for (std::uint32_t i = 0; i < what.schedule.streams.size(); i++)
			streams.emplace_back(what, i, set.homes().size());
	}

	Conducted what;
	Fd fd;
	ResidentSet set;
	std::vector<StreamState> streams;
	std::uint64_t seen_ns = 0; // last sign of life
	bool active = false;       // when it was planned last
	bool planned = false;
	bool fits = false;    // with all that is planned beside it
	bool settled = false; // all is where it is to be
	std::string failure;  // why there is no plan

	[[nodiscard]] bool lives(std::uint64_t now_ns) const
	{
		return seen_ns != 0 && now_ns < seen_ns + active_ns;
	}
	[[nodiscard]] bool stays(std::uint64_t granule) const
	{
		return !planned || granule >= set.homes().size() ||
		       set.homes()[granule] != Home::store;
	}
	[[nodiscard]] bool refused() const
	{
		return std::ranges::any_of(
			streams, [](const auto &stream) { return stream.judge.refuses(); });
	}
};

// Experts, say, of which some stay in the store; looking up tokens is too little to matter.
inline bool chooses(const StreamPlan &plan)
{
	return plan.has_choices && plan.demand_slots > 0;
}

struct Conductor::State {
	struct InstanceState {
		Room room;
		StoreRate rate;
		Link planned_with;
		bool stale = true; // plan anew: there are others, or other budgets
		// Measured figures have changed: plan anew, but not time and again.
		bool outdated = false;
		std::uint64_t update_ns = 0, pause_ns = least_pause_ns; // from when on; and then
		bool window_in_cxl = false;
		std::optional<Joint> joint;
		// Longer than a pass of any stream: hints that are so late expire.
		std::uint64_t longest_ns = second_ns;
		std::uint64_t most_served_ns = 0; // of its streams
	};
	using Regions = std::vector<RegionState *>;

	std::map<RegionId, RegionState> regions;
	std::map<std::string, InstanceState> instances;

	RegionState *find(RegionId id)
	{
		const auto found = regions.find(id);

		return found == regions.end() ? nullptr : &found->second;
	}
	// Somebody reads the region.
	void live(RegionState &region, std::uint64_t time_ns)
	{
		region.seen_ns = std::max(region.seen_ns, time_ns);
		if (!region.active)
			instances[region.what.instance].stale = true;
	}
	Regions of(const std::string &instance)
	{
		Regions found;

		for (auto &[id, region] : regions)
			if (region.what.instance == instance)
				found.push_back(&region);
		return found;
	}

	void plan(const std::string &name, std::uint64_t now_ns);
	static Result<Plan> plan_for(InstanceState &instance, const Regions &planned);
	static void adopt(const InstanceState &instance, const Plan &plan, const Regions &planned);
	static void allow_guesses(const RegionState &region, StreamState &stream,
				  std::uint64_t room);
	static void leave(RegionState &region);
	static void give(InstanceState &instance, RegionState &region, StreamState &stream,
			 std::uint64_t now_ns);
	static void begin_pass(RegionState &region, StreamState &stream);
	static void drop(RegionState &region, const std::vector<std::uint32_t> &granules);
	void look(RegionState &region, std::uint64_t now_ns);
	[[nodiscard]] static std::optional<std::uint64_t> pass_ns(const StreamState &stream);
	[[nodiscard]] PlanReport report(const RegionState &region, const StreamState &stream) const;
};

} // namespace itme
