// SPDX-License-Identifier: GPL-2.0-only
#include "itmed/exporter.hpp"

#include <prometheus/collectable.h>
#include <prometheus/exposer.h>

#include <exception>
#include <mutex>
#include <utility>

namespace itme {

namespace {

class Collection : public prometheus::Collectable {
public:
	void publish(std::shared_ptr<const Observation> now, const AgentFacts &agent)
	{
		const std::lock_guard guard{mutex_};

		now_ = std::move(now);
		agent_ = agent;
	}

	[[nodiscard]] std::vector<prometheus::MetricFamily> Collect() const override
	{
		std::shared_ptr<const Observation> now;
		AgentFacts agent;
		{
			const std::lock_guard guard{mutex_};

			now = now_;
			agent = agent_;
		}
		return metric_families(now ? *now : Observation{}, agent);
	}

private:
	mutable std::mutex mutex_; // both of what follows
	std::shared_ptr<const Observation> now_;
	AgentFacts agent_;
};

} // namespace

struct Exporter::State {
	std::shared_ptr<Collection> collection = std::make_shared<Collection>();
	std::unique_ptr<prometheus::Exposer> exposer; // ends before what it asks
};

Exporter::Exporter(std::unique_ptr<State> state) : state_(std::move(state)) {}
Exporter::Exporter(Exporter &&) noexcept = default;
Exporter &Exporter::operator=(Exporter &&) noexcept = default;
Exporter::~Exporter() = default;

Result<Exporter> Exporter::listen(const std::string &address)
{
	auto state = std::make_unique<State>();

	try {
		state->exposer = std::make_unique<prometheus::Exposer>(
			std::vector<std::string>{"listening_ports", address, "num_threads", "2",
						 "request_timeout_ms", "5000"});
		state->exposer->RegisterCollectable(state->collection);
	} catch (const std::exception &e) {
		return fail("no metrics on " + address + ": " + e.what() +
			    " (is the port in use? give another, metrics = \"127.0.0.1:PORT\")");
	}
	return Exporter{std::move(state)};
}

void Exporter::publish(std::shared_ptr<const Observation> now, const AgentFacts &agent)
{
	state_->collection->publish(std::move(now), agent);
}

int Exporter::port() const
{
	const auto ports = state_->exposer->GetListeningPorts();

	return ports.empty() ? 0 : ports.front();
}

} // namespace itme
