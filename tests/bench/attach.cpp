// SPDX-License-Identifier: GPL-2.0-only
// How long it takes to attach a store, and what it costs in memory to touch so
// many of its granules; the first and the last are among them.
#include "bench/program.hpp"

#include "replay/buffer.hpp"
#include "replay/region.hpp"

using namespace itme;
using namespace itme::replay;

namespace {

struct Options {
	Path mount, store;
	uint64_t touch = 2;
};

void declare(CLI::App &app, Options &options)
{
	app.add_option("MOUNT", options.mount)->required();
	app.add_option("STORE", options.store)->required();
	app.add_option("--touch", options.touch, "granules, evenly over all of it")
		->check(CLI::Range(2, 1 << 30));
}

Result<bench::Json> measure(const Options &options)
{
	const std::string name = options.store.filename();
	const auto seconds = time_attach(options.mount, options.store, name);
	if (!seconds)
		return std::unexpected(seconds.error());
	const auto region = Region::open(options.mount / name);
	if (!region)
		return std::unexpected(region.error());

	const uint64_t granule = region->info().granule_bytes;
	const uint64_t granules = region->bytes() / granule;
	const uint64_t touched = std::min(options.touch, granules);
	for (uint64_t i = 0; i < touched; i++) {
		// By parts: i * (granules - 1) does not overflow below 2^34 granules.
		const uint64_t number = i * (granules - 1) / (touched - 1);
		const auto mapping = Mapping::of_file(region->fd(), number * granule, granule);
		if (!mapping)
			return fail(name + ": mapping: " + errno_text(errno));
		touch_pages(mapping.data(), 1);
	}
	const auto counters = region->counters();
	if (!counters)
		return std::unexpected(counters.error());
	if (counters->miss_count != touched)
		return fail("of " + std::to_string(touched) + " granules only " +
			    std::to_string(counters->miss_count) + " were read");
	return bench::Json{{"attach_s", *seconds},
			   {"region_bytes", region->bytes()},
			   {"granules", granules},
			   {"touched", touched},
			   {"metadata_bytes", counters->metadata_bytes}};
}

} // namespace

int main(int argc, char **argv)
{
	Options options;

	return bench::run(argc, argv, options, declare, measure);
}
