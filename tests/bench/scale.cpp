// SPDX-License-Identifier: GPL-2.0-only
// What a fault and a hint cost in a large region, beside a small one: the same
// number of granules, spread over all of it, in turn.
#include "bench/program.hpp"

#include "replay/buffer.hpp"
#include "replay/clock.hpp"
#include "replay/region.hpp"

#include <ctime>

using namespace itme;
using namespace itme::replay;

namespace {

// Hints of one call: enough that reading the clock does not count, few enough that
// a median has many calls to choose from.
constexpr uint64_t batch = 8;

struct Options {
	Path large, small;
	uint64_t granules = 64;
	int rounds = 20;
	uint64_t seed = 1;
};

void declare(CLI::App &app, Options &options)
{
	app.add_option("LARGE", options.large, "a region")->required();
	app.add_option("SMALL", options.small, "a region")->required();
	app.add_option("--granules", options.granules);
	app.add_option("--rounds", options.rounds);
	app.add_option("--seed", options.seed);
}

// This thread's own time: the work that a hint leaves to others, some of it on
// this processor, is not the hint's.
double thread_seconds()
{
	timespec now{};

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// A region, with times of its faults and hints.
class Side {
public:
	Side(Region opened, uint64_t granules) : region_(std::move(opened))
	{
		const uint64_t granule = region_.info().granule_bytes;
		const uint64_t step = region_.bytes() / granule / granules * granule;

		for (uint64_t i = 0; i < granules; i++)
			hints_.push_back({.offset = i * step, .length = granule});
	}

	[[nodiscard]] Result<void> drop() const
	{
		for (const auto &hint : hints_)
			if (auto done = region_.drop(hint.offset, hint.length); !done)
				return done;
		return {};
	}

	// One HINT on some granules that are absent.
	Result<void> hint(uint64_t first, uint64_t count)
	{
		const auto some = std::span{hints_}.subspan(first, count);
		const double start = thread_seconds();
		const auto sums = region_.hint(some);
		hint_s.push_back((thread_seconds() - start) / static_cast<double>(count));
		if (!sums)
			return std::unexpected(sums.error());
		if (sums->accepted_bytes != count * some[0].length)
			return fail("not all hints were accepted");
		for (const auto &hint : some) {
			const auto ready = region_.wait(hint.offset, hint.length);
			if (!ready || *ready != hint.length)
				return fail("a hint did not bring its granule");
		}
		return {};
	}

	// A fault on one that is there. Only the granule is mapped: tables of its own,
	// whatever the size of the region.
	Result<void> fault(uint64_t number)
	{
		const auto &range = hints_[number];
		const auto mapping = Mapping::of_file(region_.fd(), range.offset, range.length);
		if (!mapping)
			return fail("mapping: " + errno_text(errno));
		const Stopwatch watch;
		touch_pages(mapping.data(), 1);
		fault_s.push_back(watch.seconds());
		return {};
	}

	[[nodiscard]] Result<void> check() const
	{
		const auto counters = region_.counters();
		if (!counters)
			return std::unexpected(counters.error());
		if (counters->miss_count + counters->late_count > 0)
			return fail("a fault did not find its granule in memory");
		return {};
	}

	std::vector<double> hint_s, fault_s;

private:
	Region region_;
	std::vector<RegionHint> hints_;
};

// Hints that bring everything, and faults on it: the two sides in turn.
Result<void> round(std::vector<Side> &sides, uint64_t granules, Random &random)
{
	for (const auto &side : sides)
		if (auto done = side.drop(); !done)
			return done;
	for (uint64_t number = 0; number < granules; number += batch) {
		const size_t earlier = random.below(2);

		for (const size_t i : {earlier, 1 - earlier})
			if (auto done = sides[i].hint(number, std::min(batch, granules - number));
			    !done)
				return done;
	}
	for (const uint64_t number : bench::shuffled(granules, random)) {
		const size_t earlier = random.below(2);

		for (const size_t i : {earlier, 1 - earlier})
			if (auto done = sides[i].fault(number); !done)
				return done;
	}
	return {};
}

Result<bench::Json> measure(const Options &options)
{
	std::vector<Side> sides;
	Random random{options.seed};

	for (const auto &path : {options.large, options.small}) {
		auto region = Region::open(path);
		if (!region)
			return std::unexpected(region.error());
		sides.emplace_back(std::move(*region), options.granules);
	}
	// The first round is not counted: the tables of granules are made in it.
	for (int i = 0; i <= options.rounds; i++) {
		if (auto done = round(sides, options.granules, random); !done)
			return std::unexpected(done.error());
		if (i == 0)
			for (auto &side : sides) {
				side.hint_s.clear();
				side.fault_s.clear();
			}
	}
	for (const auto &side : sides)
		if (auto right = side.check(); !right)
			return std::unexpected(right.error());
	return bench::Json{{"hint",
			    {{"subject", bench::times(sides[0].hint_s)},
			     {"peer", bench::times(sides[1].hint_s)}}},
			   {"fault",
			    {{"subject", bench::times(sides[0].fault_s)},
			     {"peer", bench::times(sides[1].fault_s)}}}};
}

} // namespace

int main(int argc, char **argv)
{
	Options options;

	return bench::run(argc, argv, options, declare, measure);
}
