// SPDX-License-Identifier: GPL-2.0-only
#include "itmed/access_watcher.hpp"

#include "itmed/service.hpp"

#include <algorithm>

namespace itme {

namespace {

constexpr std::uint64_t second_ns = 1'000'000'000;
// The process waits for the end of the samples by itself.
constexpr std::uint64_t again_ns = second_ns / 2, other_time_ns = 30 * second_ns;
constexpr std::uint64_t patience_ns = 15 * second_ns; // at the end

} // namespace

AccessWatcher::AccessWatcher(Loop &loop, Workers &workers, MemoryKeeper &memory)
    : loop_(loop), workers_(workers), memory_(memory)
{
}

std::uint64_t AccessWatcher::next_ns() const
{
	return waits_ || (memory_.empty() && !watches_) ? UINT64_MAX : next_ns_;
}

void AccessWatcher::step(std::uint64_t now_ns)
{
	if (now_ns < next_ns())
		return;
	std::vector<DamonTarget> targets;
	for (const auto *declaration : memory_.declarations())
		if (targets.size() < most_damon_targets)
			targets.push_back(damon_target(declaration->pid, declaration->ranges));
	waits_ = true;
	watches_ = !targets.empty();
	workers_.start({"--damon", damon_request(targets)}, [this,
							     targets](int status,
								      const std::string &output) {
		const auto told = missing_;

		waits_ = false;
		next_ns_ = monotonic_ns() + (status == 0 ? again_ns : other_time_ns);
		missing_ = status == 0      ? ""
			   : output.empty() ? "accesses are not seen: who asked DAMON has died"
					    : output;
		if (status != 0 && missing_ != told)
			log(Level::notice, missing_);
		const auto seen = status == 0 ? parse_damon_answer(output)
					      : std::vector<std::vector<Accessed>>{};
		for (std::size_t i = 0; i < std::min(seen.size(), targets.size()); i++)
			memory_.hear(targets[i].pid, seen[i]);
	});
}

void AccessWatcher::end()
{
	const auto until = monotonic_ns() + patience_ns;

	while (waits_ && monotonic_ns() < until)
		if (!loop_.turn(until))
			break;
	if (waits_ || !damon_.has_ours())
		return; // the next itmed gives it back
	const auto lock = damon_.lock();
	damon_.give_back();
}

} // namespace itme
