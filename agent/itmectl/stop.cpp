// SPDX-License-Identifier: GPL-2.0-only
#include "itmectl/stop.hpp"

#include <cerrno>
#include <chrono>
#include <ctime>

namespace itme {

namespace {

constexpr std::uint64_t second_ns = 1'000'000'000;

timespec to_timespec(std::uint64_t ns)
{
	return {.tv_sec = static_cast<time_t>(ns / second_ns),
		.tv_nsec = static_cast<long>(ns % second_ns)};
}

} // namespace

Stop::Stop()
{
	sigemptyset(&signals_);
	for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
		struct sigaction action{};

		if (sigaction(number, nullptr, &action) == 0 && action.sa_handler != SIG_IGN)
			sigaddset(&signals_, number);
	}
	sigprocmask(SIG_BLOCK, &signals_, &before_);
}

Stop::~Stop()
{
	// What came twice need not end the program after its report.
	while (asked())
		;
	sigprocmask(SIG_SETMASK, &before_, nullptr);
}

bool Stop::asked() const
{
	const timespec now{};

	return sigtimedwait(&signals_, nullptr, &now) > 0;
}

bool Stop::wait(std::optional<std::uint64_t> ns) const
{
	using clock = std::chrono::steady_clock;
	const auto start = clock::now();

	// EINTR is another signal's, as when the program was stopped and goes on.
	for (;;) {
		if (!ns) {
			if (sigwaitinfo(&signals_, nullptr) > 0)
				return true;
			if (errno != EINTR)
				return false;
			continue;
		}
		const auto gone = static_cast<std::uint64_t>(
			std::chrono::nanoseconds{clock::now() - start}.count());
		const auto left = to_timespec(*ns > gone ? *ns - gone : 0);
		if (sigtimedwait(&signals_, nullptr, &left) > 0)
			return true;
		if (errno != EINTR)
			return false;
	}
}

} // namespace itme
