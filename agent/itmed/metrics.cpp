// SPDX-License-Identifier: GPL-2.0-only
#include "itmed/metrics.hpp"

#include <array>
#include <cmath>
#include <utility>

namespace itme {

namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

constexpr double second_ns = 1e9;
constexpr std::size_t first_bucket = 9, last_bucket = 34; // up to 1 us, up to 34 s

constexpr std::array descriptions = std::to_array<MetricDescription>({
	{"itme_tier_budget_bytes", "instance, tier", MetricType::Gauge, "Budget of frames."},
	{"itme_tier_current_bytes", "instance, tier", MetricType::Gauge, "Frames that exist."},
	{"itme_tier_used_bytes", "instance, tier", MetricType::Gauge,
	 "Frames that hold a granule."},
	{"itme_region_size_bytes", "instance, region", MetricType::Gauge, "Size of the region."},
	{"itme_region_resident_bytes", "instance, region, tier", MetricType::Gauge,
	 "Frames that hold granules of the region."},
	{"itme_region_pinned_bytes", "instance, region", MetricType::Gauge,
	 "Granules that are pinned."},
	{"itme_region_queued_bytes", "instance, region", MetricType::Gauge,
	 "Wanted by hints, and not begun yet."},
	{"itme_region_dirty_bytes", "instance, region", MetricType::Gauge,
	 "Written to, and not all in the store yet."},
	{"itme_faults_total", "instance, region", MetricType::Counter, "Page faults served."},
	{"itme_misses_total", "instance, region", MetricType::Counter,
	 "Faults and reads that waited for the store, with nothing hinted."},
	{"itme_late_total", "instance, region", MetricType::Counter,
	 "Faults and reads that waited for the store although it had been hinted."},
	{"itme_touches_total", "instance, region", MetricType::Counter,
	 "First accesses to watched granules."},
	{"itme_fill_bytes_total", "instance, region", MetricType::Counter,
	 "Read from the store, on demand and ahead."},
	{"itme_direct_bytes_total", "instance, region", MetricType::Counter,
	 "Read by O_DIRECT, straight from the store."},
	{"itme_fill_errors_total", "instance, region", MetricType::Counter, "Fills that failed."},
	{"itme_prefetch_bytes_total", "instance, region, result", MetricType::Counter,
	 "Read ahead (fetched); and then touched (useful), or dropped untouched (wasted)."},
	{"itme_hint_bytes_total", "instance, region, result", MetricType::Counter,
	 "Hinted: accepted, clipped, refused, expired, cancelled or degraded."},
	{"itme_promote_bytes_total", "instance, region", MetricType::Counter,
	 "Moved from CXL memory to DRAM."},
	{"itme_demote_bytes_total", "instance, region", MetricType::Counter,
	 "Moved from DRAM to CXL memory."},
	{"itme_evict_bytes_total", "instance, region", MetricType::Counter, "Dropped from memory."},
	{"itme_held_total", "instance, region", MetricType::Counter,
	 "Moves and drops given up because the frame was held."},
	{"itme_timeouts_total", "instance, region", MetricType::Counter,
	 "Waits that ended without a frame or an answer of the store."},
	{"itme_retired_bytes_total", "instance, region", MetricType::Counter,
	 "Frames taken out of use because of poison."},
	{"itme_writeback_bytes_total", "instance, region", MetricType::Counter,
	 "Written to the store."},
	{"itme_writeback_errors_total", "instance, region", MetricType::Counter,
	 "Granules that the store did not take; they stay dirty."},
	{"itme_lost_bytes_total", "instance, region", MetricType::Counter,
	 "Dirty, and never taken by the store."},
	{"itme_stall_seconds_total", "instance, region, cause", MetricType::Counter,
	 "Time that threads waited: for the store (miss, late) or for a copy (promote, demote)."},
	{"itme_stalls_total", "instance, region, cause", MetricType::Counter, "Such waits."},
	{"itme_stall_bytes_total", "instance, region, cause", MetricType::Counter,
	 "Granules waited for."},
	{"itme_copy_seconds_total", "instance, region, cause", MetricType::Counter,
	 "Time that copies between DRAM and CXL memory took, whoever waited: promote, demote."},
	{"itme_tier_filled_bytes_total", "instance, region, tier, cause", MetricType::Counter,
	 "Brought into a tier: on demand, for hints of a class, or by a move."},
	{"itme_prefetch_class_bytes_total", "instance, region, class, result", MetricType::Counter,
	 "Fetched ahead for hints of a class, from the store or from CXL memory; useful, wasted."},
	{"itme_fault_latency_seconds", "instance, region", MetricType::Histogram,
	 "How long faults and reads took that waited."},
	{"itme_prefetch_lead_seconds", "instance, region", MetricType::Histogram,
	 "How long what was fetched ahead had been ready when it was used."},
	{"itme_fill_seconds", "instance, region", MetricType::Histogram,
	 "How long reads from the store took."},
	{"itme_passes_total", "instance, region, stream", MetricType::Counter,
	 "Passes since the stream was first seen."},
	{"itme_position", "instance, region, stream", MetricType::Gauge,
	 "Position in the program, from 0."},
	{"itme_plan_following", "instance, region, stream", MetricType::Gauge,
	 "1 while hints are given ahead of the stream's reads."},
	{"itme_plan_resident_bytes", "instance, region, stream, tier", MetricType::Gauge,
	 "What the plan keeps of the region."},
	{"itme_plan_streamed_bytes", "instance, region, stream", MetricType::Gauge,
	 "What the plan fetches in each pass."},
	{"itme_plan_pass_seconds", "instance, region, stream, kind", MetricType::Gauge,
	 "A pass: measured, predicted, bound, and demand (without hints)."},
	{"itme_plan_hints_total", "instance, region, stream, result", MetricType::Counter,
	 "Granules asked for (fetched), and taken back because the run went elsewhere (dropped)."},
	{"itme_plan_accesses_total", "instance, region, stream, result", MetricType::Counter,
	 "Accesses to what is streamed: all that were seen, and those out of order (stray)."},
	{"itme_plan_lost_total", "instance, region, stream", MetricType::Counter,
	 "Times that the run was no longer where its schedule says."},
	{"itme_plan_guesses_total", "instance, region, stream, result", MetricType::Counter,
	 "Granules that a runtime guessed: fetched, used, wasted, or withheld."},
	{"itme_dropped_events_total", "reason", MetricType::Counter,
	 "Events that the BPF programs could not count."},
	{"itme_probe_attached", "", MetricType::Gauge,
	 "1 while the BPF programs count, which all metrics of stalls, tiers and positions need."},
	{"itme_restore_waiting", "", MetricType::Gauge,
	 "Mounts and attachments of itmed.toml that could not be restored yet."},
	{"itme_agent_cpu_seconds_total", "", MetricType::Counter,
	 "Processor time that itmed has used."},
});

using Labels = std::vector<std::pair<std::string, std::string>>;

class Builder {
public:
	Builder()
	{
		for (const auto &description : descriptions)
			families_.push_back({std::string{description.name},
					     std::string{description.text},
					     description.type,
					     {}});
	}

