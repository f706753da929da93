// SPDX-License-Identifier: GPL-2.0-only
#include "lib/meter.hpp"

#include "lib/median.hpp"

#include <algorithm>
#include <vector>

namespace itme {

namespace {

std::optional<std::uint64_t> median_of(const std::deque<MeasuredPass> &passes, auto value)
{
	std::vector<std::uint64_t> values;

	for (const auto &pass : passes)
		values.push_back(value(pass));
	if (values.empty())
		return std::nullopt;
	return median(values);
}

} // namespace

void Meter::see(const Event &event)
{
	if (event.kind == Event::Kind::pass_end && event.pid == pid_)
		ended_ns_ = event.time_ns;
	if (event.kind != Event::Kind::stall || event.value <= 0)
		return;
	const auto ns = static_cast<std::uint64_t>(event.value);
	const auto begin = event.time_ns - std::min(event.time_ns, ns);

	if (event.cause == StallCause::miss) {
		misses_++;
		miss_ns_ += ns;
	}
	if (!now_)
		return;
	// Waits are told when they end, in that order: what a later one has in common with
	// those before it ends where they end.
	const auto from = std::max({begin, waited_until_ns_, now_->begin_ns});
	if (event.time_ns > from)
		now_->stall_ns += event.time_ns - from;
	waited_until_ns_ = std::max(waited_until_ns_, event.time_ns);
	if (event.cause == StallCause::miss) {
		now_->misses++;
		now_->miss_ns += ns;
	} else if (event.cause == StallCause::late) {
		now_->late_waits++;
		now_->late_ns += ns;
	}
}

void Meter::reach(const Position &position)
{
	// After a cut or a restart, too: the rest of a pass is none. But another run's may be
	// of the same number.
	if (position.pass == pass_ && (now_ || position.pid == pid_))
		return;
	if (now_ && position.pass == pass_ + 1 && position.time_ns > now_->begin_ns) {
		const auto end = ended_ns_ > now_->begin_ns ? ended_ns_ : position.time_ns;

		now_->ns = end - now_->begin_ns;
		passes_.push_back(*now_);
		counted_++;
		if (passes_.size() > kept)
			passes_.pop_front();
	}
	pass_ = position.pass;
	pid_ = position.pid;
	ended_ns_ = 0;
	now_ = MeasuredPass{.begin_ns = position.time_ns};
}

void Meter::cut()
{
	now_.reset();
}

void Meter::restart()
{
	passes_.clear();
	counted_ = 0;
	cut();
}

std::optional<std::uint64_t> Meter::pass_ns() const
{
	return median_of(passes_, [](const MeasuredPass &pass) { return pass.ns; });
}

std::optional<std::uint64_t> Meter::compute_ns() const
{
	return median_of(passes_, [](const MeasuredPass &pass) { return pass.compute_ns(); });
}

std::optional<std::uint64_t> Meter::miss_ns() const
{
	return misses_ == 0 ? std::nullopt : std::optional{miss_ns_ / misses_};
}

} // namespace itme
