// SPDX-License-Identifier: GPL-2.0-only
// A schedule from whatever file a person has: a schedule, or a model.
#pragma once

#include "lib/derive.hpp"
#include "lib/error.hpp"
#include "lib/schedule.hpp"

#include <filesystem>

namespace itme {

[[nodiscard]] Result<Schedule> derive_file(const std::filesystem::path &path,
					   const DeriveOptions &options);

// A *.json that is no safetensors index is a schedule, all else a model.
[[nodiscard]] Result<Schedule> schedule_of(const std::filesystem::path &path,
					   const DeriveOptions &options);

} // namespace itme