	void add(std::string_view name, Labels labels, double value)
	{
		auto &metric = append(name, std::move(labels));

		if (family(name).type == MetricType::Gauge)
			metric.gauge.value = value;
		else
			metric.counter.value = value;
	}

	void add(std::string_view name, Labels labels, const Histogram &histogram)
	{
		auto &metric = append(name, std::move(labels)).histogram;
		std::uint64_t sum = 0;

		for (std::size_t b = 0; b < histogram.count.size(); b++) {
			sum += histogram.count[b];
			if (b >= first_bucket && b <= last_bucket)
				metric.bucket.push_back(
					{sum,
					 std::ldexp(1.0, static_cast<int>(b) + 1) / second_ns});
		}
		metric.bucket.push_back({sum, INFINITY});
		metric.sample_count = sum;
		metric.sample_sum = static_cast<double>(histogram.sum) / second_ns;
	}

	std::vector<MetricFamily> take()
	{
		std::erase_if(families_,
			      [](const MetricFamily &family) { return family.metric.empty(); });
		return std::move(families_);
	}

private:
	MetricFamily &family(std::string_view name)
	{
		for (auto &family : families_)
			if (family.name == name)
				return family;
		std::unreachable(); // the unit test calls every add()
	}

	ClientMetric &append(std::string_view name, Labels labels)
	{
		auto &metric = family(name).metric.emplace_back();

		for (auto &[label, value] : labels)
			metric.label.push_back({std::move(label), std::move(value)});
		return metric;
	}

