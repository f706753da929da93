// SPDX-License-Identifier: GPL-2.0-only
// How long a fault on an absent granule takes while hints keep the store busy:
// one thread prefetches the lower half of a region, round and round, and keeps
// more queued than the window holds; another touches the upper half at random
// moments. First without the prefetches, then with them. What is queued and not
// under way at those moments shows that the window was full.
#include "bench/program.hpp"

#include "replay/buffer.hpp"
#include "replay/clock.hpp"
#include "replay/region.hpp"

#include <atomic>
#include <deque>
#include <thread>

using namespace itme;
using namespace itme::replay;

namespace {

struct Options {
	Path region;
	uint64_t samples = 200;
	double pause_ms = 20;
	uint64_t seed = 1;
};

void declare(CLI::App &app, Options &options)
{
	app.add_option("REGION", options.region)->required();
	app.add_option("--samples", options.samples);
	app.add_option("--pause-ms", options.pause_ms, "longest pause between two faults");
	app.add_option("--seed", options.seed);
}

// Prefetches until it is stopped.
class Prefetcher {
public:
	explicit Prefetcher(Region region) : region_(std::move(region))
	{
		thread_ = std::jthread{[this] { result_ = work(); }};
	}

	Result<void> end()
	{
		stop_ = true;
		thread_.join();
		return result_;
	}

private:
	Result<void> work()
	{
		const uint64_t granule = region_.info().granule_bytes;
		const uint64_t half = region_.bytes() / granule / 2;
		const uint64_t queued = 4 * region_.info().window_bytes / granule;

		if (half <= queued)
			return fail("the region is too small for its window");
		for (uint64_t number = 0; !stop_; number++) {
			// The cookie is the number and one; granules come round again.
			const RegionHint hint{.offset = number % half * granule,
					      .length = granule,
					      .cookie = number + 1};
			if (auto sums = region_.hint({&hint, 1}); !sums)
				return std::unexpected(sums.error());
			if (number < queued)
				continue;
			const uint64_t oldest = number - queued;
			if (auto ready = region_.wait(oldest + 1); !ready)
				return std::unexpected(ready.error());
			if (auto done = region_.drop(oldest % half * granule, granule); !done)
				return done;
		}
		return {};
	}

	Region region_;
	std::atomic<bool> stop_ = false;
	Result<void> result_;
	std::jthread thread_;
};

struct Faults {
	std::vector<double> seconds;
	uint64_t with_queue = 0; // began while more was queued than was under way
};

// Faults in the upper half, each on an absent granule.
Result<Faults> faults(const Options &options, const Region &region, Random &random)
{
	const uint64_t granule = region.info().granule_bytes;
	const uint64_t all = region.bytes() / granule, half = all / 2;
	const auto mapping = Mapping::of_file(region.fd(), 0, region.bytes());
	Faults done;

	if (!mapping)
		return fail(options.region.string() + ": mapping: " + errno_text(errno));
	for (uint64_t i = 0; i < options.samples; i++) {
		const uint64_t offset = (half + random.below(all - half)) * granule;

		std::this_thread::sleep_for(std::chrono::duration<double, std::milli>(
			random.unit() * options.pause_ms));
		const auto counters = region.counters();
		if (!counters)
			return std::unexpected(counters.error());
		done.with_queue += counters->queued_bytes > 0;
		const Stopwatch watch;
		touch_pages(mapping.data() + offset, 1);
		done.seconds.push_back(watch.seconds());
		if (auto dropped = region.drop(offset, granule); !dropped)
			return std::unexpected(dropped.error());
	}
	return done;
}

Result<bench::Json> measure(const Options &options)
{
	const auto region = Region::open(options.region);
	auto hinted = Region::open(options.region);
	if (!region || !hinted)
		return std::unexpected((region ? hinted : region).error());

	Random random{options.seed};
	const auto before = region->counters();
	const auto alone = faults(options, *region, random);
	if (!alone)
		return std::unexpected(alone.error());

	const auto middle = region->counters();
	const Stopwatch watch;
	Prefetcher prefetcher{std::move(*hinted)};
	const auto loaded = faults(options, *region, random);
	const double loaded_s = watch.seconds();
	const auto after = region->counters();
	if (auto ended = prefetcher.end(); !ended)
		return std::unexpected(ended.error());
	if (!loaded)
		return std::unexpected(loaded.error());
	if (!before || !middle || !after)
		return fail("the region's counters cannot be read");
	if (after->miss_count - before->miss_count != 2 * options.samples)
		return fail("not every fault was a miss");
	return bench::Json{
		{"alone", bench::times(alone->seconds)},
		{"loaded", bench::times(loaded->seconds)},
		{"loaded_bytes_per_s",
		 static_cast<double>(after->fill_bytes - middle->fill_bytes) / loaded_s},
		{"with_queue",
		 static_cast<double>(loaded->with_queue) / static_cast<double>(options.samples)},
		{"window_bytes", region->info().window_bytes},
		{"granule_bytes", region->info().granule_bytes},
	};
}

} // namespace

int main(int argc, char **argv)
{
	Options options;

	return bench::run(argc, argv, options, declare, measure);
}
