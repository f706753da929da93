// SPDX-License-Identifier: GPL-2.0-only
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace itme {

// Of two in the middle the larger one. There must be at least one value; they are moved about.
template <typename T> [[nodiscard]] T median(std::vector<T> &values)
{
	const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);

	std::ranges::nth_element(values, middle);
	return *middle;
}

} // namespace itme
