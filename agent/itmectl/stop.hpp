// SPDX-License-Identifier: GPL-2.0-only
// How a command that goes on until somebody stops it hears of that.
#pragma once

#include <csignal>
#include <cstdint>
#include <optional>

namespace itme {

// While it lives SIGINT, SIGTERM and SIGHUP are asked for here, and end nothing by
// themselves. One that was ignored before stays so, as nohup(1) wants it.
class Stop {
public:
	Stop();
	Stop(const Stop &) = delete;
	Stop &operator=(const Stop &) = delete;
	~Stop();

	// Has a signal come since the last time?
	[[nodiscard]] bool asked() const;
	// Waits for a signal, or so long. Was it a signal?
	bool wait(std::optional<std::uint64_t> ns) const;

private:
	sigset_t signals_{}, before_{};
};

} // namespace itme
