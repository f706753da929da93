// SPDX-License-Identifier: GPL-2.0-only
// One epoll: everything that itmed does begins with one of its callbacks.
#pragma once

#include "lib/clock.hpp"
#include "lib/error.hpp"
#include "lib/fd.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>

namespace itme {

class Loop {
public:
	using Callback = std::function<void(std::uint32_t events)>;

	[[nodiscard]] static Result<Loop> make();

	// The descriptor must stay open until remove(); events as in epoll(7).
	Result<void> add(int fd, std::uint32_t events, Callback callback);
	// False: it is not waited for, as one that was closed.
	bool change(int fd, std::uint32_t events);
	void remove(int fd);

	// Waits for events, or until then (CLOCK_MONOTONIC; UINT64_MAX: no end), and
	// calls what they are for. A callback may remove any descriptor.
	Result<void> turn(std::uint64_t until_ns);

private:
	Fd epoll_;
	std::map<int, std::shared_ptr<Callback>> callbacks_;
};

} // namespace itme
