// SPDX-License-Identifier: GPL-2.0-only
#include "lib/timeline.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace itme {

namespace {

constexpr size_t enough_legs = 20000; // over all passes, for an average that holds still
constexpr uint32_t least_passes = 2, most_passes = 24;

double normal_quantile(double share)
{
	double low = -6, high = 6;

	for (int i = 0; i < 40; i++) {
		const double middle = (low + high) / 2;

		(0.5 * std::erfc(-middle / std::sqrt(2.0)) < share ? low : high) = middle;
	}
	return low;
}

// Plans are made anew while the runtime runs: these are always the same.
const std::array<double, Variation::count> &normal_quantiles()
{
	static const auto quantiles = [] {
		std::array<double, Variation::count> all{};

		for (size_t i = 0; i < all.size(); i++)
			all[i] = normal_quantile((static_cast<double>(i) + 0.5) / Variation::count);
		return all;
	}();

	return quantiles;
}

void shuffle(std::array<double, Variation::count> &values, uint64_t state)
{
	for (size_t i = values.size() - 1; i > 0; i--) {
		state = state * 6364136223846793005 + 1442695040888963407;
		std::swap(values[i], values[(state >> 33) % (i + 1)]);
	}
}

class Compiler {
public:
	Compiler(const std::vector<Home> &at, const Grid &over, const Lane &with)
	    : homes(at), grid(over), lane(with)
	{
	}

	std::vector<Leg> run(const Pass &pass)
	{
		for (size_t i = 0; i < pass.visits.size(); i++) {
			if (pass.visits[i].exact())
				exact(pass.visits[i], static_cast<uint32_t>(i));
			else
				choice(pass.visits[i], static_cast<uint32_t>(i));
		}
		return std::move(legs);
	}

private:
	void use(const Visit &visit, bool in_cxl, double share, Leg &leg) const
	{
		const auto compute_s = static_cast<double>(visit.compute_s);
		const double read_s = static_cast<double>(visit.bytes) /
				      (in_cxl ? lane.cxl_bytes_per_s : lane.dram_bytes_per_s);

		leg.compute_s += share * compute_s;
		leg.read_s += share * read_s;
		leg.seconds += share * std::max(compute_s, read_s);
		leg.computing_s += compute_s < read_s ? 0 : share * compute_s;
	}
	// What goes through a slot costs the slot's tier a write and the reads.
	void count_slot(const Visit &visit, double filled, Leg &leg) const
	{
		if (lane.slots_in_cxl)
			leg.cxl_bytes += static_cast<double>(visit.bytes) + filled;
		else
			leg.dram_bytes += static_cast<double>(visit.bytes);
	}

	void exact(const Visit &visit, uint32_t number)
	{
		const Home home = homes[visit.granule];

		if (home == Home::store || home == Home::copied) {
			Leg leg;

			leg.part = home == Home::store ? Part::fetched : Part::copied;
			leg.visit = number;
			leg.bytes = static_cast<double>(grid.bytes_of(visit.granule));
			use(visit, lane.slots_in_cxl, 1, leg);
			count_slot(visit, leg.bytes, leg);
			legs.push_back(leg);
			return;
		}
		if (legs.empty() || legs.back().part != Part::resident) {
			legs.emplace_back();
			legs.back().visit = number;
		}
		resident(visit, home, 1, legs.back());
	}
	void resident(const Visit &visit, Home home, double share, Leg &leg) const
	{
		const bool in_cxl = home != Home::dram;

		use(visit, in_cxl, share, leg);
		(in_cxl ? leg.cxl_bytes : leg.dram_bytes) +=
			share * static_cast<double>(visit.bytes);
	}
	void choice(const Visit &visit, uint32_t number)
	{
		const auto share = static_cast<double>(visit.probability);

		if (legs.empty() || legs.back().part != Part::choice || last_step != visit.step) {
			legs.emplace_back();
			legs.back().part = Part::choice;
			legs.back().visit = number;
			legs.back().visits = 0;
			last_step = visit.step;
		}
		Leg &leg = legs.back();

		leg.visits += share;
		if (homes[visit.granule] != Home::store) {
			resident(visit, homes[visit.granule], share, leg);
			return;
		}
		const double whole = static_cast<double>(grid.bytes_of(visit.granule));

		leg.misses += share * whole / static_cast<double>(lane.granule_bytes);
		leg.bytes += share * whole;
		use(visit, lane.slots_in_cxl, share, leg);
		Leg counted;

		count_slot(visit, whole, counted);
		leg.cxl_bytes += share * counted.cxl_bytes;
		leg.dram_bytes += share * counted.dram_bytes;
	}

