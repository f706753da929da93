// SPDX-License-Identifier: GPL-2.0-only
// What a stream was given of a store that several share, in the time that the plan gives each
// fetch. Of two streams the one that is behind goes first, so that each comes on as the plan has
// it. After start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996).
#pragma once

#include <algorithm>
#include <cstdint>

namespace itme {

class Served {
public:
	// How far it is behind who was served most. At most so far: who has slept does not get
	// all of it back.
	[[nodiscard]] std::uint64_t behind_ns(std::uint64_t most_ns, std::uint64_t limit_ns)
	{
		served_ns_ = std::max(served_ns_, most_ns - std::min(most_ns, limit_ns));
		return most_ns - std::min(most_ns, served_ns_);
	}
	void add(std::uint64_t ns) { served_ns_ += ns; }
	[[nodiscard]] std::uint64_t ns() const { return served_ns_; }

private:
	std::uint64_t served_ns_ = 0;
};

} // namespace itme
