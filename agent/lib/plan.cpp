// SPDX-License-Identifier: GPL-2.0-only
#include "lib/plan.hpp"

#include "lib/advice.hpp"
#include "lib/size.hpp"
#include "lib/team.hpp"

#include <algorithm>
#include <cmath>

namespace itme {

namespace {

constexpr double near_enough = 1.003;     // of the bound: no need to look further
constexpr double earns_its_keep = 0.9995; // of the cost: more slots, or moving more
constexpr double earns_reading = 0.95;    // and more reading: by what estimates are off
constexpr size_t few_granules = 128;      // so few that single swaps are worth trying
constexpr size_t swap_work = 40000;       // granules walked through, over all tries of one start
constexpr size_t many_granules = 100'000; // so many that each attempt takes its time
constexpr size_t hardly_any = 12;         // so few that other starts are worth trying
constexpr uint32_t turns = 6, most_tried_slots = 6;
constexpr uint32_t most_slots = 4096;
constexpr double choices_that_matter = 0.01; // of the bytes; looking up a token is below

struct Choice {
	Split split;
	uint32_t slots = 0; // of each member
	double cost = 1e300;
};

class Planner {
public:
	Planner(const Schedule &from, const PlanOptions &with)
	    : schedule(from), options(with), whole(lane_of(with, 1, 1))
	{
		whole.variation = variation_of(with.rates.store.p99_over_mean);
	}

	Result<Plan> run()
	{
		if (auto ready = prepare(); !ready)
			return std::unexpected(ready.error());
		make_teams();
		store_shares.assign(passes.size(), 0);
		cxl_shares.assign(passes.size(), 0);
		share_links();
		for (Team &team : teams)
			settle(team);
		// With the first plan it is known what each stream can use of the links.
		if (passes.size() > 1) {
			share_links();
			for (Team &team : teams)
				settle(team);
		}
		finish();
		plan.advice = advise(schedule, options, plan);
		return std::move(plan);
	}

private:
	Result<void> prepare()
	{
		const Budget &b = options.budget;

		if (b.granule_bytes < 4096 || (b.granule_bytes & (b.granule_bytes - 1)) != 0)
			return fail("a granule of " + std::to_string(b.granule_bytes) +
					    " bytes is no power of two from 4096",
				    Exit::usage);
		dram_frames = b.dram_bytes / b.granule_bytes;
		cxl_frames = b.cxl_bytes / b.granule_bytes;
		if (dram_frames + cxl_frames == 0)
			return fail("the budgets hold not even one granule of " +
					    format_size(b.granule_bytes),
				    Exit::usage);
		auto grid = Grid::make(schedule.regions, b.granule_bytes);

		if (!grid)
			return std::unexpected(grid.error());
		plan.grid = std::move(*grid);
		plan.budget = b;
		plan.homes.assign(plan.grid.granules(), Home::store);
		for (const Stream &stream : schedule.streams) {
			auto pass = expand(schedule, stream.program, plan.grid, options.rates,
					   options.tokens);

			if (!pass)
				return std::unexpected(pass.error());
			passes.push_back(std::move(*pass));
			StreamPlan &planned = plan.streams.emplace_back();

			planned.name = stream.name;
			planned.weight = stream.weight;
		}
		describe_streams();
		return {};
	}
	void describe_streams()
	{
		for (size_t i = 0; i < passes.size(); i++) {
			StreamPlan &stream = plan.streams[i];

			stream.compute_s = passes[i].compute_s;
			stream.read_bytes = passes[i].read_bytes;
			stream.flops = passes[i].flops;
			double chosen = 0;

			for (const Visit &visit : passes[i].visits) {
				const double bytes =
					static_cast<double>(visit.probability) *
					static_cast<double>(plan.grid.bytes_of(visit.granule));

				stream.fetch_bytes += bytes;
				chosen += visit.exact() ? 0 : bytes;
			}
			stream.has_choices = chosen > choices_that_matter * stream.fetch_bytes;
		}
	}

	void make_teams()
	{
		std::vector<WeightedPass> weighted;

		for (size_t i = 0; i < passes.size(); i++)
			weighted.push_back({&passes[i], plan.streams[i].weight});
		teams = teams_of(weighted, plan.grid);
		for (const Team &team : teams)
			plan.touched_granules += team.ranking.size();
		share_frames(teams, dram_frames, cxl_frames);
	}

