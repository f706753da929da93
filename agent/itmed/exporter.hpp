// SPDX-License-Identifier: GPL-2.0-only
// Prometheus asks here. The library answers on threads of its own, from the
// last observation that was published.
#pragma once

#include "itmed/metrics.hpp"
#include "lib/error.hpp"

#include <memory>
#include <string>

namespace itme {

class Exporter {
public:
	[[nodiscard]] static Result<Exporter> listen(const std::string &address);
	Exporter(Exporter &&) noexcept;
	Exporter &operator=(Exporter &&) noexcept;
	~Exporter();

	void publish(std::shared_ptr<const Observation> now, const AgentFacts &agent);
	[[nodiscard]] int port() const;

private:
	struct State;
	explicit Exporter(std::unique_ptr<State> state);
	std::unique_ptr<State> state_;
};

} // namespace itme
