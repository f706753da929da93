// SPDX-License-Identifier: GPL-2.0-only
#include "itmed/exporter.hpp"
#include "itmed/metrics.hpp"

#include "observed.hpp"

#include <algorithm>
#include <fstream>
#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>
#include <set>
#include <sstream>

namespace {

using namespace itme;

const char *type_name(prometheus::MetricType type)
{
	switch (type) {
	case prometheus::MetricType::Counter:
		return "counter";
	case prometheus::MetricType::Gauge:
		return "gauge";
	case prometheus::MetricType::Histogram:
		return "histogram";
	default:
		return "?";
	}
}

AgentFacts facts()
{
	PlanReport plan;

	plan.instance = "itme0";
	plan.region = "m.gguf";
	plan.stream = "decode";
	plan.state = PlanState::follows;
	plan.pass_ns = 2'500'000'000;
	plan.counts.strays = 3;
	plan.guesses.wasted = 4;
	return {.cpu_seconds = 1.5, .waiting = 2, .plans = {plan}};
}

std::string exposition(const Observation &now)
{
	return prometheus::TextSerializer{}.Serialize(metric_families(now, facts()));
}

} // namespace

TEST(Metrics, AreAsDocumented)
{
	std::ifstream file{"Documentation/metrics.md"};
	if (!file)
		GTEST_SKIP() << "not run from the project's folder";
	std::vector<std::string> wanted, documented;

	for (const auto &metric : metric_descriptions())
		wanted.push_back("| `" + std::string{metric.name} + "` | " +
				 type_name(metric.type) + " | " +
				 (metric.labels.empty() ? "-" : std::string{metric.labels}) +
				 " | " + std::string{metric.text} + " |");
	for (std::string line; std::getline(file, line);)
		if (line.starts_with("| `itme_"))
			documented.push_back(line);
	EXPECT_EQ(documented, wanted);
}

TEST(Metrics, EveryDescribedOneIsExposedWithItsLabels)
{
	const auto families = metric_families(observed(5), facts());
	std::set<std::string> exposed;

	for (const auto &family : families) {
		exposed.insert(family.name);
		ASSERT_FALSE(family.metric.empty()) << family.name;
		std::string labels;
		for (const auto &label : family.metric[0].label)
			labels += (labels.empty() ? "" : ", ") + label.name;
		const auto found = std::ranges::find(metric_descriptions(), family.name,
						     &MetricDescription::name);
		ASSERT_NE(found, metric_descriptions().end());
		EXPECT_EQ(labels, found->labels) << family.name;
		for (const auto &metric : family.metric)
			EXPECT_EQ(metric.label.size(), family.metric[0].label.size());
	}
	for (const auto &metric : metric_descriptions())
		EXPECT_TRUE(exposed.contains(std::string{metric.name})) << metric.name;
}

TEST(Metrics, NamesSayTheirUnits)
{
	for (const auto &metric : metric_descriptions()) {
		const std::string name{metric.name};

		EXPECT_EQ(name.ends_with("_total"), metric.type == prometheus::MetricType::Counter)
			<< name;
		if (metric.type == prometheus::MetricType::Histogram) {
			EXPECT_TRUE(name.ends_with("_seconds")) << name;
		}
	}
}

TEST(Metrics, Values)
{
	const auto text = exposition(observed(5));

	for (const auto *line :
	     {"itme_tier_used_bytes{instance=\"itme0\",tier=\"dram\"} 536870912",
	      "itme_faults_total{instance=\"itme0\",region=\"m.gguf\"} 15000000",
	      "itme_stall_seconds_total{instance=\"itme0\",region=\"m.gguf\",cause=\"miss\"} 0.5",
	      "itme_fault_latency_seconds_count{instance=\"itme0\",region=\"m.gguf\"} 5",
	      "itme_fault_latency_seconds_bucket{instance=\"itme0\",region=\"m.gguf\",le=\"+Inf\"} "
	      "5",
	      "itme_plan_following{instance=\"itme0\",region=\"m.gguf\",stream=\"decode\"} 1",
	      "itme_plan_pass_seconds{instance=\"itme0\",region=\"m.gguf\",stream=\"decode\","
	      "kind=\"measured\"} 2.5",
	      "itme_plan_accesses_total{instance=\"itme0\",region=\"m.gguf\",stream=\"decode\","
	      "result=\"stray\"} 3",
	      "itme_plan_guesses_total{instance=\"itme0\",region=\"m.gguf\",stream=\"decode\","
	      "result=\"wasted\"} 4",
	      "itme_restore_waiting 2", "itme_agent_cpu_seconds_total 1.5",
	      "itme_probe_attached 1"})
		EXPECT_NE(text.find(std::string{line} + "\n"), text.npos) << line << "\n" << text;
}

TEST(Metrics, NothingSeenNothingInvented)
{
	const auto text = prometheus::TextSerializer{}.Serialize(metric_families({}, {}));

	EXPECT_EQ(text.find("region="), text.npos) << text;
	EXPECT_NE(text.find("itme_probe_attached 0\n"), text.npos);
}

TEST(Metrics, AreServedOnLoopback)
{
	auto exporter = Exporter::listen("127.0.0.1:0");

	ASSERT_TRUE(exporter) << exporter.error().text;
	EXPECT_GT(exporter->port(), 0);
	exporter->publish(std::make_shared<const Observation>(observed(1)), {});
	const auto taken = Exporter::listen("127.0.0.1:" + std::to_string(exporter->port()));
	ASSERT_FALSE(taken);
	EXPECT_NE(taken.error().text.find("give another"), std::string::npos);
}
