// SPDX-License-Identifier: GPL-2.0-only
// What a fault and a hint cost in a large region, beside a small one: the same
// number of granules, spread over all of it, in turn.
#include "bench/program.hpp"

#include "replay/buffer.hpp"
#include "replay/clock.hpp"
#include "replay/region.hpp"

using namespace itme;
using namespace itme::replay;

namespace {

struct Options {
	Path large, small;
	uint64_t granules = 64;
	int rounds = 20;
	uint64_t seed = 1;
};

void declare(CLI::App &app, Options &options)
{
	app.add_option("LARGE", options.large, "a region")->required();
	app.add_option("SMALL", options.small, "a region")->required();
	app.add_option("--granules", options.granules);
	app.add_option("--rounds", options.rounds);
	app.add_option("--seed", options.seed);
}

// A region, with times of its faults and hints.
struct Side {
	explicit Side(Region opened) : region(std::move(opened)) {}

	[[nodiscard]] RegionHint at(uint64_t number, uint64_t of) const
	{
		const uint64_t granule = region.info().granule_bytes;

		return {.offset = region.bytes() / granule / of * number * granule,
			.length = granule};
	}

	// A hint on a granule that is absent, and then a fault on it when it is there. Only
	// the granule is mapped: tables of its own, whatever the size of the region.
	Result<void> sample(const RegionHint &hint)
	{
		if (auto done = region.drop(hint.offset, hint.length); !done)
			return done;
		const Stopwatch hinting;
		const auto sums = region.hint({&hint, 1});
		hint_s.push_back(hinting.seconds());
		if (!sums || sums->accepted_bytes != hint.length)
			return fail("a hint was not accepted");
		const auto ready = region.wait(hint.offset, hint.length);
		if (!ready || *ready != hint.length)
			return fail("a hint did not bring its granule");

		const auto mapping = Mapping::of_file(region.fd(), hint.offset, hint.length);
		if (!mapping)
			return fail("mapping: " + errno_text(errno));
		const Stopwatch faulting;
		touch_pages(mapping.data(), 1);
		fault_s.push_back(faulting.seconds());
		return {};
	}

	Region region;
	std::vector<double> hint_s, fault_s;
};

Result<bench::Json> measure(const Options &options)
{
	std::vector<Side> sides;
	Random random{options.seed};

	for (const auto &path : {options.large, options.small}) {
		auto region = Region::open(path);
		if (!region)
			return std::unexpected(region.error());
		sides.emplace_back(std::move(*region));
	}
	// The first round is not counted: the tables of granules are made in it.
	for (int round = 0; round <= options.rounds; round++) {
		if (round == 1)
			for (auto &side : sides) {
				side.hint_s.clear();
				side.fault_s.clear();
			}
		for (const uint64_t number : bench::shuffled(options.granules, random)) {
			const size_t first = random.below(2);

			for (const size_t i : {first, 1 - first})
				if (auto done =
					    sides[i].sample(sides[i].at(number, options.granules));
				    !done)
					return std::unexpected(done.error());
		}
	}
	for (const auto &side : sides) {
		const auto counters = side.region.counters();
		if (!counters || counters->miss_count + counters->late_count > 0)
			return fail("a fault did not find its granule in memory");
	}
	return bench::Json{{"hint",
			    {{"subject", bench::times(sides[0].hint_s)},
			     {"peer", bench::times(sides[1].hint_s)}}},
			   {"fault",
			    {{"subject", bench::times(sides[0].fault_s)},
			     {"peer", bench::times(sides[1].fault_s)}}}};
}

} // namespace

int main(int argc, char **argv)
{
	Options options;

	return bench::run(argc, argv, options, declare, measure);
}
