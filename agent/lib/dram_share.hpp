// SPDX-License-Identifier: GPL-2.0-only
// The budget of DRAM of an instance, shared with the own memory of a program: carries a division
// out, step by step, so that both together never have more than the budget.
#pragma once

#include "lib/division.hpp"
#include "lib/file.hpp"
#include "lib/json.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace itme {

class DramShare {
public:
	// Of the instance in this folder of sysfs, as it has it now.
	explicit DramShare(Path instance) : instance_(std::move(instance)) {}

	// What is best now; or nothing, where nothing is known of the regions: they keep what
	// they have. Little is not moved for.
	void want(const std::optional<Division> &division, const std::string &why);
	// The next step. `memory_bytes`: so much of the memory is in DRAM. Returns how much of it
	// may be. To be called every second or so.
	[[nodiscard]] std::uint64_t step(std::uint64_t memory_bytes);
	// Back to the instance, all of it.
	void give_back();

	// The budget that is shared; 0: the instance is not there any more.
	[[nodiscard]] std::uint64_t whole_bytes() const { return whole_; }
	[[nodiscard]] Json to_json() const;

private:
	void look();
	void set_frames(std::uint64_t bytes);

	Path instance_;
	std::uint64_t whole_ = 0;  // as the operator has set it
	std::uint64_t frames_ = 0; // of it the frames', as sysfs was told
	std::uint64_t wanted_ = 0; // for the memory
	std::uint64_t granted_ = 0;
	std::optional<Division> division_;
	std::string why_ = "nothing is divided yet";
};

} // namespace itme