	// A stream that computes longer than its share of a link takes gives the rest away.
	void share_links()
	{
		std::vector<double> weights, store_caps, cxl_caps;

		for (size_t i = 0; i < passes.size(); i++) {
			const Timing &t = plan.streams[i].timing;
			const double busy = 1.1 / std::max(1e-12, plan.streams[i].compute_s);
			const bool first = t.pass_s == 0;

			weights.push_back(plan.streams[i].weight);
			store_caps.push_back(
				first ? 1
				      : std::min(1.0, busy * (t.exact_bytes + t.demand_bytes) /
							      options.rates.store.bytes_per_s));
			cxl_caps.push_back(
				first ? 1
				      : std::min(1.0, busy * (t.cxl_bytes + t.copy_bytes) /
							      options.rates.cxl.bytes_per_s));
		}
		store_shares = share_out(1, weights, store_caps);
		cxl_shares = share_out(1, weights, cxl_caps);
		for (size_t i = 0; i < passes.size(); i++) {
			store_shares[i] = std::max(store_shares[i], 1e-3);
			cxl_shares[i] = std::max(cxl_shares[i], 1e-3);
			plan.streams[i].store_share = store_shares[i];
		}
	}
	[[nodiscard]] Lane lane(size_t stream) const
	{
		Lane mine = whole;

		mine.store_bytes_per_s *= store_shares[stream];
		mine.cxl_bytes_per_s *= cxl_shares[stream];
		return mine;
	}

	// ------------------------------------------------------------------
	// One team: try splits and windows, keep the cheapest.

	double cost_of(const Team &team, uint32_t slots, bool keep)
	{
		double cost = 0;

		for (const size_t i : team.members) {
			const Lane mine = lane(i);
			auto legs = legs_of(passes[i], plan.homes, plan.grid, mine);
			const Timing timing = run_legs(legs, mine, std::max(1U, slots));

			cost += plan.streams[i].weight * timing.pass_s;
			if (keep) {
				plan.streams[i].timing = timing;
				plan.streams[i].slots = timing.fetches == 0 ? 0 : slots;
				keep_legs(plan.streams[i], std::move(legs), mine);
			}
		}
		return cost;
	}
	static void keep_legs(StreamPlan &stream, std::vector<Leg> legs, const Lane &lane)
	{
		if (legs.size() > many_granules)
			legs = {};
		stream.legs = std::move(legs);
		stream.lane = lane;
	}
	double floor_of(const Team &team)
	{
		double sum = 0;
		const Capacity capacity{
			static_cast<double>(team.dram * options.budget.granule_bytes),
			static_cast<double>(team.cxl * options.budget.granule_bytes)};

		for (const size_t i : team.members) {
			plan.streams[i].bound = bound_of(passes[i], plan.grid, lane(i), capacity);
			sum += plan.streams[i].weight * plan.streams[i].bound.seconds();
		}
		return sum;
	}

	// Of the tier that holds the window.
	static size_t window_frames(const Team &team)
	{
		return team.dram > 0 ? team.dram : team.cxl;
	}
	// Frames that a choice fills on demand while it runs.
	uint32_t demand_slots(const Team &team, const Ranking &ranking, size_t kept_choice) const
	{
		double most = 0;

		if (ranking.choice.empty() || kept_choice >= ranking.choice.size())
			return 0;
		const double missing = 1 - static_cast<double>(kept_choice) /
						   static_cast<double>(ranking.choice.size());

		for (const size_t i : team.members) {
			double sum = 0;
			uint32_t step = UINT32_MAX;

			for (const Visit &visit : passes[i].visits) {
				if (visit.step != step) {
					most = std::max(most, sum);
					sum = 0;
					step = visit.step;
				}
				sum += visit.exact() ? 0 : static_cast<double>(visit.probability);
			}
			most = std::max(most, sum);
		}
		const double room = static_cast<double>(window_frames(team)) / 8;

		return static_cast<uint32_t>(
			std::clamp(std::ceil(most * missing), 1.0, std::max(1.0, room)));
	}

	struct Attempt {
		double choice_share = 0; // of the frames that either kind could use
		double cxl_share = 1;    // of the CXL frames, so many used
		double copied_share = 0; // of the residents in CXL
		uint32_t slots = 2;
	};

