// SPDX-License-Identifier: GPL-2.0-only
#include "itmectl/report_view.hpp"

#include "lib/duration.hpp"
#include "lib/size.hpp"
#include "lib/table.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ostream>
#include <vector>

namespace itme {

namespace {

constexpr const char *causes[] = {"miss", "late", "promote", "demote"};
constexpr std::size_t most_threads = 16; // that are shown
constexpr std::string_view shades = " .:-=+*#%@";

std::string percent(double share)
{
	char text[32];

	std::snprintf(text, sizeof(text), "%.1f %%", 100 * std::clamp(share, 0.0, 1.0));
	return text;
}

std::string time_of(const Json &json, std::string_view key)
{
	const auto ns = number_of(json, key);

	return ns > 0 ? format_duration(ns) : "-";
}

// The waits of one cause: "1.5 s (12)".
std::string stall_of(const Json &stalls, const char *cause)
{
	const auto &stall = member(stalls, cause);
	const auto count = number_of(stall, "count");

	return count > 0 ? time_of(stall, "ns") + " (" + std::to_string(count) + ")" : "-";
}

std::string region_of(const Json &row)
{
	const auto region = text_of(row, "region");

	return region.empty() ? "(detached)" : text_of(row, "instance") + ":" + region;
}

void print_missing(std::ostream &out, const Json &report)
{
	for (const auto &text : list(report, "missing"))
		if (text.is_string())
			out << "! " << printable(text.get<std::string>()) << '\n';
}

void print_table(std::ostream &out, const Table &table)
{
	if (table.empty())
		return;
	out << '\n';
	table.print(out);
}

void print_since(std::ostream &out, const Json &report)
{
	out << "counted for "
	    << format_duration(
		       static_cast<std::uint64_t>(std::max(0.0, real_of(report, "seconds")) * 1e9))
	    << '\n';
}

// What came into each tier and for whom.
void print_tiers(std::ostream &out, const Json &report)
{
	Table table{{"REGION", "INTO", ">ON DEMAND", ">EXACT", ">LIKELY", ">MAYBE", ">COPIED",
		     ">COPYING TOOK"}};

	for (const auto &region : list(report, "regions"))
		for (const auto &tier : list(region, "tiers")) {
			const auto bytes = [&](const char *cause) {
				return number_of(tier, std::string{cause} + "_bytes");
			};
			const auto copied = bytes("promote") + bytes("demote");
			std::vector<std::string> cells{region_of(region), text_of(tier, "tier")};

			if (copied + bytes("demand") + bytes("exact") + bytes("likely") +
				    bytes("maybe") ==
			    0)
				continue;
			for (const auto *cause : {"demand", "exact", "likely", "maybe"})
				cells.push_back(format_size(bytes(cause)));
			cells.push_back(format_size(copied));
			cells.push_back(time_of(tier, "copy_ns"));
			table.add(std::move(cells));
		}
	print_table(out, table);
}

// Of processes with several threads that have waited: those that did so longest.
void print_threads(std::ostream &out, const Json &report)
{
	Table table{{">PID", ">TID", "THREAD", ">MISS", ">LATE", ">PROMOTE", ">DEMOTE",
		     ">STOOD STILL"}};
	std::size_t rows = 0, more = 0;

	if (list(report, "threads").size() <= list(report, "processes").size())
		return;
	for (const auto &row : list(report, "threads")) {
		if (rows == most_threads) {
			more++;
			continue;
		}
		std::vector<std::string> cells{std::to_string(number_of(row, "pid")),
					       std::to_string(number_of(row, "tid")),
					       text_of(row, "command")};
		for (const auto *cause : causes)
			cells.push_back(stall_of(member(row, "stalls"), cause));
		cells.push_back(percent(1 - real_of(member(row, "shares"), "compute")));
		table.add(std::move(cells));
		rows++;
	}
	print_table(out, table);
	if (more > 0)
		out << "and " << more << " more threads: --json has them\n";
}

void print_layers(std::ostream &out, const Json &layer)
{
	Table table{{">STEP", "NAME", ">MISS", ">LATE", ">PROMOTE", ">DEMOTE", "MOSTLY"}};
	std::size_t quiet = 0;

	for (const auto &row : list(layer, "positions")) {
		if (number_of(row, "stall_ns") == 0) {
			quiet++;
			continue;
		}
		std::vector<std::string> cells{std::to_string(number_of(row, "position")),
					       text_of(row, "step")};
		for (const auto *cause : causes)
			cells.push_back(time_of(row, std::string{cause} + "_ns"));
		cells.push_back(text_of(row, "cause"));
		table.add(std::move(cells));
	}
	out << '\n'
	    << "by layer: " << printable(region_of(layer)) << ", stream "
	    << printable(text_of(layer, "stream")) << ", " << quiet
	    << " steps without a wait are left out\n";
	if (!table.empty())
		table.print(out);
}

// gnuplot's strings in double quotes: nothing in them may act.
std::string quoted(const std::string &text)
{
	std::string out = "\"";

	for (const char c : text) {
		if (c == '"' || c == '\\')
			out += '\\';
		out += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
	}
	return out + '"';
}

std::string head(const std::string &png, const std::string &title)
{
	return "set terminal pngcairo size 1000,500 noenhanced font 'sans,10'\nset output " +
	       quoted(png) + "\nset title " + quoted(title) + "\n";
}

struct Bars {
	std::string title, unit;
	std::vector<std::string> parts; // of each bar
	std::vector<std::pair<std::string, std::vector<double>>> bars;
};

std::string bars_script(const Bars &bars, const std::string &png)
{
	if (bars.bars.empty())
		return {};
	auto script = head(png, bars.title) +
		      "set style data histograms\nset style histogram rowstacked\n"
		      "set style fill solid 0.8\nset boxwidth 0.8\nset key outside\n"
		      "set yrange [0:*]\nset xtics rotate by -60 noenhanced\nset ylabel " +
		      quoted(bars.unit) + "\n$data << EOD\n";
	// No more names than can be read.
	const std::size_t each = std::max<std::size_t>(1, bars.bars.size() / 40);

	for (std::size_t i = 0; i < bars.bars.size(); i++) {
		script += quoted(i % each == 0 ? bars.bars[i].first : "");
		for (const double value : bars.bars[i].second)
			script += " " + std::to_string(value);
		script += '\n';
	}
	script += "EOD\nplot ";
	for (std::size_t i = 0; i < bars.parts.size(); i++)
		script += (i > 0 ? ", " : "") + std::string{"$data using "} +
			  std::to_string(i + 2) + (i == 0 ? ":xtic(1)" : "") + " title " +
			  quoted(bars.parts[i]);
	return script + "\n";
}

} // namespace

void print_stalls(std::ostream &out, const Json &report)
{
	Table regions{{"REGION", ">FAULTS", ">MISS", ">LATE", ">PROMOTE", ">DEMOTE", ">HALF BELOW",
		       ">99 % BELOW"}};
	Table processes{
		{">PID", "PROCESS", ">THREADS", ">COMPUTE", ">MISS", ">LATE", ">COPY", "WHY"}};
	Table groups{{"CGROUP", ">THREADS", ">MISS", ">LATE", ">PROMOTE", ">DEMOTE"}};

	if (const auto why = text_of(report, "verdict"); !why.empty())
		out << printable(why) << '\n';
	print_since(out, report);
	for (const auto &row : list(report, "regions")) {
		const auto &stalls = member(row, "stalls");
		const auto &latency = member(row, "latency");

		regions.add({region_of(row), std::to_string(number_of(row, "fault_count")),
			     stall_of(stalls, "miss"), stall_of(stalls, "late"),
			     stall_of(stalls, "promote"), stall_of(stalls, "demote"),
			     time_of(latency, "p50_below_ns"), time_of(latency, "p99_below_ns")});
	}
	for (const auto &row : list(report, "processes")) {
		const auto &shares = member(row, "shares");

		processes.add({std::to_string(number_of(row, "pid")), text_of(row, "command"),
			       std::to_string(number_of(row, "threads")),
			       percent(real_of(shares, "compute")),
			       percent(real_of(shares, "miss")), percent(real_of(shares, "late")),
			       percent(real_of(shares, "move")), text_of(row, "verdict")});
	}
	for (const auto &row : list(report, "cgroups")) {
		const auto &stalls = member(row, "stalls");
		const auto path = text_of(row, "cgroup");

		groups.add({path.empty() ? "-" : path, std::to_string(number_of(row, "threads")),
			    stall_of(stalls, "miss"), stall_of(stalls, "late"),
			    stall_of(stalls, "promote"), stall_of(stalls, "demote")});
	}
	print_table(out, regions);
	print_tiers(out, report);
	print_table(out, processes);
	print_threads(out, report);
	print_table(out, groups);
	for (const auto &layer : list(report, "layers"))
		print_layers(out, layer);
	print_missing(out, report);
}

void print_prefetch(std::ostream &out, const Json &report)
{
	Table table{{"REGION", "CLASS", ">FETCHED", ">USEFUL", ">WASTED", ">LATE", ">HALF AHEAD BY",
		     "WORTH IT?"}};

	print_since(out, report);
	for (const auto &row : list(report, "regions")) {
		table.add({region_of(row), "all", format_size(number_of(row, "fetched_bytes")),
			   format_size(number_of(row, "useful_bytes")),
			   format_size(number_of(row, "wasted_bytes")),
			   stall_of(member(row, "stalls"), "late"),
			   time_of(member(row, "lead"), "p50_below_ns"), text_of(row, "verdict")});
		for (const auto &bytes : list(row, "classes"))
			table.add({"", text_of(bytes, "class"),
				   format_size(number_of(bytes, "fetched_bytes")),
				   format_size(number_of(bytes, "useful_bytes")),
				   format_size(number_of(bytes, "wasted_bytes")), "", "", ""});
	}
	print_table(out, table);
	print_missing(out, report);
}

void print_plans(std::ostream &out, const Json &report)
{
	Table table{{"REGION", "STATE", ">DRAM", ">CXL", ">STREAMED", ">SLOTS", ">PASS",
		     ">PREDICTED", ">BOUND", "BY", ">DEMAND ONLY"}};

	for (const auto &row : list(report, "plans")) {
		const bool estimated = !(member(row, "demand_measured") == true);

		table.add({region_of(row), text_of(row, "state"),
			   format_size(number_of(row, "dram_bytes")),
			   format_size(number_of(row, "cxl_bytes")),
			   format_size(number_of(row, "streamed_bytes")),
			   std::to_string(number_of(row, "slots")), time_of(row, "pass_ns"),
			   time_of(row, "predicted_ns"), time_of(row, "bound_ns"),
			   text_of(row, "bound_by"),
			   (estimated && number_of(row, "demand_ns") > 0 ? "~" : "") +
				   time_of(row, "demand_ns")});
	}
	print_table(out, table);
	for (const auto &row : list(report, "plans")) {
		if (!text_of(row, "origin").empty())
			out << printable(region_of(row)) << ": its order is "
			    << printable(text_of(row, "origin")) << '\n';
		for (const auto *said : {"why", "guesses_why"})
			if (!text_of(row, said).empty())
				out << printable(region_of(row)) << ": "
				    << printable(text_of(row, said)) << '\n';
	}
	print_missing(out, report);
}

void print_heat(std::ostream &out, const Json &report, std::size_t columns)
{
	const std::size_t width = std::max<std::size_t>(20, columns) - 10;

	for (const auto &region : list(report, "regions")) {
		std::vector<std::vector<std::uint64_t>> rows;
		std::uint64_t most = 0;

		for (const auto &row : list(region, "accesses")) {
			const auto cells = row.is_array() ? row.size() : 0;
			const auto each = (cells + width - 1) / width;
			auto &sums = rows.emplace_back(each > 0 ? (cells + each - 1) / each : 0);

			for (std::size_t i = 0; i < cells; i++)
				if (row[i].is_number_unsigned())
					sums[i / each] += row[i].get<std::uint64_t>();
			for (const auto sum : sums)
				most = std::max(most, sum);
		}
		out << printable(region_of(region)) << ": " << number_of(region, "granules")
		    << " granules of " << format_size(number_of(region, "granule_bytes"))
		    << ", from left to right; a line is "
		    << format_duration(number_of(region, "interval_ns")) << ", the newest last; '"
		    << shades.back() << "' is " << most << " accesses seen\n";
		for (std::size_t i = 0; i < rows.size(); i++) {
			char age[16];
			const auto back = number_of(region, "interval_ns") * (rows.size() - 1 - i);

			std::snprintf(age, sizeof(age), "%7.0f s ",
				      -static_cast<double>(back) / 1e9);
			out << age;
			for (const auto sum : rows[i]) {
				const auto shade =
					most > 0 ? (sum * (shades.size() - 1) + most - 1) / most
						 : 0;
				out << shades[std::min<std::size_t>(shade, shades.size() - 1)];
			}
			out << '\n';
		}
	}
	if (list(report, "regions").empty())
		out << "Nothing was seen yet.\n";
	print_missing(out, report);
}

std::string stalls_script(const Json &report, const std::string &png)
{
	Bars bars{.title = text_of(report, "verdict"),
		  .unit = "seconds waited",
		  .parts = {std::begin(causes), std::end(causes)},
		  .bars = {}};

	for (const auto &layer : list(report, "layers"))
		for (const auto &row : list(layer, "positions")) {
			auto &bar = bars.bars.emplace_back(text_of(row, "step"), 0).second;

			for (const auto *cause : causes)
				bar.push_back(static_cast<double>(
						      number_of(row, std::string{cause} + "_ns")) /
					      1e9);
		}
	if (bars.bars.empty())
		for (const auto &row : list(report, "regions")) {
			auto &bar = bars.bars.emplace_back(region_of(row), 0).second;

			for (const auto *cause : causes)
				bar.push_back(static_cast<double>(number_of(
						      member(member(row, "stalls"), cause), "ns")) /
					      1e9);
		}
	return bars_script(bars, png);
}

std::string prefetch_script(const Json &report, const std::string &png)
{
	Bars bars{.title = "fetched ahead: used, dropped untouched, not used yet",
		  .unit = "MiB",
		  .parts = {"useful", "wasted", "not used yet"},
		  .bars = {}};

	for (const auto &row : list(report, "regions"))
		for (const auto &bytes : list(row, "classes")) {
			const auto mib = [&](std::uint64_t value) {
				return static_cast<double>(value) / (1 << 20);
			};
			const auto useful = number_of(bytes, "useful_bytes");
			const auto wasted = number_of(bytes, "wasted_bytes");
			const auto fetched = number_of(bytes, "fetched_bytes");
			const auto rest =
				fetched >= useful + wasted ? fetched - useful - wasted : 0;

			bars.bars.push_back({region_of(row) + " " + text_of(bytes, "class"),
					     {mib(useful), mib(wasted), mib(rest)}});
		}
	return bars_script(bars, png);
}

std::string heat_script(const Json &report, const std::string &png)
{
	const auto &regions = list(report, "regions");

	if (regions.empty() || list(regions[0], "accesses").empty())
		return {};
	const auto &region = regions[0];
	auto script = head(png, "heat of " + region_of(region)) +
		      "set autoscale fix\nset xlabel 'granule'\nset ylabel 'seconds ago'\nset "
		      "palette defined (0 'white', 1 "
		      "'orange', 2 'red', 3 'black')\nset cblabel 'accesses seen'\nunset key\n"
		      "$data << EOD\n";
	const auto &rows = list(region, "accesses");

	for (const auto &row : rows) {
		std::string line;

		for (std::size_t i = 0; row.is_array() && i < row.size(); i++)
			line += (i > 0 ? " " : "") +
				std::to_string(row[i].is_number_unsigned()
						       ? row[i].get<std::uint64_t>()
						       : 0);
		script += line + "\n";
	}
	char plot[256];
	std::snprintf(plot, sizeof(plot),
		      "EOD\nplot $data matrix using ($1*%llu):(($2-%zu)*%.3f):3 with image\n",
		      static_cast<unsigned long long>(number_of(region, "granules_a_column")),
		      rows.size() - 1, static_cast<double>(number_of(region, "interval_ns")) / 1e9);
	return script + plot;
}

} // namespace itme
