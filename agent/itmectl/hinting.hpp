// SPDX-License-Identifier: GPL-2.0-only
// A hint from its submission to its end. Hints belong to the open file that made
// them, so whoever makes one stays until it is complete, or is needed no more.
#pragma once

#include "itmectl/stop.hpp"
#include "itmectl/target.hpp"
#include "lib/residency.hpp"

#include <optional>

namespace itme {

struct HintReport {
	HintResult result = {};
	std::optional<Outcome> outcome = {}; // where it was waited for
	bool cancelled = false;              // by a signal, before it was complete
	TierShares shares{};                 // the granules of its range, at the end
};

// Submits it, waits for it where that is wanted, and looks where the range is then.
[[nodiscard]] Result<HintReport> carry_out_and_wait(const OpenRegion &region, const Hint &hint,
						    bool wait, const Stop &stop, Env &env);

// The granules that a hint's range touches.
[[nodiscard]] Result<std::vector<Granule>> granules_of(const OpenRegion &region, const Hint &hint);

// Why an entry of a HINT as a whole was refused.
[[nodiscard]] Error explain_hint(int err, const Hint &hint, const OpenRegion &region);

// Which of the causes kept refused bytes where they are.
[[nodiscard]] std::string refusal(const HintReport &report, const Hint &hint);

// A move to the tier of a prefetch that came to nothing because the frame is held:
// the module counts it as ready, for it is in memory. Granules.
[[nodiscard]] std::uint64_t held_elsewhere(const HintReport &report, const Hint &hint);

} // namespace itme
