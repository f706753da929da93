// SPDX-License-Identifier: GPL-2.0-only
// Orders learned from made-up runs, which see no more than watches let them.
#include "lib/learner.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <numeric>
#include <random>

using itme::Event;
using itme::GranuleRange;
using itme::Learner;
using State = itme::Learner::State;

namespace {

constexpr itme::RegionId region{.dev = 3, .inode = 5};
constexpr std::uint64_t ms = 1'000'000;

using Granules = std::vector<std::uint32_t>;

Granules forward(std::uint32_t count)
{
	Granules order(count);

	std::iota(order.begin(), order.end(), 0);
	return order;
}

Granules backward(std::uint32_t count)
{
	auto order = forward(count);

	std::ranges::reverse(order);
	return order;
}

Granules strided(std::uint32_t count)
{
	Granules order;

	for (std::uint32_t i = 0; i < count; i += 2)
		order.push_back(i);
	for (std::uint32_t i = 1; i < count; i += 2)
		order.push_back(i);
	return order;
}

// Layers of so many granules, in a shuffled order.
Granules shuffled(std::uint32_t count, std::uint32_t layer, unsigned seed)
{
	auto layers = forward(count / layer);
	std::mt19937 random{seed};
	Granules order;

	std::ranges::shuffle(layers, random);
	for (const auto number : layers)
		for (std::uint32_t i = 0; i < layer; i++)
			order.push_back(number * layer + i);
	return order;
}

bool same_cycle(const Granules &learned, const Granules &order)
{
	if (learned.size() != order.size())
		return false;
	for (std::size_t by = 0; by < order.size(); by++) {
		auto turned = order;

		std::ranges::rotate(turned, turned.begin() + static_cast<std::ptrdiff_t>(by));
		if (turned == learned)
			return true;
	}
	return false;
}

// A process that reads a region, and the kernel's watches.
class Reader {
public:
	explicit Reader(std::uint32_t granules) : learner(region, granules), watched_(granules) {}

	void access(std::uint32_t granule, std::uint64_t wait_ns = 0)
	{
		now += wait_ns;
		if (wait_ns > 0)
			tell(Event::Kind::stall, granule, static_cast<std::int64_t>(wait_ns));
		if (watched_[granule]) {
			watched_[granule] = false;
			touches++;
			tell(Event::Kind::touch, granule);
		}
		now += compute_ns + random_() % (compute_ns / 4);
		if (++accesses_ % batch == 0)
			watch();
	}

	// Threads: an access comes so many places late.
	void pass(const Granules &order, std::uint32_t late = 0)
	{
		std::vector<std::pair<std::size_t, std::uint32_t>> turns;

		for (std::size_t i = 0; i < order.size(); i++)
			turns.emplace_back(i + random_() % (late + 1), order[i]);
		std::ranges::stable_sort(turns, {}, &decltype(turns)::value_type::first);
		for (const auto &turn : turns)
			access(turn.second);
	}

	void tell(Event::Kind kind, std::uint32_t granule = 0, std::int64_t value = 0)
	{
		Event event;

		event.kind = kind;
		event.pid = event.tid = pid;
		event.time_ns = now;
		event.region = region;
		event.granule = granule;
		event.value = value;
		learner.see(event);
	}

	void watch()
	{
		for (const auto &range : learner.wanted_watches(now))
			for (auto g = range.first; g < range.first + range.count; g++)
				watched_[g] = true;
		if (learner.state() != State::learning)
			watched_.assign(watched_.size(), false);
	}

