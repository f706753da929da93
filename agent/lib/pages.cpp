// SPDX-License-Identifier: GPL-2.0-only
#include "lib/pages.hpp"

#include <algorithm>
#include <cerrno>
#include <numa.h>
#include <numaif.h>

namespace itme {

namespace {

Sys<std::vector<int>> ask(int pid, std::span<const std::uint64_t> addresses, const int *nodes,
			  int flags)
{
	std::vector<void *> pages;
	std::vector<int> status(addresses.size(), -ENOENT);

	pages.reserve(addresses.size());
	for (const auto address : addresses)
		pages.push_back(reinterpret_cast<void *>(address)); // of another process
	// More than 0: so many were not moved; their status says why.
	if (numa_move_pages(pid, pages.size(), pages.data(), nodes, status.data(), flags) < 0)
		return std::unexpected(errno);
	return status;
}

} // namespace

Sys<std::vector<int>> KernelPages::look(int pid, std::span<const std::uint64_t> addresses)
{
	return ask(pid, addresses, nullptr, 0);
}

Sys<std::vector<int>> KernelPages::move(int pid, std::span<const std::uint64_t> addresses, int node,
					Whose whose)
{
	const std::vector<int> nodes(addresses.size(), node);
	auto there = ask(pid, addresses, nodes.data(),
			 whose == Whose::own ? MPOL_MF_MOVE : MPOL_MF_MOVE_ALL);

	// Of a huge page the second one is held, by the first, with which it goes.
	if (there && std::ranges::find(*there, -EBUSY) != there->end())
		if (const auto now = look(pid, addresses))
			for (std::size_t i = 0; i < there->size(); i++)
				if ((*there)[i] == -EBUSY && (*now)[i] == node)
					(*there)[i] = node;
	return there;
}

} // namespace itme
