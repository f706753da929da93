// SPDX-License-Identifier: GPL-2.0-only
#include "lib/memory_stream.hpp"

#include "lib/median.hpp"
#include "lib/size.hpp"

#include <algorithm>

namespace itme {

namespace {

constexpr std::size_t round_passes = 3;
constexpr std::uint32_t first_wait = 4, longest_wait = 256; // rounds
constexpr std::uint64_t least_silence_ns = 60'000'000'000;
constexpr std::uint64_t silent_passes = 8;
// One that is read, and is left alone; one that is there for the next, and one on its way.
constexpr std::size_t spare_slots = 2;

// Shorter by 5 %?
bool pays(std::uint64_t streamed_ns, std::uint64_t placed_ns)
{
	return streamed_ns + streamed_ns / 20 <= placed_ns;
}

void average(std::uint64_t &known, std::uint64_t now)
{
	known = known == 0 ? now : (3 * known + now) / 4;
}

std::string seconds(std::uint64_t ns)
{
	return figure("%.3g s", static_cast<double>(ns) / 1e9);
}

} // namespace

MemoryStream::MemoryStream(std::span<const MemoryRange> pieces, std::vector<bool> placed)
    : placed_(std::move(placed)), resident_(placed_),
      in_dram_(static_cast<std::size_t>(std::ranges::count(placed_, true)))
{
	std::uint64_t end = 0;

	for (const auto &piece : pieces) {
		begins_.push_back(end);
		end += piece.bytes;
	}
	begins_.push_back(end);
}

std::size_t MemoryStream::piece_of(std::uint64_t offset) const
{
	return static_cast<std::size_t>(std::ranges::upper_bound(begins_, offset) -
					begins_.begin()) -
	       1;
}

// ----------------------------------------------------------------------
// What the reader says

// A pass ends where he comes from its second half back into its first. Whoever goes back
// otherwise is in a pass that is not measured.
bool MemoryStream::at(std::uint64_t offset, std::uint64_t now_ns)
{
	const auto end = begins_.back();

	if (offset >= end)
		return false;
	if (offset > offset_) {
		step_by(offset_, offset);
	} else if (offset < offset_ && offset < end / 2 && offset_ >= end / 2) {
		step_by(offset_, end);
		if (began_ns_ != 0 && now_ns > began_ns_)
			pass_ended(now_ns - began_ns_);
		began_ns_ = now_ns;
	} else if (offset < offset_) {
		began_ns_ = 0;
	}
	offset_ = offset;
	at_ns_ = now_ns;
	return true;
}

void MemoryStream::step_by(std::uint64_t from, std::uint64_t to)
{
	widest_ = std::max(widest_, piece_of(to - 1) - piece_of(from) + 1);
}

void MemoryStream::moved(bool to_dram, std::uint64_t took_ns)
{
	average(to_dram ? to_dram_ns_ : to_cxl_ns_, took_ns);
}

void MemoryStream::look(bool settled, std::uint64_t now_ns)
{
	settled_ = settled;
	if (now_ns < at_ns_ + std::max(least_silence_ns, silent_passes * pass_ns_))
		return;
	began_ns_ = 0;
	stay("no position was told for a while");
}

// ----------------------------------------------------------------------
// Whether it streams

void MemoryStream::pass_ended(std::uint64_t took_ns)
{
	pass_ns_ = took_ns;
	if (state_ == State::placed && !settled_)
		return;
	if (skipped_ > 0) {
		skipped_--;
		return;
	}
	passes_.push_back(took_ns);
	if (passes_.size() < round_passes)
		return;
	judge();
	passes_.clear();
	widest_ = 1;
}

void MemoryStream::judge()
{
	const auto took_ns = median(passes_);

	if (state_ == State::placed) {
		placed_ns_ = took_ns;
		if (waits_ > 0)
			waits_--;
		else
			begin();
		return;
	}
	streamed_ns_ = took_ns;
	if (state_ == State::tried && !pays(streamed_ns_, placed_ns_)) {
		stay("streamed, a pass took " + seconds(streamed_ns_) + ", and placed " +
		     seconds(placed_ns_));
		waits_ = waits_longer_ = std::clamp(2 * waits_longer_, first_wait, longest_wait);
	} else if (state_ == State::streams && streamed_ns_ > placed_ns_) {
		stay("passes have become longer than they were when it was placed: measured anew");
	} else {
		state_ = State::streams;
		waits_longer_ = 0;
		why_ = "a pass takes " + seconds(streamed_ns_) + ", and placed took " +
		       seconds(placed_ns_);
	}
}

// Of a pass' steps as wide as the widest, those pieces that are not resident are in use.
std::size_t MemoryStream::slots_wanted() const
{
	const auto pieces = placed_.size();

	return (widest_ * (pieces - in_dram_) + pieces - 1) / pieces + spare_slots;
}

void MemoryStream::begin()
{
	const auto slots = slots_wanted();
	const auto streamed = placed_.size() - in_dram_ + slots;
	const auto move_ns = to_dram_ns_ + to_cxl_ns_;
	// Were a pass nothing but reads of CXL memory, it would become so much shorter at most.
	const auto in_a_pass = placed_ns_ / std::max<std::uint64_t>(move_ns, 1);

	if (in_dram_ == placed_.size())
		return stay("all of it is in DRAM");
	if (slots >= in_dram_)
		return stay("its share of " + std::to_string(in_dram_) +
			    " pieces is too small for " + std::to_string(slots) +
			    " that come and go");
	if (20 * in_a_pass < streamed) {
		waits_ = waits_longer_ = std::clamp(2 * waits_longer_, first_wait, longest_wait);
		return stay("to DRAM and back takes a piece " + seconds(move_ns) + ": of " +
			    std::to_string(streamed) + ", a pass has time for " +
			    std::to_string(in_a_pass));
	}
	// The slots are taken from the resident ones, here and there.
	std::size_t seen = 0;
	for (std::size_t i = 0; i < placed_.size(); i++) {
		resident_[i] = placed_[i];
		if (placed_[i] && (seen + 1) * slots / in_dram_ > seen * slots / in_dram_)
			resident_[i] = false;
		seen += placed_[i] ? 1 : 0;
	}
	slots_ = slots;
	state_ = State::tried;
	skipped_ = 1; // in which it gets into its stride
	why_ = "tried";
}

void MemoryStream::stay(const std::string &why)
{
	state_ = State::placed;
	why_ = why;
	resident_ = placed_;
	passes_.clear();
	skipped_ = 1;
	slots_ = 0;
}

// ----------------------------------------------------------------------
// What is moved

bool MemoryStream::comes_in_time(std::size_t piece, std::uint64_t cost_ns,
				 std::uint64_t now_ns) const
{
	const auto end = begins_.back();
	const auto begin = begins_[piece];
	const auto distance = begin >= offset_ ? begin - offset_ : end - offset_ + begin;
	const auto read_ns = at_ns_ + static_cast<std::uint64_t>(static_cast<double>(pass_ns_) *
								 static_cast<double>(distance) /
								 static_cast<double>(end));

	return now_ns + cost_ns <= read_ns;
}

// What is needed next that is not there, if it can be by then; in the place of what is needed
// last, which is what was just read. Nobody waits here for what comes too late: it is read
// where it is.
std::optional<MemoryStream::Step> MemoryStream::next(const Seats &seats, std::uint64_t dram_bytes,
						     std::uint64_t share_bytes,
						     std::uint64_t now_ns) const
{
	const auto pieces = placed_.size();
	const auto first = piece_of(offset_);
	std::size_t there = 0;

	if (dram_bytes > share_bytes)
		return leaving(seats, 0);
	for (std::size_t away = 0; away < pieces && there < slots_; away++) {
		const auto piece = (first + away) % pieces;
		const auto seat = seats(piece);
		const bool fits = dram_bytes + begins_[piece + 1] - begins_[piece] <= share_bytes;

		if (seat == Seat::dram && !resident_[piece])
			there++;
		if (seat != Seat::cxl ||
		    !comes_in_time(piece, to_dram_ns_ + (fits ? 0 : to_cxl_ns_), now_ns))
			continue;
		if (fits)
			return Step{piece, true};
		return leaving(seats, away + 1);
	}
	return std::nullopt;
}

std::optional<MemoryStream::Step> MemoryStream::leaving(const Seats &seats,
							std::size_t nearest) const
{
	const auto pieces = placed_.size();
	const auto first = piece_of(offset_);

	for (auto away = pieces; away > nearest; away--) {
		const auto piece = (first + away - 1) % pieces;

		if (!resident_[piece] && seats(piece) == Seat::dram)
			return Step{piece, false};
	}
	return std::nullopt;
}

Json MemoryStream::to_json() const
{
	const auto known = [](std::uint64_t ns) { return ns == 0 ? Json() : Json(ns); };

	return {{"state", state_ == State::placed  ? "placed"
			  : state_ == State::tried ? "tried"
						   : "streams"},
		{"why", why_},
		{"position_bytes", offset_},
		{"slots", slots_},
		{"pass_ns", known(pass_ns_)},
		{"placed_pass_ns", known(placed_ns_)},
		{"streamed_pass_ns", known(streamed_ns_)},
		{"to_dram_ns", known(to_dram_ns_)},
		{"to_cxl_ns", known(to_cxl_ns_)}};
}

} // namespace itme
