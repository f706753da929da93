// SPDX-License-Identifier: GPL-2.0-only
#include "lib/position.hpp"
#include "lib/stalls.hpp"

#include <algorithm>
#include <gtest/gtest.h>

using itme::Event;
using itme::Follower;
using itme::Landmarks;
using itme::PositionSource;

namespace {

constexpr std::uint64_t granule_bytes = 100;
constexpr itme::RegionId region{.dev = 3, .inode = 5};

// Five steps over ten granules; `c` begins in the middle of b's last one, and d is a choice.
itme::Schedule schedule()
{
	itme::Schedule schedule;
	const auto add = [&](const char *name, std::uint64_t offset, std::uint64_t bytes) {
		itme::Object object;

		object.name = name;
		object.extents = {{0, offset, bytes}};
		schedule.objects.push_back(object);
		return static_cast<std::uint32_t>(schedule.objects.size() - 1);
	};
	const auto step = [&](const char *name, std::vector<std::uint32_t> objects) {
		itme::Step step;

		step.name = name;
		step.objects = std::move(objects);
		return step;
	};
	itme::DeclaredRegion declared;
	itme::Program program;
	itme::Group group;
	itme::Stream stream;

	declared.name = "model";
	declared.bytes = 1000;
	schedule.regions = {declared};
	program.name = "decode";
	program.steps = {
		step("a", {add("a", 0, 200)}),
		// Not in the order of the file.
		step("b", {add("b.late", 300, 150), add("b.early", 200, 100)}),
		step("c", {add("c", 450, 150)}),
		step("d", {}),
		step("e", {add("e", 800, 200)}),
	};
	group.name = "experts";
	group.objects = {add("d.0", 600, 100), add("d.1", 700, 100)};
	schedule.groups = {group};
	program.steps[3].group = 0;
	program.steps[3].pick = 1;
	schedule.programs = {program};
	stream.name = "run";
	schedule.streams = {stream};
	return schedule;
}

Landmarks landmarks()
{
	return *Landmarks::make(schedule(), 0, 0, granule_bytes);
}

Event event(Event::Kind kind, std::uint64_t granule, std::uint64_t time_ns, std::uint32_t pid = 1,
	    std::int64_t value = 0)
{
	Event event;

	event.kind = kind;
	event.pid = event.tid = pid;
	event.time_ns = time_ns;
	event.region = region;
	event.granule = granule;
	event.value = value;
	return event;
}

bool says(const std::vector<std::string> &sentences, const std::string &text)
{
	return std::ranges::any_of(sentences,
				   [&](const std::string &s) { return s.find(text) != s.npos; });
}

} // namespace

TEST(Position, LandmarksAreGranulesOfOneStep)
{
	const auto marks = landmarks();

	EXPECT_EQ(marks.steps(), 5);
	EXPECT_EQ(marks.mark_of(0), 0);
	EXPECT_EQ(marks.mark_of(1), 3); // the first that b reads
	EXPECT_EQ(marks.mark_of(2), 5); // granule 4 is b's as well
	EXPECT_EQ(marks.mark_of(3), std::nullopt);
	EXPECT_EQ(marks.mark_of(4), 8);
	EXPECT_EQ(marks.without_mark(), 1);

	EXPECT_EQ(marks.step_of(4), std::nullopt);
	EXPECT_EQ(marks.first_step(4), 1);
	EXPECT_EQ(marks.step_of(7), 3); // a choice that was made
	EXPECT_EQ(marks.step_of(10), std::nullopt);
	EXPECT_FALSE(Landmarks::make(schedule(), 1, 0, granule_bytes).has_value());
	EXPECT_FALSE(Landmarks::make(schedule(), 0, 1, granule_bytes).has_value());
	EXPECT_FALSE(Landmarks::make(schedule(), 0, 0, 0).has_value());
}

TEST(Position, FollowsTouchesRoundAndRound)
{
	Follower follower(region, landmarks());

	EXPECT_EQ(follower.wanted_watches(), (std::vector<std::uint64_t>{0, 3, 5, 8}));
	EXPECT_TRUE(follower.wanted_watches().empty());

	for (std::uint64_t pass = 1, now = 1000; pass <= 3; pass++) {
		for (const std::uint64_t granule : {0, 3, 5, 8}) {
			const auto position =
				follower.see(event(Event::Kind::touch, granule, ++now));

			ASSERT_TRUE(position) << pass << ' ' << granule;
			EXPECT_EQ(position->pass, pass);
			EXPECT_EQ(position->time_ns, now);
			EXPECT_EQ(position->source, PositionSource::touch);
			EXPECT_EQ(position->name, follower.landmarks().name_of(position->position));
			// Where it is now is not watched until it is elsewhere.
			const auto wanted = follower.wanted_watches();
			EXPECT_EQ(std::ranges::count(wanted, granule), 0);
			EXPECT_LE(wanted.size(), 1);
		}
	}
	EXPECT_TRUE(says(follower.degradations(), "tells no passes"));
	EXPECT_TRUE(says(follower.degradations(), "1 of 5 positions"));
}

