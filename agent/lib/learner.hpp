// SPDX-License-Identifier: GPL-2.0-only
// Learns in which order a region is read, from touches alone. Pure: events go in, an
// order and wishes for watches come out.
//
// Every granule is watched while it learns; one that was touched is watched again when
// the run has moved on. Once two or three passes were alike the order is learned and
// the watches end: what is still seen (marks, waits, first uses) must agree with it.
// Where that fails it learns anew; where no two passes are alike it gives up.
#pragma once

#include "lib/granule_range.hpp"
#include "lib/order.hpp"
#include "lib/position.hpp"
#include "lib/schedule.hpp"

#include <array>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

namespace itme {

class Learner {
public:
	// It holds at most 16 bytes for each of 6 accesses a granule, while it learns.
	static constexpr std::uint64_t most_granules = 1 << 20;

	enum class State : std::uint8_t {
		learning,
		learned,  // and it still holds
		given_up, // until another process reads the region
	};

	// `granules`: of the region, 1 to most_granules.
	Learner(RegionId region, std::uint32_t granules);

	void see(const Event &event);

	// Granules to be watched from now on, in ascending ranges; often none. `now_ns` is
	// CLOCK_MONOTONIC: after a silence everything is watched again. To be asked after a
	// batch of events, and now and then. Where the state is not `learning` no watch of
	// the learner is wanted any more.
	[[nodiscard]] std::vector<GranuleRange> wanted_watches(std::uint64_t now_ns);

	[[nodiscard]] State state() const { return state_; }
	// Where the state is `learned`, the order: its confidence is that of learning.
	// Else the best guess so far, perhaps empty.
	[[nodiscard]] const Order &order() const { return order_; }
	// 0 to 1: how far what was lately seen agrees with the learned order; that of
	// learning as long as little was seen since.
	[[nodiscard]] double confidence() const;
	// Passes that are known to be in this order, those since it was learned included.
	[[nodiscard]] std::uint64_t passes() const { return passes_; }
	// Counts the orders that were learned: another number, another order.
	[[nodiscard]] std::uint64_t version() const { return version_; }
	// "learned (97 % sure, 3 passes)", or what is there instead.
	[[nodiscard]] std::string words() const;

private:
	void learn_anew();
	void see_granule(const Event &event);
	void add(const Event &event);
	void check(const Event &event);
	void look();
	void count_recent(std::uint32_t granule);
	[[nodiscard]] bool is_other_reader(std::uint32_t pid);
	[[nodiscard]] std::uint32_t near() const;

	struct Granule {
		std::uint32_t last = 0; // number of its last access, from 1
		std::uint8_t recent = 0;
	};
	struct Touched {
		std::uint32_t granule = 0, number = 0;
	};

	RegionId region_;
	State state_ = State::learning;
	std::vector<Granule> granules_;
	std::vector<Access> accesses_;
	std::vector<std::size_t> begins_; // of passes, where the runtime tells
	std::deque<Touched> unwatched_;   // the longest touched first
	std::array<std::uint32_t, 64> recent_{};
	std::uint32_t recent_count_ = 0, recent_distinct_ = 0;
	std::uint32_t number_ = 0;   // of the last access
	std::uint32_t distinct_ = 0; // granules accessed
	std::uint32_t again_ = 0;    // of the accesses since the last look
	std::uint64_t looked_ = 0;   // accesses then
	std::uint64_t watched_ = 0;  // accesses when all was last watched
	std::uint64_t last_ns_ = 0, gap_ns_ = 0;
	std::uint32_t pid_ = 0; // whom it follows
	std::uint32_t other_pid_ = 0, others_ = 0;
	bool watch_all_ = true;

	Order order_;
	std::vector<Round> round_; // one, where it is learned
	std::uint32_t expected_ = 0;
	std::uint64_t evidence_ = 0; // a bit each, the newest the lowest: did it agree?
	std::uint32_t evidence_count_ = 0;
	std::uint64_t passes_ = 0, version_ = 0;
};

// A schedule of one cyclic program over one region, in at most 64 steps of as many
// positions each; program and stream are called "learned". The order must not be empty.
[[nodiscard]] Schedule schedule_of(const Order &order, const std::string &region,
				   std::uint64_t bytes, std::uint64_t granule_bytes);

} // namespace itme
