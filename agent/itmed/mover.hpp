// SPDX-License-Identifier: GPL-2.0-only
// Moves pages beside the loop, which does not wait for what a slow tier takes. A thread, since
// pages of another process can be moved by any thread, and nothing else is shared with it.
#pragma once

#include "itmed/loop.hpp"
#include "lib/memory_keeper.hpp"
#include "lib/pages.hpp"

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

namespace itme {

class Mover {
public:
	using Done = std::function<void(const MemoryMove &move, const Sys<std::vector<int>> &nodes,
					std::uint64_t took_ns)>;

	// Calls done from the loop.
	Mover(Loop &loop, Pages &pages, Done done);
	Mover(const Mover &) = delete;
	Mover &operator=(const Mover &) = delete;
	~Mover(); // waits for the move that is under way

	// Fails where there is no thread.
	Result<void> start();
	// Only while it is not busy.
	void move(MemoryMove move);
	[[nodiscard]] bool busy() const { return busy_; }

private:
	struct Outcome {
		MemoryMove move;
		Sys<std::vector<int>> nodes;
		std::uint64_t took_ns = 0;
	};

	void work(const std::stop_token &stop);
	void finished();

	Loop &loop_;
	Pages &pages_;
	Done done_;
	Fd told_; // an eventfd: there is an outcome
	bool busy_ = false;

	std::mutex mutex_; // of the two
	std::condition_variable_any changed_;
	std::optional<MemoryMove> wanted_;
	std::optional<Outcome> outcome_;

	std::jthread thread_; // ends first
};

} // namespace itme
