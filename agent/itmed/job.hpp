// SPDX-License-Identifier: GPL-2.0-only
// One thing to restore: a mount, or a region in it. Each is carried out by a
// process of its own, because a budget takes seconds to allocate and a store
// on a dead server never answers.
#pragma once

#include "itmed/config.hpp"
#include "lib/error.hpp"
#include "lib/json.hpp"

#include <optional>
#include <string>

namespace itme {

struct Job {
	Path mount;
	std::string options;                // of the mount
	std::optional<AttachConfig> attach; // else the job is the mount itself
};

// Mounts or attaches; what is there already is no error.
[[nodiscard]] Result<void> carry_out(const Job &job);

// For the command line of the process that carries it out, and back.
[[nodiscard]] std::string job_text(const Job &job);
[[nodiscard]] Result<Job> parse_job(const std::string &text);

} // namespace itme
