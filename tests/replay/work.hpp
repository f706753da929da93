// SPDX-License-Identifier: GPL-2.0-only
// Busy work of a known amount. Not a wait for a time: what takes the processor
// away makes it longer, as it would a model's.
#pragma once

#include <cstdint>

namespace itme::replay {

void do_work(uint64_t units);

// Units that this machine does in a second while nothing disturbs it: the best
// of several tries.
[[nodiscard]] double work_rate();

} // namespace itme::replay
