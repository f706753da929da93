// SPDX-License-Identifier: GPL-2.0-only
#include "replay/routing.hpp"

#include "replay/random.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

namespace itme::replay {

namespace {

// So many distinct ranks, each as likely as its weight among those still left.
std::vector<uint32_t> draw_ranks(std::vector<double> weights, uint32_t count, Random &source)
{
	std::vector<uint32_t> ranks;

	while (ranks.size() < count) {
		double point = source.unit() * std::reduce(weights.begin(), weights.end());
		uint32_t rank = 0, last = 0;

		for (; rank < weights.size(); rank++) {
			if (weights[rank] == 0)
				continue;
			last = rank;
			point -= weights[rank];
			if (point < 0)
				break;
		}
		ranks.push_back(last); // rounding may leave a little at the end
		weights[last] = 0;
	}
	return ranks;
}

std::vector<uint32_t> shuffled(uint32_t count, Random &source)
{
	std::vector<uint32_t> order(count);

	std::iota(order.begin(), order.end(), 0);
	for (uint32_t i = count; i > 1; i--)
		std::swap(order[i - 1], order[source.below(i)]);
	return order;
}

void append(std::vector<uint32_t> &to, const std::vector<uint32_t> &what)
{
	to.insert(to.end(), what.begin(), what.end());
}

Result<Routing> checked(Routing routing)
{
	if (routing.layers == 0 || routing.experts == 0 || routing.passes.empty())
		return fail("the routing has no layers, no experts or no passes");
	for (const auto &pass : routing.passes) {
		if (pass.size() != routing.layers)
			return fail("a pass of the routing has " + std::to_string(pass.size()) +
				    " layers and not " + std::to_string(routing.layers));
		for (const auto &picks : pass)
			for (const uint32_t expert : picks)
				if (expert >= routing.experts)
					return fail("the routing picks expert " +
						    std::to_string(expert) + " of " +
						    std::to_string(routing.experts));
	}
	return routing;
}

} // namespace

Result<Routing> draw_routing(const RoutingShape &shape, size_t passes, uint64_t seed)
{
	if (shape.picked > shape.experts)
		return fail("a layer cannot pick " + std::to_string(shape.picked) + " of " +
				    std::to_string(shape.experts) + " experts",
			    Exit::usage);

	Random source{seed};
	std::vector<double> weights(shape.experts);
	for (uint32_t rank = 0; rank < shape.experts; rank++)
		weights[rank] = std::pow(rank + 1, -shape.skew);

	std::vector<std::vector<uint32_t>> popular; // of each layer, by rank
	for (uint32_t layer = 0; layer < shape.layers; layer++)
		popular.push_back(shuffled(shape.experts, source));

	Routing routing{shape.layers, shape.experts, {}};
	for (size_t i = 0; i < passes; i++) {
		auto &pass = routing.passes.emplace_back();
		for (uint32_t layer = 0; layer < shape.layers; layer++) {
			auto &picks = pass.emplace_back();
			for (const uint32_t rank : draw_ranks(weights, shape.picked, source))
				picks.push_back(popular[layer][rank]);
		}
	}
	return checked(std::move(routing));
}

Result<Routing> parse_routing(const std::string &json)
{
	const auto tree = nlohmann::json::parse(json, nullptr, false);
	Routing routing;

	if (tree.is_discarded())
		return fail("the routing is no JSON");
	try {
		tree.at("layers").get_to(routing.layers);
		tree.at("experts").get_to(routing.experts);
		tree.at("passes").get_to(routing.passes);
	} catch (const nlohmann::json::exception &error) {
		return fail(std::string{"the routing is not understood: "} + error.what());
	}
	return checked(std::move(routing));
}

std::string format_routing(const Routing &routing)
{
	return nlohmann::json{{"layers", routing.layers},
			      {"experts", routing.experts},
			      {"passes", routing.passes}}
		.dump();
}

Result<Program> routed(const Routing &routing, const LayerBytes &bytes, uint64_t item_bytes)
{
	Program program;
	uint64_t offset = 0;

	if (bytes.expert == 0 || item_bytes == 0)
		return fail("an expert and an item need a size", Exit::usage);

	// The items of each part, where it lies.
	std::vector<std::vector<uint32_t>> parts;
	const auto add_part = [&](uint64_t length) {
		auto &part = parts.emplace_back();
		for (uint64_t done = 0; done < length; done += item_bytes) {
			part.push_back(static_cast<uint32_t>(program.items.size()));
			program.items.push_back(
				{offset + done, std::min(item_bytes, length - done)});
		}
		offset += length;
	};
	for (uint32_t layer = 0; layer < routing.layers; layer++) {
		add_part(bytes.shared);
		for (uint32_t expert = 0; expert < routing.experts; expert++)
			add_part(bytes.expert);
	}

	for (const auto &pass : routing.passes) {
		auto &order = program.passes.emplace_back();
		auto &bursts = program.bursts.emplace_back();
		for (size_t layer = 0; layer < pass.size(); layer++) {
			const size_t first = layer * (routing.experts + 1);

			append(order, parts[first]);
			Burst burst{.begin = order.size(), .first = parts[first + 1].front()};
			for (const uint32_t expert : pass[layer])
				append(order, parts[first + 1 + expert]);
			burst.count = order.size() - burst.begin;
			burst.items = parts[first + routing.experts].back() + 1 - burst.first;
			bursts.push_back(burst);
		}
	}
	return program;
}

} // namespace itme::replay
