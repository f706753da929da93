// SPDX-License-Identifier: GPL-2.0-only
#include "itmectl/hinting.hpp"

#include "lib/explain.hpp"
#include "lib/size.hpp"

#include <cerrno>
#include <ostream>

namespace itme {

namespace {

// So often a wait looks for signals, and tells how far it is.
constexpr std::uint64_t step_ns = 200'000'000;

std::uint64_t bytes_in_memory(const TierShares &shares)
{
	return shares[static_cast<std::size_t>(Tier::dram)].bytes +
	       shares[static_cast<std::size_t>(Tier::cxl)].bytes;
}

Result<TierShares> look(const OpenRegion &region, const Hint &hint)
{
	const auto granules = granules_of(region, hint);
	if (!granules)
		return std::unexpected(granules.error());

	const auto begin = hint.offset / region.info.granule_bytes * region.info.granule_bytes;
	return add_up(*granules, region.info.granule_bytes, region.bytes - begin);
}

// One line that is written over again and again.
void show_progress(const OpenRegion &region, const Hint &hint, Env &env)
{
	if (!env.err_is_terminal)
		return;
	const auto shares = look(region, hint);
	if (!shares)
		return;
	env.err << "\r" << format_size(bytes_in_memory(*shares)) << " in memory, "
		<< format_size((*shares)[static_cast<std::size_t>(Tier::store)].bytes)
		<< " to go   " << std::flush;
}

// Until the cookie has completed. A signal cancels what has not begun; what is
// under way ends first, unless there is a second one.
Result<Outcome> wait_for(const OpenRegion &region, const Hint &hint, const Stop &stop,
			 bool &cancelled, Env &env)
{
	for (;;) {
		const auto outcome = wait_cookie(region.fd, hint.cookie, step_ns);

		if (outcome || (outcome.error() != ETIMEDOUT && outcome.error() != EINTR)) {
			if (env.err_is_terminal)
				env.err << "\r\033[K";
			if (outcome)
				return *outcome;
			return std::unexpected(
				explain_call(outcome.error(), "waiting for", region.path));
		}
		if (stop.asked()) {
			if (cancelled)
				return fail("interrupted while reads were under way");
			cancelled = true;
			const auto cancel =
				carry_out(region.fd, {.op = HintOp::cancel, .cookie = hint.cookie});
			if (!cancel)
				return std::unexpected(explain_call(
					cancel.error(), "cancelling a hint of", region.path));
		}
		show_progress(region, hint, env);
	}
}

} // namespace

Result<std::vector<Granule>> granules_of(const OpenRegion &region, const Hint &hint)
{
	const auto first = hint.offset / region.info.granule_bytes;
	const auto last = (hint.offset + hint.length - 1) / region.info.granule_bytes;
	auto granules = read_residency(region.fd, first, last - first + 1);

	if (!granules)
		return std::unexpected(
			explain_call(granules.error(), "reading the residency of", region.path));
	return std::move(*granules);
}

Error explain_hint(int err, const Hint &hint, const OpenRegion &region)
{
	if (err == EPERM && hint.force)
		return {Exit::failed,
			"itmectl drop also takes what is pinned out of memory, for which it needs "
			"CAP_SYS_ADMIN: run as root, or leave pins alone with itmectl hint "
			"release"};
	if (err == EAGAIN)
		return {Exit::failed, region.path.string() +
					      ": the range lies in more pieces than one open file "
					      "may have outstanding (" +
					      std::to_string(region.info.queue_max) +
					      "): hint it in parts"};
	return explain_call(err, std::string("hinting (") + op_name(hint.op) + ")", region.path);
}

std::string refusal(const HintReport &report, const Hint &hint)
{
	std::uint64_t pinned = 0, held = 0;

	for (const auto tier : {Tier::dram, Tier::cxl}) {
		pinned += report.shares[static_cast<std::size_t>(tier)].pinned;
		held += report.shares[static_cast<std::size_t>(tier)].held;
	}
	std::string cause;
	if (pinned > 0 && !hint.force)
		cause = std::to_string(pinned) +
			" granules are pinned (itmectl drop, with CAP_SYS_ADMIN, drops them "
			"all the same)";
	if (held > 0)
		cause += (cause.empty() ? "" : ", ") + std::to_string(held) +
			 " granules are held by page references (direct I/O, DMA or a registered "
			 "buffer: try again when that has ended)";
	if (cause.empty() && bytes_in_memory(report.shares) > 0)
		cause = "somebody else was moving or reading them (try again)";
	return cause.empty() ? "they were in use for a moment, and are gone now" : cause;
}

std::uint64_t held_elsewhere(const HintReport &report, const Hint &hint)
{
	if (hint.op != HintOp::prefetch || !report.outcome)
		return 0;
	const auto other = hint.tier == Tier::dram ? Tier::cxl : Tier::dram;
	return report.shares[static_cast<std::size_t>(other)].held;
}

Result<HintReport> carry_out_and_wait(const OpenRegion &region, const Hint &hint, bool wait,
				      const Stop &stop, Env &env)
{
	const auto result = carry_out(region.fd, hint);
	if (!result)
		return std::unexpected(explain_hint(result.error(), hint, region));
	// EBUSY only says that some bytes were refused; the others are as asked.
	if (result->error && result->error != EBUSY)
		return std::unexpected(explain_hint(result->error, hint, region));

	HintReport report{.result = *result};
	if (wait && hint.cookie != 0) {
		const auto outcome = wait_for(region, hint, stop, report.cancelled, env);
		if (!outcome)
			return std::unexpected(outcome.error());
		report.outcome = *outcome;
	}
	const auto shares = look(region, hint);
	if (!shares)
		return std::unexpected(shares.error());
	report.shares = *shares;
	return report;
}

} // namespace itme