	std::vector<MetricFamily> families_;
};

double value_of(const Attributes &attributes, const std::string &name)
{
	return static_cast<double>(number(attributes, name).value_or(0));
}

// Counters and sizes of sysfs: what there is called, and here.
struct Source {
	const char *attribute, *metric, *label, *value;
};
constexpr std::array sources = std::to_array<Source>({
	{"size_bytes", "itme_region_size_bytes", nullptr, nullptr},
	{"dram_resident_bytes", "itme_region_resident_bytes", "tier", "dram"},
	{"cxl_resident_bytes", "itme_region_resident_bytes", "tier", "cxl"},
	{"pinned_bytes", "itme_region_pinned_bytes", nullptr, nullptr},
	{"queued_bytes", "itme_region_queued_bytes", nullptr, nullptr},
	{"dirty_bytes", "itme_region_dirty_bytes", nullptr, nullptr},
	{"fault_count", "itme_faults_total", nullptr, nullptr},
	{"miss_count", "itme_misses_total", nullptr, nullptr},
	{"late_count", "itme_late_total", nullptr, nullptr},
	{"touch_count", "itme_touches_total", nullptr, nullptr},
	{"fill_bytes", "itme_fill_bytes_total", nullptr, nullptr},
	{"direct_bytes", "itme_direct_bytes_total", nullptr, nullptr},
	{"error_count", "itme_fill_errors_total", nullptr, nullptr},
	{"prefetch_bytes", "itme_prefetch_bytes_total", "result", "fetched"},
	{"useful_bytes", "itme_prefetch_bytes_total", "result", "useful"},
	{"wasted_bytes", "itme_prefetch_bytes_total", "result", "wasted"},
	{"accepted_bytes", "itme_hint_bytes_total", "result", "accepted"},
	{"clipped_bytes", "itme_hint_bytes_total", "result", "clipped"},
	{"refused_bytes", "itme_hint_bytes_total", "result", "refused"},
	{"expired_bytes", "itme_hint_bytes_total", "result", "expired"},
	{"cancelled_bytes", "itme_hint_bytes_total", "result", "cancelled"},
	{"degraded_bytes", "itme_hint_bytes_total", "result", "degraded"},
	{"promote_bytes", "itme_promote_bytes_total", nullptr, nullptr},
	{"demote_bytes", "itme_demote_bytes_total", nullptr, nullptr},
	{"evict_bytes", "itme_evict_bytes_total", nullptr, nullptr},
	{"held_count", "itme_held_total", nullptr, nullptr},
	{"timeout_count", "itme_timeouts_total", nullptr, nullptr},
	{"retired_bytes", "itme_retired_bytes_total", nullptr, nullptr},
	{"writeback_bytes", "itme_writeback_bytes_total", nullptr, nullptr},
	{"writeback_error_count", "itme_writeback_errors_total", nullptr, nullptr},
	{"lost_bytes", "itme_lost_bytes_total", nullptr, nullptr},
});

void add_instance(Builder &builder, const Instance &instance)
{
	for (const std::string tier : {"dram", "cxl"}) {
		const Labels labels{{"instance", instance.name}, {"tier", tier}};
		const auto current = value_of(instance.attributes, tier + "_current_bytes");

		builder.add("itme_tier_budget_bytes", labels,
			    value_of(instance.attributes, tier + "_bytes"));
		builder.add("itme_tier_current_bytes", labels, current);
		builder.add("itme_tier_used_bytes", labels,
			    current - value_of(instance.attributes, tier + "_free_bytes"));
	}
	for (const auto &region : instance.regions) {
		for (const auto &source : sources) {
			Labels labels{{"instance", instance.name}, {"region", region.name}};

			// A module that does not count this has no zero to show.
			if (!region.attributes.contains(source.attribute))
				continue;
			if (source.label)
				labels.emplace_back(source.label, source.value);
			builder.add(source.metric, std::move(labels),
				    value_of(region.attributes, source.attribute));
		}
	}
}

void add_seen(Builder &builder, const RegionCounts &region)
{
	const Labels own{{"instance", region.instance}, {"region", region.name}};
	const auto with = [&](std::initializer_list<Labels::value_type> more) {
		auto labels = own;

		labels.insert(labels.end(), more);
		return labels;
	};

	for (std::size_t i = 0; i < stall_causes; i++) {
		const auto &stall = region.stalls.by_cause[i];
		const auto labels = with({{"cause", cause_name(static_cast<StallCause>(i))}});

		builder.add("itme_stall_seconds_total", labels,
			    static_cast<double>(stall.ns) / second_ns);
		builder.add("itme_stalls_total", labels, static_cast<double>(stall.count));
		builder.add("itme_stall_bytes_total", labels, static_cast<double>(stall.bytes));
	}
	for (const auto &[cause, ns] :
	     {std::pair{"promote", region.promote_ns}, std::pair{"demote", region.demote_ns}})
		builder.add("itme_copy_seconds_total", with({{"cause", cause}}),
			    static_cast<double>(ns) / second_ns);
	for (const auto &[tier, name] : {std::pair{1, "cxl"}, std::pair{2, "dram"}})
		for (std::size_t i = 0; i < byte_causes; i++)
			builder.add("itme_tier_filled_bytes_total",
				    with({{"tier", name},
					  {"cause", cause_name(static_cast<ByteCause>(i))}}),
				    static_cast<double>(
					    region.bytes[static_cast<std::size_t>(tier)][i]));
	for (std::size_t i = 0; i < hint_classes_seen; i++) {
		const auto &bytes = region.prefetch[i];
		const auto *name = class_name(static_cast<HintClassSeen>(i));

		for (const auto &[result, value] :
		     {std::pair{"fetched", bytes.fetched}, std::pair{"useful", bytes.useful},
		      std::pair{"wasted", bytes.wasted}})
			builder.add("itme_prefetch_class_bytes_total",
				    with({{"class", name}, {"result", result}}),
				    static_cast<double>(value));
	}
	builder.add("itme_fault_latency_seconds", own, region.latency_ns);
	builder.add("itme_prefetch_lead_seconds", own, region.lead_ns);
	builder.add("itme_fill_seconds", own, region.fill_ns);
}

void add_plan(Builder &builder, const PlanReport &plan)
{
	const Labels own{
		{"instance", plan.instance}, {"region", plan.region}, {"stream", plan.stream}};
	const auto add = [&](std::string_view name, const char *label,
			     std::initializer_list<std::pair<const char *, std::uint64_t>> values,
			     double unit = 1) {
		for (const auto &[value, count] : values) {
			auto labels = own;

			labels.emplace_back(label, value);
			builder.add(name, std::move(labels), static_cast<double>(count) / unit);
		}
	};

	builder.add("itme_plan_following", own, plan.state == PlanState::follows ? 1 : 0);
	add("itme_plan_resident_bytes", "tier",
	    {{"dram", plan.dram_bytes}, {"cxl", plan.cxl_bytes}});
	builder.add("itme_plan_streamed_bytes", own, static_cast<double>(plan.streamed_bytes));
	add("itme_plan_pass_seconds", "kind",
	    {{"measured", plan.pass_ns},
	     {"predicted", plan.predicted_ns},
	     {"bound", plan.bound_ns},
	     {"demand", plan.demand_ns}},
	    second_ns);
	add("itme_plan_hints_total", "result",
	    {{"fetched", plan.counts.fetched}, {"dropped", plan.counts.dropped}});
	add("itme_plan_accesses_total", "result",
	    {{"all", plan.counts.seen}, {"stray", plan.counts.strays}});
	builder.add("itme_plan_lost_total", own, static_cast<double>(plan.counts.lost));
	add("itme_plan_guesses_total", "result",
	    {{"fetched", plan.guesses.fetched},
	     {"used", plan.guesses.used},
	     {"wasted", plan.guesses.wasted},
	     {"withheld", plan.guesses.withheld}});
}

} // namespace

