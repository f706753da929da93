// SPDX-License-Identifier: GPL-2.0-only
// What a runtime guesses that it will read: how much of that is fetched, what of it was
// used, and whether guessing pays. Pure; it knows no clock and no kernel.
//
// Guesses have a budget: bytes a pass, as the plan leaves them, and granules at a time,
// as the window has room for beside what is certain. What the run has passed by unused
// was wasted. Where less than two of three are used guesses are not taken any more, but for
// a trial now and then.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace itme {

struct Guess {
	std::uint32_t granule = 0; // of the region
	std::uint32_t step = 0;    // of the program, that would read it
};

// Granules.
struct GuessCounts {
	std::uint64_t fetched = 0, used = 0, wasted = 0;
	std::uint64_t withheld = 0; // beyond the budget, or while guessing did not pay
};

class Guesses {
public:
	// By another plan: granules a pass, and at a time (fetched, and not used yet).
	void allow(std::uint64_t a_pass, std::uint32_t at_once);

	void begin_pass();
	// The run is at this step. What was guessed for steps before it, and is to be dropped.
	[[nodiscard]] std::vector<std::uint32_t> reach(std::uint32_t step);
	// Nobody reads any more: all of it is to be dropped.
	[[nodiscard]] std::vector<std::uint32_t> end();

	// Are any taken now?
	[[nodiscard]] bool open() const { return passes_off_ == 0 && a_pass_ > 0 && at_once_ > 0; }
	// Those of them that are to be fetched now.
	[[nodiscard]] std::vector<std::uint32_t> take(std::span<const Guess> guesses);
	// Of those: it was in memory already, or there was no room.
	void not_fetched(std::uint32_t granule);
	// A granule was used for the first time since it was fetched, or waited for: `ahead`,
	// while it was on its way.
	void see(std::uint64_t granule, bool ahead);

	[[nodiscard]] const GuessCounts &counts() const { return counts_; }
	// What came of them, in a sentence; "" where nothing was guessed.
	[[nodiscard]] std::string words() const;

private:
	struct Out {
		std::uint32_t granule = 0;
		std::uint64_t pass = 0; // that it is for
		std::uint32_t step = 0;
	};

	void settle(bool used);
	[[nodiscard]] std::vector<std::uint32_t> drop_before(std::uint64_t pass,
							     std::uint32_t step);

	std::uint64_t a_pass_ = 0, this_pass_ = 0;
	std::uint32_t at_once_ = 0;
	std::uint64_t pass_ = 0; // where the run is
	std::uint32_t step_ = 0;
	std::vector<Out> out_;                     // fetched, or on its way, and not used
	std::uint32_t settled_ = 0, good_ = 0;     // of the guesses that are judged now
	std::uint64_t pause_ = 0, passes_off_ = 0; // passes: of the next pause; left of this one
	GuessCounts counts_;
	std::string verdict_;
};

} // namespace itme
