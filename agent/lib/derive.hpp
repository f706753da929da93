// SPDX-License-Identifier: GPL-2.0-only
// A schedule from a model's headers: tensors in the order in which a pass of
// decoding reads them, which is not the order in which they lie in the file.
#pragma once

#include "lib/model.hpp"
#include "lib/schedule.hpp"

namespace itme {

struct DeriveOptions {
	uint64_t context_tokens = 0; // above 0: a KV region for so many tokens, read by every pass
	uint32_t experts_used = 0;   // instead of what the headers say
};

[[nodiscard]] Result<Schedule> derive(const Model &model, const DeriveOptions &options);

} // namespace itme
