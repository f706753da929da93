// SPDX-License-Identifier: GPL-2.0-only
// How long the passes of one stream take, and what of that is waiting. Pure.
#pragma once

#include "lib/position.hpp"

#include <cstdint>
#include <deque>
#include <optional>

namespace itme {

// One pass, from its first position to its end where the runtime tells it, else to
// the first position of the next.
struct MeasuredPass {
	std::uint64_t begin_ns = 0, ns = 0;
	std::uint64_t stall_ns = 0;               // time in which any thread waited, counted once
	std::uint64_t misses = 0, late_waits = 0; // waits
	std::uint64_t miss_ns = 0, late_ns = 0;   // of all threads

	[[nodiscard]] std::uint64_t compute_ns() const { return ns - std::min(ns, stall_ns); }
};

class Meter {
public:
	static constexpr std::size_t kept = 16;

	// In the order in which they happened; of this stream's region.
	void see(const Event &event);
	void reach(const Position &position);
	// The run has paused, ended, or is another: the pass under way does not count.
	void cut();
	// What is measured from now on is another thing: passes before do not count.
	void restart();

	[[nodiscard]] const std::deque<MeasuredPass> &passes() const { return passes_; }
	[[nodiscard]] std::uint64_t counted() const { return counted_; } // since restart()
	// Medians of what is kept; nothing without a pass.
	[[nodiscard]] std::optional<std::uint64_t> pass_ns() const;
	[[nodiscard]] std::optional<std::uint64_t> compute_ns() const;
	// The mean time of a wait for the store that nothing had been hinted for.
	[[nodiscard]] std::optional<std::uint64_t> miss_ns() const;

private:
	std::deque<MeasuredPass> passes_;
	std::optional<MeasuredPass> now_;
	std::uint64_t pass_ = 0;
	std::uint32_t pid_ = 0;
	std::uint64_t ended_ns_ = 0; // the pass under way, where the runtime told
	std::uint64_t waited_until_ns_ = 0;
	std::uint64_t counted_ = 0;
	std::uint64_t misses_ = 0, miss_ns_ = 0; // ever
};

} // namespace itme
