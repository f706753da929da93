// SPDX-License-Identifier: GPL-2.0-only
#include "lib/executor.hpp"

#include <algorithm>
#include <bit>
#include <iterator>
#include <utility>

namespace itme {

namespace {

constexpr std::uint32_t sure = 3;       // accesses in order: it is there
constexpr int too_many_strays = 12;     // of the last 32 accesses
constexpr std::uint32_t two_in_use = 4; // slots, from which on two may be in use at once

Round round_of(const std::vector<Streamed> &order)
{
	std::vector<std::uint32_t> granules;

	for (const auto &visit : order)
		granules.push_back(visit.granule);
	return {granules, granules.empty() ? 0 : std::ranges::max(granules) + 1};
}

} // namespace

Executor::Executor(std::vector<Streamed> order, std::uint32_t slots)
    : order_(std::move(order)), round_(round_of(order_)), slots_(std::max(slots, 1U))
{
}

Executor::Executor(std::vector<Streamed> order, std::uint32_t slots, const Executor &before)
    : Executor(std::move(order), slots)
{
	counts_ = before.counts_;
	if (!before.follows_ || order_.empty())
		return;
	follows_ = true;
	history_ = before.history_;
	guess_ = next_ = cursor_ = first_of(before.at(before.cursor_).step);
}

// The first visit of this step, or of a later one; the number of visits where there is none.
std::uint64_t Executor::first_of(std::uint32_t step) const
{
	return static_cast<std::uint64_t>(
		std::ranges::lower_bound(order_, step, {}, &Streamed::step) - order_.begin());
}

// With several threads the run is at two granules at once where one ends and the next begins.
std::uint64_t Executor::ahead() const
{
	const std::uint64_t in_use = slots_ >= two_in_use ? 2 : 1;

	return std::min<std::uint64_t>(std::max<std::uint64_t>(slots_ - in_use, 1), order_.size());
}

void Executor::end()
{
	for (const auto &out : out_)
		if (!out.used)
			due_.push_back({DueHint::Op::drop, at(out.visit).granule});
	out_.clear();
	follows_ = false;
	streak_ = 0;
	history_ = 0;
}

// Threads that lag behind still use what is just behind the cursor.
void Executor::move_to(std::uint64_t cursor)
{
	cursor_ = std::max(cursor_, cursor);
	next_ = std::max(next_, cursor_);
	while (!out_.empty() && out_.front().visit + slots_ - ahead() < cursor_) {
		const auto &visit = at(out_.front().visit);

		if (visit.copied && out_.front().used)
			due_.push_back({DueHint::Op::back, visit.granule});
		else if (!out_.front().used)
			due_.push_back({DueHint::Op::drop, visit.granule});
		out_.pop_front();
	}
}

// What the last accesses were like decides whether the order is the run's.
void Executor::note(bool hit)
{
	counts_.strays += hit ? 0 : 1;
	history_ = history_ << 1 | (hit ? 0 : 1);
	if (follows_ && std::popcount(history_) >= too_many_strays) {
		counts_.lost++;
		end();
	}
}

bool Executor::see(const Event &event)
{
	if (order_.empty())
		return false;
	const auto granule = static_cast<std::uint32_t>(event.granule);
	const std::uint64_t count = order_.size();
	const std::uint64_t reference = follows_ ? cursor_ : guess_;
	const auto place = round_.nearest(granule, static_cast<std::uint32_t>(reference % count));

	if (!place)
		return false;
	counts_.seen++;
	for (auto &out : out_)
		out.used = out.used || at(out.visit).granule == granule;

	const auto ahead = place->ahead;
	const auto forward =
		static_cast<std::uint64_t>(ahead >= 0 ? ahead : ahead + std::ssize(order_));
	const std::uint64_t near = std::min<std::uint64_t>(slots_ + 2, (count + 1) / 2);

	if (ahead < 0 && -ahead <= std::int64_t{slots_}) {
		note(true); // a thread that lags behind
	} else if (forward <= near) {
		guess_ = reference + forward + 1;
		streak_++;
		note(true);
		if (follows_) {
			move_to(guess_);
		} else if (streak_ >= std::min<std::uint64_t>(sure, count)) {
			follows_ = true;
			cursor_ = next_ = guess_;
		}
	} else {
		// Elsewhere. If it goes on from there, that is where it is.
		const auto elsewhere = reference + forward;
		const bool goes_on = elsewhere >= guess_ && elsewhere - guess_ <= near;

		streak_ = follows_ && goes_on ? streak_ + 1 : 0;
		guess_ = elsewhere + 1;
		note(false);
		if (follows_ && streak_ >= sure)
			move_to(guess_);
	}
	return true;
}

void Executor::reach(std::uint32_t step, bool certain)
{
	if (order_.empty())
		return;
	const std::uint64_t count = order_.size();
	const auto index = first_of(step);
	const auto in_pass = cursor_ % count;
	// A cursor at the end of a pass stands at the beginning of the next as well.
	const auto forward = (index + count - in_pass) % count;

	if (certain && !follows_) {
		cursor_ += forward;
		next_ = guess_ = cursor_;
		follows_ = true;
		return;
	}
	// A little behind the cursor: what was seen to be used said so before. Far behind:
	// the rest of the pass was left out, if it is sure.
	const bool behind = certain ? count - forward <= slots_ : forward > count / 2;

	if (follows_ && !behind)
		move_to(cursor_ + forward);
}

std::vector<DueHint> Executor::take()
{
	while (follows_ && next_ < cursor_ + ahead()) {
		due_.push_back({.op = DueHint::Op::fetch,
				.granule = at(next_).granule,
				.ticket = next_,
				.ahead = next_ - cursor_});
		out_.push_back({next_, false});
		counts_.fetched++;
		next_++;
	}
	for (const auto &hint : due_)
		counts_.dropped += hint.op == DueHint::Op::drop;
	return std::exchange(due_, {});
}

void Executor::refused(std::uint64_t ticket)
{
	while (!out_.empty() && out_.back().visit >= ticket) {
		out_.pop_back();
		counts_.fetched--;
	}
	next_ = std::max(cursor_, std::min(next_, ticket));
}

} // namespace itme
