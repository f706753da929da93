// SPDX-License-Identifier: GPL-2.0-only
// Positions of all runs: followers with the watches that they ask for.
#pragma once

#include "lib/declaration.hpp"
#include "lib/error.hpp"
#include "lib/file.hpp"
#include "lib/learner.hpp"
#include "lib/position.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace itme {

// What is known of the order of a region that declares none.
struct LearnedOrder {
	Learner::State state = Learner::State::learning;
	std::string words;     // "learned (97 % sure, 3 passes)"
	double confidence = 0; // 0 to 1
	std::uint64_t passes = 0;
	std::uint64_t version = 0; // counts the orders that were learned of this region
	// Where an order is learned and holds; until the next keep_up().
	const Schedule *schedule = nullptr;
};

// Feed it every Event of a Probe, and call keep_up() after some: then it sets the watches
// that it needs. Each costs a system call and a flush of the TLBs of who reads.
class Tracker {
public:
	using Sink = std::function<void(const Position &)>;

	Tracker();
	Tracker(Tracker &&) noexcept;
	Tracker &operator=(Tracker &&) noexcept;
	~Tracker(); // its watches end with it

	// Follows every stream of the schedule through the region of this file; `declared` is
	// the region's number in the schedule. Opens the file, which must be readable.
	[[nodiscard]] Result<RegionId> follow(const Path &region_file, const Schedule &schedule,
					      std::uint32_t declared = 0);
	// Learns in which order the region of this file is read, and follows that then, as
	// the one stream "learned"; when it no longer holds it learns anew.
	[[nodiscard]] Result<RegionId> learn(const Path &region_file);
	void forget(RegionId region);

	void see(const Event &event, const Sink &sink);
	// After a batch of events, and every few seconds: watches, and what was learned.
	void keep_up(std::uint64_t now_ns);
	// So long events may wait before they are handed over: each place that is watched is
	// to be watched again before the run comes round to it.
	[[nodiscard]] std::uint64_t patience_ns() const;
	// What a runtime says of itself. Fails where that region, stream or position is not
	// followed.
	Result<void> hear(const Declaration &said, const Sink &sink);

	// For sums by position; nothing where this stream is not followed.
	[[nodiscard]] const Landmarks *landmarks(RegionId region, const std::string &stream) const;
	// Nothing where the region is not one of learn().
	[[nodiscard]] std::optional<LearnedOrder> learned(RegionId region) const;
	[[nodiscard]] std::vector<Position> positions() const; // the last of each stream
	[[nodiscard]] std::vector<std::string> degradations() const;

private:
	struct State;
	std::unique_ptr<State> state_;
};

} // namespace itme
