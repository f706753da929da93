// SPDX-License-Identifier: GPL-2.0-only
#include "lib/memory_keeper.hpp"

#include "lib/size.hpp"

#include <algorithm>

namespace itme {

namespace {

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

	const auto found = processes_.find(declaration.pid);
	if (found != processes_.end() && found->second.declaration == declaration)
		return {};

	Process process{.declaration = declaration, .number = ++declared_};
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

	std::size_t i = 0, number = 0;
	for (auto &piece : process.pieces) {
		const auto wanted = belongs_in_dram(process, number++) ? At::dram : At::cxl;
		auto found = At::nowhere;

		piece.held = false;
		for (std::size_t k = pages_of(piece.range, looks_a_piece).size(); k > 0; k--, i++) {
			const auto at = tier_of((*nodes)[i]);

			if (at != At::nowhere && (found == At::nowhere || at != wanted))
				found = at;
		}
		put(process, piece, found);
	}
	return true;
}

// Of what is streamed, those that stay: the others are there for a while.
bool MemoryKeeper::belongs_in_dram(const Process &process, std::size_t piece)
{
	return process.stream && process.stream->streams()
		       ? process.stream->is_resident(piece)
		       : process.pieces[piece].home == Home::dram;
}

void MemoryKeeper::put(Process &process, Piece &piece, At at)
{
	process.dram_bytes -= piece.at == At::dram ? piece.range.bytes : 0;
	process.dram_bytes += at == At::dram ? piece.range.bytes : 0;
	piece.at = at;
}

// What is streamed is where it should be, wherever it is.
std::uint64_t MemoryKeeper::misplaced_bytes(const Process &process)
{
	const bool streams = process.stream && process.stream->streams();
	std::uint64_t bytes = 0;

	for (std::size_t i = 0; i < process.pieces.size(); i++) {
		const auto &piece = process.pieces[i];
		const bool in_dram = belongs_in_dram(process, i);

		if (piece.at == (in_dram ? At::cxl : At::dram) && (in_dram || !streams))
			bytes += piece.range.bytes;
	}
	return bytes;
}

void MemoryKeeper::look(std::uint64_t now_ns)
{
	for (auto entry = processes_.begin(); entry != processes_.end();) {
		auto &process = entry->second;

		if (!look_at(process)) {
			entry = processes_.erase(entry);
			continue;
		}
		// Somebody else moves some pages now and then: passes are measured all the same.
		if (process.stream)
			process.stream->look(misplaced_bytes(process) <=
						     process.declaration.dram_bytes / 16,
					     now_ns);
		entry++;
	}
}

Result<void> MemoryKeeper::at(int pid, std::uint64_t offset, std::uint64_t now_ns)
{
	const auto found = processes_.find(pid);

	if (found == processes_.end())
		return fail("its process has declared no memory");
	auto &process = found->second;
	if (!process.declaration.ordered)
		return fail("its process has declared memory without an order");
	if (!process.stream) {
		std::vector<MemoryRange> ranges;
		std::vector<bool> placed;

		for (const auto &piece : process.pieces) {
			ranges.push_back(piece.range);
			placed.push_back(piece.home == Home::dram);
		}
		process.stream.emplace(ranges, std::move(placed));
	}
	if (!process.stream->at(offset, now_ns))
		return fail("it is beyond the end of what is declared");
	return {};
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
		std::swap(process.pieces[leaves].dram_node, process.pieces[comes].dram_node);
		std::swap(process.pieces[leaves].cxl_node, process.pieces[comes].cxl_node);
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
		auto &piece = process.pieces[i];

		piece.home = homes[i] == Home::dram ? Home::dram : Home::cxl;
		piece.dram_node = nodes_.dram[in_dram % nodes_.dram.size()];
		piece.cxl_node = nodes_.cxl[in_cxl % nodes_.cxl.size()];
		(piece.home == Home::dram ? in_dram : in_cxl)++;
	}
	process.stream.reset(); // another plan: what was measured is of the other
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

