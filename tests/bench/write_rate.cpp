// SPDX-License-Identifier: GPL-2.0-only
// How fast a region takes data from its first byte to its last and has it in the
// store: by stores to a mapping, or by write(2). In the end the store is read.
#include "bench/program.hpp"

#include "bench/written.hpp"
#include "replay/clock.hpp"
#include "replay/region.hpp"

using namespace itme;
using namespace itme::replay;

namespace {

struct Options {
	Path region, store;
	bool by_call = false;
	uint64_t turn = 1;
};

void declare(CLI::App &app, Options &options)
{
	app.add_option("REGION", options.region)->required();
	app.add_option("STORE", options.store, "what is attached there")->required();
	app.add_option("--turn", options.turn, "a number that marks the data");
	app.add_flag("--by-call", options.by_call, "write(2) of a granule each, and not stores");
}

Result<void> write_all(const Options &options, const Region &region)
{
	const uint64_t granule = region.info().granule_bytes;
	const auto mapping =
		Mapping::of_file(region.fd(), 0, region.bytes(), PROT_READ | PROT_WRITE);
	const Buffer buffer{granule};

	if (!mapping)
		return fail(options.region.string() + ": mapping: " + errno_text(errno));
	for (uint64_t offset = 0; offset < region.bytes(); offset += granule) {
		const size_t n = std::min(granule, region.bytes() - offset);

		bench::stamp_pages(buffer.data(), offset, n, options.turn);
		if (!options.by_call)
			std::memcpy(mapping.data() + offset, buffer.data(), n);
		else if (pwrite(region.fd(), buffer.data(), n, static_cast<off_t>(offset)) !=
			 static_cast<ssize_t>(n))
			return fail(options.region.string() + ": " + errno_text(errno));
	}
	if (fsync(region.fd()) < 0)
		return fail(options.region.string() + ": fsync: " + errno_text(errno));
	return {};
}

Result<bench::Json> measure(const Options &options)
{
	const auto region = Region::open(options.region, true);
	if (!region)
		return std::unexpected(region.error());

	const auto before = region->counters();
	const Stopwatch watch;
	if (auto done = write_all(options, *region); !done)
		return std::unexpected(done.error());
	const double seconds = watch.seconds();
	const auto after = region->counters();
	if (!before || !after)
		return fail("the region's counters cannot be read");
	if (auto done = bench::check_pages(options.store, region->bytes(), options.turn); !done)
		return std::unexpected(done.error());
	return bench::Json{
		{"seconds", seconds},
		{"bytes_per_s", static_cast<double>(region->bytes()) / seconds},
		{"written_bytes", after->writeback_bytes - before->writeback_bytes},
		{"read_bytes", after->fill_bytes - before->fill_bytes},
		{"throttled", after->throttle_count - before->throttle_count},
	};
}

} // namespace

int main(int argc, char **argv)
{
	Options options;

	return bench::run(argc, argv, options, declare, measure);
}