TEST(Position, WaitsTellWhereItBegan)
{
	Follower follower(region, landmarks());

	const auto position = follower.see(event(Event::Kind::stall, 7, 5000, 1, 1500));
	ASSERT_TRUE(position);
	EXPECT_EQ(position->position, 3);
	EXPECT_EQ(position->time_ns, 3500);
	EXPECT_EQ(position->source, PositionSource::fault);
	// Shared by two steps, or of another region, or older than what is known.
	EXPECT_FALSE(follower.see(event(Event::Kind::stall, 4, 6000)));
	auto elsewhere = event(Event::Kind::stall, 8, 6000);
	elsewhere.region.inode++;
	EXPECT_FALSE(follower.see(elsewhere));
	EXPECT_FALSE(follower.see(event(Event::Kind::stall, 5, 6000, 1, 3000)));
	// Another thread in the same step.
	EXPECT_FALSE(follower.see(event(Event::Kind::stall, 6, 7000)));
}

TEST(Position, TheRuntimeTellsPasses)
{
	Follower follower(region, landmarks());

	EXPECT_FALSE(follower.see(event(Event::Kind::pass_begin, 0, 10))); // whose?
	EXPECT_TRUE(follower.see(event(Event::Kind::touch, 3, 20)));
	auto position = follower.see(event(Event::Kind::pass_begin, 0, 30));
	ASSERT_TRUE(position);
	EXPECT_EQ(position->pass, 2);
	EXPECT_EQ(position->position, 0);
	EXPECT_EQ(position->source, PositionSource::runtime);
	EXPECT_TRUE(follower.see(event(Event::Kind::touch, 8, 40)));
	// A prompt in two pieces is one pass.
	position = follower.see(event(Event::Kind::touch, 3, 50));
	ASSERT_TRUE(position);
	EXPECT_EQ(position->pass, 2);
	EXPECT_FALSE(follower.see(event(Event::Kind::pass_begin, 0, 60, 99)));
	EXPECT_FALSE(says(follower.degradations(), "tells no passes"));
}

TEST(Position, APassIsTimedWhereItWasSeenToBegin)
{
	Follower follower(region, landmarks());

	for (const std::uint64_t now : {1000, 1500, 2200}) {
		for (const std::uint64_t granule : {0, 3, 5, 8})
			follower.see(event(Event::Kind::touch, granule, now + granule));
		// The first was under way already.
		EXPECT_EQ(follower.pass_ns(), now == 2200 ? 700 : 0);
	}
	follower.see(event(Event::Kind::exit, 0, 9000));
	follower.see(event(Event::Kind::touch, 0, 10000, 2));
	follower.see(event(Event::Kind::pass_begin, 0, 10100, 2)); // the first of another process
	EXPECT_EQ(follower.pass_ns(), 0);                          // whose pace is not known
	follower.see(event(Event::Kind::pass_begin, 0, 10130, 2));
	EXPECT_EQ(follower.pass_ns(), 30);
}

