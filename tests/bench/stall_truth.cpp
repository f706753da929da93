// SPDX-License-Identifier: GPL-2.0-only
// What telemetry accounts for waits beside what the waiting thread has timed itself:
// for each cause, the sum over touches of granules that are absent, just hinted, or
// just being copied from CXL memory.
#include "bench/program.hpp"

#include "lib/clock.hpp"
#include "lib/device.hpp"
#include "lib/probe.hpp"
#include "lib/region_names.hpp"
#include "replay/buffer.hpp"
#include "replay/region.hpp"

#include <functional>
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

// A region, and what looks at it.
struct Subject {
	const Region &region;
	const Fd &file;
	Probe &probe;
	RegionId id;
};

// What telemetry has of the region.
Result<RegionCounts> counts(const Subject &subject)
{
	const auto snapshot = subject.probe.snapshot();
	if (!snapshot)
		return std::unexpected(snapshot.error());
	for (const auto &drop : snapshot->drops)
		if (drop.count > 0)
			return fail(std::to_string(drop.count) + " times: " + drop.reason);
	const auto found = std::ranges::find(snapshot->regions, subject.id, &RegionCounts::id);
	return found == snapshot->regions.end() ? RegionCounts{} : *found;
}

// Brings a granule to CXL memory and has it copied to DRAM, which has begun at the end.
Result<void> begin_promotion(const Subject &subject, uint64_t offset)
{
	constexpr uint64_t patience_ns = 60'000'000'000;
	Hint hint{
		.tier = Tier::cxl, .offset = offset, .length = subject.region.info().granule_bytes};

	if (auto dropped = subject.region.drop(offset, hint.length); !dropped)
		return dropped;
	if (const auto done = carry_out(subject.file, hint); !done || done->error != 0)
		return fail("a granule could not be brought to CXL memory");
	if (!wait_range(subject.file, offset, hint.length, patience_ns))
		return fail("a granule did not come to CXL memory");
	hint.tier = Tier::dram;
	if (const auto done = carry_out(subject.file, hint); !done || done->error != 0)
		return fail("a granule could not be promoted");
	for (;;) {
		const auto counters = subject.region.counters();
		if (!counters)
			return std::unexpected(counters.error());
		if (counters->queued_bytes == 0)
			return {};
	}
}

// The ns that touches took that have waited for a promotion: so many, or as many as are
// met, since a touch may come after the copy.
Result<uint64_t> wait_for_promotions(const Subject &subject, uint64_t most,
				     const std::function<uint64_t(uint64_t)> &timed_touch)
{
	const auto bytes = subject.region.info().granule_bytes;
	uint64_t timed_ns = 0, waits = 0;

	for (uint64_t i = 0; i < 4 * most && waits < most; i++) {
		const auto number = i % (subject.region.bytes() / bytes);

		if (auto begun = begin_promotion(subject, number * bytes); !begun)
			return std::unexpected(begun.error());
		const auto took_ns = timed_touch(number);
		if (!wait_range(subject.file, number * bytes, bytes, UINT64_MAX))
			return fail("a promotion did not end");
		const auto now = counts(subject);
		if (!now)
			return std::unexpected(now.error());
		if (now->stalls.of(StallCause::promote).count == waits)
			continue;
		waits++;
		timed_ns += took_ns;
	}
	return timed_ns;
}

Result<bench::Json> measure(const Options &options)
{
	const auto region = Region::open(options.region);
	if (!region)
		return std::unexpected(region.error());
	const auto file = open_path(options.region);
	const auto granule = region->info().granule_bytes;
	const auto mapping = Mapping::of_file(region->fd(), 0, region->bytes());
	struct stat status{};
	if (!mapping || !file || fstat(region->fd(), &status) != 0)
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
	const RegionId id{kernel_dev(status.st_dev), status.st_ino};
	const Subject subject{*region, *file, *probe, id};
	const auto promote_ns = wait_for_promotions(subject, options.samples, timed_touch);
	if (!promote_ns)
		return std::unexpected(promote_ns.error());
	const auto found = counts(subject);
	if (!found)
		return std::unexpected(found.error());
	const auto cause = [&](StallCause why, uint64_t timed_ns) {
		const auto &stall = found->stalls.of(why);

		return bench::Json{
			{"accounted_ns", stall.ns}, {"timed_ns", timed_ns}, {"count", stall.count}};
	};
	return bench::Json{{"miss", cause(StallCause::miss, miss_ns)},
			   {"late", cause(StallCause::late, late_ns)},
			   {"promote", cause(StallCause::promote, *promote_ns)}};
}

} // namespace

int main(int argc, char **argv)
{
	Options options;

	return bench::run(argc, argv, options, declare, measure);
}
