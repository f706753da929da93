// SPDX-License-Identifier: GPL-2.0-only
#include "lib/placement.hpp"

#include <algorithm>
#include <iterator>

namespace itme {

namespace {

bool alike(float a, float b)
{
	return a - b <= 1e-4F * a && b - a <= 1e-4F * b;
}

bool worthier(const Candidate &a, const Candidate &b)
{
	return !alike(a.value, b.value) ? a.value > b.value : a.when < b.when;
}

void add_pass(const WeightedPass &from, bool sets_time, std::vector<Candidate> &all)
{
	const Pass &pass = *from.pass;
	const auto count = static_cast<float>(pass.visits.size());
	double time = 0;

	for (size_t i = 0; i < pass.visits.size(); i++) {
		const Visit &visit = pass.visits[i];
		Candidate &c = all[visit.granule];

		if (c.value <= 0) {
			c.choice = true;
			// With no compute at all the order alone is the time.
			c.when = pass.compute_s > 0 ? static_cast<float>(time / pass.compute_s)
						    : static_cast<float>(i) / count;
			c.when += sets_time ? 0 : 0.5F / count;
		}
		c.value += static_cast<float>(from.weight) * visit.probability;
		c.choice = c.choice && !visit.exact();
		time += static_cast<double>(visit.probability) *
			static_cast<double>(visit.compute_s);
	}
}

// Marks `count` of a run of equals, spread evenly over the time of the pass.
void mark_evenly(const std::vector<Candidate> &from, size_t begin, size_t end, size_t count,
		 std::vector<bool> &marked)
{
	size_t at = begin;

	for (size_t taken = 0; taken < count; taken++) {
		const float target = (static_cast<float>(taken) + 0.5F) / static_cast<float>(count);

		while (end - at > count - taken && from[at].when < target)
			at++;
		marked[at++] = true;
	}
}

} // namespace

Ranking rank(std::span<const WeightedPass> passes, const Grid &grid)
{
	std::vector<Candidate> all(grid.granules());
	Ranking ranking;

	for (size_t i = 0; i < passes.size(); i++)
		add_pass(passes[i], i == 0, all);
	for (uint32_t i = 0; i < all.size(); i++) {
		if (all[i].value <= 0)
			continue;
		all[i].granule = i;
		(all[i].choice ? ranking.choice : ranking.exact).push_back(all[i]);
	}
	// Choices come in bursts with time between them; what counts is that every
	// burst misses as much as the others.
	std::stable_sort(ranking.choice.begin(), ranking.choice.end(),
			 [](const Candidate &a, const Candidate &b) { return a.when < b.when; });
	for (size_t i = 0; i < ranking.choice.size(); i++)
		ranking.choice[i].when =
			static_cast<float>(i) / static_cast<float>(ranking.choice.size());
	for (auto *list : {&ranking.exact, &ranking.choice}) {
		// alike() is no order: equals are made equal first, then ranked by time.
		std::stable_sort(
			list->begin(), list->end(),
			[](const Candidate &a, const Candidate &b) { return a.value > b.value; });
		for (size_t i = 1; i < list->size(); i++) {
			if (alike((*list)[i - 1].value, (*list)[i].value))
				(*list)[i].value = (*list)[i - 1].value;
		}
		std::stable_sort(
			list->begin(), list->end(), [](const Candidate &a, const Candidate &b) {
				return a.value != b.value ? a.value > b.value : a.when < b.when;
			});
	}
	return ranking;
}

std::vector<Candidate> take_evenly(std::vector<Candidate> &from, size_t count)
{
	std::vector<bool> marked(from.size());
	std::vector<Candidate> taken, left;
	size_t end = from.size();

	count = std::min(count, from.size());
	taken.reserve(count);
	left.reserve(from.size() - count);
	for (size_t rest = count; rest > 0;) {
		size_t begin = end;

		while (begin > 0 && from[begin - 1].value == from[end - 1].value)
			begin--;
		const size_t here = std::min(rest, end - begin);

		mark_evenly(from, begin, end, here, marked);
		rest -= here;
		end = begin;
	}
	for (size_t i = 0; i < from.size(); i++)
		(marked[i] ? taken : left).push_back(from[i]);
	from = std::move(left);
	return taken;
}

void place(const Ranking &ranking, const Split &split, std::vector<Home> &homes)
{
	std::vector<Candidate> exact = ranking.exact, choice = ranking.choice, kept;

	for (auto [list, keep] :
	     {std::pair(&exact, split.exact), std::pair(&choice, split.choice)}) {
		for (const Candidate &c :
		     take_evenly(*list, list->size() - std::min(keep, list->size())))
			homes[c.granule] = Home::store;
	}
	kept.reserve(exact.size() + choice.size());
	std::merge(exact.begin(), exact.end(), choice.begin(), choice.end(),
		   std::back_inserter(kept), worthier);
	auto cxl = take_evenly(kept, split.cxl);

	for (const Candidate &c : kept)
		homes[c.granule] = Home::dram;
	for (const Candidate &c : take_evenly(cxl, split.copied))
		homes[c.granule] = Home::copied;
	for (const Candidate &c : cxl)
		homes[c.granule] = Home::cxl;
}

} // namespace itme
