// SPDX-License-Identifier: GPL-2.0-only
// What can be seen of all instances, for itmed, and for itmectl where no itmed
// runs: the counters of sysfs, and what the BPF programs add to them.
#pragma once

#include "lib/conductor.hpp"
#include "lib/heat.hpp"
#include "lib/instances.hpp"
#include "lib/mounts.hpp"
#include "lib/position.hpp"
#include "lib/probe.hpp"
#include "lib/schedule.hpp"
#include "lib/snapshot.hpp"
#include "lib/stalls.hpp"
#include "lib/tracker.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace itme {

// A position, and of how many.
struct Place {
	Position at;
	std::uint32_t steps = 0;        // of the program; 0 where that is not known
	std::string order = "declared"; // or "learned (97 % sure, 3 passes)"
};

// The newest positions of all runs, in the order in which they became known.
class Trail {
public:
	void add(const Position &position);
	[[nodiscard]] std::uint64_t end() const { return end_; } // so many there have been
	// Those with numbers from `from`, counted from 0, and below `to` that are still here.
	[[nodiscard]] std::span<const Position> between(std::uint64_t from, std::uint64_t to) const;

private:
	std::vector<Position> positions_; // the last one has the number end_ - 1
	std::uint64_t end_ = 0;
};

// Everything at one moment.
struct Observation {
	std::uint64_t time_ns = 0; // CLOCK_MONOTONIC
	std::vector<Instance> instances;
	std::optional<Snapshot> seen; // by BPF
	std::vector<Place> places;
	std::uint64_t trail_end = 0;      // positions that were known by then
	std::vector<std::string> missing; // whole sentences: what is not seen, and why
};

// Stalls at the positions of one stream through one region.
struct LayerStalls {
	std::string instance, region, stream, program;
	std::vector<PositionStalls> positions;
};

struct ObserverOptions {
	Path root = "/";
	bool probe = true;
	bool positions = true;
	// Who carries out plans, if anybody: told of regions of known order, of events and
	// of positions. It must live as long as the observer.
	Conductor *conductor = nullptr;
	// A region's schedule; nothing: to be asked for again at the next sample. Without
	// this function it is that of the model's header. Where it fails with
	// Exit::unsupported the order is learned; without this function it never is.
	std::function<std::optional<Result<Schedule>>(const std::string &region, const Path &store)>
		schedule = {};
};

class Observer {
public:
	explicit Observer(ObserverOptions options);

	// Takes up what is new and lets go of what is gone. BPF programs are attached only
	// while there is an instance: they would keep the module from being unloaded.
	[[nodiscard]] Observation sample(std::uint64_t now_ns);

	// What a runtime says of itself. Fails where its region is not followed.
	Result<void> hear(const Declaration &said);

	// To be polled, where there is one; and what to call then, or when it is time. False:
	// there were no events.
	[[nodiscard]] int event_fd() const;
	bool drain();
	// So long it may wait for others, from 0.1 to 1 s, so that positions are seen.
	[[nodiscard]] std::uint64_t patience_ns() const;
	// Since the last call a region was seen in use for the first time: the next sample()
	// follows it, and should not be long in coming.
	[[nodiscard]] bool takes_news() { return std::exchange(news_, false); }

	// Stalls by position since the programs were attached.
	[[nodiscard]] Result<std::vector<LayerStalls>> layers();
	void add_heat(std::uint64_t now_ns);
	[[nodiscard]] std::vector<std::pair<RegionCounts, HeatMap>> heat();

	[[nodiscard]] const Trail &trail() const { return trail_; }

	// Closes what is held of the mount, and holds nothing of it until take_up().
	void let_go(const Path &mount);
	void take_up(const Path &mount); // or (empty) of all

	// Of a region that declares no order; its schedule is there until the next drain().
	[[nodiscard]] std::optional<LearnedOrder> learned(RegionId region) const;

private:
	struct Followed {
		std::string instance, region;
		Path mount;
		std::vector<Landmarks> landmarks = {};
		std::uint64_t granule_bytes = 0;
		std::uint64_t learned =
			0; // version that the landmarks are of; 0: declared, or none
		std::string undeclared = {}; // why the order is to be learned
	};

	void attach(bool wanted, std::uint64_t now_ns);
	void follow_new(const std::vector<Instance> &instances);
	// False: to be tried again.
	bool follow(const Instance &instance, const Region &region, const Path &mount);
	[[nodiscard]] Result<void> learn(const Instance &instance, const Region &region,
					 const Path &mount, const std::string &why);
	[[nodiscard]] Result<void> conduct(Conducted region);
	void leave(RegionId id);  // its plan
	void forget(RegionId id); // all of it
	void follow_learned();
	[[nodiscard]] Result<void> take_up(RegionId id, Followed &followed,
					   const LearnedOrder &order);
	void read_mounts_of();
	void publish(const Position &position);
	[[nodiscard]] std::vector<Place> places() const;

	ObserverOptions options_;
	InstanceReader instances_;
	std::optional<Probe> probe_;
	std::optional<Tracker> tracker_;
	Trail trail_;
	HeatHistory heat_;
	std::string probe_failure_;
	std::uint64_t next_attach_ns_ = 0;
	MountWatch mount_watch_;
	std::map<std::string, Path> mounts_; // instance -> where it is mounted
	std::set<Path> left_;                // mounts that are left alone
	std::map<RegionId, Followed> followed_;
	std::set<RegionId> used_; // followed or not
	bool news_ = false;
	std::set<std::string> tried_;                   // "instance/region", followed or not
	std::map<std::string, std::string> unfollowed_; // why, by "instance/region"
	Snapshot last_;
};

} // namespace itme
