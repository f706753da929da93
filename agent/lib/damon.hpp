// SPDX-License-Identifier: GPL-2.0-only
// Accesses to memory of programs as the kernel's DAMON samples them, by its sysfs. All its users
// share /sys/kernel/mm/damon/admin: ours are known by the odd intervals that they
// sample with, and where anybody else has any, nothing is touched.
#pragma once

#include "lib/error.hpp"
#include "lib/fd.hpp"
#include "lib/file.hpp"
#include "lib/json.hpp"
#include "lib/memory_plan.hpp"

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace itme {

// So many processes are watched at most, each by a kernel thread of its own.
inline constexpr std::size_t most_damon_targets = 16;

struct DamonTarget {
	int pid = 0;
	std::vector<MemoryRange> ranges; // sorted, apart from each other
};

// So much of a process, and in how many of 40 samples of 4 seconds it was accessed.
struct Accessed {
	std::uint64_t address = 0, bytes = 0;
	std::uint32_t accesses = 0;

	bool operator==(const Accessed &) const = default;
};

// The ranges sorted, and the nearest joined until they are few enough to be handed over.
[[nodiscard]] DamonTarget damon_target(int pid, std::vector<MemoryRange> ranges);

class Damon {
public:
	explicit Damon(const Path &root = "/") : admin_(root / "sys/kernel/mm/damon/admin/kdamonds")
	{
	}

	// Watches these and nothing else: all anew, unless it does so already. Fails with a
	// sentence where there is no DAMON, or where it is another's.
	Result<void> watch(std::span<const DamonTarget> targets);
	// Of each what was seen; of one that has ended, nothing. Waits for the end of the
	// samples that are being taken, some seconds.
	[[nodiscard]] Result<std::vector<std::vector<Accessed>>> read(std::size_t targets);
	// To be held while any of these is called; waits for who has it.
	[[nodiscard]] Fd lock() const;
	// Ends what is ours; what is another's goes on.
	void give_back();

	[[nodiscard]] bool has_ours() const { return count() > 0 && is_ours(); }

private:
	[[nodiscard]] Path kdamond(std::size_t number) const
	{
		return admin_ / std::to_string(number);
	}
	[[nodiscard]] std::uint64_t count() const;
	[[nodiscard]] bool is_ours() const;
	[[nodiscard]] bool watches(std::span<const DamonTarget> targets) const;
	[[nodiscard]] Result<void> set_up(const Path &kdamond, const DamonTarget &target) const;

	Path admin_;
};

// What `itmed --damon` is asked, and what it answers: DAMON makes who reads it wait.
[[nodiscard]] std::string damon_request(std::span<const DamonTarget> targets);
[[nodiscard]] Result<std::string> carry_out_damon(std::string_view request, Damon &damon);
[[nodiscard]] std::vector<std::vector<Accessed>> parse_damon_answer(std::string_view answer);

} // namespace itme
