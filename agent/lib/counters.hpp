// SPDX-License-Identifier: GPL-2.0-only
// What the files of /sys/fs/itme mean, in the order in which a person reads them.
#pragma once

#include <span>
#include <string_view>

namespace itme {

struct Meaning {
	std::string_view name; // of the file
	std::string_view text;
};

struct MeaningGroup {
	std::string_view title;
	std::span<const Meaning> meanings;
};

[[nodiscard]] std::span<const MeaningGroup> meaning_groups();

} // namespace itme
