// SPDX-License-Identifier: GPL-2.0-only
// How long a fault on an absent granule takes while another region is written back: one
// thread stores to all of that region, round and round, as fast as it is let; another
// touches granules of the first at random moments. In blocks, by turns with the stores
// and without, everything written back. All of what is written is in memory: beside the
// reads there are no others.
#include "bench/program.hpp"

#include "bench/written.hpp"
#include "replay/clock.hpp"
#include "replay/region.hpp"

#include <atomic>
#include <thread>

using namespace itme;
using namespace itme::replay;

namespace {

struct Options {
	Path read, written;
	uint64_t blocks = 8, samples = 50;
	double pause_ms = 20, lead_s = 1;
	uint64_t seed = 1;
};

void declare(CLI::App &app, Options &options)
{
	app.add_option("READ", options.read, "the region that is read")->required();
	app.add_option("WRITTEN", options.written, "in memory, and larger than may be dirty")
		->required();
	app.add_option("--blocks", options.blocks, "in all, an even number");
	app.add_option("--samples", options.samples, "faults of each block");
	app.add_option("--pause-ms", options.pause_ms, "longest pause between two faults");
	app.add_option("--lead-s", options.lead_s,
		       "a pause before each block, or so long only written");
	app.add_option("--seed", options.seed);
}

// Stores, while it is there.
class Writer {
public:
	Writer(const Mapping &mapping, uint64_t granule) : granule_(granule), mapping_(mapping)
	{
		thread_ = std::jthread{[this] { work(); }};
	}
	Writer(const Writer &) = delete;
	Writer &operator=(const Writer &) = delete;
	~Writer() { stop_ = true; }

private:
	void work()
	{
		const Buffer buffer{granule_};

		for (uint64_t turn = 1; !stop_; turn++)
			for (uint64_t at = 0; !stop_ && at < mapping_.size(); at += granule_) {
				bench::stamp_pages(buffer.data(), at, granule_, turn);
				std::memcpy(mapping_.data() + at, buffer.data(), granule_);
			}
	}

	uint64_t granule_;
	const Mapping &mapping_;
	std::atomic<bool> stop_ = false;
	std::jthread thread_;
};

// Faults, each on an absent granule.
Result<void> time_faults(const Options &options, const Region &region, Random &random,
			 std::vector<double> &seconds)
{
	const uint64_t granule = region.info().granule_bytes;
	const auto mapping = Mapping::of_file(region.fd(), 0, region.bytes());

	if (!mapping)
		return fail(options.read.string() + ": mapping: " + errno_text(errno));
	for (uint64_t i = 0; i < options.samples; i++) {
		const uint64_t offset = random.below(region.bytes() / granule) * granule;

		std::this_thread::sleep_for(std::chrono::duration<double, std::milli>(
			random.unit() * options.pause_ms));
		const Stopwatch watch;
		touch_pages(mapping.data() + offset, 1);
		seconds.push_back(watch.seconds());
		if (auto dropped = region.drop(offset, granule); !dropped)
			return dropped;
	}
	return {};
}

// Before both kinds of blocks: a drive that is throttled lets more through after a pause.
void lead(const Options &options)
{
	std::this_thread::sleep_for(std::chrono::duration<double>(options.lead_s));
}

struct Times {
	std::vector<double> alone, loaded;
	double loaded_s = 0;
	uint64_t written_bytes = 0, throttled = 0; // in that time
};

// A block with the writer. Once memory is as dirty as it may be, the store sets its pace.
Result<void> time_loaded(const Options &options, const Region &read, const Region &written,
			 const Mapping &mapping, Random &random, Times &times)
{
	const Writer writer{mapping, written.info().granule_bytes};

	lead(options);
	const auto before = written.counters();
	const Stopwatch watch;
	auto done = time_faults(options, read, random, times.loaded);
	times.loaded_s += watch.seconds();
	const auto after = written.counters();
	if (!done || !before || !after)
		return done ? fail("the regions' counters cannot be read") : done;
	if (after->fill_bytes != before->fill_bytes)
		return fail("what is written was not all in memory");
	times.written_bytes += after->writeback_bytes - before->writeback_bytes;
	times.throttled += after->throttle_count - before->throttle_count;
	return {};
}

Result<bench::Json> measure(const Options &options)
{
	const auto read = Region::open(options.read);
	const auto written = Region::open(options.written, true);
	if (!read || !written)
		return std::unexpected((read ? written : read).error());
	const auto mapping =
		Mapping::of_file(written->fd(), 0, written->bytes(), PROT_READ | PROT_WRITE);
	if (!mapping)
		return fail(options.written.string() + ": mapping: " + errno_text(errno));
	touch_pages(mapping.data(), mapping.size());

	Random random{options.seed};
	Times times;
	const auto before = read->counters();
	for (const uint64_t number : bench::shuffled(options.blocks, random)) {
		const bool is_loaded = number % 2 == 0;

		if (!is_loaded)
			lead(options);
		const auto done =
			is_loaded ? time_loaded(options, *read, *written, mapping, random, times)
				  : time_faults(options, *read, random, times.alone);
		if (!done)
			return std::unexpected(done.error());
		if (fsync(written->fd()) < 0)
			return fail(options.written.string() + ": fsync: " + errno_text(errno));
	}
	const auto after = read->counters();
	if (!before || !after)
		return fail("the regions' counters cannot be read");
	if (after->miss_count - before->miss_count != options.blocks * options.samples)
		return fail("not every fault was a miss");
	return bench::Json{
		{"alone", bench::times(times.alone)},
		{"loaded", bench::times(times.loaded)},
		{"loaded_bytes_per_s", static_cast<double>(times.written_bytes) / times.loaded_s},
		{"throttled", times.throttled},
	};
}

} // namespace

int main(int argc, char **argv)
{
	Options options;

	return bench::run(argc, argv, options, declare, measure);
}
