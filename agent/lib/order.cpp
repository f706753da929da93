// SPDX-License-Identifier: GPL-2.0-only
#include "lib/order.hpp"

#include "lib/median.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <numeric>

namespace itme {

namespace {

using Segment = std::span<const Access>;

constexpr std::size_t most_passes = 4; // that are compared
constexpr std::size_t short_pass = 16, most_short_passes = 16;
constexpr double alike = 0.75;         // below, two passes are not of one program
constexpr double sure = 0.9;           // above, a longer period need not be looked for
constexpr std::size_t samples = 16;    // accesses that propose a period
constexpr std::size_t most_visits = 8; // of one granule in a pass, to propose one by it
constexpr std::uint32_t most_slack = 8;

std::vector<std::uint32_t> granules_of(Segment segment)
{
	std::vector<std::uint32_t> granules;

	granules.reserve(segment.size());
	for (const auto &access : segment)
		granules.push_back(access.granule);
	return granules;
}

// Which access of a pass is which position of the order.
struct Match {
	std::uint32_t position = 0;
	std::int64_t unrolled = 0; // the position, and the length for each time round
	std::size_t index = 0;
};

struct Alignment {
	std::vector<Match> matches;
	double agreement = 0; // 0 to 1
};

Alignment align(Segment segment, const Round &round)
{
	constexpr auto never = INT64_MIN;
	const auto length = static_cast<std::int64_t>(round.length());
	const auto slack = static_cast<std::int64_t>(round.slack());
	std::vector<std::int64_t> taken(round.length(), never);
	std::int64_t expected = 0; // unrolled
	bool lost = false;
	Alignment alignment;

	for (std::size_t i = 0; i < segment.size(); i++) {
		const auto at = ((expected % length) + length) % length;
		const auto place =
			round.nearest(segment[i].granule, static_cast<std::uint32_t>(at));
		if (!place)
			continue;
		const auto unrolled = expected + place->ahead;
		if (std::abs(place->ahead) <= slack && taken[place->position] != unrolled) {
			alignment.matches.push_back({place->position, unrolled, i});
			taken[place->position] = unrolled;
			expected = std::max(expected, unrolled + 1);
			lost = false;
		} else if (lost) { // twice: it goes on from there
			expected = unrolled + 1;
			lost = false;
		} else {
			lost = true;
		}
	}
	alignment.agreement =
		static_cast<double>(alignment.matches.size()) /
		static_cast<double>(std::max<std::size_t>(round.length(), segment.size()));
	return alignment;
}

// The pass that is most like the others.
std::size_t most_typical(std::span<const Segment> passes, std::uint32_t granules)
{
	std::size_t best = 0;
	double best_sum = -1;

	for (std::size_t i = 0; i < passes.size(); i++) {
		const Round round{granules_of(passes[i]), granules};
		double sum = 0;

		for (std::size_t k = 0; k < passes.size(); k++)
			if (k != i)
				sum += align(passes[k], round).agreement;
		// Of two that differ the longer one: an access is missed, not made up.
		if (sum > best_sum || (sum == best_sum && passes[i].size() > passes[best].size())) {
			best = i;
			best_sum = sum;
		}
	}
	return best;
}

// What several passes say of one position.
struct Said {
	std::vector<std::int64_t> where; // one a pass
	std::vector<std::uint64_t> compute_ns;
};

std::vector<Said> collect(Segment accesses, std::span<const Segment> passes, const Round &round)
{
	std::vector<Said> said(round.length());

	for (const auto &pass : passes) {
		const auto alignment = align(pass, round);
		std::vector<std::int64_t> offsets;

		for (const auto &match : alignment.matches)
			offsets.push_back(static_cast<std::int64_t>(match.index) - match.unrolled);
		const auto offset = offsets.empty() ? 0 : median(offsets);
		for (const auto &match : alignment.matches) {
			auto &position = said[match.position];
			const auto lap = match.unrolled - match.position;

			position.where.push_back(static_cast<std::int64_t>(match.index) - lap -
						 offset);
			const auto *access = &pass[match.index];
			if (access == &accesses.back())
				continue;
			const auto ns = (access + 1)->begin_ns - access->begin_ns;
			position.compute_ns.push_back(ns > access->wait_ns ? ns - access->wait_ns
									   : 0);
		}
	}
	return said;
}

// The order that most of the passes have. Threads that go through neighbours at once
// are put in their usual order.
Order agree(Segment accesses, std::span<const Segment> passes, std::uint32_t granules)
{
	const auto reference = granules_of(passes[most_typical(passes, granules)]);
	const Round round{reference, granules};
	auto said = collect(accesses, passes, round);
	std::vector<std::int64_t> usual(reference.size());
	std::vector<std::uint32_t> kept;
	Order order;

	for (std::uint32_t p = 0; p < reference.size(); p++) {
		// Of two passes one is enough: see most_typical().
		if (said[p].where.size() * 2 < passes.size())
			continue;
		usual[p] = median(said[p].where);
		kept.push_back(p);
	}
	std::ranges::stable_sort(kept, {}, [&](std::uint32_t p) { return usual[p]; });
	for (const auto p : kept) {
		order.granules.push_back(reference[p]);
		order.compute_ns.push_back(said[p].compute_ns.empty() ? 0
								      : median(said[p].compute_ns));
	}
	order.passes = static_cast<std::uint32_t>(passes.size());
	if (order.granules.empty())
		return order;
	// One of them is the order itself, more or less: it proves nothing.
	const Round learned{order.granules, granules};
	double sum = 0, best = 0;
	for (const auto &pass : passes) {
		const double agreement = align(pass, learned).agreement;

		sum += agreement;
		best = std::max(best, agreement);
	}
	order.confidence = (sum - best) / static_cast<double>(passes.size() - 1);
	return order;
}

// Of passes, the newest first.
Order order_of(Segment accesses, std::span<const Segment> passes, std::uint32_t granules)
{
	if (passes.size() < 2 || passes[0].empty())
		return {};
	const Round newest{granules_of(passes[0]), granules};
	std::size_t similar = 1;
	double agreement = 0;

	while (similar < passes.size()) {
		agreement = align(passes[similar], newest).agreement;
		if (agreement < alike)
			break;
		similar++;
	}
	if (similar < 2) {
		Order none;

		none.passes = 1;
		none.confidence = agreement;
		return none;
	}
	return agree(accesses, passes.first(similar), granules);
}

std::vector<Segment> told_passes(Segment accesses, std::span<const std::size_t> begins)
{
	std::vector<Segment> passes;

	for (std::size_t i = begins.size(); i-- > 1 && passes.size() < most_passes;)
		if (begins[i] > begins[i - 1])
			passes.push_back(
				accesses.subspan(begins[i - 1], begins[i] - begins[i - 1]));
	return passes;
}

std::vector<Segment> cut(Segment accesses, std::size_t period)
{
	const auto most = period < short_pass ? most_short_passes : most_passes;
	std::vector<Segment> passes;

	for (std::size_t end = accesses.size(); end >= period && passes.size() < most;
	     end -= period)
		passes.push_back(accesses.subspan(end - period, period));
	return passes;
}

// How long ago the last few granules were accessed before: a period is among that, the
// shortest first. Threads make it vary a little.
std::vector<std::size_t> periods(Segment accesses)
{
	std::map<std::uint32_t, std::vector<std::size_t>> found; // granule -> indices, newest first
	std::vector<std::size_t> lags, candidates;
	const auto size = accesses.size();
	const auto count = std::min(samples, size);

	for (std::size_t i = 0; i < count; i++)
		found[accesses[size - 1 - i].granule];
	std::size_t open = found.size();
	for (std::size_t i = size; i-- > 0 && open > 0;) {
		const auto granule = found.find(accesses[i].granule);

		if (granule == found.end() || granule->second.size() > most_visits + samples)
			continue;
		granule->second.push_back(i);
		open -= granule->second.size() > most_visits + samples;
	}
	for (std::size_t i = 0; i < count; i++) {
		const auto index = size - 1 - i;
		std::size_t visits = 0;

		for (const auto before : found[accesses[index].granule])
			if (before < index && visits++ < most_visits)
				lags.push_back(index - before);
	}
	std::ranges::sort(lags);
	for (std::size_t i = 0; i < lags.size();) {
		const auto tolerance = std::min<std::size_t>(lags[i] / 8, most_slack);
		std::size_t end = i, best = 0, best_count = 0;

		while (end < lags.size() && lags[end] <= lags[i] + tolerance) {
			const auto same =
				static_cast<std::size_t>(std::ranges::count(lags, lags[end]));

			if (same > best_count) {
				best = lags[end];
				best_count = same;
			}
			end++;
		}
		if ((end - i) * 2 >= count && best >= 2)
			candidates.push_back(best);
		i = end;
	}
	return candidates;
}

// The share of all granules ever accessed that the last accesses have as well.
double coverage(Segment accesses, std::size_t last, std::uint32_t granules)
{
	std::vector<bool> seen(granules);
	std::size_t recent = 0, all = 0;

	for (std::size_t i = accesses.size(); i-- > 0;) {
		if (i + last + 1 == accesses.size())
			recent = all;
		all += !seen[accesses[i].granule];
		seen[accesses[i].granule] = true;
	}
	return last >= accesses.size() ? 1.0
				       : static_cast<double>(recent) / static_cast<double>(all);
}

// A pass may repeat a part of itself. Until three passes were alike, a period must
// explain everything that was read, but for a header.
bool is_plausible(const Order &order, Segment accesses, std::size_t period, std::uint32_t granules)
{
	constexpr double all_but_headers = 0.95;

	return order.passes >= 3 || coverage(accesses, period, granules) >= all_but_headers;
}

// So that it begins with what was read first: a cycle begins nowhere.
void turn(Order &order, Segment accesses, std::uint32_t granules)
{
	std::vector<bool> has(granules);

	for (const auto granule : order.granules)
		has[granule] = true;
	const auto first =
		std::ranges::find_if(accesses, [&](const Access &a) { return has[a.granule]; });
	if (first == accesses.end())
		return;
	const auto found = std::ranges::find(order.granules, first->granule);
	const auto by = found - order.granules.begin();

	std::ranges::rotate(order.granules, found);
	std::ranges::rotate(order.compute_ns, order.compute_ns.begin() + by);
}

} // namespace

Round::Round(std::span<const std::uint32_t> order, std::uint32_t granules)
    : first_(granules + std::size_t{1}), positions_(order.size())
{
	for (const auto granule : order)
		distinct_ += first_[granule + std::size_t{1}]++ == 0;
	std::partial_sum(first_.begin(), first_.end(), first_.begin());
	auto next = first_;
	for (std::uint32_t p = 0; p < order.size(); p++)
		positions_[next[order[p]]++] = p;
}

std::uint32_t Round::slack() const
{
	return std::min(distinct_ / 8, most_slack);
}

std::optional<Round::Place> Round::nearest(std::uint32_t granule, std::uint32_t expected) const
{
	if (std::size_t{granule} + 1 >= first_.size() || first_[granule] == first_[granule + 1])
		return std::nullopt;
	const auto begin = positions_.begin() + first_[granule];
	const auto end = positions_.begin() + first_[granule + 1];
	const auto length = static_cast<std::int64_t>(positions_.size());
	const auto next = std::lower_bound(begin, end, expected);
	const auto up = next == end ? *begin : *next;
	const auto down = next == begin ? *(end - 1) : *(next - 1);
	const auto ahead = std::int64_t{up} - expected + (next == end ? length : 0);
	const auto behind = std::int64_t{expected} - down + (next == begin ? length : 0);

	return ahead <= behind ? Place{up, ahead} : Place{down, -behind};
}

Order find_order(std::span<const Access> accesses, std::span<const std::size_t> begins,
		 std::uint32_t granules)
{
	auto best = order_of(accesses, told_passes(accesses, begins), granules);

	if (best.confidence >= sure)
		return best;
	for (const auto period : periods(accesses)) {
		auto order = order_of(accesses, cut(accesses, period), granules);

		if (order.confidence <= best.confidence ||
		    !is_plausible(order, accesses, period, granules))
			continue;
		best = std::move(order);
		if (best.confidence >= sure)
			break;
	}
	turn(best, accesses, granules);
	return best;
}

} // namespace itme
