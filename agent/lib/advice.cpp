// SPDX-License-Identifier: GPL-2.0-only
#include "lib/advice.hpp"

#include "lib/size.hpp"

#include <algorithm>
#include <cmath>

namespace itme {

namespace {

std::string seconds(double s)
{
	if (s >= 1)
		return figure("%.3g s", s);
	return s >= 1e-3 ? figure("%.3g ms", s * 1e3) : figure("%.3g us", s * 1e6);
}

std::string rate(double bytes_per_s)
{
	return figure("%.3g GB/s", bytes_per_s / 1e9);
}

std::string percent(double share)
{
	return figure("%.0f %%", 100 * share);
}

class Adviser {
public:
	Adviser(const Schedule &about, const PlanOptions &with, const Plan &from)
	    : schedule(about), options(with), plan(from)
	{
	}

	std::vector<std::string> run()
	{
		for (const StreamPlan &stream : plan.streams) {
			of = plan.streams.size() > 1 ? stream.name + ": " : "";
			if (!fits(stream)) {
				hurts(stream);
				hides(stream);
				waits_for_choices(stream);
				page_cache(stream);
			}
			cxl(stream);
			guesses(stream);
		}
		of = "";
		small();
		recompute();
		return std::move(said);
	}

private:
	void say(const std::string &sentence) { said.push_back(of + sentence); }

	[[nodiscard]] bool all_fits() const
	{
		return plan.touched_granules * plan.budget.granule_bytes <=
		       plan.budget.dram_bytes + plan.budget.cxl_bytes;
	}
	bool fits(const StreamPlan &stream)
	{
		const Timing &t = stream.timing;

		if (t.exact_bytes + t.demand_bytes > 0)
			return false;
		say("Everything fits: after the first pass nothing is read from the store.");
		return true;
	}
	void hurts(const StreamPlan &stream)
	{
		const double times = stream.timing.pass_s / std::max(1e-12, stream.compute_s);

		if (times < 1.1) {
			say("The store hides behind compute: a pass takes " +
			    figure("%.2f", times) +
			    " times what it takes with everything in DRAM.");
			return;
		}
		say("Offloading will hurt: a pass takes " + figure("%.1f", times) +
		    " times what it takes with everything in DRAM (" +
		    seconds(stream.timing.pass_s) + " against " + seconds(stream.compute_s) + ").");
	}
	void hides(const StreamPlan &stream)
	{
		const double store_s = stream.bound.store_s;

		if (store_s <= stream.compute_s || all_fits())
			return;
		std::string sentence = "The store cannot hide: what does not fit takes " +
				       seconds(store_s) + " a pass at " +
				       rate(options.rates.store.bytes_per_s * stream.store_share) +
				       ", compute " + seconds(stream.compute_s) + ".";

		if (const double tokens = tokens_to_hide(stream, options);
		    tokens > 0 && !stream.has_choices)
			sentence += " To hide it a pass would have to carry " +
				    figure("%.0f", std::ceil(tokens)) +
				    " tokens (a batch, or a prompt).";
		say(sentence);
	}
	void waits_for_choices(const StreamPlan &stream)
	{
		const double share = stream.timing.miss_s / std::max(1e-12, stream.timing.pass_s);

		if (share > 0.05)
			say(percent(share) + " of the pass waits for experts that only the router "
					     "names; no hint can come earlier without guessing.");
	}
	void page_cache(const StreamPlan &stream)
	{
		const double cached = page_cache_seconds(stream, plan, options);

		if (stream.has_choices || all_fits())
			return;
		if (cached > stream.timing.pass_s * 1.03)
			say("A page cache of the same size would read everything every pass: " +
			    seconds(cached) + ", " + figure("%.2f", cached / stream.timing.pass_s) +
			    " times as long.");
		else if (cached <= stream.compute_s * 1.03)
			say("A page cache that reads ahead would be as fast here: compute hides "
			    "even a full read.");
		else
			say("A page cache that reads ahead would be as fast here (" +
			    seconds(cached) + "): this memory is too small for granules of " +
			    format_size(plan.budget.granule_bytes) + ".");
	}
	void cxl(const StreamPlan &stream)
	{
		const Timing &t = stream.timing;
		const double in_place = t.cxl_bytes / options.rates.cxl.bytes_per_s;

		if (t.cxl_bytes > 0 && in_place > 0.5 * t.pass_s)
			say("CXL is busy " + percent(std::min(1.0, in_place / t.pass_s)) +
			    " of the pass: reading in place is what costs time.");
		if (plan.cxl_granules > 0 &&
		    options.rates.cxl.bytes_per_s < options.rates.store.bytes_per_s)
			say("The CXL link is slower than the store: it saves store reads, but each "
			    "read in place takes longer.");
		const uint64_t idle =
			plan.budget.cxl_bytes / plan.budget.granule_bytes - plan.cxl_granules;

		if (plan.budget.cxl_bytes > 0 && t.exact_bytes > 0 &&
		    idle * 20 > plan.budget.cxl_bytes / plan.budget.granule_bytes &&
		    !plan.window_in_cxl)
			say(format_size(idle * plan.budget.granule_bytes) +
			    " of the CXL budget is better left unused: streaming hides, reading it "
			    "in place would not.");
	}
	void guesses(const StreamPlan &stream)
	{
		if (!stream.has_choices || stream.timing.demand_bytes <= 0)
			return;
		if (options.recall > 0 && !stream.guesses_pay)
			say("Guessing experts does not pay at this recall and precision: it is "
			    "left off.");
		else if (stream.likely_bytes < static_cast<double>(plan.budget.granule_bytes))
			say("The store has no time for guesses: the budget for `likely` is 0.");
	}
	void small()
	{
		if (plan.touched_granules == 0)
			return;
		const uint64_t frames = plan.budget.dram_bytes / plan.budget.granule_bytes +
					plan.budget.cxl_bytes / plan.budget.granule_bytes;

		if (frames < 3 && plan.touched_granules > frames)
			say("The budgets hold " + std::to_string(frames) +
			    " granules: too few to keep any and fetch ahead.");
	}
	void recompute()
	{
		const double needed = recompute_bytes_per_s(schedule.model, options.rates.flops);
		const double store = options.rates.store.bytes_per_s;

		if (needed <= 0)
			return;
		if (store < needed)
			say("Recompute KV rather than load it from the store: loading pays above " +
			    rate(needed) + ", the store gives " + rate(store) + ".");
		else
			say("Loading KV from the store beats recomputing it (" + rate(store) +
			    ", it pays above " + rate(needed) + ").");
		if (plan.budget.cxl_bytes > 0 && options.rates.cxl.bytes_per_s < needed)
			say("Even CXL is too slow for KV: recompute it.");
	}

