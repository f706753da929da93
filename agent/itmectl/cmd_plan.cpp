// SPDX-License-Identifier: GPL-2.0-only
// itmectl plan: what to expect of a model, budgets and a machine, before the run.
#include "itmectl/command.hpp"
#include "itmectl/gnuplot.hpp"
#include "itmectl/measure.hpp"
#include "itmectl/schedule_source.hpp"
#include "lib/advice.hpp"
#include "lib/file.hpp"
#include "lib/picture.hpp"
#include "lib/plan.hpp"
#include "lib/plan_file.hpp"
#include "lib/size.hpp"
#include "lib/table.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

namespace itme {

namespace {

constexpr size_t most_points = 1000;

struct Options {
	std::string file, dram, cxl, window, granule, rates, save_rates, png, sweep, predict;
	uint64_t tokens = 1, context = 0;
	uint32_t experts_used = 0;
	size_t points = 17;
	bool json = false, measure = false;
};

std::string seconds(double s)
{
	if (s >= 1)
		return figure("%.3f s", s);
	return s >= 1e-3 ? figure("%.3f ms", s * 1e3) : figure("%.1f us", s * 1e6);
}

std::string bytes(double value)
{
	return format_size(static_cast<uint64_t>(value + 0.5));
}

Result<uint64_t> size_option(const std::string &name, const std::string &text, uint64_t otherwise)
{
	if (text.empty())
		return otherwise;
	const auto size = parse_size(text);

	if (!size)
		return fail(name + ": '" + text + "' is no size; say 64G or 512M", Exit::usage);
	return *size;
}

// Three quarters of what is available: the rest is the runtime's own.
Result<uint64_t> default_dram(Env &env)
{
	const auto text = read_file(env.root / "proc/meminfo");
	const std::string key = "MemAvailable:";
	const size_t at = text ? text->find(key) : std::string::npos;

	if (at == std::string::npos)
		return fail("how much memory is available is not known here; say --dram SIZE",
			    Exit::usage);
	return std::strtoull(text->c_str() + at + key.size(), nullptr, 10) * 1024 / 4 * 3;
}

Result<void> put_budget(const Options &options, Env &env, Budget &budget)
{
	uint64_t dram_default = 0;

	if (options.dram.empty()) {
		const auto found = default_dram(env);

		if (!found)
			return std::unexpected(found.error());
		dram_default = *found;
		env.err << "itmectl: note: no --dram: planning with " << format_size(dram_default)
			<< ", three quarters of what is available now\n";
	}
	const std::pair<const char *, std::pair<const std::string *, uint64_t *>> sizes[] = {
		{"--dram", {&options.dram, &budget.dram_bytes}},
		{"--cxl", {&options.cxl, &budget.cxl_bytes}},
		{"--window", {&options.window, &budget.window_bytes}},
		{"--granule", {&options.granule, &budget.granule_bytes}},
	};

	budget.dram_bytes = dram_default;
	for (const auto &[name, places] : sizes) {
		const auto size = size_option(name, *places.first, *places.second);

		if (!size)
			return std::unexpected(size.error());
		*places.second = *size;
	}
	return {};
}

Result<Rates> rates_of(const Options &options)
{
	Rates rates;

	if (options.measure) {
		auto measured = measure_rates(options.file);

		if (!measured)
			return measured;
		rates = *measured;
	}
	if (options.rates.empty())
		return rates;
	if (options.rates.find('=') != std::string::npos)
		return state_rates(options.rates, rates);
	if (options.measure)
		return fail("--measure with a rates file: one of them; --rates KEY=VALUE may "
			    "correct what is measured",
			    Exit::usage);
	const auto text = read_file(options.rates);

	if (!text)
		return fail(options.rates + ": " + errno_text(text.error()));
	const auto parsed = parse_rates(*text);

	if (!parsed)
		return fail(options.rates + ": " + parsed.error().text());
	return *parsed;
}

// What was measured once can be planned with again.
Result<void> save_rates(const Options &options, const Rates &rates)
{
	if (options.save_rates.empty())
		return {};
	std::ofstream file(options.save_rates, std::ios::binary | std::ios::trunc);

	file << rates_text(rates) << std::flush;
	if (!file)
		return fail(options.save_rates + ": cannot be written");
	return {};
}

// "recall=0.8,precision=0.7"
Result<void> put_predictor(const std::string &words, PlanOptions &plan)
{
	double recall = 0, precision = 0;
	int length = 0;

	if (words.empty())
		return {};
	if (sscanf(words.c_str(), "recall=%lf,precision=%lf%n", &recall, &precision, &length) !=
		    2 ||
	    static_cast<size_t>(length) != words.size() || !(recall > 0 && recall <= 1) ||
	    !(precision > 0 && precision <= 1))
		return fail("--predict: '" + words +
				    "' is not recall=R,precision=P, each above 0 and up to 1",
			    Exit::usage);
	plan.recall = recall;
	plan.precision = precision;
	return {};
}

void add_lines(const StreamPlan &stream, const PlanOptions &options, const Plan &plan, Table &table)
{
	const Timing &t = stream.timing;
	const double store = t.exact_bytes + t.demand_bytes + t.likely_bytes;
	auto line = [&](const char *what, const std::string &figure, const std::string &more) {
		table.add({what, figure, more});
	};

	line("pass", seconds(t.pass_s), figure("%.3g passes a second", 1 / t.pass_s));
	line("bound", seconds(stream.bound.seconds()), std::string("by ") + stream.bound.by());
	line("efficiency", figure("%.3f", stream.efficiency()), "bound / pass");
	line("compute", seconds(stream.compute_s), "everything in DRAM");
	line("stall, miss", seconds(t.miss_s), "waiting for what only a choice names");
	line("stall, late", seconds(t.late_s), "waiting for what was hinted");
	line("store", bytes(store) + " a pass",
	     figure("busy %.0f %%",
		    100 * store /
			    (options.rates.store.bytes_per_s * stream.store_share * t.pass_s)));
	if (t.demand_bytes > 0)
		line("  of it on demand", bytes(t.demand_bytes) + " a pass", "");
	if (t.likely_bytes > 0)
		line("  of it guessed", bytes(t.likely_bytes) + " a pass", "");
	line("cxl, in place", bytes(t.cxl_bytes) + " a pass",
	     figure("busy %.0f %%", 100 * (t.cxl_bytes + t.copy_bytes) /
					    (options.rates.cxl.bytes_per_s * t.pass_s)));
	line("cxl, copied up", bytes(t.copy_bytes) + " a pass", "");
	line("dram", bytes(t.dram_bytes) + " a pass", "");
	line("window", std::to_string(stream.slots + stream.demand_slots) + " slots",
	     std::to_string(stream.slots) + " known ahead, " + std::to_string(stream.demand_slots) +
		     " for choices");
	line("lead of hints", std::to_string(stream.slots) + " granules",
	     seconds(t.lead_mean_s) + " on average, " + seconds(t.lead_least_s) + " at least");
	if (stream.has_choices)
		line("budget for `likely`", bytes(stream.likely_bytes) + " a pass", "");
	if (!stream.has_choices)
		line("page cache instead", seconds(page_cache_seconds(stream, plan, options)),
		     "same memory, perfect read-ahead");
}

std::string rates_line(const Rates &r)
{
	return "rates " + printable(r.origin) + ": store " +
	       figure("%.3g GB/s", r.store.bytes_per_s / 1e9) + " (p99/mean " +
	       figure("%.3g", r.store.p99_over_mean) + "), CXL " +
	       figure("%.3g GB/s", r.cxl.bytes_per_s / 1e9) + ", DRAM " +
	       figure("%.3g GB/s", r.dram.bytes_per_s / 1e9) + "\n\n";
}

void print(const Schedule &schedule, const PlanOptions &options, const Plan &plan,
	   std::ostream &out)
{
	const auto granule = plan.budget.granule_bytes;
	auto share = [&](uint64_t granules) {
		return figure("%.1f %%", 100.0 * static_cast<double>(granules) /
						 static_cast<double>(std::max<uint64_t>(
							 1, plan.touched_granules)));
	};
	const uint64_t streamed = plan.touched_granules - plan.dram_granules - plan.cxl_granules;
	Table tiers({"TIER", ">BUDGET", ">RESIDENT", ">SHARE"});

	out << printable(schedule.name) << ": reads "
	    << format_size(plan.touched_granules * granule) << " in granules of "
	    << format_size(granule) << "; " << rates_line(options.rates);
	tiers.add({"dram", format_size(plan.budget.dram_bytes),
		   format_size(plan.dram_granules * granule), share(plan.dram_granules)});
	tiers.add({"cxl", format_size(plan.budget.cxl_bytes),
		   format_size(plan.cxl_granules * granule), share(plan.cxl_granules)});
	tiers.add({"store", "-", format_size(streamed * granule), share(streamed)});
	tiers.add({"window", plan.window_in_cxl ? "in cxl" : "in dram",
		   format_size(plan.window_bytes()), ""});
	tiers.print(out);
	for (const StreamPlan &stream : plan.streams) {
		Table table({"STREAM " + printable(stream.name), ">", ""});

		out << '\n';
		add_lines(stream, options, plan, table);
		table.print(out);
	}
	out << '\n';
	for (const std::string &note : schedule.notes)
		out << "note: " << printable(note) << '\n';
	for (const std::string &sentence : plan.advice)
		out << printable(sentence) << '\n';
}

// ----------------------------------------------------------------------
// --sweep cxl=0:256G

struct Sweep {
	std::string tier;
	uint64_t from = 0, to = 0;
};

Result<Sweep> sweep_of(const Options &options)
{
	const std::string &text = options.sweep;
	const size_t equals = text.find('='), colon = text.find(':');
	Sweep sweep;

	if (equals != std::string::npos && colon != std::string::npos && colon > equals) {
		const auto from = parse_size(text.substr(equals + 1, colon - equals - 1));
		const auto to = parse_size(text.substr(colon + 1));

		sweep.tier = text.substr(0, equals);
		if (from && to && *from < *to && (sweep.tier == "cxl" || sweep.tier == "dram") &&
		    options.points >= 2 && options.points <= most_points) {
			sweep.from = *from;
			sweep.to = *to;
			return sweep;
		}
	}
	return fail("--sweep: '" + text + "' is not cxl=FROM:TO or dram=FROM:TO with 2 to " +
			    std::to_string(most_points) + " --points",
		    Exit::usage);
}

Result<Curve> curve_of(const Schedule &schedule, PlanOptions plan_options, const Sweep &sweep,
		       size_t points)
{
	Curve curve;
	uint64_t &budget = sweep.tier == "cxl" ? plan_options.budget.cxl_bytes
					       : plan_options.budget.dram_bytes;

	curve.title = schedule.name + ": what more " + sweep.tier + " buys";
	curve.tier = sweep.tier;
	plan_options.with_hints = false;
	for (size_t i = 0; i < points; i++) {
		budget = sweep.from +
			 static_cast<uint64_t>(static_cast<double>(sweep.to - sweep.from) *
					       static_cast<double>(i) /
					       static_cast<double>(points - 1));
		// A curve from nothing begins with the least there can be.
		if (plan_options.budget.dram_bytes < plan_options.budget.granule_bytes &&
		    plan_options.budget.cxl_bytes < plan_options.budget.granule_bytes)
			budget = plan_options.budget.granule_bytes;
		const auto plan = make_plan(schedule, plan_options);

		if (!plan)
			return std::unexpected(plan.error());
		const StreamPlan &first = plan->streams.front();

		curve.compute_s = first.compute_s;
		curve.points.push_back({static_cast<double>(budget), first.timing.pass_s,
					first.bound.seconds(),
					first.timing.exact_bytes + first.timing.demand_bytes});
	}
	return curve;
}

void print_curve(const Schedule &schedule, const PlanOptions &options, const Curve &curve,
		 std::ostream &out)
{
	// So close to the end of the curve that the rest of it is flat.
	static constexpr double flat = 1.005;
	const bool cxl = curve.tier == "cxl";
	const SweepPoint &last = curve.points.back();
	const auto enough =
		std::find_if(curve.points.begin(), curve.points.end(),
			     [&](const SweepPoint &p) { return p.pass_s <= last.pass_s * flat; });
	Table table({">" + curve.tier, ">PASS", ">BOUND", ">STORE", ">FASTER"});

	for (const SweepPoint &p : curve.points)
		table.add({bytes(p.bytes), seconds(p.pass_s), seconds(p.bound_s),
			   bytes(p.store_bytes),
			   figure("%.2fx", curve.points.front().pass_s / p.pass_s)});
	out << printable(curve.title) << ", with "
	    << format_size(cxl ? options.budget.dram_bytes : options.budget.cxl_bytes) << " of "
	    << (cxl ? "dram" : "cxl") << "; " << rates_line(options.rates);
	table.print(out);
	out << '\n';
	for (const std::string &note : schedule.notes)
		out << "note: " << printable(note) << '\n';
	if (enough->bytes < last.bytes)
		out << "More than " << bytes(enough->bytes) << " of " << curve.tier
		    << " buys nothing.\n";
}

Result<void> run_sweep(const Options &options, const Schedule &schedule,
		       const PlanOptions &plan_options, Env &env)
{
	const auto sweep = sweep_of(options);

	if (!sweep)
		return std::unexpected(sweep.error());
	const auto curve = curve_of(schedule, plan_options, *sweep, options.points);

	if (!curve)
		return std::unexpected(curve.error());
	if (!options.png.empty()) {
		if (auto drawn = run_gnuplot(curve_script(*curve, options.png)); !drawn)
			return drawn;
	}
	if (!options.json) {
		print_curve(schedule, plan_options, *curve, env.out);
		return {};
	}
	nlohmann::ordered_json json = {{"itme_sweep", 1},
				       {"tier", curve->tier},
				       {"compute_s", curve->compute_s},
				       {"points", nlohmann::ordered_json::array()}};

	for (const SweepPoint &p : curve->points)
		json["points"].push_back({{"bytes", static_cast<uint64_t>(p.bytes)},
					  {"pass_s", p.pass_s},
					  {"bound_s", p.bound_s},
					  {"store_bytes", static_cast<uint64_t>(p.store_bytes)}});
	env.out << json.dump(2) << '\n';
	return {};
}

Result<void> draw(const Options &options, const Schedule &schedule, const PlanOptions &plan_options,
		  const Plan &plan)
{
	const StreamPlan &stream = plan.streams.front();
	Timeline timeline;

	timeline.spans = spans_of(schedule, plan_options, plan, 0);
	timeline.pass_s = stream.timing.pass_s;
	for (const Span &span : timeline.spans)
		timeline.pass_s =
			std::max(timeline.pass_s, span.row <= Span::Row::wait ? span.end : 0);
	timeline.bound_s = stream.bound.seconds();
	timeline.title = schedule.name + ": one pass, " + seconds(stream.timing.pass_s) +
			 ", bound " + seconds(timeline.bound_s);
	return run_gnuplot(timeline_script(timeline, options.png));
}

Result<void> run(const Options &options, Env &env)
{
	PlanOptions plan_options;

	plan_options.tokens = options.tokens;
	if (auto done = put_budget(options, env, plan_options.budget); !done)
		return done;
	if (auto done = put_predictor(options.predict, plan_options); !done)
		return done;
	const auto rates = rates_of(options);

	if (!rates)
		return std::unexpected(rates.error());
	plan_options.rates = *rates;
	if (auto saved = save_rates(options, *rates); !saved)
		return saved;
	const auto schedule = schedule_of(options.file, {options.context, options.experts_used});

	if (!schedule)
		return std::unexpected(schedule.error());
	if (!options.sweep.empty())
		return run_sweep(options, *schedule, plan_options, env);
	plan_options.with_hints = options.json;
	const auto plan = make_plan(*schedule, plan_options);

	if (!plan)
		return std::unexpected(plan.error());
	if (options.json)
		env.out << plan_json(*schedule, plan_options, *plan).dump(1) << '\n';
	else
		print(*schedule, plan_options, *plan, env.out);
	return options.png.empty() ? Result<void>{} : draw(options, *schedule, plan_options, *plan);
}

} // namespace

void add_plan(CLI::App &app, Action &action)
{
	auto options = std::make_shared<Options>();
	auto *command = app.add_subcommand("plan", "what to expect of a model or schedule, before "
						   "the run; needs neither root nor the module");

	command->add_option(
		       "FILE", options->file,
		       "a model (GGUF, .safetensors, its .index.json) or a schedule (*.itme.json)")
		->required();
	command->add_option("--dram", options->dram, "budget of DRAM, such as 64G");
	command->add_option("--cxl", options->cxl, "budget of CXL memory (none)");
	command->add_option("--window", options->window,
			    "of it for data in flight (as much as is best)");
	command->add_option("--granule", options->granule, "unit of residency (2M)");
	command->add_option(
		"--rates", options->rates,
		"a rates file, or store=7G,cxl=25G,dram=80G,p99=2,flops=2T,compute=0.4");
	command->add_flag("--measure", options->measure,
			  "measure store and memory first, in under a second");
	command->add_option("--save-rates", options->save_rates,
			    "write the rates that are used, for --rates, into this file");
	command->add_option("--tokens", options->tokens,
			    "tokens a pass: a batch, or a piece of a prompt (1)")
		->check(CLI::Range(1, 1 << 24));
	command->add_option("--context", options->context,
			    "add the KV of so many tokens, read by every pass");
	command->add_option("--experts-used", options->experts_used,
			    "experts a token uses, instead of what the header says");
	command->add_option("--predict", options->predict,
			    "experts are guessed: recall=R,precision=P");
	command->add_option("--sweep", options->sweep,
			    "pass time over a budget: cxl=0:256G or dram=16G:128G");
	command->add_option("--points", options->points, "points of the sweep (17)");
	command->add_option("--png", options->png,
			    "draw the pass, or the sweep, into this file (needs gnuplot)");
	command->add_flag("--json", options->json, "print JSON, with every hint");
	command->callback([options, &action] {
		action = [options](Env &env) { return run(*options, env); };
	});
}

} // namespace itme