TEST(Position, ShortPassesAreNotFollowedEachTime)
{
	constexpr std::uint64_t ms = 1'000'000;
	Follower follower(region, landmarks());
	const auto pass = [&](std::uint64_t now) {
		for (const std::uint64_t granule : {0, 3, 5, 8})
			(void)follower.see(event(Event::Kind::touch, granule, ++now));
	};

	EXPECT_EQ(follower.patience_ns(1000), 0);
	pass(1 * ms);
	pass(101 * ms);
	pass(201 * ms);
	EXPECT_EQ(follower.pass_ns(), 100 * ms);
	EXPECT_EQ(follower.patience_ns(1000), 25 * ms);     // 5 watches cost 10 us of 100 ms
	EXPECT_EQ(follower.patience_ns(200'000), 200 * ms); // 2 ms: a hundredth of 200 ms
	pass(401 * ms); // it was seen again after so long, and is not taken for a longer one
	EXPECT_EQ(follower.patience_ns(200'000), 200 * ms);
}

TEST(Position, LostWatchesAreSetAgain)
{
	Follower follower(region, landmarks());
	std::uint64_t now = 0;

	(void)follower.wanted_watches();
	for (const std::uint64_t granule : {0, 3, 8}) // 5 went by unseen
		follower.see(event(Event::Kind::touch, granule, ++now));
	(void)follower.wanted_watches();
	follower.see(event(Event::Kind::touch, 0, ++now));
	const auto wanted = follower.wanted_watches();
	EXPECT_EQ(std::ranges::count(wanted, 5), 1);
}

TEST(Position, ARuntimeThatDiesInMidPass)
{
	Follower follower(region, landmarks());

	follower.see(event(Event::Kind::touch, 0, 10, 1));
	follower.see(event(Event::Kind::pass_begin, 0, 15, 1));
	follower.see(event(Event::Kind::touch, 5, 20, 1));
	EXPECT_FALSE(follower.see(event(Event::Kind::exit, 0, 30, 1)));
	EXPECT_FALSE(follower.last());
	EXPECT_TRUE(says(follower.degradations(),
			 "process 1 has ended in the middle of pass 2, at c: that pass is"));

	const auto position = follower.see(event(Event::Kind::touch, 3, 40, 2));
	ASSERT_TRUE(position);
	EXPECT_EQ(position->pass, 3);
	EXPECT_EQ(position->pid, 2);
	EXPECT_FALSE(says(follower.degradations(), "read this region"));
	follower.see(event(Event::Kind::pass_begin, 0, 50, 2));
	EXPECT_FALSE(says(follower.degradations(), "in the middle"));
	follower.see(event(Event::Kind::pass_end, 0, 60, 2));
	follower.see(event(Event::Kind::exec, 0, 70, 2)); // between two passes nothing is lost
	EXPECT_FALSE(says(follower.degradations(), "in the middle"));
}

TEST(Position, TwoRuntimesOnOneRegion)
{
	Follower follower(region, landmarks());

	follower.see(event(Event::Kind::touch, 0, 10, 1));
	follower.see(event(Event::Kind::touch, 8, 20, 2));
	EXPECT_TRUE(says(follower.degradations(), "processes 1 and 2 read this region"));
	follower.see(event(Event::Kind::exit, 0, 30, 1));
	EXPECT_FALSE(says(follower.degradations(), "read this region"));
}

TEST(Position, ExplicitEvents)
{
	Follower follower(region, landmarks());

	const auto position = follower.announce(7, 2, 1, 100);
	EXPECT_EQ(position.pass, 7);
	EXPECT_EQ(position.name, "c");
	EXPECT_EQ(position.source, PositionSource::event);
	EXPECT_EQ(position.pid, 1);
	const auto next = follower.see(event(Event::Kind::touch, 8, 110));
	ASSERT_TRUE(next);
	EXPECT_EQ(next->pass, 7);
	// One that comes late, behind that touch.
	EXPECT_EQ(follower.announce(7, 1, 1, 105).position, next->position);
	// The runtime's own count is not mixed with that of its step function.
	EXPECT_FALSE(follower.see(event(Event::Kind::pass_begin, 0, 120)));
	EXPECT_EQ(follower.announce(8, 0, 1, 130).pass, 8);
	// Who declares is followed; a successor is no second reader.
	EXPECT_EQ(follower.announce(1, 0, 2, 140).pid, 2);
	EXPECT_FALSE(says(follower.degradations(), "read this region"));
	follower.see(event(Event::Kind::exit, 0, 150, 2));
	follower.see(event(Event::Kind::touch, 0, 160, 3));
	EXPECT_TRUE(follower.see(event(Event::Kind::pass_begin, 0, 170, 3)));
}

TEST(Position, StallsByPosition)
{
	std::vector<itme::GranuleCounts> granules(3);

	granules[0] = {.region = region, .granule = 4, .stall_ns = {100, 0, 0, 0}};
	granules[1] = {.region = region, .granule = 8, .stall_ns = {0, 30, 0, 0}};
	granules[2] = {.region = {.dev = 1, .inode = 1}, .granule = 8, .stall_ns = {9, 9, 9, 9}};
	const auto positions = itme::by_position(granules, region, landmarks());
	ASSERT_EQ(positions.size(), 5);
	EXPECT_EQ(positions[1].name, "b");
	EXPECT_EQ(positions[1].stall_ns[0], 100);
	EXPECT_EQ(positions[4].stall_ns[1], 30);
	EXPECT_EQ(positions[4].stall_ns[0], 0);
}
