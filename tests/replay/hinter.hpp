// SPDX-License-Identifier: GPL-2.0-only
// The hints of a replay: what is pinned, what is asked for ahead, what is let go.
#pragma once

#include "replay/program.hpp"
#include "replay/random.hpp"
#include "replay/region.hpp"

#include <memory>
#include <set>
#include <span>

namespace itme::replay {

struct HintPlan {
	size_t ahead = 0;     // prefetch the item so many positions ahead
	bool release = false; // let go what was read, unless it comes again within `ahead`
	Sureness sureness = Sureness::exact;
	std::vector<uint32_t> pinned = {}; // items: in memory all the time

	bool needs = false;       // ask for a burst as a whole, when it begins
	bool ready_first = false; // then read first what of it is in memory
	size_t guesses = 0;       // and guess so many items of the next burst, through libitme,
	double right = 1;         // each right with this probability
	uint64_t seed = 1;        // of these

	[[nodiscard]] bool any() const
	{
		return ahead > 0 || release || !pinned.empty() || needs || guesses > 0;
	}
};

// What a position of the sequence asks for and lets go: items, none of them pinned.
struct HintStep {
	std::vector<uint32_t> prefetch, release;
};

// Pure: turns a plan and a sequence into steps.
class HintSteps {
public:
	HintSteps(HintPlan plan, const std::vector<uint32_t> &sequence, size_t items);

	// Before the item at this position is read. Positions come in order, from 0.
	[[nodiscard]] HintStep at(size_t position);

private:
	HintPlan plan_;
	const std::vector<uint32_t> &sequence_;
	std::vector<bool> pinned_;
	size_t asked_ = 0; // positions before this one have been prefetched
	std::multiset<uint32_t> coming_;
};

// Carries steps out.
class Hinter {
public:
	virtual ~Hinter() = default;
	[[nodiscard]] virtual Result<void> pin(const std::vector<Item> &items) = 0;
	[[nodiscard]] virtual Result<void> hint(const std::vector<Item> &prefetch,
						const std::vector<Item> &release) = 0;
	// Of what may come; where it is no region, nothing.
	[[nodiscard]] virtual Result<void> guess(const std::vector<Item> &items) = 0;
	// Which of them are in memory as a whole; where it is no region, all.
	[[nodiscard]] virtual Result<std::vector<bool>> ready(const std::vector<Item> &items) = 0;
};

// So many items that may be those of a burst: each is one of these with a probability.
[[nodiscard]] std::vector<uint32_t> guess_burst(const HintPlan &plan, const Burst &burst,
						std::span<const uint32_t> picked, Random &source);

// The same items, those that are ready first; else in their order.
[[nodiscard]] std::vector<uint32_t> ready_first(const std::vector<uint32_t> &items,
						const std::vector<bool> &ready);

// On a region by the module's HINT, on any other file by posix_fadvise. That has no
// pins: open_mapped() locks them.
[[nodiscard]] Result<std::unique_ptr<Hinter>> open_hinter(const Path &path, Sureness sureness);

} // namespace itme::replay
