// SPDX-License-Identifier: GPL-2.0-only
// Sequences that grow as KV caches do: each has a part of a region to itself, to which
// blocks are appended, by stores or by write(2), in random order and at a given rate.
// In the end an fsync. How much the store was written meanwhile, its own counters tell.
#include "bench/program.hpp"

#include "bench/written.hpp"
#include "replay/clock.hpp"
#include "replay/region.hpp"

#include <thread>

using namespace itme;
using namespace itme::replay;

namespace {

struct Options {
	Path region, store;
	uint64_t sequences = 8;
	uint64_t block = 64 << 10;
	double rate = 100e6;
	bool by_call = false;
	uint64_t turn = 1, seed = 1;
};

void declare(CLI::App &app, Options &options)
{
	app.add_option("REGION", options.region)->required();
	app.add_option("STORE", options.store, "what is attached there")->required();
	app.add_option("--sequences", options.sequences)->check(CLI::PositiveNumber);
	app.add_option("--block", options.block, "bytes appended at once");
	app.add_option("--rate", options.rate, "bytes a second at most, of all together");
	app.add_flag("--by-call", options.by_call, "write(2), and not stores");
	app.add_option("--turn", options.turn, "a number that marks the data");
	app.add_option("--seed", options.seed);
}

// Until every part is full. Returns the bytes appended.
Result<uint64_t> append_all(const Options &options, const Region &region)
{
	const uint64_t part = region.bytes() / options.sequences;
	const auto mapping =
		Mapping::of_file(region.fd(), 0, region.bytes(), PROT_READ | PROT_WRITE);
	const Buffer buffer{options.block};
	std::vector<uint64_t> ends(options.sequences);
	uint64_t total = 0;
	Random random{options.seed};
	const Stopwatch watch;

	if (!mapping)
		return fail(options.region.string() + ": mapping: " + errno_text(errno));
	while (total < part * options.sequences) {
		const uint64_t sequence = random.below(options.sequences);
		const uint64_t offset = sequence * part + ends[sequence];

		if (ends[sequence] == part)
			continue;
		bench::stamp_pages(buffer.data(), offset, options.block, options.turn);
		if (!options.by_call)
			std::memcpy(mapping.data() + offset, buffer.data(), options.block);
		else if (pwrite(region.fd(), buffer.data(), options.block,
				static_cast<off_t>(offset)) != static_cast<ssize_t>(options.block))
			return fail(options.region.string() + ": " + errno_text(errno));
		ends[sequence] += options.block;
		total += options.block;
		std::this_thread::sleep_for(std::chrono::duration<double>(
			static_cast<double>(total) / options.rate - watch.seconds()));
	}
	if (fsync(region.fd()) < 0)
		return fail(options.region.string() + ": fsync: " + errno_text(errno));
	return total;
}

Result<bench::Json> measure(const Options &options)
{
	const auto region = Region::open(options.region, true);
	if (!region)
		return std::unexpected(region.error());
	if (region->bytes() % (options.sequences * options.block) != 0 ||
	    options.block % page_bytes != 0)
		return fail("the region cannot be divided into such sequences of such blocks");

	const auto before = region->counters();
	const Stopwatch watch;
	const auto total = append_all(options, *region);
	const double seconds = watch.seconds();
	const auto after = region->counters();
	if (!total)
		return std::unexpected(total.error());
	if (!before || !after)
		return fail("the region's counters cannot be read");
	if (auto done = bench::check_pages(options.store, region->bytes(), options.turn); !done)
		return std::unexpected(done.error());
	return bench::Json{
		{"appended_bytes", *total},
		{"written_bytes", after->writeback_bytes - before->writeback_bytes},
		{"bytes_per_s", static_cast<double>(*total) / seconds},
		{"throttled", after->throttle_count - before->throttle_count},
	};
}

} // namespace

int main(int argc, char **argv)
{
	Options options;

	return bench::run(argc, argv, options, declare, measure);
}
