// SPDX-License-Identifier: GPL-2.0-only
// What all users of libbpf in the agent share.
#pragma once

#include "lib/error.hpp"

#include <cstdint>

struct bpf_program;

namespace itme {

// libbpf says nothing by itself any more: what it has to say is in the errors.
void silence_libbpf();

// Why programs could not be loaded, from a positive errno.
[[nodiscard]] Error explain_load(int err);

// Runs that the kernel left out, because the program was running already on that CPU.
[[nodiscard]] std::uint64_t left_out(const bpf_program *program);

} // namespace itme
