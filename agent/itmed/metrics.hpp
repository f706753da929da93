// SPDX-License-Identifier: GPL-2.0-only
// Metrics itme_*, from one observation. Described in Documentation/metrics.md,
// which a unit test compares.
#pragma once

#include "lib/observer.hpp"
#include "lib/plan_report.hpp"

#include <prometheus/metric_family.h>

#include <span>
#include <string_view>
#include <vector>

namespace itme {

struct MetricDescription {
	std::string_view name;
	std::string_view labels; // "instance, region"
	prometheus::MetricType type = prometheus::MetricType::Counter;
	std::string_view text;
};

[[nodiscard]] std::span<const MetricDescription> metric_descriptions();

// What itmed knows of itself.
struct AgentFacts {
	double cpu_seconds = 0;
	std::uint64_t waiting = 0; // mounts and attachments that could not be restored yet
	std::vector<PlanReport> plans = {};
};

[[nodiscard]] std::vector<prometheus::MetricFamily> metric_families(const Observation &now,
								    const AgentFacts &agent);

} // namespace itme
