// SPDX-License-Identifier: GPL-2.0-only
#include "replay/play.hpp"

#include "replay/clock.hpp"
#include "replay/counters.hpp"
#include "replay/stats.hpp"
#include "replay/work.hpp"

#include <algorithm>
#include <thread>

namespace itme::replay {

namespace {

Result<std::unique_ptr<Source>> open_source(const Play &how, const Reading &reading)
{
	switch (how.mode) {
	case Mode::map:
		// A region's pins are its own.
		return open_mapped(reading, how.advice,
				   is_region(how.path) ? std::vector<uint32_t>{}
						       : how.hints.pinned);
	case Mode::pread:
	case Mode::direct:
		return open_pread(reading, how.mode == Mode::direct);
	case Mode::ring:
		break;
	}
	return open_ring(reading, how.slots, how.hints.pinned);
}

// One play: everything that lives as long as it does.
class Player {
public:
	Player(const Play &how, const Program &program)
	    : how_(how), program_(program), order_(sequence(program, how.passes)),
	      steps_(how.hints, order_, program.items.size())
	{
	}

	Result<Played> run()
	{
		Played played;

		if (auto opened = open(); !opened)
			return std::unexpected(opened.error());
		for (size_t i = 0; i < how_.passes; i++) {
			auto pass = run_pass(i);
			if (!pass)
				return std::unexpected(pass.error());
			if (i >= how_.warm)
				played.passes.push_back(*pass);
		}
		played.sum = sum_;
		return played;
	}

private:
	[[nodiscard]] Result<void> open()
	{
		if (how_.hints.any() && how_.mode != Mode::ring) {
			auto hinter = open_hinter(how_.path, how_.hints.sureness);
			if (!hinter)
				return std::unexpected(hinter.error());
			hinter_ = std::move(*hinter);
			if (auto done = hinter_->pin(items_of(how_.hints.pinned)); !done)
				return done;
		}
		auto source = open_source(how_, {how_.path, &program_.items, &order_});
		if (!source)
			return std::unexpected(source.error());
		source_ = std::move(*source);

		auto meter = Meter::open(how_.path);
		if (!meter)
			return std::unexpected(meter.error());
		meter_ = std::move(*meter);
		return {};
	}

	[[nodiscard]] std::vector<Item> items_of(const std::vector<uint32_t> &numbers) const
	{
		std::vector<Item> items;

		for (const uint32_t number : numbers)
			items.push_back(program_.items[number]);
		return items;
	}

	[[nodiscard]] Result<PassCost> run_pass(size_t number)
	{
		const auto count = program_.pass(number).size();
		const auto &bursts = program_.bursts_of(number);
		size_t burst = 0;
		PassCost time;
		const auto before = meter_.read();
		const Stopwatch whole;

		if (!before)
			return std::unexpected(before.error());
		for (size_t i = 0; i < count; i++) {
			if (hinter_ && burst < bursts.size() && bursts[burst].begin == i)
				if (auto done = begin_burst(number, burst++, time); !done)
					return std::unexpected(done.error());
			if (auto done = run_item(program_.items[order_[position_]], time); !done)
				return std::unexpected(done.error());
			position_++;
		}
		time.seconds = whole.seconds();

		const auto after = meter_.read();
		if (!after)
			return std::unexpected(after.error());
		const Cost cost = *after - *before;
		time.footprint_bytes = footprint(program_, program_.pass(number));
		time.store_bytes = cost.store_bytes;
		time.misses = cost.misses;
		time.late = cost.late;
		return time;
	}

	// What this burst reads is known now; what the next one reads may be guessed.
	[[nodiscard]] Result<void> begin_burst(size_t pass, size_t number, PassCost &time)
	{
		const Stopwatch watch;
		const auto picked = [&](size_t of, const Burst &burst) {
			return std::span{program_.pass(of)}.subspan(burst.begin, burst.count);
		};
		const auto &bursts = program_.bursts_of(pass);

		if (how_.hints.needs) {
			const auto now = picked(pass, bursts[number]);

			if (auto done = hinter_->hint(items_of({now.begin(), now.end()}), {});
			    !done)
				return done;
		}
		if (how_.hints.ready_first)
			if (auto done = put_ready_first(bursts[number].count); !done)
				return done;
		if (how_.hints.guesses > 0) {
			const bool last = number + 1 == bursts.size();
			const auto next_pass = last ? pass + 1 : pass;
			const auto &next = program_.bursts_of(next_pass)[last ? 0 : number + 1];
			const auto guesses =
				guess_burst(how_.hints, next, picked(next_pass, next), random_);

			if (!guesses.empty())
				if (auto done = hinter_->guess(items_of(guesses)); !done)
					return done;
		}
		time.hint_s += watch.seconds();
		return {};
	}

