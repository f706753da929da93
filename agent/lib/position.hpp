// SPDX-License-Identifier: GPL-2.0-only
// Where a run is in its schedule, from the little that can be seen of it. All of
// it is pure: events go in, positions and wishes for watches come out.
#pragma once

#include "lib/schedule.hpp"
#include "lib/snapshot.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace itme {

// How a position is known.
enum class PositionSource : std::uint8_t {
	runtime, // a function of the runtime was entered
	touch,   // a watched granule was touched
	fault,   // a granule was waited for
	event,   // the runtime said so itself
};
[[nodiscard]] const char *source_name(PositionSource source);

struct Position {
	RegionId region;
	std::string stream, program;
	std::uint64_t pass = 0;     // STEP: number of the pass since it was first seen, from 1
	std::uint32_t position = 0; // AT: index into the program's steps
	std::string name;           // of that step, as "blk.3.mixer"
	std::uint32_t pid = 0, tid = 0;
	std::uint64_t time_ns = 0; // when it was reached
	PositionSource source = PositionSource::touch;
};

// Something that happened to a region or a runtime, from the ring buffer.
struct Event {
	enum class Kind : std::uint8_t {
		touch,      // a watched granule was accessed
		stall,      // a thread has waited for a granule
		pass_begin, // the runtime's step function was entered; value: tokens, or 0
		pass_end,   // it has returned; value: what it returned
		exec,       // a process that had uprobes or stalls executes another program
		exit,       // or has ended
	};
	Kind kind = Kind::touch;
	std::uint32_t pid = 0, tid = 0;
	std::uint64_t time_ns = 0;
	RegionId region; // of touch and stall
	std::uint64_t granule = 0;
	std::int64_t value = 0;
};

// Which granule tells which position. A step that reads no whole granule of its
// own cannot be told from its neighbours.
class Landmarks {
public:
	[[nodiscard]] static Result<Landmarks> make(const Schedule &schedule, std::uint32_t stream,
						    std::uint32_t region,
						    std::uint64_t granule_bytes);

	// The step that a touch of this granule means, where it means just one.
	[[nodiscard]] std::optional<std::uint32_t> step_of(std::uint64_t granule) const;
	// The granule to watch for a step: the first that is only its own.
	[[nodiscard]] std::optional<std::uint64_t> mark_of(std::uint32_t step) const;
	[[nodiscard]] std::uint32_t steps() const
	{
		return static_cast<std::uint32_t>(marks.size());
	}
	[[nodiscard]] std::uint32_t without_mark() const;
	[[nodiscard]] const std::string &stream() const { return stream_name; }
	[[nodiscard]] const std::string &program() const { return program_name; }
	[[nodiscard]] const std::string &name_of(std::uint32_t step) const { return names[step]; }

private:
	std::string stream_name, program_name;
	std::vector<std::string> names;                  // of steps
	std::vector<std::optional<std::uint64_t>> marks; // of steps
	std::vector<std::int64_t> only_step;             // of granules; -1 for none or several
};

// Follows one stream through one region.
class Follower {
public:
	Follower(RegionId region, Landmarks landmarks);

	// A new position, where the event tells one.
	[[nodiscard]] std::optional<Position> see(const Event &event);
	// The runtime said so itself.
	Position announce(std::uint64_t pass, std::uint32_t position, std::uint64_t time_ns);

	// Granules to be watched from now on; each is named once, until it was touched.
	[[nodiscard]] std::vector<std::uint64_t> wanted_watches();
	[[nodiscard]] const std::optional<Position> &last() const { return last_; }
	// What is lost, in whole sentences: two runtimes on one region, steps without a mark.
	[[nodiscard]] std::vector<std::string> degradations() const;
};

} // namespace itme
