// SPDX-License-Identifier: GPL-2.0-only
// What the programs of make bench have in common: a command line, figures as
// JSON on stdout, and a sentence and a status where something is wrong.
#pragma once

#include "replay/random.hpp"
#include "replay/stats.hpp"

#include "lib/error.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace itme::bench {

using Json = nlohmann::ordered_json;

// Parses the command line, measures, prints.
template <typename Options>
int run(int argc, char **argv, Options &options, void (*declare)(CLI::App &, Options &),
	Result<Json> (*measure)(const Options &))
{
	CLI::App app{"A measurement of make bench: see Documentation/testing.md."};

	declare(app, options);
	CLI11_PARSE(app, argc, argv);

	const auto figures = measure(options);
	if (!figures) {
		std::cerr << argv[0] << ": " << figures.error().text << '\n';
		return 1;
	}
	std::cout << *figures << '\n';
	return 0;
}

// Times of one kind of event, in seconds.
inline Json times(std::vector<double> seconds)
{
	std::ranges::sort(seconds);
	Json percentiles = Json::array();
	for (int percent = 0; percent <= 100; percent += 2)
		percentiles.push_back(replay::quantile(seconds, percent / 100.0));
	return {{"p50", replay::median(seconds)},
		{"p99", replay::quantile(seconds, 0.99)},
		{"count", seconds.size()},
		{"percentiles", percentiles}};
}

// 0 to count - 1, in random order.
inline std::vector<uint64_t> shuffled(uint64_t count, replay::Random &random)
{
	std::vector<uint64_t> order(count);

	for (uint64_t i = 0; i < count; i++)
		order[i] = i;
	for (uint64_t i = count; i > 1; i--)
		std::swap(order[i - 1], order[random.below(i)]);
	return order;
}

} // namespace itme::bench
