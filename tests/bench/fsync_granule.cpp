// SPDX-License-Identifier: GPL-2.0-only
// fsync(2) after a store to a granule, beside a pwrite(2) of as much and an fdatasync(2)
// on a file of the same file system: one of each in turn, granules in random order.
#include "bench/program.hpp"

#include "bench/written.hpp"
#include "replay/clock.hpp"
#include "replay/region.hpp"

using namespace itme;
using namespace itme::replay;

namespace {

struct Options {
	Path region, peer;
	uint64_t samples = 100, warm = 4;
	uint64_t seed = 1;
};

void declare(CLI::App &app, Options &options)
{
	app.add_option("REGION", options.region, "that fits into memory")->required();
	app.add_option("PEER", options.peer, "a file as large, all of it written to")->required();
	app.add_option("--samples", options.samples);
	app.add_option("--warm", options.warm, "at first, not counted");
	app.add_option("--seed", options.seed);
}

Result<bench::Json> measure(const Options &options)
{
	const auto region = Region::open(options.region, true);
	if (!region)
		return std::unexpected(region.error());
	const Fd peer{open(options.peer.c_str(), O_WRONLY | O_DIRECT | O_CLOEXEC)};
	const auto mapping =
		Mapping::of_file(region->fd(), 0, region->bytes(), PROT_READ | PROT_WRITE);
	if (!peer || !mapping)
		return fail((peer ? options.region : options.peer).string() + ": " +
			    errno_text(errno));

	const uint64_t granule = region->info().granule_bytes;
	const Buffer buffer{granule};
	std::vector<double> fsync_s, pwrite_s;
	Random random{options.seed};
	touch_pages(mapping.data(), region->bytes(), granule);
	const auto before = region->counters();
	for (uint64_t i = 0; i < options.warm + options.samples; i++) {
		const uint64_t offset = random.below(region->bytes() / granule) * granule;
		const bool fsync_first = random.unit() < 0.5;

		bench::stamp_pages(mapping.data() + offset, offset, granule, i);
		bench::stamp_pages(buffer.data(), offset, granule, i);
		for (const bool is_fsync : {fsync_first, !fsync_first}) {
			const Stopwatch watch;

			if (is_fsync) {
				if (fsync(region->fd()) < 0)
					return fail("fsync: " + errno_text(errno));
				fsync_s.push_back(watch.seconds());
			} else {
				if (pwrite(peer.get(), buffer.data(), granule,
					   static_cast<off_t>(offset)) !=
					    static_cast<ssize_t>(granule) ||
				    fdatasync(peer.get()) < 0)
					return fail(options.peer.string() + ": " +
						    errno_text(errno));
				pwrite_s.push_back(watch.seconds());
			}
		}
	}
	const auto after = region->counters();
	if (!before || !after)
		return fail("the region's counters cannot be read");
	if (after->writeback_bytes - before->writeback_bytes !=
	    (options.warm + options.samples) * granule)
		return fail("not every fsync was a write of one granule");
	for (auto *times : {&fsync_s, &pwrite_s})
		times->erase(times->begin(), times->begin() + static_cast<ptrdiff_t>(options.warm));
	return bench::Json{{"subject", bench::times(fsync_s)}, {"peer", bench::times(pwrite_s)}};
}

} // namespace

int main(int argc, char **argv)
{
	Options options;

	return bench::run(argc, argv, options, declare, measure);
}