	// The split that an attempt means, within the frames there are.
	bool split_of(const Team &team, const Attempt &a, Choice &choice) const
	{
		const Ranking &r = team.ranking;
		const auto cxl = static_cast<size_t>(
			std::llround(static_cast<double>(team.cxl) * a.cxl_share));
		size_t frames = team.dram + cxl;
		uint32_t window = 0;

		if (r.size() > frames || a.copied_share > 0) {
			window = a.slots * static_cast<uint32_t>(team.members.size());
			window += demand_slots(
				team, r,
				std::min(r.choice.size(), r.choice.size() * frames / r.size()));
			if (window > (team.dram > 0 ? team.dram : cxl)) // not all of it may be used
				return false;
			frames -= window;
		}
		const size_t choice_least = frames > r.exact.size() ? frames - r.exact.size() : 0;
		const size_t choice_most = std::min(frames, r.choice.size());
		auto wanted = static_cast<size_t>(static_cast<double>(frames) * a.choice_share);

		wanted = std::clamp(wanted, std::min(choice_least, choice_most), choice_most);
		choice.split.choice = wanted;
		choice.split.exact = std::min(frames - wanted, r.exact.size());
		const size_t kept = choice.split.exact + choice.split.choice;
		const size_t in_dram = team.dram > window ? team.dram - window : 0;

		choice.split.cxl = kept - std::min(kept, in_dram);
		choice.split.copied =
			static_cast<size_t>(static_cast<double>(choice.split.cxl) * a.copied_share);
		choice.slots = a.slots;
		return true;
	}
	void attempt(const Team &team, const Attempt &a, Attempt &best_attempt, Choice &best,
		     double enough = earns_its_keep)
	{
		Choice choice;

		if (!split_of(team, a, choice))
			return;
		place(team.ranking, choice.split, plan.homes);
		choice.cost = cost_of(team, choice.slots, false);
		if (choice.cost < best.cost * enough) {
			best = choice;
			best_attempt = a;
		}
	}

	// Slots to try: what the law asks for, then what evens out the jitter.
	[[nodiscard]] std::vector<uint32_t> windows(const Team &team) const
	{
		const Budget &b = options.budget;
		const double p99 = options.rates.store.p99_over_mean;
		const auto least = static_cast<uint32_t>(1 + std::ceil(p99 > 1 ? p99 : 1)),
			   deep = whole.channels + 1;
		const uint32_t law = std::max({2U, least, deep});
		const double streamed = static_cast<double>(team.ranking.exact.size()) -
					static_cast<double>(std::min(team.dram + team.cxl,
								     team.ranking.exact.size()));
		const double sigma = std::log(std::max(1.0, p99)) / 2;
		const auto even = static_cast<uint32_t>(
			std::sqrt(std::max(0.0, streamed) * (std::exp(sigma * sigma) - 1) / 2));
		const size_t most = window_frames(team);
		std::vector<uint32_t> all;

		if (b.window_bytes != 0)
			return {static_cast<uint32_t>(std::clamp<uint64_t>(
				b.window_bytes / b.granule_bytes, 1, most_slots))};
		for (const uint32_t slots :
		     {law, std::max(law, even), std::max(law, 2 * even), law + 1, 3U, 2U, 1U}) {
			if (slots <= most && slots <= most_slots &&
			    std::find(all.begin(), all.end(), slots) == all.end())
				all.push_back(slots);
			// Below the law only where frames are scarce.
			if (slots == law + 1 && most > few_granules)
				break;
		}
		if (all.empty())
			all.push_back(1);
		return all;
	}

