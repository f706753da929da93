// SPDX-License-Identifier: GPL-2.0-only
#include "lib/memory_keeper.hpp"

#include "lib/size.hpp"

#include <algorithm>

namespace itme {

namespace {

constexpr std::size_t pieces_a_step = 4;
constexpr std::size_t looks_a_piece = 4; // pages: one of them elsewhere, and all are moved
constexpr std::uint32_t looks_until_idle = 3;
constexpr std::uint64_t most_bytes = 1ULL << 47;

std::vector<std::uint64_t> pages_of(const MemoryRange &piece, std::size_t count)
{
	const auto all = piece.bytes / page_bytes;
	const auto step = std::max<std::uint64_t>(all / count, 1) * page_bytes;
	std::vector<std::uint64_t> pages;

	for (auto at = piece.address; at < piece.address + piece.bytes && pages.size() < count;
	     at += step)
		pages.push_back(at);
	return pages;
}

Result<void> check(const MemoryDeclaration &declaration)
{
	auto sorted = declaration.ranges;

	if (declaration.pid <= 0)
		return fail("a process is named by its pid, above 0", Exit::usage);
	if (sorted.empty())
		return fail("no range is declared", Exit::usage);
	std::ranges::sort(sorted, {}, &MemoryRange::address);
	for (std::size_t i = 0; i < sorted.size(); i++) {
		const auto &range = sorted[i];

		if (range.bytes == 0 || range.address % page_bytes != 0 ||
		    range.bytes % page_bytes != 0)
			return fail("a range begins and ends at pages of 4096 bytes", Exit::usage);
		if (range.address >= most_bytes || range.bytes > most_bytes - range.address)
			return fail("a range lies beyond the address space of programs",
				    Exit::usage);
		if (i > 0 && sorted[i - 1].address + sorted[i - 1].bytes > range.address)
			return fail("ranges overlap", Exit::usage);
	}
	return {};
}

} // namespace

Result<void> MemoryKeeper::declare(const MemoryDeclaration &declaration)
{
	if (auto good = check(declaration); !good)
		return good;
	if (auto allowed = may(declaration); !allowed)
		return allowed;
	if (nodes_.dram.empty() || nodes_.cxl.empty())
		return fail("there is no CXL memory: no NUMA node without CPUs has any; itmectl "
			    "doctor tells more",
			    Exit::unsupported);

	Process process{.declaration = declaration};
	for (const auto &piece : cut(declaration.ranges))
		process.pieces.push_back({.range = piece});
	settle_homes(process);
	if (!look_at(process))
		return fail("no process " + std::to_string(declaration.pid) +
			    ", or it may not be looked at");
	processes_[declaration.pid] = std::move(process);
	return {};
}

bool MemoryKeeper::forget(int pid)
{
	return processes_.erase(pid) > 0;
}

Result<void> MemoryKeeper::forget_own(int pid)
{
	const auto found = processes_.find(pid);

	if (found == processes_.end())
		return {};
	if (!found->second.declaration.user)
		return fail("root has declared the memory of its process");
	processes_.erase(found);
	return {};
}

// What is kept of each piece is itmed's memory, and looking at it its time: nobody has more
// pieces kept than there can be.
Result<void> MemoryKeeper::may(const MemoryDeclaration &declaration) const
{
	std::uint64_t left = nodes_.bytes;

	if (!declaration.user)
		return {};
	for (const auto &[pid, process] : processes_) {
		if (pid == declaration.pid) {
			if (!process.declaration.user)
				return fail("root has declared the memory of its process");
		} else if (process.declaration.user == declaration.user) {
			for (const auto &range : process.declaration.ranges)
				left -= std::min(left, range.bytes);
		}
	}
	for (const auto &range : declaration.ranges) {
		if (range.bytes > left)
			return fail("its user would have declared more than the machine's memory");
		left -= range.bytes;
	}
	return {};
}

MemoryKeeper::At MemoryKeeper::tier_of(int node) const
{
	if (node < 0)
		return At::nowhere;
	return std::ranges::find(nodes_.cxl, node) != nodes_.cxl.end() ? At::cxl : At::dram;
}

// Of each piece some pages, all in one call. A piece is where most of it should not be, if any is.
bool MemoryKeeper::look_at(Process &process)
{
	std::vector<std::uint64_t> addresses;

	for (const auto &piece : process.pieces)
		for (const auto page : pages_of(piece.range, looks_a_piece))
			addresses.push_back(page);
	const auto nodes = pages_.look(process.declaration.pid, addresses);
	if (!nodes)
		return false;

	std::size_t i = 0;
	for (auto &piece : process.pieces) {
		const auto wanted = piece.home == Home::dram ? At::dram : At::cxl;

		piece.tried = false;
		piece.at = At::nowhere;
		for (std::size_t k = pages_of(piece.range, looks_a_piece).size(); k > 0; k--, i++) {
			const auto at = tier_of((*nodes)[i]);

			if (at != At::nowhere && (piece.at == At::nowhere || at != wanted))
				piece.at = at;
		}
	}
	return true;
}

void MemoryKeeper::look()
{
	for (auto entry = processes_.begin(); entry != processes_.end();)
		entry = look_at(entry->second) ? std::next(entry) : processes_.erase(entry);
}

std::vector<const MemoryDeclaration *> MemoryKeeper::declarations() const
{
	std::vector<const MemoryDeclaration *> all;

	for (const auto &[pid, process] : processes_)
		all.push_back(&process.declaration);
	return all;
}

void MemoryKeeper::hear(int pid, std::span<const Accessed> seen)
{
	const auto found = processes_.find(pid);
	std::vector<MemoryRange> accessed;

	if (found == processes_.end() || seen.empty())
		return;
	for (const auto &region : seen)
		if (region.accesses > 0)
			accessed.push_back({region.address, region.bytes});
	std::ranges::sort(accessed, {}, &MemoryRange::address);
	auto &process = found->second;
	process.watched = true;
	for (auto &piece : process.pieces) {
		const auto &range = piece.range;
		// The last that begins before the piece's end: they do not overlap.
		const auto next = std::ranges::lower_bound(accessed, range.address + range.bytes,
							   {}, &MemoryRange::address);
		const bool touched =
			next != accessed.begin() &&
			std::prev(next)->address + std::prev(next)->bytes > range.address;

		piece.quiet = touched ? 0 : std::min(piece.quiet + 1, looks_until_idle);
	}
	if (!process.declaration.ordered)
		make_idle_leave(process);
}

void MemoryKeeper::make_idle_leave(Process &process)
{
	std::vector<Home> homes;
	std::vector<bool> idle;

	for (const auto &piece : process.pieces) {
		homes.push_back(piece.home);
		idle.push_back(piece.quiet == looks_until_idle);
	}
	for (const auto &[leaves, comes] : swaps(homes, idle)) {
		std::swap(process.pieces[leaves].home, process.pieces[comes].home);
		std::swap(process.pieces[leaves].node, process.pieces[comes].node);
	}
}

void MemoryKeeper::settle_homes(Process &process) const
{
	std::vector<MemoryRange> ranges;
	std::size_t in_cxl = 0, in_dram = 0;

	for (const auto &piece : process.pieces)
		ranges.push_back(piece.range);
	const auto homes = memory_homes(ranges, process.declaration.dram_bytes);
	for (std::size_t i = 0; i < homes.size(); i++) {
		const bool dram = homes[i] == Home::dram;
		const auto &nodes = dram ? nodes_.dram : nodes_.cxl;
		auto &turn = dram ? in_dram : in_cxl;

		process.pieces[i].home = dram ? Home::dram : Home::cxl;
		process.pieces[i].node = nodes[turn++ % nodes.size()];
	}
}

void MemoryKeeper::set_dram(int pid, std::uint64_t bytes)
{
	const auto found = processes_.find(pid);

	if (found == processes_.end() || found->second.declaration.dram_bytes == bytes ||
	    nodes_.dram.empty() || nodes_.cxl.empty())
		return;
	auto &process = found->second;
	process.declaration.dram_bytes = bytes;
	settle_homes(process);
	if (!process.declaration.ordered)
		make_idle_leave(process);
}

std::uint64_t MemoryKeeper::dram_bytes(int pid) const
{
	const auto found = processes_.find(pid);

	return found == processes_.end() ? 0 : bytes_at(found->second, At::dram);
}

std::uint64_t MemoryKeeper::read_bytes(int pid) const
{
	const auto found = processes_.find(pid);
	std::uint64_t bytes = 0;

	if (found != processes_.end())
		for (const auto &piece : found->second.pieces)
			if (found->second.declaration.ordered || piece.quiet < looks_until_idle)
				bytes += piece.range.bytes;
	return bytes;
}

std::uint64_t MemoryKeeper::bytes_at(const Process &process, At at) const
{
	std::uint64_t bytes = 0;

	for (const auto &piece : process.pieces)
		if (piece.at == at)
			bytes += piece.range.bytes;
	return bytes;
}

// First what has to leave DRAM: the share is for those that are to be there.
MemoryKeeper::Piece *MemoryKeeper::next(Process &process)
{
	for (const auto leaving : {true, false})
		for (auto &piece : process.pieces)
			if (!piece.tried && (piece.home == Home::cxl) == leaving &&
			    piece.at == (leaving ? At::dram : At::cxl))
				return &piece;
	return nullptr;
}

// False where the process has ended.
bool MemoryKeeper::move(Process &process, Piece &piece)
{
	const auto pages = pages_of(piece.range, piece.range.bytes / page_bytes);
	const auto wanted = piece.home == Home::dram ? At::dram : At::cxl;

	piece.tried = true;
	if (wanted == At::dram &&
	    bytes_at(process, At::dram) + piece.range.bytes > process.declaration.dram_bytes)
		return true; // what was to leave is held
	const auto nodes = pages_.move(process.declaration.pid, pages, piece.node,
				       process.declaration.user ? Whose::own : Whose::all);
	if (!nodes)
		return nodes.error() != ESRCH;

	std::uint64_t moved = 0;
	for (const auto node : *nodes)
		if (tier_of(node) == wanted) {
			process.moved_to[node] += page_bytes;
			moved++;
		}
	const auto absent = static_cast<std::uint64_t>(std::ranges::count(*nodes, -ENOENT));
	(wanted == At::dram ? process.to_dram_bytes : process.to_cxl_bytes) += moved * page_bytes;
	process.failed_bytes += (nodes->size() - moved - absent) * page_bytes;
	if (moved + absent == nodes->size())
		piece.at = wanted;
	return true;
}

bool MemoryKeeper::step()
{
	std::size_t left = pieces_a_step;

	for (auto entry = processes_.begin(); entry != processes_.end();) {
		bool alive = true;
		Piece *piece = nullptr;

		while (alive && left > 0 && (piece = next(entry->second))) {
			alive = move(entry->second, *piece);
			left--;
		}
		entry = alive ? std::next(entry) : processes_.erase(entry);
	}
	return left == 0;
}

Json MemoryKeeper::to_json() const
{
	Json json{{"processes", Json::array()}};

	for (const auto &[pid, process] : processes_) {
		std::uint64_t bytes = 0, misplaced = 0, idle = 0;
		auto moved_to = Json::array();

		for (const auto &piece : process.pieces) {
			bytes += piece.range.bytes;
			idle += piece.quiet == looks_until_idle ? piece.range.bytes : 0;
			if (piece.at != At::nowhere &&
			    (piece.at == At::dram) != (piece.home == Home::dram))
				misplaced += piece.range.bytes;
		}
		for (const auto &[node, moved] : process.moved_to)
			moved_to.push_back({{"node", node}, {"bytes", moved}});
		json["processes"].push_back({
			{"pid", pid},
			{"ranges", process.declaration.ranges.size()},
			{"bytes", bytes},
			{"dram_budget_bytes", process.declaration.dram_bytes},
			{"dram_bytes", bytes_at(process, At::dram)},
			{"cxl_bytes", bytes_at(process, At::cxl)},
			{"misplaced_bytes", misplaced},
			{"to_dram_bytes", process.to_dram_bytes},
			{"to_cxl_bytes", process.to_cxl_bytes},
			{"failed_bytes", process.failed_bytes},
			{"moved_to", moved_to},
			{"order", process.declaration.ordered ? "declared" : "unknown"},
			{"touched_bytes", process.watched ? Json(bytes - idle) : Json()},
			{"idle_bytes", process.watched ? Json(idle) : Json()},
		});
	}
	return json;
}

} // namespace itme
