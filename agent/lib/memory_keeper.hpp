// SPDX-License-Identifier: GPL-2.0-only
// The runtime's own memory, declared and kept where its plan wants it: the first so many
// bytes of each pass in DRAM would be as bad as any other; they are spread evenly, and stay.
// Of a reader who says where he is some may come and go: see MemoryStream.
#pragma once

#include "lib/damon.hpp"
#include "lib/error.hpp"
#include "lib/json.hpp"
#include "lib/memory_plan.hpp"
#include "lib/memory_stream.hpp"
#include "lib/pages.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace itme {

struct MemoryDeclaration {
	int pid = 0;
	std::vector<MemoryRange> ranges; // in the order in which each pass reads them
	std::uint64_t dram_bytes = 0;    // of them, at most so many in DRAM
	// An instance whose DRAM budget it shares: dram_bytes is then itmed's to say. "": none.
	std::string share = {};
	bool ordered = true; // else what is idle leaves DRAM for what is not
	// Who has declared its own memory, by libitme; none: root, that of any process. It
	// has only its own pages moved, and does not change what root has declared.
	std::optional<std::uint32_t> user = {};

	bool operator==(const MemoryDeclaration &) const = default;
};

struct MemoryNodes {
	std::vector<int> dram, cxl; // frames of the second interleave
	std::uint64_t bytes = 0;    // of all: no user declares more
};

// Pages that are to be moved, by whoever may wait for it.
struct MemoryMove {
	int pid = 0;
	std::uint64_t declaration = 0; // the keeper's number for it
	std::size_t piece = 0;
	bool to_dram = false;
	std::vector<std::uint64_t> pages = {};
	int node = 0;
	Whose whose = Whose::own;
};

class MemoryKeeper {
public:
	MemoryKeeper(Pages &pages, MemoryNodes nodes) : pages_(pages), nodes_(std::move(nodes)) {}

	// Where there is memory now.
	void use(MemoryNodes nodes) { nodes_ = std::move(nodes); }

	// Takes the place of what the process had declared before, unless that was the same. Fails
	// with a sentence.
	Result<void> declare(const MemoryDeclaration &declaration);
	// Leaves its pages where they are, to the kernel. False where it had declared nothing.
	bool forget(int pid);
	// The same for who declares his own memory.
	Result<void> forget_own(int pid);

	// What is where? To be asked about once a second: pages come with their first touch, and
	// the kernel moves them too. Forgets processes that have ended.
	void look(std::uint64_t now_ns);
	// What was accessed of a process in the last seconds, all of it that was looked at.
	void hear(int pid, std::span<const Accessed> seen);
	// A process begins to read at this byte of what it has declared. Fails with a sentence's
	// end.
	Result<void> at(int pid, std::uint64_t offset, std::uint64_t now_ns);
	// What is to be moved now. One at a time: what became of it is told before the next.
	[[nodiscard]] std::optional<MemoryMove> next(std::uint64_t now_ns);
	// `nodes` as Pages::move() has it.
	void moved(const MemoryMove &move, const Sys<std::vector<int>> &nodes,
		   std::uint64_t took_ns);

	// Another share of DRAM for what is declared already.
	void set_dram(int pid, std::uint64_t bytes);
	// So much of it is there, as far as was looked.
	[[nodiscard]] std::uint64_t dram_bytes(int pid) const;
	// So much of it a pass reads: what is idle is not counted where no order is declared.
	[[nodiscard]] std::uint64_t read_bytes(int pid) const;

	[[nodiscard]] bool empty() const { return processes_.empty(); }
	[[nodiscard]] std::vector<const MemoryDeclaration *> declarations() const;
	// What `itmectl memory` shows.
	[[nodiscard]] Json to_json() const;

private:
	enum class At : std::uint8_t { nowhere, dram, cxl };
	struct Piece {
		MemoryRange range;
		Home home = Home::cxl;           // unless it is streamed
		int dram_node = 0, cxl_node = 0; // where it goes in either
		At at = At::nowhere;
		bool held = false; // at the last try since a look: it is not tried again and again
		std::uint32_t quiet = 0; // looks without an access, one after the other
	};
	struct Process {
		MemoryDeclaration declaration;
		std::uint64_t number = 0;
		std::vector<Piece> pieces = {};
		std::uint64_t dram_bytes = 0; // of pieces that are there
		std::optional<MemoryStream> stream = {};
		std::uint64_t to_dram_bytes = 0, to_cxl_bytes = 0, failed_bytes = 0;
		std::map<int, std::uint64_t> moved_to = {}; // node -> bytes
		bool watched = false;                       // something was heard of it
	};

	[[nodiscard]] Result<void> may(const MemoryDeclaration &declaration) const;
	[[nodiscard]] At tier_of(int node) const;
	void settle_homes(Process &process) const;
	static void make_idle_leave(Process &process);
	[[nodiscard]] bool look_at(Process &process);
	static bool belongs_in_dram(const Process &process, std::size_t piece);
	static void put(Process &process, Piece &piece, At at);
	static std::uint64_t misplaced_bytes(const Process &process);
	static std::optional<MemoryStream::Step> next_of(const Process &process,
							 std::uint64_t now_ns);

	Pages &pages_;
	MemoryNodes nodes_;
	std::map<int, Process> processes_;
	std::uint64_t declared_ = 0; // so many, up to now
	int last_ = 0;               // process of which a piece was moved
};

} // namespace itme
