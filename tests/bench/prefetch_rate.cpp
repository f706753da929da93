// SPDX-License-Identifier: GPL-2.0-only
// How fast one hint brings a whole region from the store into memory.
#include "bench/program.hpp"

#include "replay/clock.hpp"
#include "replay/region.hpp"

using namespace itme;
using namespace itme::replay;

namespace {

struct Options {
	Path region;
};

void declare(CLI::App &app, Options &options)
{
	app.add_option("REGION", options.region)->required();
}

Result<bench::Json> measure(const Options &options)
{
	const auto region = Region::open(options.region);
	if (!region)
		return std::unexpected(region.error());
	if (auto done = region->drop(0, region->bytes()); !done)
		return std::unexpected(done.error());

	const auto before = region->counters();
	const RegionHint whole{.length = region->bytes()};
	const Stopwatch watch;
	const auto hinted = region->hint({&whole, 1});
	if (!hinted)
		return std::unexpected(hinted.error());
	const auto ready = region->wait(0, region->bytes());
	const double seconds = watch.seconds();
	const auto after = region->counters();

	if (!ready || !before || !after)
		return fail("the region cannot be waited for");
	if (after->fill_bytes - before->fill_bytes != region->bytes() || *ready != region->bytes())
		return fail("only " + std::to_string(after->fill_bytes - before->fill_bytes) +
			    " of " + std::to_string(region->bytes()) + " bytes were read");
	return bench::Json{{"seconds", seconds},
			   {"bytes_per_s", static_cast<double>(region->bytes()) / seconds}};
}

} // namespace

int main(int argc, char **argv)
{
	Options options;

	return bench::run(argc, argv, options, declare, measure);
}
