// SPDX-License-Identifier: GPL-2.0-only
// A fault on what is in memory already, by 2 MiB at a time: with all programs of
// telemetry attached and its events read, and with none. Blocks of rounds of both, in
// random order; a round maps the region anew and touches each granule.
#include "bench/program.hpp"

#include "lib/probe.hpp"
#include "replay/buffer.hpp"
#include "replay/clock.hpp"
#include "replay/region.hpp"

#include <optional>
#include <thread>

using namespace itme;
using namespace itme::replay;

namespace {

constexpr uint64_t sample = 127; // fault_sample of the module, as it comes

struct Options {
	Path region;
	int blocks = 4, rounds = 50;
	bool only_detached = false;
	uint64_t seed = 1;
};

void declare(CLI::App &app, Options &options)
{
	app.add_option("REGION", options.region)->required();
	app.add_option("--blocks", options.blocks, "of each side");
	app.add_option("--rounds", options.rounds, "in a block");
	app.add_flag("--only-detached", options.only_detached, "the peer alone");
	app.add_option("--seed", options.seed);
}

// The seconds of a fault.
Result<double> round(const Region &region)
{
	const auto mapping = Mapping::of_file(region.fd(), 0, region.bytes());
	if (!mapping)
		return fail("mapping: " + errno_text(errno));

	const Stopwatch watch;
	touch_pages(mapping.data(), region.bytes(), huge_bytes);
	return watch.seconds() / static_cast<double>(region.bytes() / huge_bytes);
}

Result<void> block(const Region &region, const Options &options, bool attached,
		   std::vector<double> &seconds)
{
	std::optional<Probe> probe;

	if (attached) {
		auto attaching = Probe::attach({});
		if (!attaching)
			return std::unexpected(attaching.error());
		probe = std::move(*attaching);
	}
	for (int i = -2; i < options.rounds; i++) { // two to warm up
		const auto took = round(region);
		if (!took)
			return std::unexpected(took.error());
		if (i >= 0)
			seconds.push_back(*took);
	}
	if (!probe)
		return {};
	const auto snapshot = probe->snapshot();
	if (!snapshot)
		return std::unexpected(snapshot.error());
	const uint64_t faults =
		static_cast<uint64_t>(options.rounds + 2) * (region.bytes() / huge_bytes);
	// On each CPU, those since the last sample are yet to be told.
	const uint64_t untold = sample * std::thread::hardware_concurrency();
	if (snapshot->regions.size() != 1 || snapshot->regions[0].faults > faults + untold ||
	    snapshot->regions[0].faults + untold < faults)
		return fail("telemetry has seen " +
			    std::to_string(
				    snapshot->regions.empty() ? 0 : snapshot->regions[0].faults) +
			    " of " + std::to_string(faults) + " faults");
	return {};
}

Result<bench::Json> measure(const Options &options)
{
	std::vector<double> attached_s, detached_s;
	Random random{options.seed};

	const auto region = Region::open(options.region);
	if (!region)
		return std::unexpected(region.error());
	if (const auto warm = round(*region); !warm)
		return std::unexpected(warm.error());
	const auto before = region->counters();
	for (int i = 0; i < options.blocks; i++) {
		const bool attached_first = random.unit() < 0.5;

		for (const bool attached : {attached_first, !attached_first}) {
			if (attached && options.only_detached)
				continue;
			auto done = block(*region, options, attached,
					  attached ? attached_s : detached_s);
			if (!done)
				return std::unexpected(done.error());
		}
	}
	const auto after = region->counters();
	if (!before || !after || after->miss_count != before->miss_count)
		return fail("a fault has not found its granule in memory");
	bench::Json figures{{"peer", bench::times(detached_s)}};
	if (!options.only_detached)
		figures["subject"] = bench::times(attached_s);
	return figures;
}

} // namespace

int main(int argc, char **argv)
{
	Options options;

	return bench::run(argc, argv, options, declare, measure);
}
