// SPDX-License-Identifier: GPL-2.0-only
#include "itmectl/faults.hpp"

#include "itmectl/output.hpp"
#include "itmectl/stop.hpp"
#include "lib/duration.hpp"
#include "lib/explain.hpp"
#include "lib/table.hpp"

#include <algorithm>
#include <numeric>
#include <ostream>

namespace itme {

namespace {

constexpr double half = 0.5, nearly_all = 0.99;
constexpr std::size_t longest_bar = 40;
constexpr std::uint64_t second_ns = 1'000'000'000;

// From the first bucket with something in it to the last.
void print_histogram(std::ostream &out, const std::string &heading, const Log2Histogram &histogram)
{
	const auto filled = [](std::uint64_t count) { return count > 0; };
	const auto first = std::ranges::find_if(histogram, filled) - histogram.begin();
	auto end = static_cast<std::ptrdiff_t>(histogram.size());
	const auto most = std::ranges::max(histogram);
	Table table{{">" + heading + " FROM", ">COUNT", ""}};

	if (most == 0)
		return;
	while (histogram[static_cast<std::size_t>(end - 1)] == 0)
		end--;
	for (auto b = static_cast<std::size_t>(first); b < static_cast<std::size_t>(end); b++) {
		const auto length = (histogram[b] * longest_bar + most - 1) / most;

		table.add({format_duration(b == 0 ? 0 : std::uint64_t{1} << b),
			   std::to_string(histogram[b]), std::string(length, '#')});
	}
	out << '\n';
	table.print(out);
}

Json to_json(const FaultCounts &counts, bool typed)
{
	return {
		{"tracepoint", typed ? "typed" : "classic"},
		{"fault_count", counts.fault_count},
		{"read_count", counts.read_count},
		{"miss_count", counts.miss_count},
		{"late_count", counts.late_count},
		{"ahead_count", counts.ahead_count},
		{"latency_sum_ns", counts.latency_sum_ns},
		{"latency_log2_count", counts.latency_log2_count},
		{"lead_sum_ns", counts.lead_sum_ns},
		{"lead_log2_count", counts.lead_log2_count},
		{"dropped_count", counts.dropped_count},
	};
}

} // namespace

void print_faults(std::ostream &out, const FaultCounts &counts)
{
	const auto &latency = counts.latency_log2_count, &lead = counts.lead_log2_count;
	const auto waited = std::accumulate(latency.begin(), latency.end(), std::uint64_t{0});
	Table table{{"FAULTS", ">", "MEANING"}};

	table.add({"served", std::to_string(counts.fault_count), "page faults"});
	table.add({"reads", std::to_string(counts.read_count),
		   "of read(2) that waited for the store"});
	table.add({"miss", std::to_string(counts.miss_count),
		   "waited for the store, nothing had been hinted"});
	table.add({"late", std::to_string(counts.late_count),
		   "waited for the store although it had been hinted"});
	table.add({"ahead", std::to_string(counts.ahead_count),
		   "first touch of what a hint had fetched"});
	if (waited > 0) {
		table.add({"mean latency", format_duration(counts.latency_sum_ns / waited),
			   "of faults and reads that waited"});
		table.add({"half took less than", format_duration(below_ns(latency, half))});
		table.add({"99 % took less than", format_duration(below_ns(latency, nearly_all))});
	}
	if (counts.ahead_count > 0) {
		table.add({"mean lead", format_duration(counts.lead_sum_ns / counts.ahead_count),
			   "how long it had been there"});
		table.add({"half had less than", format_duration(below_ns(lead, half))});
	}
	table.add({"not counted", std::to_string(counts.dropped_count)});
	table.print(out);
	print_histogram(out, "LATENCY", latency);
	print_histogram(out, "LEAD", lead);
}

Result<void> watch_faults(Env &env, unsigned seconds, bool json)
{
	if (!is_loaded(env.root))
		return std::unexpected(not_loaded());

	const Stop stop;
	const auto probe = FaultProbe::attach(env.root);
	if (!probe)
		return std::unexpected(probe.error());
	const bool typed = probe->fallback_reason().empty();
	if (!typed)
		env.err << "itmectl: using the classic trace event, which is slower: "
			<< probe->fallback_reason() << '\n';

	stop.wait(seconds * second_ns);
	const auto counts = probe->read();
	if (!counts)
		return std::unexpected(counts.error());
	if (json)
		print_json(env, to_json(*counts, typed));
	else
		print_faults(env.out, *counts);
	return {};
}

} // namespace itme