std::span<const MetricDescription> metric_descriptions()
{
	return descriptions;
}

std::vector<MetricFamily> metric_families(const Observation &now, const AgentFacts &agent)
{
	Builder builder;

	for (const auto &instance : now.instances)
		add_instance(builder, instance);
	if (now.seen) {
		for (const auto &region : now.seen->regions)
			if (!region.name.empty()) // one that is detached has no name to go by
				add_seen(builder, region);
		for (const auto &drop : now.seen->drops)
			builder.add("itme_dropped_events_total", {{"reason", drop.reason}},
				    static_cast<double>(drop.count));
		for (const auto &place : now.places) {
			for (const auto &region : now.seen->regions) {
				if (region.id != place.at.region || region.name.empty())
					continue;
				const Labels labels{{"instance", region.instance},
						    {"region", region.name},
						    {"stream", place.at.stream}};

				builder.add("itme_passes_total", labels,
					    static_cast<double>(place.at.pass));
				builder.add("itme_position", labels,
					    static_cast<double>(place.at.position));
			}
		}
	}
	for (const auto &plan : agent.plans)
		add_plan(builder, plan);
	builder.add("itme_probe_attached", {}, now.seen ? 1 : 0);
	builder.add("itme_restore_waiting", {}, static_cast<double>(agent.waiting));
	builder.add("itme_agent_cpu_seconds_total", {}, agent.cpu_seconds);
	return builder.take();
}

} // namespace itme