	Learner learner;
	std::uint64_t now = 1000 * ms, compute_ns = ms;
	std::uint32_t pid = 7;
	std::size_t batch = 3; // accesses until the agent looks again
	std::uint64_t touches = 0;

private:
	std::vector<bool> watched_;
	std::size_t accesses_ = 0;
	std::mt19937 random_{1};
};

void expect_learned(const Reader &run, const Granules &order)
{
	EXPECT_EQ(run.learner.state(), State::learned) << run.learner.words();
	EXPECT_TRUE(same_cycle(run.learner.order().granules, order))
		<< testing::PrintToString(run.learner.order().granules);
	EXPECT_GE(run.learner.order().confidence, 0.9);
}

// Plays passes until something is learned, at most so many.
std::size_t learn(Reader &run, const Granules &order, std::size_t most_passes)
{
	run.watch();
	for (std::size_t pass = 1; pass <= most_passes; pass++) {
		run.pass(order);
		if (run.learner.state() == State::learned)
			return pass;
	}
	return most_passes + 1;
}

} // namespace

TEST(Learner, AnyOrderAfterThreePasses)
{
	auto twice = forward(100);
	for (std::uint32_t g = 20; g < 60; g++)
		twice.push_back(g);
	auto part = shuffled(100, 4, 3);
	part.resize(40);

	for (const auto &order :
	     {forward(100), backward(100), strided(100), shuffled(100, 4, 9), shuffled(100, 1, 5),
	      part, twice, forward(16), shuffled(30, 1, 2), forward(2000)}) {
		Reader run(std::max<std::uint32_t>(100, static_cast<std::uint32_t>(order.size())));
		const auto passes = learn(run, order, 3);

		EXPECT_LE(passes, 3) << order.size() << ' ' << order[0] << ' ' << order[1] << ' '
				     << run.learner.words();
		expect_learned(run, order);
		EXPECT_EQ(run.learner.order().confidence, 1);
		EXPECT_LE(run.learner.passes(), passes);
	}
}

TEST(Learner, ShortPassesTakeMoreOfThem)
{
	for (const std::uint32_t count : {2U, 3U, 7U, 12U}) {
		const auto order = backward(count);
		Reader run(100);

		run.batch = 1;
		EXPECT_LE(learn(run, order, 3 + 24 / count), 3 + 24 / count) << count;
		expect_learned(run, order);
	}
}

TEST(Learner, TheTimeOfAPositionIsWithoutItsWaits)
{
	const auto order = shuffled(40, 1, 3);
	Reader run(40);

	run.watch();
	for (int pass = 0; pass < 3 && run.learner.state() == State::learning; pass++)
		for (const auto granule : order) {
			run.compute_ns = (granule + 1) * ms;
			run.access(granule, granule % 3 == 0 ? 50 * ms : 0);
		}
	expect_learned(run, order);
	const auto &learned = run.learner.order();
	ASSERT_EQ(learned.compute_ns.size(), order.size());
	for (std::size_t i = 0; i < order.size(); i++) {
		EXPECT_GE(learned.compute_ns[i], (learned.granules[i] + 1) * ms) << i;
		EXPECT_LE(learned.compute_ns[i], (learned.granules[i] + 1) * ms * 5 / 4) << i;
	}
}

TEST(Learner, ThreadsThatGoThroughNeighboursAtOnce)
{
	const auto order = shuffled(200, 4, 9);
	Reader run(200);

	run.watch();
	for (int pass = 0; pass < 4; pass++)
		run.pass(order, 2);
	ASSERT_EQ(run.learner.state(), State::learned) << run.learner.words();
	auto learned = run.learner.order().granules;
	ASSERT_EQ(learned.size(), order.size());
	// It begins with what was read first, the order with its own first; then each
	// granule is about where it belongs.
	const auto first = std::ranges::find(learned, order[0]);
	std::ranges::rotate(learned, first);
	std::size_t exact = 0;
	for (std::size_t i = 0; i < order.size(); i++) {
		const auto at = std::ranges::find(learned, order[i]) - learned.begin();
		const auto away = std::min(std::abs(at - static_cast<std::ptrdiff_t>(i)),
					   200 - std::abs(at - static_cast<std::ptrdiff_t>(i)));

		EXPECT_LE(away, 3) << i;
		exact += away <= 1;
	}
	EXPECT_GE(exact, 160);
	EXPECT_GE(run.learner.order().confidence, 0.9);
}

