// SPDX-License-Identifier: GPL-2.0-only
// Declared memory whose reader says where he is: part of it stays in DRAM, and the rest comes
// just ahead of him and leaves behind him, through a few slots. Tried, and kept to only where
// passes become shorter by it. Pure.
#pragma once

#include "lib/json.hpp"
#include "lib/memory_plan.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace itme {

class MemoryStream {
public:
	// Where a piece is; stuck: not there, or held, and not to be moved now.
	enum class Seat : std::uint8_t { dram, cxl, stuck };
	using Seats = std::function<Seat(std::size_t piece)>;

	struct Step {
		std::size_t piece = 0;
		bool to_dram = false;

		bool operator==(const Step &) const = default;
	};

	// `placed`: which pieces are in DRAM as long as nothing is streamed.
	MemoryStream(std::span<const MemoryRange> pieces, std::vector<bool> placed);

	// The reader begins to read at this byte of the pass, and is done with what is before.
	// False where that is beyond the end.
	bool at(std::uint64_t offset, std::uint64_t now_ns);
	// A whole piece was moved.
	void moved(bool to_dram, std::uint64_t took_ns);
	// Is memory placed as it should be? Passes count only then. To be told about once a
	// second.
	void look(bool settled, std::uint64_t now_ns);

	[[nodiscard]] bool streams() const { return state_ != State::placed; }
	// While it streams: does the piece stay in DRAM?
	[[nodiscard]] bool is_resident(std::size_t piece) const { return resident_[piece]; }
	// While it streams: what is to be moved next, if anything is. One at a time.
	[[nodiscard]] std::optional<Step> next(const Seats &seats, std::uint64_t dram_bytes,
					       std::uint64_t share_bytes,
					       std::uint64_t now_ns) const;
	[[nodiscard]] Json to_json() const;

private:
	enum class State : std::uint8_t { placed, tried, streams };

	[[nodiscard]] std::size_t piece_of(std::uint64_t offset) const;
	[[nodiscard]] bool comes_in_time(std::size_t piece, std::uint64_t cost_ns,
					 std::uint64_t now_ns) const;
	[[nodiscard]] std::optional<Step> leaving(const Seats &seats, std::size_t nearest) const;
	void step_by(std::uint64_t from, std::uint64_t to);
	void pass_ended(std::uint64_t took_ns);
	void judge();
	void begin();
	void stay(const std::string &why);
	[[nodiscard]] std::size_t slots_wanted() const;

	std::vector<std::uint64_t> begins_; // of pieces, in bytes of the pass; last, its end
	std::vector<bool> placed_, resident_;
	std::size_t in_dram_ = 0; // pieces of placed_

	State state_ = State::placed;
	std::string why_ = "its passes are measured";
	bool settled_ = false;
	std::uint64_t offset_ = 0, at_ns_ = 0; // where the reader was last
	std::uint64_t began_ns_ = 0;           // the pass; 0: not known
	std::uint64_t pass_ns_ = 0;            // the last one
	std::size_t widest_ = 1;               // pieces from one position to the next, at most
	std::size_t slots_ = 0;
	std::vector<std::uint64_t> passes_;             // of this round of measuring
	std::uint32_t skipped_ = 0;                     // passes until they count
	std::uint32_t waits_ = 0, waits_longer_ = 0;    // rounds until it is tried again
	std::uint64_t placed_ns_ = 0, streamed_ns_ = 0; // a pass, measured
	std::uint64_t to_dram_ns_ = 0, to_cxl_ns_ = 0;  // of a whole piece, about
};

} // namespace itme
