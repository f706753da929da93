// SPDX-License-Identifier: GPL-2.0-only
// What it costs to say that 1,000 ranges will be needed: one HINT on a region,
// beside as many madvise(MADV_WILLNEED) of the same ranges of a mapped file.
#include "bench/program.hpp"

#include "replay/buffer.hpp"
#include "replay/clock.hpp"
#include "replay/region.hpp"

#include <fcntl.h>
#include <fstream>

using namespace itme;
using namespace itme::replay;

namespace {

struct Options {
	Path region, peer;
	size_t ranges = 1000;
	uint64_t range_bytes = 64 << 10;
	int rounds = 5;
	bool resident = false;
	uint64_t seed = 1;
};

void declare(CLI::App &app, Options &options)
{
	app.add_option("REGION", options.region)->required();
	app.add_option("PEER", options.peer, "a file of the same size")->required();
	app.add_option("--ranges", options.ranges);
	app.add_option("--range-bytes", options.range_bytes);
	app.add_option("--rounds", options.rounds);
	app.add_flag("--resident", options.resident, "all is in memory already; else nothing is");
	app.add_option("--seed", options.seed);
}

class Bench {
public:
	Bench(const Options &options, Region region, Mapping peer, int peer_fd)
	    : options_(options), region_(std::move(region)), peer_(std::move(peer)),
	      peer_fd_(peer_fd)
	{
		// Evenly over the file, each at the start of a granule.
		const uint64_t granule = region_.info().granule_bytes;
		const uint64_t step = region_.bytes() / granule / options.ranges * granule;

		for (size_t i = 0; i < options.ranges; i++)
			hints_.push_back({.offset = i * step, .length = options.range_bytes});
	}

	Result<double> hint()
	{
		if (auto done = settle_region(); !done)
			return std::unexpected(done.error());
		const Stopwatch watch;
		const auto sums = region_.hint(hints_);
		const double seconds = watch.seconds();

		if (!sums)
			return std::unexpected(sums.error());
		const uint64_t all = hints_.size() * region_.info().granule_bytes;
		if ((options_.resident ? sums->resident_bytes : sums->accepted_bytes) != all)
			return fail("of " + std::to_string(all) + " bytes " +
				    std::to_string(sums->accepted_bytes) + " were accepted, " +
				    std::to_string(sums->resident_bytes) + " resident and " +
				    std::to_string(sums->clipped_bytes) + " clipped");
		if (auto done = region_.wait(0, region_.bytes()); !done)
			return std::unexpected(done.error());
		return seconds;
	}

	Result<double> advise()
	{
		if (auto done = settle_peer(); !done)
			return std::unexpected(done.error());
		const Stopwatch watch;
		for (const auto &range : hints_)
			if (madvise(peer_.data() + range.offset, range.length, MADV_WILLNEED) < 0)
				return fail("madvise: " + errno_text(errno));
		return watch.seconds();
	}

	Result<void> prepare()
	{
		if (!options_.resident)
			return {};
		if (auto sums = region_.hint(hints_); !sums)
			return std::unexpected(sums.error());
		if (auto done = region_.wait(0, region_.bytes()); !done)
			return std::unexpected(done.error());
		for (const auto &range : hints_)
			touch_pages(peer_.data() + range.offset, range.length);
		return {};
	}

private:
	[[nodiscard]] Result<void> settle_region() const
	{
		return options_.resident ? Result<void>{} : region_.drop(0, region_.bytes());
	}

	// Waits for its reads as well, so that they disturb nothing later.
	[[nodiscard]] Result<void> settle_peer() const
	{
		if (options_.resident)
			return {};
		for (const auto &range : hints_) {
			touch_pages(peer_.data() + range.offset, range.length);
			madvise(peer_.data() + range.offset, range.length, MADV_DONTNEED);
			if (posix_fadvise(peer_fd_, static_cast<off_t>(range.offset),
					  static_cast<off_t>(range.length),
					  POSIX_FADV_DONTNEED) != 0)
				return fail("the peer's cache cannot be dropped");
		}
		return {};
	}

	const Options &options_;
	Region region_;
	Mapping peer_;
	int peer_fd_;
	std::vector<RegionHint> hints_;
};

Result<bench::Json> measure(const Options &options)
{
	auto region = Region::open(options.region);
	if (!region)
		return std::unexpected(region.error());
	const Fd peer{open(options.peer.c_str(), O_RDONLY | O_CLOEXEC)};
	auto mapping = Mapping::of_file(peer.get(), 0, region->bytes());
	if (!peer || !mapping)
		return fail(options.peer.string() + ": " + errno_text(errno));
	if (region->bytes() / region->info().granule_bytes < options.ranges)
		return fail("the region has fewer granules than ranges are wanted");

	Bench bench{options, std::move(*region), std::move(mapping), peer.get()};
	if (auto done = bench.prepare(); !done)
		return std::unexpected(done.error());

	std::vector<double> hint_s, advise_s;
	Random random{options.seed};
	for (int i = 0; i < options.rounds; i++) {
		const bool hint_first = random.unit() < 0.5;

		for (const bool is_hint : {hint_first, !hint_first}) {
			const auto seconds = is_hint ? bench.hint() : bench.advise();
			if (!seconds)
				return std::unexpected(seconds.error());
			(is_hint ? hint_s : advise_s).push_back(*seconds);
		}
	}
	return bench::Json{{"subject", bench::times(hint_s)}, {"peer", bench::times(advise_s)}};
}

} // namespace

int main(int argc, char **argv)
{
	Options options;

	return bench::run(argc, argv, options, declare, measure);
}