TEST(Learner, AFirstPassThatDiffers)
{
	// A loader reads the file front to back, or only its headers, or in pieces.
	for (const auto &loader :
	     {forward(100), Granules{0, 1, 2}, backward(100), Granules{0, 99, 0, 99, 50}}) {
		const auto order = shuffled(96, 4, 4);
		Reader run(100);

		run.watch();
		run.pass(loader);
		run.now += 3000 * ms;
		EXPECT_LE(learn(run, order, 3), 3) << loader.size();
		expect_learned(run, order);
	}
}

TEST(Learner, ALoaderOfAllAndAProgramOfAPart)
{
	auto order = shuffled(100, 4, 4);
	order.resize(32);
	Reader run(100);

	run.watch();
	run.pass(forward(100));
	EXPECT_LE(learn(run, order, 4), 4);
	expect_learned(run, order);
}

TEST(Learner, APartThatIsRepeatedIsNoPass)
{
	auto order = forward(100);
	for (std::uint32_t g = 0; g < 50; g++)
		order.push_back(g);
	Reader run(100);

	EXPECT_LE(learn(run, order, 3), 3);
	expect_learned(run, order);
}

TEST(Learner, PausesBetweenPassesAndAnotherProcess)
{
	const auto order = strided(60);
	Reader run(60);

	run.watch();
	run.pass(order);
	run.now += 20000 * ms;
	run.watch();
	run.tell(Event::Kind::exit);
	run.pid = 8;
	EXPECT_LE(learn(run, order, 2), 2);
	expect_learned(run, order);
	for (const auto ns : run.learner.order().compute_ns)
		EXPECT_LE(ns, 20000 * ms + 2 * ms);
}

TEST(Learner, TheRuntimeTellsPasses)
{
	const auto order = shuffled(50, 1, 8);
	Reader run(50);

	run.watch();
	run.access(17);
	for (int pass = 0; pass < 3; pass++) {
		run.tell(Event::Kind::pass_begin);
		run.pass(order);
	}
	run.tell(Event::Kind::pass_begin);
	run.pass(order);
	expect_learned(run, order);
}

TEST(Learner, LostEventsCostNoMoreThanThemselves)
{
	const auto order = shuffled(64, 1, 8);
	Reader run(64);
	std::size_t count = 0;

	run.watch();
	for (int pass = 0; pass < 4 && run.learner.state() == State::learning; pass++)
		for (const auto granule : order)
			if (++count % 37 != 0)
				run.access(granule);
	ASSERT_EQ(run.learner.state(), State::learned) << run.learner.words();
	auto kept = run.learner.order().granules;
	EXPECT_GE(kept.size(), order.size() - 2);
	auto rest = order;
	std::erase_if(rest, [&](auto g) { return std::ranges::find(kept, g) == kept.end(); });
	EXPECT_TRUE(same_cycle(kept, rest)) << testing::PrintToString(kept);
	EXPECT_LT(run.learner.order().confidence, 1);
	EXPECT_GE(run.learner.order().confidence, 0.9);
}

TEST(Learner, RandomReadsAreNoOrder)
{
	for (const std::uint32_t granules : {4U, 10U, 100U, 1000U}) {
		std::mt19937 random{granules};
		Reader run(granules);
		const auto accesses = granules * 20ULL + 200;

		run.watch();
		for (std::uint64_t i = 0; i < accesses; i++) {
			run.access(static_cast<std::uint32_t>(random() % granules));
			ASSERT_NE(run.learner.state(), State::learned)
				<< granules << ' ' << i << run.learner.words()
				<< testing::PrintToString(run.learner.order().granules);
		}
		EXPECT_EQ(run.learner.state(), State::given_up) << granules;
		EXPECT_LT(run.learner.order().confidence, 0.75) << granules;
		EXPECT_NE(run.learner.words().find("no order"), std::string::npos);
		// And it slows nobody any more.
		EXPECT_LE(run.touches, granules * 7ULL + 120) << granules;
		EXPECT_TRUE(run.learner.wanted_watches(run.now).empty());
		// Another process is another chance.
		run.tell(Event::Kind::exit);
		run.pid++;
		run.batch = 1;
		EXPECT_LE(learn(run, forward(granules), 3 + 24 / granules), 3 + 24 / granules)
			<< granules;
	}
}

