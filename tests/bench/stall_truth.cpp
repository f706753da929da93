// SPDX-License-Identifier: GPL-2.0-only
// What telemetry accounts for waits beside what the waiting thread has timed itself:
// for each cause, the sum over touches of granules that are absent, or just hinted.
#include "bench/program.hpp"

#include "lib/clock.hpp"
#include "lib/probe.hpp"
#include "lib/region_names.hpp"
#include "replay/buffer.hpp"
#include "replay/region.hpp"

#include <sys/stat.h>

using namespace itme;
using namespace itme::replay;

namespace {

struct Options {
	Path region;
	uint64_t samples = 32;
	uint64_t seed = 1;
};

void declare(CLI::App &app, Options &options)
{
	app.add_option("REGION", options.region)->required();
	app.add_option("--samples", options.samples, "touches of each cause");
	app.add_option("--seed", options.seed);
}

Result<bench::Json> measure(const Options &options)
{
	const auto region = Region::open(options.region);
	if (!region)
		return std::unexpected(region.error());
	const auto granule = region->info().granule_bytes;
	const auto mapping = Mapping::of_file(region->fd(), 0, region->bytes());
	struct stat status{};
	if (!mapping || fstat(region->fd(), &status) != 0)
		return fail(options.region.string() + ": mapping: " + errno_text(errno));
	if (2 * options.samples > region->bytes() / granule)
		return fail("the region has fewer granules than that");
	if (auto dropped = region->drop(0, region->bytes()); !dropped)
		return std::unexpected(dropped.error());
	auto probe = Probe::attach({});
	if (!probe)
		return std::unexpected(probe.error());

	Random random{options.seed};
	const auto order = bench::shuffled(region->bytes() / granule, random);
	uint64_t miss_ns = 0, late_ns = 0;
	const auto timed_touch = [&](uint64_t number) {
		const auto start = monotonic_ns();

		touch_pages(mapping.data() + number * granule, 1);
		return monotonic_ns() - start;
	};
	for (uint64_t i = 0; i < options.samples; i++) {
		const RegionHint hint{.sureness = Sureness::exact,
				      .offset = order[2 * i + 1] * granule,
				      .length = granule};

		miss_ns += timed_touch(order[2 * i]);
		if (const auto hinted = region->hint({&hint, 1}); !hinted)
			return std::unexpected(hinted.error());
		late_ns += timed_touch(order[2 * i + 1]);
	}
	const auto snapshot = probe->snapshot();
	if (!snapshot)
		return std::unexpected(snapshot.error());
	const auto found = std::ranges::find(snapshot->regions,
					     RegionId{kernel_dev(status.st_dev), status.st_ino},
					     &RegionCounts::id);
	if (found == snapshot->regions.end())
		return fail("telemetry has seen nothing of the region");
	for (const auto &drop : snapshot->drops)
		if (drop.count > 0)
			return fail(std::to_string(drop.count) + " times: " + drop.reason);
	const auto cause = [&](StallCause why, uint64_t timed_ns) {
		const auto &stall = found->stalls.of(why);

		return bench::Json{
			{"accounted_ns", stall.ns}, {"timed_ns", timed_ns}, {"count", stall.count}};
	};
	return bench::Json{{"miss", cause(StallCause::miss, miss_ns)},
			   {"late", cause(StallCause::late, late_ns)}};
}

} // namespace

int main(int argc, char **argv)
{
	Options options;

	return bench::run(argc, argv, options, declare, measure);
}
