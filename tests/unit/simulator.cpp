// SPDX-License-Identifier: GPL-2.0-only
#include "simulator.hpp"

#include <algorithm>
#include <cmath>
#include <deque>
#include <map>
#include <queue>
#include <random>
#include <set>

namespace itme::test {

namespace {

struct Request {
	double service_s;
	bool done = false;
	double done_at = 0;
};

// Servers with two queues: demand first, each in the order of submission.
class Device {
public:
	explicit Device(uint32_t servers) : idle(servers) {}

	void submit(Request *request, bool demand) { (demand ? urgent : ahead).push_back(request); }
	void advance(double until)
	{
		dispatch();
		while (!running.empty() && running.top().first <= until)
			complete();
		clock = std::max(clock, until);
		dispatch();
	}
	// The time at which it is done.
	double wait(const Request *request, double now)
	{
		advance(now);
		while (!request->done)
			complete();
		return std::max(now, request->done_at);
	}

private:
	using Running = std::pair<double, Request *>;

	void complete()
	{
		const auto [at, request] = running.top();

		running.pop();
		clock = at;
		request->done = true;
		request->done_at = at;
		idle++;
		dispatch();
	}
	void dispatch()
	{
		while (idle > 0 && (!urgent.empty() || !ahead.empty())) {
			auto &queue = urgent.empty() ? ahead : urgent;
			Request *request = queue.front();

			queue.pop_front();
			idle--;
			running.emplace(clock + request->service_s, request);
		}
	}

	uint32_t idle;
	double clock = 0;
	std::deque<Request *> urgent, ahead;
	std::priority_queue<Running, std::vector<Running>, std::greater<>> running;
};

struct Read {
	uint32_t granule;
	bool chosen;
	double bytes, compute_s;
};

class Simulation {
public:
	Simulation(const Schedule &from, const PlanOptions &with_, const Plan &out, size_t number,
		   const SimOptions &how)
	    : schedule(from), options(with_), plan(out), of(out.streams[number]),
	      program(from.programs[from.streams[number].program]), sim(how), random(how.seed),
	      lane(lane_of(with_, of.store_share, 1)), store(lane.channels), cxl(1),
	      pass(*expand(from, from.streams[number].program, out.grid, with_.rates, with_.tokens))
	{
		const double p99 = options.rates.store.p99_over_mean;
		static constexpr double z = 2.3263478740408408;

		sigma = p99 <= 1 ? 0 : z - std::sqrt(z * z - 2 * std::log(p99));
		for (const PlannedHint &hint : of.hints)
			order.push_back(hint.granule);
	}

	SimResult run()
	{
		double start = 0;

		for (uint32_t i = 0; i < sim.passes; i++) {
			if (i == sim.warm) {
				start = now;
				result = SimResult{};
			}
			one_pass();
		}
		const double count = sim.passes - sim.warm;

		result.pass_s = (now - start) / count;
		result.late_s /= count;
		result.miss_s /= count;
		result.store_bytes /= count;
		return result;
	}

private:
	double service(double granule_bytes)
	{
		const double mean = granule_bytes / lane.store_bytes_per_s * lane.channels;

		return sigma == 0 ? mean
				  : mean * std::lognormal_distribution<double>(-sigma * sigma / 2,
									       sigma)(random);
	}
	Request *request(double seconds)
	{
		requests.push_back({seconds});
		return &requests.back();
	}

	// The next hints of the plan, as long as there is a slot for them.
	void issue()
	{
		while (!order.empty() && outstanding.size() < of.slots) {
			const uint32_t granule = order[issued++ % order.size()];
			const double bytes = static_cast<double>(plan.grid.bytes_of(granule));
			Request *r;

			if (plan.homes[granule] == Home::copied) {
				cxl.submit(r = request(bytes / lane.cxl_bytes_per_s), false);
			} else {
				store.submit(r = request(service(bytes)), false);
				result.store_bytes += bytes;
			}
			outstanding.push_back({granule, r});
		}
		result.most_in_slots = std::max<uint64_t>(result.most_in_slots, outstanding.size());
	}
	double varied(double seconds)
	{
		return seconds * (1 + sim.compute_jitter * std::uniform_real_distribution<double>(
								   -1, 1)(random));
	}
	void compute(const Read &read, double bytes_per_s)
	{
		now += std::max(varied(read.compute_s), read.bytes / bytes_per_s);
	}
	double slot_rate() const
	{
		return lane.slots_in_cxl ? lane.cxl_bytes_per_s : lane.dram_bytes_per_s;
	}

