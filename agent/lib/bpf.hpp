// SPDX-License-Identifier: GPL-2.0-only
// What all users of libbpf in the agent share.
#pragma once

#include "lib/error.hpp"

#include <cstdint>

struct bpf_program;

namespace itme {

// libbpf prints nothing by itself any more. What the verifier has to say is kept for
// explain_load().
void silence_libbpf();

// Why programs could not be loaded, from a positive errno.
[[nodiscard]] Error explain_load(int err);

// Runs that the kernel left out, because the program was running already on that CPU.
[[nodiscard]] std::uint64_t left_out(const bpf_program *program);

} // namespace itme
