// SPDX-License-Identifier: GPL-2.0-only
// What systemd is told; without it, nothing happens.
#pragma once

#include <cstdint>
#include <string>

namespace itme {

class Service {
public:
	Service();

	void ready(const std::string &status);
	void status(const std::string &status);
	void reloading();
	void stopping();
	// Says that itmed is alive, when half of systemd's patience is over.
	void beat(std::uint64_t now_ns);
	[[nodiscard]] std::uint64_t next_ns() const { return next_ns_; }

private:
	std::uint64_t every_ns_ = 0, next_ns_ = UINT64_MAX;
	std::string last_status_;
};

// To the journal or the terminal, with a level that systemd understands.
enum class Level { error = 3, warning = 4, notice = 5, info = 6 };
void log(Level level, const std::string &text);

} // namespace itme
