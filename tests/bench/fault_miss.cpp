// SPDX-License-Identifier: GPL-2.0-only
// A fault on a granule that the store has, beside a pread(2) of the same bytes
// from the same store by direct I/O: one of each in turn, granules in random order.
#include "bench/program.hpp"

#include "replay/buffer.hpp"
#include "replay/clock.hpp"
#include "replay/region.hpp"
#include "replay/source.hpp"

#include <cstring>
#include <fcntl.h>

using namespace itme;
using namespace itme::replay;

namespace {

struct Options {
	Path region, store;
	uint64_t samples = 100, warm = 0;
	uint64_t buffers = 1;
	uint64_t seed = 1;
};

void declare(CLI::App &app, Options &options)
{
	app.add_option("REGION", options.region)->required();
	app.add_option("STORE", options.store, "what is attached there")->required();
	app.add_option("--samples", options.samples);
	app.add_option("--warm", options.warm, "at first, not counted");
	app.add_option("--buffers", options.buffers,
		       "of the peer, in turn: as many as the region's data goes through frames, "
		       "for both to find their memory as warm")
		->check(CLI::PositiveNumber);
	app.add_option("--seed", options.seed);
}

Result<bench::Json> measure(const Options &options)
{
	auto region = Region::open(options.region);
	if (!region)
		return std::unexpected(region.error());
	const Fd store{open(options.store.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC)};
	const auto mapping = Mapping::of_file(region->fd(), 0, region->bytes());
	if (!store || !mapping)
		return fail((store ? options.region : options.store).string() + ": " +
			    errno_text(errno));
	if (auto done = region->drop(0, region->bytes()); !done)
		return std::unexpected(done.error());

	const uint64_t granule = region->info().granule_bytes;
	const Buffer buffers{granule * options.buffers};
	std::vector<double> miss_s, pread_s;
	Random random{options.seed};
	const auto before = region->counters();
	if (options.warm + options.samples > region->bytes() / granule)
		return fail("the region has fewer granules than samples are wanted");
	auto order = bench::shuffled(region->bytes() / granule, random);
	order.resize(std::min<size_t>(order.size(), options.warm + options.samples));
	for (uint64_t i = 0; i < order.size(); i++) {
		const Item item{order[i] * granule, granule};
		std::byte *buffer = buffers.data() + i % options.buffers * granule;
		const bool miss_first = random.unit() < 0.5;

		for (const bool is_miss : {miss_first, !miss_first}) {
			const Stopwatch watch;

			if (is_miss) {
				touch_pages(mapping.data() + item.offset, 1);
				miss_s.push_back(watch.seconds());
			} else {
				const int err = read_item(store.get(), item, buffer);

				pread_s.push_back(watch.seconds());
				if (err != 0)
					return fail(options.store.string() + ": " +
						    errno_text(err));
			}
		}
		if (std::memcmp(mapping.data() + item.offset, buffer, granule) != 0)
			return fail("granule " + std::to_string(order[i]) +
				    " is not what the store has");
		if (auto done = region->drop(item.offset, item.length); !done)
			return std::unexpected(done.error());
	}
	const auto after = region->counters();
	if (!before || !after)
		return fail("the region's counters cannot be read");
	if (after->miss_count - before->miss_count != order.size())
		return fail("not each of " + std::to_string(order.size()) + " faults was a miss");
	for (auto *times : {&miss_s, &pread_s})
		times->erase(times->begin(), times->begin() + static_cast<ptrdiff_t>(options.warm));
	return bench::Json{{"subject", bench::times(miss_s)}, {"peer", bench::times(pread_s)}};
}

} // namespace

int main(int argc, char **argv)
{
	Options options;

	return bench::run(argc, argv, options, declare, measure);
}
