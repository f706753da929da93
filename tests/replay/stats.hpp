// SPDX-License-Identifier: GPL-2.0-only
// Figures of a sample.
#pragma once

#include <vector>

namespace itme::replay {

// The value below which this share of the sample lies, 0 to 1, interpolated
// between the two nearest; 0 of no values.
[[nodiscard]] double quantile(std::vector<double> values, double share);

[[nodiscard]] inline double median(std::vector<double> values)
{
	return quantile(std::move(values), 0.5);
}

} // namespace itme::replay