	const std::vector<Home> &homes;
	const Grid &grid;
	const Lane &lane;
	std::vector<Leg> legs;
	uint32_t last_step = 0;
};

class Runner {
public:
	Runner(std::span<const Leg> what, const Lane &with, uint32_t count)
	    : legs(what), lane(with), slots(count), channels(std::max(1U, with.channels))
	{
		fetch_s = static_cast<double>(lane.granule_bytes) / lane.store_bytes_per_s *
			  static_cast<double>(channels.size());
		for (size_t i = 0; i < legs.size(); i++) {
			if (legs[i].part == Part::fetched || legs[i].part == Part::copied)
				queue.push_back(static_cast<uint32_t>(i));
			expected_misses += legs[i].part == Part::choice ? legs[i].misses : 0;
		}
		released.resize(std::max(1U, slots));
		ready.resize(released.size());
		begun.resize(released.size());
		guess();
	}

	Timing run(std::vector<Span> *spans)
	{
		const size_t wanted = legs.empty() ? 1 : enough_legs / legs.size();
		const auto passes = static_cast<uint32_t>(
			std::clamp<size_t>(wanted, least_passes, most_passes));
		const uint32_t warm = std::max(1U, passes / 3);
		double start = 0;

		for (uint32_t i = 0; i < passes; i++) {
			if (i == warm) {
				timing = Timing{.lead_least_s = 1e300};
				start = now;
			}
			if (i + 1 == passes && spans != nullptr)
				into = spans;
			origin = now;
			pass();
		}
		const double count = passes - warm;

		timing.pass_s = (now - start) / count;
		for (double *sum : {&timing.miss_s, &timing.late_s, &timing.exact_bytes,
				    &timing.demand_bytes, &timing.likely_bytes, &timing.cxl_bytes,
				    &timing.copy_bytes, &timing.dram_bytes})
			*sum /= count;
		timing.fetches = static_cast<uint32_t>(queue.size());
		timing.lead_mean_s =
			queue.empty()
				? 0
				: timing.lead_mean_s / (count * static_cast<double>(queue.size()));
		if (queue.empty())
			timing.lead_least_s = 0;
		return timing;
	}

private:
	// Of the misses of choices, what is guessed ahead within the budget.
	void guess()
	{
		const double wanted = expected_misses * lane.recall / lane.precision *
				      static_cast<double>(lane.granule_bytes);

		funded = wanted <= 0 ? 0 : std::min(1.0, lane.likely_bytes / wanted);
	}
	double &idlest() { return *std::min_element(channels.begin(), channels.end()); }
	void show(Span::Row row, double begin, double end)
	{
		if (into != nullptr && end > begin)
			into->push_back({row, begin - origin, end - origin});
	}

	// When could the next fetch begin? Its slot is that of the one `slots` before it.
	double could_begin()
	{
		const Leg &leg = legs[queue[issued % queue.size()]];
		const double slot = released[issued % slots];

		return leg.part == Part::fetched ? std::max(slot, idlest()) : begun[issued % slots];
	}
	void issue()
	{
		const Leg &leg = legs[queue[issued % queue.size()]];
		const size_t slot = issued % slots;

		if (leg.part == Part::fetched) {
			begun[slot] = could_begin();
			ready[slot] = fetch(begun[slot], leg.bytes);
			timing.exact_bytes += leg.bytes;
		}
		issued++;
	}
	// Copies have the link to themselves but for what is read in place, and no
	// demand to let pass: they queue up as soon as their slot is free.
	void copy_up()
	{
		for (; !queue.empty() && admitted - consumed < slots; admitted++) {
			const Leg &leg = legs[queue[admitted % queue.size()]];
			const size_t slot = admitted % slots;

			if (leg.part != Part::copied)
				continue;
			begun[slot] = std::max(released[slot], cxl_free);
			ready[slot] = copy(begun[slot], leg.bytes);
		}
	}
	double copy(double begin, double bytes)
	{
		cxl_free = begin + bytes / lane.cxl_bytes_per_s;
		timing.copy_bytes += bytes;
		show(Span::Row::cxl, begin, cxl_free);
		return cxl_free;
	}
	double fetch(double earliest, double bytes)
	{
		double &channel = idlest();
		const double begin = std::max(earliest, channel);
		const double alone = fetch_s * bytes / static_cast<double>(lane.granule_bytes);

		channel = begin + alone * lane.variation->fetch[fetches++ % Variation::count];
		show(Span::Row::store, begin, begin + alone / static_cast<double>(channels.size()));
		return channel;
	}
	// Fetches that could begin before now have begun.
	void pump()
	{
		while (!queue.empty() && issued - consumed < slots && could_begin() < now)
			issue();
	}