	void settle(Team &team)
	{
		const double floor = floor_of(team);
		Attempt at, best_attempt;
		Choice best;
		auto good = [&] { return best.cost <= floor * near_enough; };
		auto try_each = [&](double Attempt::*field, std::initializer_list<double> values,
				    double enough = earns_its_keep) {
			for (const double value : values) {
				Attempt next = at;

				next.*field = value;
				if (!good())
					attempt(team, next, best_attempt, best, enough);
			}
			at = best_attempt;
		};

		auto try_windows = [&] {
			for (const uint32_t slots : windows(team)) {
				Attempt next = at;

				next.slots = slots;
				if (!good())
					attempt(team, next, best_attempt, best);
				// Nothing known ahead is streamed: slots for it change nothing.
				if (best.split.exact == team.ranking.exact.size() &&
				    best.split.copied == 0)
					break;
			}
			at = best_attempt;
		};

		try_windows();
		// To keep what is chosen, and stream what is always read in its place: of two such
		// plans that take about as long the one that reads less is the better one.
		if (!team.ranking.choice.empty())
			try_each(&Attempt::choice_share, {0.25, 0.5, 1.0}, earns_reading);
		if (team.cxl > 0 && team.dram > 0) {
			try_each(&Attempt::cxl_share, {0.75, 0.5, 0.25, 0.0});
			// Only what is known ahead can be copied ahead. That reading in place
			// does not pay says nothing about copies.
			if (team.ranking.exact.size() > team.dram &&
			    team.ranking.size() <= many_granules) {
				for (const double copied : {0.125, 0.25, 0.5, 1.0}) {
					at.copied_share = copied;
					try_each(&Attempt::cxl_share,
						 {1.0, 0.875, 0.75, 0.625, 0.5});
					at = best_attempt;
				}
			}
			for (const double step : {0.125, 0.0625, 0.03125}) {
				try_each(&Attempt::cxl_share, {std::min(1.0, at.cxl_share + step),
							       std::max(0.0, at.cxl_share - step)});
				if (at.copied_share > 0)
					try_each(&Attempt::copied_share,
						 {std::min(1.0, at.copied_share + step / 2),
						  std::max(0.0, at.copied_share - step / 2)});
			}
			try_windows();
		}
		if (best.cost >= 1e300) {
			// Fewer frames than any window: everything goes through what there is.
			best.split = {};
			best.slots = static_cast<uint32_t>(std::clamp<size_t>(
				window_frames(team) / (team.members.size() + 1), 1, most_slots));
		}
		place(team.ranking, best.split, plan.homes);
		if (options.thorough && team.ranking.size() <= few_granules && !good())
			refine(team, best, floor * near_enough);
		(void)cost_of(team, best.slots, true);
		for (const size_t i : team.members) {
			plan.streams[i].demand_slots =
				demand_slots(team, team.ranking, best.split.choice) /
				static_cast<uint32_t>(team.members.size());
			guesses(i, best.slots);
		}
	}

	// So few granules that where exactly each lives matters: exchange two homes
	// as long as that helps. Where there are hardly any, from several starts.
	void refine(const Team &team, Choice &best, double enough)
	{
		std::vector<uint32_t> granules;
		std::vector<Home> best_homes;

		for (const auto *list : {&team.ranking.exact, &team.ranking.choice}) {
			for (const Candidate &c : *list)
				granules.push_back(c.granule);
		}
		swap(team, granules, best);
		best_homes = plan.homes;
		if (granules.size() > hardly_any)
			return;
		for (const Attempt &from : all_starts(team)) {
			for (uint32_t turn = 0; turn < turns && best.cost > enough; turn++) {
				Choice start;

				if (!split_of(team, from, start))
					break;
				place(team.ranking, start.split, plan.homes);
				turn_homes(granules, turn);
				swap(team, granules, start);
				if (start.cost < best.cost) {
					best = start;
					best_homes = plan.homes;
				}
			}
		}
		plan.homes = std::move(best_homes);
	}
	static std::vector<Attempt> all_starts(const Team &team)
	{
		std::vector<Attempt> all;

		for (const double copied : {0.0, 0.5, 1.0}) {
			for (const double cxl : {1.0, 0.75, 0.5, 0.25, 0.0}) {
				for (uint32_t slots = 1; slots <= most_tried_slots; slots++)
					all.push_back({.cxl_share = cxl,
						       .copied_share = copied,
						       .slots = slots});
			}
			if (team.cxl == 0)
				break;
		}
		return all;
	}
	// Another start: the homes of the granules, moved along by a few places.
	void turn_homes(const std::vector<uint32_t> &granules, uint32_t turn)
	{
		std::vector<Home> homes;

		for (const uint32_t granule : granules)
			homes.push_back(plan.homes[granule]);
		for (size_t i = 0; i < granules.size(); i++)
			plan.homes[granules[i]] = homes[(i + turn) % homes.size()];
	}
	void swap(const Team &team, const std::vector<uint32_t> &granules, Choice &choice)
	{
		size_t tries = swap_work / granules.size();

		choice.cost = cost_of(team, choice.slots, false);
		for (bool again = true; again;) {
			again = false;
			for (size_t i = 0; i < granules.size(); i++) {
				for (size_t j = i + 1; j < granules.size() && tries > 0; j++) {
					Home &a = plan.homes[granules[i]],
					     &b = plan.homes[granules[j]];

					if (a == b)
						continue;
					tries--;
					std::swap(a, b);
					const double cost = cost_of(team, choice.slots, false);

					if (cost < choice.cost * (1 - 1e-9)) {
						choice.cost = cost;
						again = true;
					} else {
						std::swap(a, b);
					}
				}
			}
		}
	}

