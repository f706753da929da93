// SPDX-License-Identifier: GPL-2.0-only
// Carries out plans: of all regions of known order it makes one plan an instance, pins
// what is to stay, gives the hints that are due, measures what comes of it, and leaves
// a region to demand where the plan does not pay.
//
// The module loses nothing when this dies: pins and hints end with the descriptors
// that are held here, and another conductor begins with what it finds resident.
#pragma once

#include "lib/declaration.hpp"
#include "lib/error.hpp"
#include "lib/file.hpp"
#include "lib/instances.hpp"
#include "lib/plan.hpp"
#include "lib/plan_report.hpp"
#include "lib/position.hpp"
#include "lib/schedule.hpp"
#include "lib/snapshot.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace itme {

// A region whose order is known.
struct Conducted {
	RegionId id;
	std::string instance, region;
	Path file;
	std::uint64_t granule_bytes = 0, bytes = 0;
	Schedule schedule;
	std::uint32_t declared = 0; // the region's number in it
	std::string origin;         // of the schedule: "declared", or "learned (97 % sure, ...)"
};

// What the plan of an instance was made of: the schedules of all its regions that run, as one.
struct Joint {
	Schedule schedule;
	PlanOptions options;
};

class Conductor {
public:
	Conductor();
	Conductor(Conductor &&) noexcept;
	Conductor &operator=(Conductor &&) noexcept;
	~Conductor();

	// Opens the region's file. One that was taken up before is taken up anew.
	Result<void> take_up(Conducted region);
	void let_go(RegionId region);

	// In the order in which they happened: an event, and the position that it told.
	void see(const Event &event);
	void reach(const Position &position);
	// Are guesses of this region taken now? If not, they are only counted.
	[[nodiscard]] bool takes_guesses(RegionId region) const;
	// A runtime guesses what it will read. Fails where no stream of such choices is known.
	Result<void> guess(const Declaration &said);
	// Gives the hints that are due; plans anew where something has changed.
	void carry_out(std::uint64_t now_ns);
	// Every few seconds: budgets, rates, pins that are still missing, and whether the
	// plans pay. `seen` is what BPF has counted.
	void sample(std::uint64_t now_ns, const std::vector<Instance> &instances,
		    const Snapshot *seen);

	// So long events may wait before they are handed over and carried out; UINT64_MAX
	// where nothing is streamed.
	[[nodiscard]] std::uint64_t patience_ns() const;
	[[nodiscard]] std::vector<PlanReport> reports() const;
	// Until the next call of another function; nullptr where nothing is planned.
	[[nodiscard]] const Joint *joint(const std::string &instance) const;

private:
	struct State;
	std::unique_ptr<State> state_;
};

} // namespace itme