	// Of so many items that come now: what is missing is on its way meanwhile.
	[[nodiscard]] Result<void> put_ready_first(size_t count)
	{
		const std::span coming{&order_[position_], count};
		const auto ready = hinter_->ready(items_of({coming.begin(), coming.end()}));
		if (!ready)
			return std::unexpected(ready.error());

		const auto first = ready_first({coming.begin(), coming.end()}, *ready);
		std::ranges::copy(first, coming.begin());
		return {};
	}

	[[nodiscard]] Result<void> run_item(const Item &item, PassCost &time)
	{
		if (hinter_) {
			const Stopwatch watch;
			const HintStep step = steps_.at(position_);

			if (!step.prefetch.empty() || !step.release.empty())
				if (auto done = hinter_->hint(items_of(step.prefetch),
							      items_of(step.release));
				    !done)
					return done;
			time.hint_s += watch.seconds();
		}

		const Stopwatch stall;
		const auto data = source_->fetch(position_);
		time.stall_s += stall.seconds();
		if (!data)
			return std::unexpected(data.error());

		const Stopwatch compute;
		if (auto right = look_at(item, *data); !right)
			return right;
		do_work(how_.work_units);
		if (how_.sleep_s > 0)
			std::this_thread::sleep_for(std::chrono::duration<double>(how_.sleep_s));
		time.compute_s += compute.seconds();
		time.read_bytes += item.length;
		return {};
	}

	[[nodiscard]] Result<void> look_at(const Item &item, std::span<const std::byte> data)
	{
		switch (how_.look) {
		case Look::lines:
			sum_ += touch_lines(data);
			break;
		case Look::all:
			sum_ += checksum(data);
			break;
		case Look::verify:
			return verify(how_.sums, item.offset, data);
		}
		return {};
	}

	const Play &how_;
	const Program &program_;
	std::vector<uint32_t> order_;
	HintSteps steps_;
	Random random_{how_.hints.seed};
	std::unique_ptr<Hinter> hinter_;
	std::unique_ptr<Source> source_;
	Meter meter_;
	size_t position_ = 0;
	uint64_t sum_ = 0;
};

} // namespace

Result<Played> play(const Play &how, const Program &program)
{
	if (how.look == Look::verify && how.sums.blocks.empty())
		return fail("there are no checksums to verify with", Exit::usage);
	if (how.hints.ready_first && (!how.hints.needs || how.hints.ahead > 0 ||
				      how.hints.release || how.mode == Mode::ring))
		return fail("--ready-first takes --needs, and neither --ahead, --release nor "
			    "--mode=ring: "
			    "these follow the program's order",
			    Exit::usage);
	if (how.warm >= how.passes)
		return fail("of " + std::to_string(how.passes) + " passes none would be counted",
			    Exit::usage);
	return Player{how, program}.run();
}

double bound_s(const PassCost &pass, const Limit &limit)
{
	const double compute_s = limit.compute_s > 0 ? limit.compute_s : pass.compute_s;
	double store_s = 0;

	if (limit.bandwidth > 0 && pass.footprint_bytes > limit.capacity_bytes)
		store_s = static_cast<double>(pass.footprint_bytes - limit.capacity_bytes) /
			  limit.bandwidth;
	return std::max(compute_s, store_s);
}

PassCost median_pass(const std::vector<PassCost> &passes)
{
	const auto middle = [&](auto PassCost::*field) {
		std::vector<double> values;

		for (const auto &pass : passes)
			values.push_back(static_cast<double>(pass.*field));
		return median(std::move(values));
	};
	const auto whole = [&](uint64_t PassCost::*field) {
		return static_cast<uint64_t>(middle(field));
	};
	return {
		.seconds = middle(&PassCost::seconds),
		.compute_s = middle(&PassCost::compute_s),
		.stall_s = middle(&PassCost::stall_s),
		.hint_s = middle(&PassCost::hint_s),
		.read_bytes = whole(&PassCost::read_bytes),
		.footprint_bytes = whole(&PassCost::footprint_bytes),
		.store_bytes = whole(&PassCost::store_bytes),
		.misses = whole(&PassCost::misses),
		.late = whole(&PassCost::late),
	};
}

} // namespace itme::replay