	// Half of what the link has left may be spent on guesses; more would make
	// what is certain late. Guesses that do not shorten the pass are not made.
	void guesses(size_t i, uint32_t slots)
	{
		StreamPlan &stream = plan.streams[i];
		Lane mine = lane(i);

		stream.likely_bytes = 0;
		if (!stream.has_choices)
			return;
		const double left = stream.timing.pass_s * mine.store_bytes_per_s -
				    stream.timing.exact_bytes - stream.timing.demand_bytes;

		stream.likely_bytes = std::max(0.0, left / 2);
		if (options.recall <= 0)
			return;
		mine.recall = options.recall;
		mine.precision = options.precision;
		mine.likely_bytes = stream.likely_bytes;
		auto legs = legs_of(passes[i], plan.homes, plan.grid, mine);
		const Timing timing = run_legs(legs, mine, std::max(1U, slots));

		stream.guesses_pay = timing.pass_s < stream.timing.pass_s;
		if (!stream.guesses_pay) {
			stream.likely_bytes = 0;
			return;
		}
		stream.timing = timing;
		keep_legs(stream, std::move(legs), mine);
	}

	// ------------------------------------------------------------------

	void finish()
	{
		plan.window_in_cxl = dram_frames == 0;
		for (uint32_t i = 0; i < plan.homes.size(); i++) {
			plan.dram_granules += plan.homes[i] == Home::dram;
			plan.cxl_granules +=
				plan.homes[i] == Home::cxl || plan.homes[i] == Home::copied;
			plan.copied_granules += plan.homes[i] == Home::copied;
		}
		for (size_t i = 0; i < passes.size(); i++) {
			plan.window_slots += plan.streams[i].slots + plan.streams[i].demand_slots;
			if (options.with_hints)
				hints(i);
		}
		// Fewer frames than streams: they take turns.
		plan.window_slots = static_cast<uint32_t>(std::min<size_t>(
			plan.window_slots, plan.window_in_cxl ? cxl_frames : dram_frames));
	}
	void hints(size_t i)
	{
		StreamPlan &stream = plan.streams[i];
		const uint32_t slots = stream.slots;

		for (const Visit &visit : passes[i].visits) {
			const Home home = plan.homes[visit.granule];

			if (visit.exact() && (home == Home::store || home == Home::copied))
				stream.hints.push_back({visit.granule, visit.step, 0});
		}
		// A hint can be issued when the one that had its slot before has been used.
		for (size_t n = 0; n < stream.hints.size(); n++) {
			const size_t count = stream.hints.size();

			stream.hints[n].after_step =
				stream.hints[(n + count - slots % count) % count].step;
		}
	}

	const Schedule &schedule;
	const PlanOptions &options;
	Lane whole; // the links, unshared
	Plan plan;
	std::vector<Pass> passes; // of each stream
	std::vector<Team> teams;
	std::vector<double> store_shares, cxl_shares;
	size_t dram_frames = 0, cxl_frames = 0;
};

} // namespace

Lane lane_of(const PlanOptions &options, double store_share, double cxl_share)
{
	const Rates &rates = options.rates;
	const Budget &budget = options.budget;
	Lane lane;

	lane.store_bytes_per_s = rates.store.bytes_per_s * store_share;
	lane.cxl_bytes_per_s = rates.cxl.bytes_per_s * cxl_share;
	lane.dram_bytes_per_s = rates.dram.bytes_per_s;
	lane.granule_bytes = budget.granule_bytes;
	lane.channels = static_cast<uint32_t>(std::clamp<uint64_t>(
		(rates.store.depth_bytes + budget.granule_bytes - 1) / budget.granule_bytes, 1,
		256));
	lane.slots_in_cxl = budget.dram_bytes < budget.granule_bytes;
	return lane;
}

Result<Plan> make_plan(const Schedule &schedule, const PlanOptions &options)
{
	return Planner(schedule, options).run();
}

void retime(StreamPlan &stream, double compute_s)
{
	auto legs = stream.legs;
	double planned_s = 0;

	for (const Leg &leg : legs)
		planned_s += leg.compute_s;
	if (planned_s <= 0 || compute_s <= 0)
		return;
	const double times = compute_s / planned_s;

	for (Leg &leg : legs)
		leg.seconds = std::max({leg.seconds + (times - 1) * leg.computing_s,
					times * leg.compute_s, leg.read_s});
	stream.compute_s = stream.bound.compute_s = compute_s;
	stream.bound.balance(stream.lane);
	stream.timing = run_legs(legs, stream.lane, std::max(1U, stream.slots));
}

} // namespace itme