	void pass()
	{
		copy_up();
		for (const Leg &leg : legs) {
			pump();
			switch (leg.part) {
			case Part::resident:
				work(leg.seconds);
				break;
			case Part::choice:
				choose(leg);
				break;
			default:
				consume(leg);
				break;
			}
			timing.cxl_bytes += leg.cxl_bytes;
			timing.dram_bytes += leg.dram_bytes;
			if (leg.cxl_bytes > 0)
				cxl_free = std::max(cxl_free, now - leg.seconds) +
					   leg.cxl_bytes / lane.cxl_bytes_per_s;
		}
	}
	void work(double seconds)
	{
		show(Span::Row::use, now, now + seconds);
		now += seconds;
	}
	void wait(double until, double &sum)
	{
		if (until <= now)
			return;
		show(Span::Row::wait, now, until);
		sum += until - now;
		now = until;
	}
	void consume(const Leg &leg)
	{
		const size_t slot = consumed % slots;

		if (issued == consumed)
			issue();
		wait(ready[slot], timing.late_s);
		timing.lead_least_s = std::min(timing.lead_least_s, now - begun[slot]);
		timing.lead_mean_s += now - begun[slot];
		work(leg.seconds);
		released[slot] = now;
		consumed++;
		if (leg.part == Part::copied)
			copy(std::max(now, cxl_free), leg.bytes); // back
		copy_up();
	}
	// What the router names is asked for at once, and read in order.
	void choose(const Leg &leg)
	{
		const double guessed = leg.misses * lane.recall * funded;

		// Their number varies from slot to slot, as a draw of so many does; what is
		// rounded or cut off is owed to the next, so that the mean is right.
		const double mean = leg.misses - guessed;
		const double spread =
			std::sqrt(mean * std::max(0.0, 1 - mean / std::max(1e-9, leg.visits)));
		const double drawn =
			mean + owed + spread * lane.variation->normal[choices++ % Variation::count];
		const auto misses = static_cast<uint32_t>(std::max(0.0, std::round(drawn)));

		owed += mean - misses;
		owed_guesses += guessed / lane.precision;
		const double piece = leg.seconds / (misses + 1);
		const double each = leg.misses > 0 ? static_cast<double>(lane.granule_bytes) : 0;

		arrivals.clear();
		for (uint32_t i = 0; i < misses; i++)
			arrivals.push_back(fetch(now, each));
		timing.demand_bytes += misses * each;
		for (const double arrival : arrivals) {
			work(piece);
			wait(arrival, timing.miss_s);
		}
		work(piece);
		// Guesses for the next slot go last, and take the link while they last.
		for (; owed_guesses >= 1; owed_guesses--) {
			fetch(now, each);
			timing.likely_bytes += each;
		}
	}

	std::span<const Leg> legs;
	const Lane &lane;
	uint32_t slots;
	std::vector<double> channels; // when each is free
	double fetch_s = 0;           // of one granule, among a full device's
	double cxl_free = 0;
	std::vector<uint32_t> queue;                // legs that need a slot, in order
	std::vector<double> released, ready, begun; // of each slot
	std::vector<double> arrivals;
	uint64_t issued = 0, admitted = 0, consumed = 0, fetches = 0, choices = 0;
	double expected_misses = 0, funded = 0, owed = 0, owed_guesses = 0;
	double now = 0, origin = 0;
	Timing timing;
	std::vector<Span> *into = nullptr;
};

} // namespace

std::shared_ptr<const Variation> variation_of(double p99_over_mean)
{
	static constexpr double z99 = 2.3263478740408408;
	// A lognormal time with that 99th percentile.
	const double sigma =
		p99_over_mean <= 1
			? 0
			: z99 - std::sqrt(std::max(0.0, z99 * z99 - 2 * std::log(p99_over_mean)));
	auto variation = std::make_shared<Variation>();
	double sum = 0;

	variation->normal = normal_quantiles();
	for (size_t i = 0; i < Variation::count; i++) {
		variation->fetch[i] = std::exp(sigma * variation->normal[i]);
		sum += variation->fetch[i];
	}
	for (double &factor : variation->fetch)
		factor *= Variation::count / sum;
	shuffle(variation->fetch, 0x1f3d5b79);
	shuffle(variation->normal, 0x2c6e9a53);
	return variation;
}

std::vector<Leg> legs_of(const Pass &pass, const std::vector<Home> &homes, const Grid &grid,
			 const Lane &lane)
{
	return Compiler(homes, grid, lane).run(pass);
}

Timing run_legs(std::span<const Leg> legs, const Lane &lane, uint32_t slots,
		std::vector<Span> *spans)
{
	return Runner(legs, lane, slots).run(spans);
}

} // namespace itme
