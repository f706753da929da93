// SPDX-License-Identifier: GPL-2.0-only
#include "replay/work.hpp"

#include "replay/clock.hpp"

#include <algorithm>

namespace itme::replay {

void do_work(uint64_t units)
{
	uint64_t state = 1;

	for (uint64_t i = 0; i < units; i++)
		state = state * 6364136223846793005 + 1442695040888963407;
	// Its result is taken, so that the loop is not left out.
	asm volatile("" : : "r"(state));
}

double work_rate()
{
	constexpr int tries = 7;
	constexpr double least_s = 0.02;
	uint64_t units = 1 << 16;
	double best = 0;

	for (int i = 0; i < tries;) {
		const Stopwatch watch;
		do_work(units);
		const double seconds = watch.seconds();

		if (seconds < least_s) {
			units *= 2;
			continue;
		}
		best = std::max(best, static_cast<double>(units) / seconds);
		i++;
	}
	return best;
}

} // namespace itme::replay
