// SPDX-License-Identifier: GPL-2.0-only
// Random numbers that a seed gives again on every machine: the distributions of
// the standard library may differ from one to the next.
#pragma once

#include <cstdint>
#include <random>

namespace itme::replay {

class Random {
public:
	explicit Random(uint64_t seed) : engine_(seed) {}

	// 0 to 1, without 1.
	[[nodiscard]] double unit() { return static_cast<double>(engine_() >> 11) * 0x1p-53; }

	// 0 to limit - 1.
	[[nodiscard]] uint64_t below(uint64_t limit)
	{
		return static_cast<uint64_t>(unit() * static_cast<double>(limit));
	}

private:
	std::mt19937_64 engine_;
};

} // namespace itme::replay