	return found == processes_.end() ? 0 : found->second.dram_bytes;
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

// First what has to leave DRAM: the share is for those that are to be there.
std::optional<MemoryStream::Step> MemoryKeeper::next_of(const Process &process,
							std::uint64_t now_ns)
{
	using Seat = MemoryStream::Seat;
	const auto &pieces = process.pieces;
	const auto share = process.declaration.dram_bytes;
	const auto seat = [&](std::size_t i) {
		return pieces[i].held || pieces[i].at == At::nowhere ? Seat::stuck
		       : pieces[i].at == At::dram                    ? Seat::dram
								     : Seat::cxl;
	};

	if (process.stream && process.stream->streams())
		return process.stream->next(seat, process.dram_bytes, share, now_ns);
	for (std::size_t i = 0; i < pieces.size(); i++)
		if (pieces[i].home == Home::cxl && seat(i) == Seat::dram)
			return MemoryStream::Step{i, false};
	// What was to leave may be held.
	for (std::size_t i = 0; i < pieces.size(); i++)
		if (pieces[i].home == Home::dram && seat(i) == Seat::cxl &&
		    process.dram_bytes + pieces[i].range.bytes <= share)
			return MemoryStream::Step{i, true};
	return std::nullopt;
}

// Each process in its turn.
std::optional<MemoryMove> MemoryKeeper::next(std::uint64_t now_ns)
{
	auto entry = processes_.upper_bound(last_);

	for (auto left = processes_.size(); left > 0; left--, entry++) {
		if (entry == processes_.end())
			entry = processes_.begin();
		const auto &[pid, process] = *entry;
		const auto step = next_of(process, now_ns);
		if (!step)
			continue;
		const auto &piece = process.pieces[step->piece];
		last_ = pid;
		return MemoryMove{
			.pid = pid,
			.declaration = process.number,
			.piece = step->piece,
			.to_dram = step->to_dram,
			.pages = pages_of(piece.range, piece.range.bytes / page_bytes),
			.node = step->to_dram ? piece.dram_node : piece.cxl_node,
			.whose = process.declaration.user ? Whose::own : Whose::all,
		};
	}
	return std::nullopt;
}

void MemoryKeeper::moved(const MemoryMove &move, const Sys<std::vector<int>> &nodes,
			 std::uint64_t took_ns)
{
	const auto found = processes_.find(move.pid);

	if (found == processes_.end() || found->second.number != move.declaration)
		return; // it has declared something else meanwhile
	auto &process = found->second;
	auto &piece = process.pieces[move.piece];
	const auto wanted = move.to_dram ? At::dram : At::cxl;
	piece.held = true;
	if (!nodes) {
		if (nodes.error() == ESRCH)
			processes_.erase(found);
		return;
	}

	std::uint64_t moved = 0;
	for (const auto node : *nodes)
		if (tier_of(node) == wanted) {
			process.moved_to[node] += page_bytes;
			moved++;
		}
	const auto absent = static_cast<std::uint64_t>(std::ranges::count(*nodes, -ENOENT));
	(move.to_dram ? process.to_dram_bytes : process.to_cxl_bytes) += moved * page_bytes;
	process.failed_bytes += (nodes->size() - moved - absent) * page_bytes;
	if (moved + absent < nodes->size()) {
		put(process, piece, At::dram); // some of it
		return;
	}
	piece.held = false;
	put(process, piece, moved > 0 ? wanted : At::nowhere);
	if (process.stream && moved * page_bytes == memory_piece_bytes)
		process.stream->moved(move.to_dram, took_ns);
}

Json MemoryKeeper::to_json() const
{
	Json json{{"processes", Json::array()}};

	for (const auto &[pid, process] : processes_) {
		std::uint64_t bytes = 0, in_cxl = 0, idle = 0;
		auto moved_to = Json::array();

		for (const auto &piece : process.pieces) {
			bytes += piece.range.bytes;
			in_cxl += piece.at == At::cxl ? piece.range.bytes : 0;
			idle += piece.quiet == looks_until_idle ? piece.range.bytes : 0;
		}
		for (const auto &[node, moved] : process.moved_to)
			moved_to.push_back({{"node", node}, {"bytes", moved}});
		json["processes"].push_back({
			{"pid", pid},
			{"ranges", process.declaration.ranges.size()},
			{"bytes", bytes},
			{"dram_budget_bytes", process.declaration.dram_bytes},
			{"dram_bytes", process.dram_bytes},
			{"cxl_bytes", in_cxl},
			{"misplaced_bytes", misplaced_bytes(process)},
			{"to_dram_bytes", process.to_dram_bytes},
			{"to_cxl_bytes", process.to_cxl_bytes},
			{"failed_bytes", process.failed_bytes},
			{"moved_to", moved_to},
			{"order", process.declaration.ordered ? "declared" : "unknown"},
			{"touched_bytes", process.watched ? Json(bytes - idle) : Json()},
			{"idle_bytes", process.watched ? Json(idle) : Json()},
			{"stream", process.stream ? process.stream->to_json() : Json()},
		});
	}
	return json;
}

} // namespace itme
