// SPDX-License-Identifier: GPL-2.0-only
// Where a run is in its schedule, from the little that can be seen of it. All of
// it is pure: events go in, positions and wishes for watches come out.
#pragma once

#include "lib/error.hpp"
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
		use,        // first access to what was fetched ahead; value: ready for so many ns
		exec,       // a process that had uprobes or stalls executes another program
		exit,       // or has ended
	};
	Kind kind = Kind::touch;
	std::uint32_t pid = 0, tid = 0;
	std::uint64_t time_ns = 0;
	RegionId region; // of touch, stall and use
	std::uint64_t granule = 0;
	std::int64_t value = 0;
	StallCause cause = StallCause::miss; // of stall
};

// Which granule tells which position. A step that reads no whole granule of its
// own cannot be told from its neighbours.
class Landmarks {
public:
	[[nodiscard]] static Result<Landmarks> make(const Schedule &schedule, std::uint32_t stream,
						    std::uint32_t region,
						    std::uint64_t granule_bytes);

	// The first step that reads something of this granule.
	[[nodiscard]] std::optional<std::uint32_t> first_step(std::uint64_t granule) const;
	// The step that a touch of this granule means, where it means just one.
	[[nodiscard]] std::optional<std::uint32_t> step_of(std::uint64_t granule) const;
	// The granule to watch for a step: the first that is only its own.
	[[nodiscard]] std::optional<std::uint64_t> mark_of(std::uint32_t step) const;
	[[nodiscard]] std::uint32_t steps() const
	{
		return static_cast<std::uint32_t>(marks.size());
	}
	[[nodiscard]] std::uint32_t without_mark() const;
	[[nodiscard]] bool cyclic() const { return is_cyclic; }
	[[nodiscard]] const std::string &stream() const { return stream_name; }
	[[nodiscard]] const std::string &program() const { return program_name; }
	[[nodiscard]] const std::string &name_of(std::uint32_t step) const { return names[step]; }

private:
	static constexpr std::uint32_t none = UINT32_MAX;
	struct Reader {
		std::uint32_t first = none; // step
		bool only = true;           // nobody else reads the granule
	};

	std::string stream_name, program_name;
	bool is_cyclic = true;
	std::vector<std::string> names;                  // of steps
	std::vector<std::optional<std::uint64_t>> marks; // of steps
	std::vector<Reader> readers;                     // of granules
};

// Follows one stream through one region.
class Follower {
public:
	Follower(RegionId region, Landmarks landmarks);

	// A new position, where the event tells one.
	std::optional<Position> see(const Event &event);
	// The runtime said so itself; its own count of passes is used from now on.
	Position announce(std::uint64_t pass, std::uint32_t position, std::uint32_t pid,
			  std::uint64_t time_ns);

	// Granules to be watched from now on. Each is named once, until it was touched or
	// a whole pass went by without that.
	[[nodiscard]] std::vector<std::uint64_t> wanted_watches();
	// So long it may be until they are set again, where setting one takes so long: a quarter
	// of a pass. A pass that would be a hundredth longer by all of them is not followed
	// each time. 0 before there was a pass.
	[[nodiscard]] std::uint64_t patience_ns(std::uint64_t watch_ns) const;
	// How long the last pass took that was seen to begin and to end; 0 before the runtime
	// that is followed has done one.
	[[nodiscard]] std::uint64_t pass_ns() const { return pass_ns_; }
	[[nodiscard]] const std::optional<Position> &last() const { return last_; }
	[[nodiscard]] const Landmarks &landmarks() const { return landmarks_; }
	// What is lost, in whole sentences: two runtimes on one region, steps without a mark,
	// a runtime that has died in mid-pass.
	[[nodiscard]] std::vector<std::string> degradations() const;

private:
	std::optional<Position> begin_pass(const Event &event);
	std::optional<Position> see_granule(const Event &event);
	void next_pass(std::uint64_t time_ns); // 0: not known
	Position publish(std::uint32_t step, const Event &event, std::uint64_t time_ns,
			 PositionSource source);
	void notice_reader(const Event &event);

	struct Watch {
		bool set = false;
		bool touched = false; // in this pass
	};

	RegionId region_;
	Landmarks landmarks_;
	std::vector<Watch> watches_; // of steps
	std::optional<Position> last_;
	std::uint64_t pass_ = 0;
	std::uint32_t pid_ = 0;       // whom it follows
	std::uint32_t other_pid_ = 0; // who reads the region as well
	std::uint64_t began_ns_ = 0;  // the pass; 0 where that was not seen
	std::uint64_t pass_ns_ = 0;
	std::uint32_t began_pid_ = 0; // who has last begun one, followed or not
	bool in_pass_ = false;        // he is in it
	bool told_ = false;           // passes are told by the runtime
	bool announced_ = false;      // by events, with their numbers
	std::string cut_short_;       // the last pass, in a sentence; "" where it was not
};

} // namespace itme
