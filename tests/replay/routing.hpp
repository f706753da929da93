// SPDX-License-Identifier: GPL-2.0-only
// Mixtures of experts: which experts each layer of each pass picks.
#pragma once

#include "replay/program.hpp"

#include <string>

namespace itme::replay {

// A trace: for each pass and layer, the experts in the order of their use.
struct Routing {
	uint32_t layers = 0, experts = 0;
	std::vector<std::vector<std::vector<uint32_t>>> passes;

	bool operator==(const Routing &) const = default;
};

struct RoutingShape {
	uint32_t layers = 8, experts = 16, picked = 2;
	double skew = 1; // of Zipf's law: the expert of rank r is as likely as 1 / r^skew
};

// Each layer has its own order of popularity. The picks of a layer are distinct.
[[nodiscard]] Result<Routing> draw_routing(const RoutingShape &shape, size_t passes, uint64_t seed);

// {"layers": L, "experts": E, "passes": [[[expert, ...] of each layer] of each pass]}
[[nodiscard]] Result<Routing> parse_routing(const std::string &json);
[[nodiscard]] std::string format_routing(const Routing &routing);

struct LayerBytes {
	uint64_t shared = 0, expert = 0; // read by every pass; by those that pick it
};

// A file holds layer after layer, each its shared part and then its experts.
// Parts larger than item_bytes are cut.
[[nodiscard]] Result<Program> routed(const Routing &routing, const LayerBytes &bytes,
				     uint64_t item_bytes);

} // namespace itme::replay
