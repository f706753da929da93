// SPDX-License-Identifier: GPL-2.0-only
// Declared memory that shares the DRAM of an instance: divided by one plan with the
// regions, carried out, and given back.
#pragma once

#include "lib/conductor.hpp"
#include "lib/dram_share.hpp"
#include "lib/memory_keeper.hpp"

#include <cstdint>
#include <map>
#include <string>

namespace itme {

class MemoryShares {
public:
	// `file`: what one that has died had set is known from there.
	MemoryShares(const Conductor &conductor, MemoryKeeper &memory, Path file);

	// Gives back what one that has died had set.
	void start();
	// "" or why it may not be shared.
	[[nodiscard]] Result<void> check(const MemoryDeclaration &declaration) const;
	void step(std::uint64_t now_ns);
	// Gives all back.
	void end();
	[[nodiscard]] std::uint64_t next_ns() const
	{
		return shares_.empty() ? UINT64_MAX : next_ns_;
	}
	// A declaration has come, or has gone.
	void changed();
	[[nodiscard]] Json to_json() const;

private:
	struct Share {
		std::string instance;
		DramShare dram;
		std::uint64_t divide_ns = 0; // when it is divided anew
	};

	void divide(int pid, Share &share) const;
	void keep() const;

	const Conductor &conductor_;
	MemoryKeeper &memory_;
	Path file_;
	std::map<int, Share> shares_; // by pid
	std::uint64_t next_ns_ = 0;
};

} // namespace itme
