// SPDX-License-Identifier: GPL-2.0-only
#pragma once

#include <cstddef>
#include <filesystem>
#include <iterator>

// So many descriptors this process has.
inline std::size_t open_files()
{
	const std::filesystem::directory_iterator all{"/proc/self/fd"};

	return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}