	const Schedule &schedule;
	const PlanOptions &options;
	const Plan &plan;
	std::string of;
	std::vector<std::string> said;
};

} // namespace

double recompute_bytes_per_s(const ModelFacts &model, double flops)
{
	const double parameters = static_cast<double>(model.active_parameters);

	if (flops <= 0 || parameters <= 0 || model.kv_bytes_per_token == 0)
		return 0;
	return static_cast<double>(model.kv_bytes_per_token) * flops / (2 * parameters);
}

double tokens_to_hide(const StreamPlan &stream, const PlanOptions &options)
{
	if (options.rates.flops <= 0 || stream.flops <= 0)
		return 0;
	return stream.bound.store_s * options.rates.flops /
	       (stream.flops / static_cast<double>(options.tokens));
}

double page_cache_seconds(const StreamPlan &stream, const Plan &plan, const PlanOptions &options)
{
	const double all = static_cast<double>(plan.touched_granules * plan.budget.granule_bytes);
	const double memory = static_cast<double>(plan.budget.dram_bytes + plan.budget.cxl_bytes);

	if (all <= memory) {
		// What does not fit into DRAM is read from CXL in place.
		const double in_cxl =
			std::max(0.0, all - static_cast<double>(plan.budget.dram_bytes));

		return stream.compute_s + in_cxl * (1 / options.rates.cxl.bytes_per_s -
						    1 / options.rates.dram.bytes_per_s);
	}
	// Then every stream needs the store, also one that a plan keeps in memory.
	double weights = 0;

	for (const StreamPlan &each : plan.streams)
		weights += each.weight;
	return std::max(stream.compute_s, stream.fetch_bytes / options.rates.store.bytes_per_s *
						  weights / stream.weight);
}

std::vector<std::string> advise(const Schedule &schedule, const PlanOptions &options,
				const Plan &plan)
{
	return Adviser(schedule, options, plan).run();
}

} // namespace itme
