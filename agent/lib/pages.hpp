// SPDX-License-Identifier: GPL-2.0-only
// Pages of other processes: on which node they are, and moving them, by libnuma.
#pragma once

#include "lib/file.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace itme {

// Which pages may be moved: those that no other process maps, or all.
enum class Whose : std::uint8_t { own, all };

// An interface, so that tests can stand in for the kernel.
class Pages {
public:
	virtual ~Pages() = default;

	// The node of each page, or a negative errno: -ENOENT where none is there yet.
	[[nodiscard]] virtual Sys<std::vector<int>>
	look(int pid, std::span<const std::uint64_t> addresses) = 0;
	// Moves the pages to the node: likewise, where they are then. -EBUSY: held; -EACCES:
	// another process maps it, too.
	[[nodiscard]] virtual Sys<std::vector<int>>
	move(int pid, std::span<const std::uint64_t> addresses, int node, Whose whose) = 0;
};

// Needs CAP_SYS_NICE and, for processes of others, CAP_SYS_PTRACE. ESRCH: no such process.
class KernelPages final : public Pages {
public:
	[[nodiscard]] Sys<std::vector<int>> look(int pid,
						 std::span<const std::uint64_t> addresses) override;
	[[nodiscard]] Sys<std::vector<int>> move(int pid, std::span<const std::uint64_t> addresses,
						 int node, Whose whose) override;
};

} // namespace itme
