// SPDX-License-Identifier: GPL-2.0-only
// Carries out one stream's plan in one region: what has been used goes in, the
// hints that are due come out. Pure; it knows no clock and no kernel.
//
// What is streamed has an order. A cursor stands behind the last of it that was
// used; hints are given for so many behind the cursor as there are slots, and no
// more. Each use is seen, because nothing that was fetched ahead is mapped before it
// is touched, and positions of the run tell where the cursor must be at least.
#pragma once

#include "lib/order.hpp"
#include "lib/position.hpp"

#include <cstdint>
#include <deque>
#include <vector>

namespace itme {

// One visit of a pass to a granule that is not resident when it begins.
struct Streamed {
	std::uint32_t granule = 0; // of the region
	std::uint32_t step = 0;    // of the program
	bool copied = false;       // from CXL memory, and back after its use; else from the store
};

struct DueHint {
	enum class Op : std::uint8_t {
		fetch, // ahead of its use
		drop,  // fetched, and the run has passed it by: forget it
		back,  // used, and its home is in CXL memory
	};
	Op op = Op::fetch;
	std::uint32_t granule = 0;
	std::uint64_t ticket = 0; // of fetch: for refused()
	std::uint64_t ahead = 0;  // of fetch: so many visits before its use
};

struct ExecutorCounts {
	std::uint64_t seen = 0;                 // accesses to what is streamed
	std::uint64_t strays = 0;               // of these, where the order does not have them
	std::uint64_t lost = 0;                 // times that the run was not where the order says
	std::uint64_t fetched = 0, dropped = 0; // hints
};

class Executor {
public:
	// Slots: granules of the window that this stream has, at least 1.
	Executor(std::vector<Streamed> order, std::uint32_t slots);
	// In the place of another one, for another plan of the same program: goes on counting,
	// and from where that one is. What that one has fetched is not dropped.
	Executor(std::vector<Streamed> order, std::uint32_t slots, const Executor &before);

	// An access to a granule of the region: waited for, or the first use. False where the
	// order does not have it.
	bool see(const Event &event);
	// The run has come to this step. Certain where the runtime itself says so; else it
	// is what a watched granule tells.
	void reach(std::uint32_t step, bool certain);
	// Whoever was followed has gone: what was fetched for it is dropped.
	void end();

	// What is to be done now; each is named once.
	[[nodiscard]] std::vector<DueHint> take();
	// There was no room for this fetch: it becomes due again with the next use.
	void refused(std::uint64_t ticket);

	// Does the run go as the order says? Before, and after it was lost, there are no hints.
	[[nodiscard]] bool follows() const { return follows_; }
	[[nodiscard]] const ExecutorCounts &counts() const { return counts_; }
	[[nodiscard]] std::uint32_t slots() const { return slots_; }
	// Visits from the one in use on that are fetched in advance: the slots but those in use,
	// at least 1, and no more than there are.
	[[nodiscard]] std::uint64_t ahead() const;
	[[nodiscard]] std::size_t streamed() const { return order_.size(); }

private:
	struct Out { // a hint that was given
		std::uint64_t visit = 0;
		bool used = false;
	};

	[[nodiscard]] const Streamed &at(std::uint64_t visit) const
	{
		return order_[visit % order_.size()];
	}
	[[nodiscard]] std::uint64_t first_of(std::uint32_t step) const;
	void move_to(std::uint64_t cursor);
	void note(bool hit);

	std::vector<Streamed> order_;
	Round round_; // of the same granules
	std::uint32_t slots_;
	std::uint64_t cursor_ = 0; // visits that are over or begun, over all passes
	std::uint64_t next_ = 0;   // visit that is hinted next
	std::uint64_t guess_ = 0;  // where it may be, while that is not sure
	std::uint32_t streak_ = 0; // accesses that agree with the guess
	std::uint32_t history_ = 0;
	bool follows_ = false;
	std::deque<Out> out_;
	std::vector<DueHint> due_;
	ExecutorCounts counts_;
};

} // namespace itme