TEST(Learner, AnOrderThatHoldsIsConfirmedByTheLittleThatIsSeen)
{
	const auto order = shuffled(128, 2, 6);
	Reader run(128);

	learn(run, order, 3);
	expect_learned(run, order);
	const auto passes = run.learner.passes();
	for (int pass = 0; pass < 10; pass++)
		for (std::size_t i = 0; i < order.size(); i++, run.now += ms)
			if (i % 16 == 3 || (i % 16 == 9 && pass % 3 == 0)) // marks, waits
				run.tell(Event::Kind::touch, order[i]);
	EXPECT_EQ(run.learner.state(), State::learned);
	EXPECT_GE(run.learner.confidence(), 0.95);
	EXPECT_GE(run.learner.passes(), passes + 9);
	EXPECT_LE(run.learner.passes(), passes + 11);
	EXPECT_EQ(run.learner.version(), 1);
	EXPECT_NE(run.learner.words().find("learned (100 % sure, "), std::string::npos)
		<< run.learner.words();
}

TEST(Learner, AnOrderThatChangesIsLearnedAnew)
{
	for (const auto &second : {backward(128), shuffled(128, 4, 77), shuffled(128, 1, 7)}) {
		const auto first = forward(128);
		Reader run(128);
		std::size_t told = 0;

		learn(run, first, 3);
		expect_learned(run, first);
		for (int pass = 0; pass < 6 && run.learner.state() == State::learned; pass++)
			for (const auto granule : second)
				if (granule % 4 == 0) {
					run.tell(Event::Kind::touch, granule);
					told++;
				}
		EXPECT_EQ(run.learner.state(), State::learning);
		EXPECT_LE(told, 96);
		EXPECT_LE(learn(run, second, 3), 3);
		expect_learned(run, second);
		EXPECT_EQ(run.learner.version(), 2);
	}
}

TEST(Learner, WatchesWithoutAStorm)
{
	Reader run(100);

	EXPECT_EQ(run.learner.wanted_watches(run.now), (std::vector<GranuleRange>{{0, 100}}));
	EXPECT_TRUE(run.learner.wanted_watches(run.now).empty());
	// What is in use is not watched until the run is elsewhere.
	for (std::uint32_t g = 0; g < 40; g++)
		run.tell(Event::Kind::touch, g);
	const auto wanted = run.learner.wanted_watches(run.now);
	ASSERT_EQ(wanted.size(), 1);
	EXPECT_EQ(wanted[0].first, 0);
	EXPECT_EQ(wanted[0].count, 31);
	EXPECT_TRUE(run.learner.wanted_watches(run.now + ms).empty());
	// Silence: perhaps all that is used has been touched.
	EXPECT_EQ(run.learner.wanted_watches(run.now + 5000 * ms),
		  (std::vector<GranuleRange>{{31, 9}}));
	EXPECT_TRUE(run.learner.wanted_watches(run.now + 9000 * ms).empty());
}

