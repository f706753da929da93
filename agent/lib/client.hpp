// SPDX-License-Identifier: GPL-2.0-only
// Asking itmed.
#pragma once

#include "lib/file.hpp"
#include "lib/protocol.hpp"

#include <chrono>

namespace itme {

// Exit::unsupported where no itmed listens; its text says how to start one.
// One request a connection: what is asked is rare and small.
[[nodiscard]] Result<Json> ask_itmed(const Path &socket, const Request &request,
				     std::chrono::milliseconds patience = std::chrono::seconds{10});

} // namespace itme
