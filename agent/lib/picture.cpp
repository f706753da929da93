// SPDX-License-Identifier: GPL-2.0-only
#include "lib/picture.hpp"

#include "lib/size.hpp"

#include <algorithm>
#include <array>

namespace itme {

namespace {

constexpr size_t bins = 400; // of a timeline: finer than a screen shows
constexpr size_t rows = 4;

std::string number(double value)
{
	return figure("%.6g", value);
}

// gnuplot's strings in double quotes: nothing in them may act.
std::string quoted(std::string_view text)
{
	std::string out = "\"";

	for (const char c : text) {
		if (c == '"' || c == '\\')
			out += '\\';
		out += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
	}
	return out + '"';
}

std::string head(std::string_view png, std::string_view title, const char *size)
{
	return "set terminal pngcairo size " + std::string(size) + " noenhanced font 'sans,10'\n" +
	       "set output " + quoted(png) + "\nset title " + quoted(title) + "\n";
}

using Busy = std::array<std::array<double, bins>, rows>;

// How busy each row is in each bin, from 0 to 1.
Busy busy_of(const Timeline &timeline)
{
	Busy busy{};
	const double width = timeline.pass_s / bins;

	for (const Span &span : timeline.spans) {
		auto &row = busy[static_cast<size_t>(span.row)];
		const auto first =
			static_cast<size_t>(std::clamp(span.begin / width, 0.0, bins - 1.0));
		const auto last =
			static_cast<size_t>(std::clamp(span.end / width, 0.0, bins - 1.0));

		for (size_t i = first; i <= last; i++) {
			const double begin = std::max(span.begin, static_cast<double>(i) * width);
			const double end = std::min(span.end, static_cast<double>(i + 1) * width);

			row[i] += std::max(0.0, end - begin) / width;
		}
	}
	for (auto &row : busy) {
		for (double &share : row)
			share = std::min(share, 1.0);
	}
	return busy;
}

} // namespace

std::vector<Span> spans_of(const Schedule &schedule, const PlanOptions &options, const Plan &plan,
			   size_t stream)
{
	const StreamPlan &of = plan.streams[stream];
	Lane lane = lane_of(options, of.store_share, 1);
	std::vector<Span> spans;
	const auto pass = expand(schedule, schedule.streams[stream].program, plan.grid,
				 options.rates, options.tokens);

	lane.variation = variation_of(options.rates.store.p99_over_mean);
	if (pass)
		(void)run_legs(legs_of(*pass, plan.homes, plan.grid, lane), lane,
			       std::max(1U, of.slots), &spans);
	return spans;
}

std::string timeline_script(const Timeline &timeline, std::string_view png)
{
	static constexpr const char *names[rows] = {"compute", "waiting", "store link", "CXL link"};
	static constexpr const char *colours[rows] = {"#4c9a52", "#c44e52", "#4c72b0", "#8172b2"};
	const Busy busy = busy_of(timeline);
	std::string script = head(png, timeline.title, "1000,360");

	script += "set xlabel 'seconds into the pass'\nset xrange [0:" + number(timeline.pass_s) +
		  "]\nset yrange [0:4]\n" + "set ytics (";
	for (size_t row = 0; row < rows; row++)
		script += std::string(row == 0 ? "" : ", ") + "'" + names[row] + "' " +
			  number(static_cast<double>(rows - row) - 0.5);
	script += ")\nset grid x\nunset key\nset style fill solid 1 noborder\n";
	script += "set arrow from " + number(timeline.bound_s) + ",0 to " +
		  number(timeline.bound_s) + ",4 nohead dashtype 2 lw 2 front\n";
	script += "set label 'bound' at " + number(timeline.bound_s) +
		  ",3.9 right offset -0.5,0 front\n";
	script += "$busy << END\n";
	for (size_t i = 0; i < bins; i++) {
		script += number((static_cast<double>(i) + 0.5) * timeline.pass_s / bins);
		for (size_t row = 0; row < rows; row++)
			script += ' ' + number(busy[row][i]);
		script += '\n';
	}
	script += "END\nplot ";
	for (size_t row = 0; row < rows; row++) {
		const std::string base = number(static_cast<double>(rows - row) - 0.95);

		script += std::string(row == 0 ? "" : ", ") + "$busy using 1:(" + base + "):(" +
			  base + "+0.9*$" + std::to_string(row + 2) +
			  ") with filledcurves lc rgb '" + colours[row] + "'";
	}
	return script + "\n";
}

std::string curve_script(const Curve &curve, std::string_view png)
{
	std::string script = head(png, curve.title, "800,480");

	script += "set xlabel " + quoted(curve.tier + " budget, GiB") +
		  "\nset ylabel 'seconds a pass'\nset yrange [0:*]\nset grid\nset key top right\n";
	script += "$curve << END\n";
	for (const SweepPoint &p : curve.points)
		script += number(p.bytes / (1 << 30)) + ' ' + number(p.pass_s) + ' ' +
			  number(p.bound_s) + '\n';
	script += "END\nplot $curve using 1:2 with linespoints pt 7 ps 0.6 lw 2 title 'predicted', "
		  "$curve using 1:3 with lines dashtype 2 lw 2 "
		  "title 'bound', " +
		  number(curve.compute_s) +
		  " with lines dashtype 3 lw 2 title 'everything in DRAM'\n";
	return script;
}

} // namespace itme