TEST(Learner, OtherReaders)
{
	const auto order = shuffled(80, 2, 3);
	Reader run(80);

	// Somebody copies the file, now and then.
	run.watch();
	for (int pass = 0; pass < 3 && run.learner.state() == State::learning; pass++)
		for (std::size_t i = 0; i < order.size(); i++) {
			run.access(order[i]);
			if (i % 8 == 0) {
				run.pid = 9;
				run.tell(Event::Kind::stall, static_cast<std::uint32_t>(i), 1000);
				run.pid = 7;
			}
		}
	expect_learned(run, order);
	// Events of another region are nothing to it.
	Event event;
	event.kind = Event::Kind::touch;
	event.region = {9, 9};
	event.granule = 1;
	run.learner.see(event);
	event.region = region;
	event.granule = 1 << 30;
	run.learner.see(event);
}

TEST(Learner, ManyGranulesInBoundedTime)
{
	constexpr std::uint32_t count = Learner::most_granules;
	const auto order = strided(count);
	Reader run(count);

	run.batch = 1000;
	EXPECT_LE(learn(run, order, 3), 3);
	EXPECT_EQ(run.learner.order().granules, order);
	const auto schedule =
		itme::schedule_of(run.learner.order(), "big", std::uint64_t{count} << 16, 1 << 16);
	EXPECT_EQ(schedule.programs[0].steps.size(), 64);
}

TEST(Learner, OneGranuleReadAllTheTime)
{
	// A pathological pass: one granule between all others.
	Granules pass;
	for (std::uint32_t g = 10; g < 20000; g++) {
		pass.push_back(g);
		if (g % 10 == 0)
			pass.push_back(5);
	}
	Reader run(20000);

	run.batch = 1;
	EXPECT_LE(learn(run, pass, 3), 3);
	expect_learned(run, pass);
}

TEST(Learner, ItsScheduleIsOneThatCanBeFollowed)
{
	itme::Order order;
	order.granules = {4, 5, 6, 1, 0, 9, 4};
	order.compute_ns = {1, 2, 3, 4, 5, 6, 7};
	order.passes = 3;
	order.confidence = 0.97;
	const auto schedule = itme::schedule_of(order, "model", 950, 100);

	EXPECT_FALSE(itme::check(schedule)) << *itme::check(schedule);
	EXPECT_EQ(schedule.name, "learned");
	ASSERT_EQ(schedule.programs.size(), 1);
	EXPECT_TRUE(schedule.programs[0].cyclic);
	ASSERT_EQ(schedule.programs[0].steps.size(), 7);
	EXPECT_EQ(schedule.programs[0].steps[6].compute_ns, 7);
	EXPECT_EQ(schedule.objects[5].extents, (std::vector<itme::Extent>{{0, 900, 50}}));
	EXPECT_EQ(schedule.notes[0], "learned from 3 passes, 97 % sure");

	// Many positions: runs of them.
	order.granules = shuffled(1000, 10, 1);
	order.compute_ns.assign(1000, 10);
	const auto large = itme::schedule_of(order, "model", 100000, 100);
	EXPECT_FALSE(itme::check(large));
	ASSERT_EQ(large.programs[0].steps.size(), 64);
	std::uint64_t ns = 0, bytes = 0;
	Granules read;
	for (const auto &step : large.programs[0].steps) {
		ns += *step.compute_ns;
		ASSERT_EQ(step.objects.size(), 1);
		const auto &object = large.objects[step.objects[0]];
		EXPECT_LE(object.extents.size(), 3);
		EXPECT_NEAR(static_cast<double>(object.bytes()), 100000.0 / 64, 100);
		bytes += object.bytes();
		for (const auto &extent : object.extents)
			for (auto g = extent.offset / 100; g < (extent.offset + extent.bytes) / 100;
			     g++)
				read.push_back(static_cast<std::uint32_t>(g));
	}
	EXPECT_EQ(ns, 10000);
	EXPECT_EQ(bytes, 100000);
	EXPECT_EQ(read, order.granules);
	const auto landmarks = itme::Landmarks::make(large, 0, 0, 100);
	ASSERT_TRUE(landmarks);
	EXPECT_EQ(landmarks->without_mark(), 0);
}