	void one_pass()
	{
		uint32_t step = 0;
		size_t at = 0;

		for (; step < program.steps.size(); step++) {
			if (program.steps[step].group) {
				chosen(step);
				while (at < pass.visits.size() && pass.visits[at].step == step)
					at++;
				continue;
			}
			for (; at < pass.visits.size() && pass.visits[at].step == step; at++) {
				const Visit &v = pass.visits[at];

				known({v.granule, false, static_cast<double>(v.bytes),
				       static_cast<double>(v.compute_s)});
			}
		}
	}
	void known(const Read &read)
	{
		const Home home = plan.homes[read.granule];

		store.advance(now);
		cxl.advance(now);
		issue();
		if (home == Home::dram || home == Home::cxl) {
			// What is read in place takes the link from the copies.
			if (home == Home::cxl)
				cxl.submit(request(read.bytes / lane.cxl_bytes_per_s), true);
			compute(read,
				home == Home::dram ? lane.dram_bytes_per_s : lane.cxl_bytes_per_s);
			return;
		}
		const auto [granule, r] = outstanding.front();

		if (granule != read.granule)
			std::abort(); // the plan's hints are not in the order of the reads
		const double ready = (home == Home::copied ? cxl : store).wait(r, now);

		result.late_s += ready - now;
		now = ready;
		compute(read, slot_rate());
		store.advance(now);
		cxl.advance(now);
		if (home == Home::copied)
			cxl.submit(request(static_cast<double>(plan.grid.bytes_of(granule)) /
					   lane.cxl_bytes_per_s),
				   false);
		outstanding.pop_front();
		issue();
	}

	// Draws what the router names, asks for what is missing, reads in order.
	void chosen(uint32_t number)
	{
		const Step &step = program.steps[number];
		std::map<std::pair<uint32_t, uint32_t>, double> touched; // order of extent, granule
		std::map<uint32_t, Request *> asked;
		double bytes = 0;

		for (const uint32_t object : draw(schedule.groups[*step.group], step.pick)) {
			uint32_t order = 0;

			for (const Extent &extent : schedule.objects[object].extents) {
				split(extent, [&](uint32_t granule, double part) {
					touched[{order, granule}] += part;
				});
				bytes += static_cast<double>(extent.bytes);
				order++;
			}
		}
		store.advance(now);
		for (const auto &[key, part] : touched) {
			if (plan.homes[key.second] != Home::store || asked.contains(key.second))
				continue;
			const double whole = static_cast<double>(plan.grid.bytes_of(key.second));

			store.submit(asked[key.second] = request(service(whole)), true);
			result.store_bytes += whole;
		}
		const double seconds = step_seconds(number);

		for (const auto &[key, part] : touched) {
			const Home home = plan.homes[key.second];

			if (home == Home::store) {
				const double ready = store.wait(asked[key.second], now);

				result.miss_s += ready - now;
				now = ready;
			}
			compute({key.second, true, part, seconds * part / bytes},
				home == Home::store  ? slot_rate()
				: home == Home::dram ? lane.dram_bytes_per_s
						     : lane.cxl_bytes_per_s);
			store.advance(now);
			issue();
		}
	}
	double step_seconds(uint32_t number) const
	{
		double sum = 0;

		for (const Visit &v : pass.visits) {
			if (v.step == number)
				sum += static_cast<double>(v.probability) *
				       static_cast<double>(v.compute_s);
		}
		return sum;
	}
	std::vector<uint32_t> draw(const Group &group, uint32_t pick)
	{
		std::set<uint32_t> taken;
		std::discrete_distribution<uint32_t> popular(group.popularity.begin(),
							     group.popularity.end());
		std::uniform_int_distribution<uint32_t> any(
			0, static_cast<uint32_t>(group.objects.size() - 1));

		while (taken.size() < pick)
			taken.insert(group.objects[group.popularity.empty() ? any(random)
									    : popular(random)]);
		return {taken.begin(), taken.end()};
	}
	template <typename F> void split(const Extent &extent, F take) const
	{
		const uint64_t size = plan.grid.granule_bytes();

		for (uint64_t at = extent.offset; at < extent.offset + extent.bytes;) {
			const uint64_t next =
				std::min(extent.offset + extent.bytes, (at / size + 1) * size);

			take(plan.grid.at(extent.region, at), static_cast<double>(next - at));
			at = next;
		}
	}

	struct Outstanding {
		uint32_t granule;
		Request *request;
	};

	const Schedule &schedule;
	const PlanOptions &options;
	const Plan &plan;
	const StreamPlan &of;
	const Program &program;
	const SimOptions &sim;
	std::mt19937_64 random;
	Lane lane;
	Device store, cxl;
	Pass pass;
	double sigma = 0, now = 0;
	std::vector<uint32_t> order; // of hints
	uint64_t issued = 0;
	std::deque<Outstanding> outstanding;
	std::deque<Request> requests;
	SimResult result;
};

} // namespace

SimResult simulate(const Schedule &schedule, const PlanOptions &options, const Plan &plan,
		   size_t stream, const SimOptions &sim)
{
	return Simulation(schedule, options, plan, stream, sim).run();
}

} // namespace itme::test
