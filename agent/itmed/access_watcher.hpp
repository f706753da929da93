// SPDX-License-Identifier: GPL-2.0-only
// Has DAMON watch declared memory, by a process that waits for it, and tells the keeper what
// was seen.
#pragma once

#include "itmed/worker.hpp"
#include "lib/damon.hpp"
#include "lib/memory_keeper.hpp"

#include <cstdint>
#include <string>

namespace itme {

class AccessWatcher {
public:
	AccessWatcher(Loop &loop, Workers &workers, MemoryKeeper &memory);

	// What one that has died has left behind is given back by the first step.
	void start() { watches_ = damon_.has_ours(); }
	void step(std::uint64_t now_ns);
	[[nodiscard]] std::uint64_t next_ns() const;
	// Other memory is declared: look at once.
	void changed() { next_ns_ = 0; }
	// Nothing of ours is left in the kernel. Takes as long as one that is waiting, some
	// seconds at most.
	void end();
	// Why accesses are not seen; "" where they are.
	[[nodiscard]] const std::string &missing() const { return missing_; }

private:
	Loop &loop_;
	Workers &workers_;
	MemoryKeeper &memory_;
	Damon damon_;
	std::string missing_ = "nothing is declared";
	std::uint64_t next_ns_ = 0;
	bool waits_ = false, watches_ = false;
};

} // namespace itme
