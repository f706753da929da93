// SPDX-License-Identifier: GPL-2.0-only
// Positions of all runs: followers with the watches that they ask for.
#pragma once

#include "lib/declaration.hpp"
#include "lib/error.hpp"
#include "lib/file.hpp"
#include "lib/position.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace itme {

// Feed it every Event of a Probe; it sets the watches that it needs by itself.
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
	void forget(RegionId region);

	void see(const Event &event, const Sink &sink);
	// What a runtime says of itself. Fails where that region, stream or position is not
	// followed.
	Result<void> hear(const Declaration &said, const Sink &sink);

	// For sums by position; nothing where this stream is not followed.
	[[nodiscard]] const Landmarks *landmarks(RegionId region, const std::string &stream) const;
	[[nodiscard]] std::vector<Position> positions() const; // the last of each stream
	[[nodiscard]] std::vector<std::string> degradations() const;

private:
	struct State;
	std::unique_ptr<State> state_;
};

} // namespace itme
