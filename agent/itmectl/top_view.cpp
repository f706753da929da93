// SPDX-License-Identifier: GPL-2.0-only
#include "itmectl/top_view.hpp"

#include "lib/duration.hpp"
#include "lib/size.hpp"
#include "lib/table.hpp"

#include <algorithm>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <sstream>

namespace itme {

namespace {

constexpr double megabyte = 1e6;
constexpr std::size_t bar_columns = 30, pass_columns = 60;

[[gnu::format(printf, 1, 2)]] std::string format(const char *text, ...)
{
	char line[512];
	va_list arguments;

	va_start(arguments, text);
	std::vsnprintf(line, sizeof(line), text, arguments);
	va_end(arguments);
	return line;
}

// Whole characters of UTF-8, so many at most.
std::string clip(const std::string &text, std::size_t columns)
{
	std::string out;
	std::size_t width = 0;

	for (const char c : text) {
		if ((static_cast<unsigned char>(c) & 0xc0) != 0x80 && ++width > columns)
			break;
		out += c;
	}
	return out;
}

std::string bar(double share, std::size_t columns)
{
	const auto full = static_cast<std::size_t>(
		std::lround(std::clamp(share, 0.0, 1.0) * static_cast<double>(columns)));

	return "[" + std::string(full, '#') + std::string(columns - full, ' ') + "]";
}

std::string percent(double share)
{
	return format("%.0f %%", 100 * std::clamp(share, 0.0, 1.0));
}

double ratio(std::uint64_t part, std::uint64_t whole)
{
	return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0.0;
}

void add_tiers(std::vector<std::string> &lines, const Json &instance)
{
	for (const auto &tier : list(instance, "tiers")) {
		const auto name = text_of(tier, "tier");
		const auto budget = number_of(tier, "budget_bytes");
		const bool store = name == "store";
		const auto used = store ? number_of(instance, "resident_bytes")
					: number_of(tier, "used_bytes");

		if (budget == 0 && used == 0 && name == "cxl")
			continue; // a set-up without
		lines.push_back(format(
			"  %-6s %10s %s %s %s", clip(printable(name), 6).c_str(),
			format_size(budget).c_str(), bar(ratio(used, budget), bar_columns).c_str(),
			format_size(used).c_str(), store ? "of it in memory" : "used"));
	}
}

void add_links(std::vector<std::string> &lines, const Json &instance)
{
	std::string line = "  MB/s  ";

	for (const auto &link : list(instance, "links"))
		line += format(" %s->%s %.1f ", clip(printable(text_of(link, "from")), 8).c_str(),
			       clip(printable(text_of(link, "to")), 8).c_str(),
			       real_of(link, "bytes_per_second") / megabyte);
	lines.push_back(line);
	lines.push_back(
		format("  faults %llu, misses %llu, late %llu; ahead: fetched %s, wasted %s",
		       static_cast<unsigned long long>(number_of(instance, "fault_count")),
		       static_cast<unsigned long long>(number_of(instance, "miss_count")),
		       static_cast<unsigned long long>(number_of(instance, "late_count")),
		       format_size(number_of(instance, "prefetch_bytes")).c_str(),
		       format_size(number_of(instance, "wasted_bytes")).c_str()));
}

// Where the time of a pass goes: each letter is a part of it.
std::string split(const Json &shares)
{
	std::string text;

	for (const auto &[name, letter] : {std::pair{"compute", '.'}, std::pair{"miss", 'M'},
					   std::pair{"late", 'L'}, std::pair{"move", 'C'}}) {
		const auto share = std::clamp(real_of(shares, name), 0.0, 1.0);
		const auto columns = static_cast<std::size_t>(std::lround(share * pass_columns));

		text += std::string(std::min(columns, pass_columns - text.size()), letter);
	}
	return "[" + text + std::string(pass_columns - text.size(), ' ') + "]";
}

void add_place(std::vector<std::string> &lines, const Json &place)
{
	const auto &shares = member(place, "shares");
	const auto pass_ns = number_of(place, "pass_ns");

	lines.push_back(format("  %s %s: pass %llu, step %llu of %llu (%s), %s a pass",
			       clip(printable(text_of(place, "region")), 24).c_str(),
			       clip(printable(text_of(place, "program")), 12).c_str(),
			       static_cast<unsigned long long>(number_of(place, "pass")),
			       static_cast<unsigned long long>(number_of(place, "position")),
			       static_cast<unsigned long long>(number_of(place, "positions")),
			       clip(printable(text_of(place, "step")), 24).c_str(),
			       pass_ns > 0 ? format_duration(pass_ns).c_str() : "-"));
	if (const auto order = text_of(place, "order"); order.starts_with("learned"))
		lines.push_back("  its order is " + printable(order));
	lines.push_back("  " + split(shares));
	lines.push_back(format("  compute(.) %s  miss(M) %s  late(L) %s  copy(C) %s",
			       percent(real_of(shares, "compute")).c_str(),
			       percent(real_of(shares, "miss")).c_str(),
			       percent(real_of(shares, "late")).c_str(),
			       percent(real_of(shares, "move")).c_str()));
}

// A table that says something, below an empty line.
void add_table(std::vector<std::string> &lines, const Table &table)
{
	if (table.empty())
		return;
	std::ostringstream text;
	table.print(text);
	std::istringstream rows{text.str()};
	lines.emplace_back();
	for (std::string row; std::getline(rows, row);)
		lines.push_back(row);
}

void add_processes(std::vector<std::string> &lines, const Json &flow)
{
	Table table{{">PID", "PROCESS", ">THREADS", ">COMPUTE", ">MISS", ">LATE", ">COPY", "WHY"}};

	for (const auto &process : list(flow, "processes")) {
		const auto &shares = member(process, "shares");
		const auto why = text_of(process, "verdict");

		table.add({std::to_string(number_of(process, "pid")),
			   clip(text_of(process, "command"), 16),
			   std::to_string(number_of(process, "threads")),
			   percent(real_of(shares, "compute")), percent(real_of(shares, "miss")),
			   percent(real_of(shares, "late")), percent(real_of(shares, "move")),
			   why.substr(0, why.find(':'))});
	}
	add_table(lines, table);
}

// Of each process, what it has itself beside what it maps of regions.
void add_memory(std::vector<std::string> &lines, const Json &flow)
{
	Table table{{">PID", "PROCESS", ">ANON DRAM", ">ANON CXL", ">REGION DRAM", ">REGION CXL",
		     ">DECLARED", ">MISPLACED"}};

	for (const auto &process : list(flow, "memory")) {
		const auto size = [](const Json &json, const char *key) {
			return format_size(number_of(json, key));
		};
		const auto &declared = member(process, "declared");
		const bool is_declared = declared.is_object();

		table.add({std::to_string(number_of(process, "pid")),
			   clip(text_of(process, "command"), 16), size(process, "anon_dram_bytes"),
			   size(process, "anon_cxl_bytes"), size(process, "region_dram_bytes"),
			   size(process, "region_cxl_bytes"),
			   is_declared ? size(declared, "bytes") : "-",
			   is_declared ? size(declared, "misplaced_bytes") : "-"});
	}
	add_table(lines, table);
}

// A sentence, in lines that are no longer than that where it has spaces.
void add_wrapped(std::vector<std::string> &lines, const std::string &text, std::size_t columns)
{
	std::istringstream words{text};
	std::string line = "!";

	for (std::string word; words >> word;) {
		if (line.size() + 1 + word.size() > columns && line.size() > 1) {
			lines.push_back(line);
			line = " ";
		}
		line += " " + word;
	}
	lines.push_back(line);
}

} // namespace

std::vector<std::string> top_lines(const Json &flow, const Screen &screen)
{
	std::vector<std::string> lines, notes;

	lines.push_back(format("itmectl top: the last %.1f s, seen by %s", real_of(flow, "seconds"),
			       clip(printable(text_of(flow, "source")), 16).c_str()));
	if (list(flow, "instances").empty())
		lines.emplace_back("Nothing is mounted.");
	for (const auto &instance : list(flow, "instances")) {
		lines.push_back(printable(text_of(instance, "instance")));
		add_tiers(lines, instance);
		add_links(lines, instance);
		for (const auto &place : list(flow, "places"))
			if (text_of(place, "instance") == text_of(instance, "instance"))
				add_place(lines, place);
	}
	add_processes(lines, flow);
	add_memory(lines, flow);
	for (const auto &text : list(flow, "missing"))
		if (text.is_string())
			add_wrapped(notes, printable(text.get<std::string>()), screen.columns);
	if (!notes.empty())
		lines.emplace_back();
	lines.insert(lines.end(), notes.begin(), notes.end());

	if (screen.lines > 0 && lines.size() > screen.lines) {
		const auto left = lines.size() - screen.lines + 1;

		lines.resize(screen.lines - 1);
		lines.push_back("... and " + std::to_string(left) +
				" more lines: a higher terminal, or itmectl top | less");
	}
	for (auto &line : lines)
		line = clip(line, screen.columns);
	return lines;
}

} // namespace itme
