// SPDX-License-Identifier: GPL-2.0-only
#include "replay/stats.hpp"

#include <algorithm>
#include <cmath>

namespace itme::replay {

double quantile(std::vector<double> values, double share)
{
	if (values.empty())
		return 0;
	std::ranges::sort(values);

	const double place = share * static_cast<double>(values.size() - 1);
	const auto below = static_cast<size_t>(std::floor(place));
	const size_t above = std::min(below + 1, values.size() - 1);
	return std::lerp(values[below], values[above], place - std::floor(place));
}

} // namespace itme::replay
