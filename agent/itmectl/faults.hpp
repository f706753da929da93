// SPDX-License-Identifier: GPL-2.0-only
// itmectl stat --bpf: faults as BPF sees them.
#pragma once

#include "itmectl/command.hpp"
#include "lib/telemetry.hpp"

namespace itme {

// Counts for so long, or until a signal, and prints.
[[nodiscard]] Result<void> watch_faults(Env &env, unsigned seconds, bool json);

void print_faults(std::ostream &out, const FaultCounts &counts);

} // namespace itme
