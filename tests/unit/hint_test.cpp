// SPDX-License-Identifier: GPL-2.0-only
// What is said of a hint: its words, its report and its refusals, without a module.
#include "itmectl/hint_output.hpp"

#include <gtest/gtest.h>
#include <sstream>

using itme::Granule;
using itme::Hint;
using itme::HintClass;
using itme::HintOp;
using itme::HintReport;
using itme::Tier;

namespace {

constexpr std::uint64_t mib = 1 << 20;

itme::OpenRegion make_region()
{
	itme::OpenRegion region{.path = "/mnt/m", .bytes = 64 * mib};

	region.info.granule_bytes = 2 * mib;
	region.info.queue_max = 100;
	return region;
}

const itme::OpenRegion region = make_region();

std::string text_of(const Hint &hint, const HintReport &report, bool json = false)
{
	std::ostringstream out, err;
	itme::Env env{out, err};

	itme::print_hint(env, region, hint, report, json);
	return out.str();
}

} // namespace

TEST(Hint, OpsAndClassesHaveOneName)
{
	EXPECT_STREQ(itme::op_name(HintOp::prefetch), "prefetch");
	EXPECT_STREQ(itme::op_name(HintOp::cancel), "cancel");
	EXPECT_STREQ(itme::op_name(static_cast<HintOp>(7)), "unknown");
	for (const auto hint_class : {HintClass::exact, HintClass::likely, HintClass::maybe})
		EXPECT_EQ(itme::parse_class(itme::class_name(hint_class)), hint_class);
	EXPECT_EQ(itme::parse_class("sure"), std::nullopt);
}

TEST(Hint, APrefetchThatWasWaitedForTellsItsOutcome)
{
	HintReport report{.result = {.accepted_bytes = 6 * mib,
				     .resident_bytes = 2 * mib,
				     .clipped_bytes = 4 * mib},
			  .outcome = itme::Outcome{.ready_bytes = 6 * mib, .lost_bytes = 2 * mib}};

	report.shares[2].bytes = 4 * mib;
	report.shares[1].bytes = 2 * mib;
	EXPECT_EQ(text_of({.hint_class = HintClass::likely}, report),
		  "RESULT    BYTES  MEANING\n"
		  "ready     6 MiB  the range has 4 MiB in dram, 2 MiB in cxl now\n"
		  "resident  2 MiB  of these: there before\n"
		  "lost      2 MiB  dropped again, cancelled, or without a frame\n"
		  "clipped   4 MiB  no room that a hint of class likely may take\n");
}

TEST(Hint, OneThatWasNotWaitedForTellsWhatWasAccepted)
{
	const HintReport report{.result = {.accepted_bytes = 6 * mib}};

	EXPECT_EQ(text_of({}, report), "RESULT    BYTES  MEANING\n"
				       "accepted  6 MiB  queued, or on its way\n"
				       "resident    0 B  there already\n");
	const auto json = text_of({}, report, true);
	EXPECT_EQ(json.find("ready_bytes"), std::string::npos) << json;
	EXPECT_NE(json.find("\"class\": \"exact\""), std::string::npos) << json;
}

TEST(Hint, AReleaseTellsWhatItDropped)
{
	const HintReport report{.result = {.accepted_bytes = 2 * mib, .refused_bytes = 2 * mib}};

	EXPECT_EQ(text_of({.op = HintOp::release}, report), "RESULT    BYTES  MEANING\n"
							    "accepted  2 MiB  dropped from memory\n"
							    "refused   2 MiB  pinned or held\n");
}

TEST(Hint, RefusedBytesNameTheCause)
{
	HintReport report;

	EXPECT_NE(itme::refusal(report, {}).find("gone now"), std::string::npos);
	report.shares[2].bytes = 2 * mib;
	EXPECT_NE(itme::refusal(report, {}).find("try again"), std::string::npos);
	report.shares[2].pinned = 3;
	EXPECT_TRUE(itme::refusal(report, {}).starts_with("3 granules are pinned"));
	report.shares[1].held = 2;
	EXPECT_NE(itme::refusal(report, {}).find(", 2 granules are held"), std::string::npos);
	// A forced release takes no notice of pins.
	EXPECT_TRUE(itme::refusal(report, {.op = HintOp::release, .force = true})
			    .starts_with("2 granules are held"));
}

TEST(Hint, AHeldFrameThatDidNotMoveIsSeen)
{
	HintReport report{.outcome = itme::Outcome{.ready_bytes = 2 * mib}};

	report.shares[1].bytes = 2 * mib;
	EXPECT_EQ(itme::held_elsewhere(report, {.tier = Tier::dram}), 0);
	report.shares[1].held = 1;
	EXPECT_EQ(itme::held_elsewhere(report, {.tier = Tier::dram}), 1);
	EXPECT_EQ(itme::held_elsewhere(report, {.tier = Tier::cxl}), 0); // there it may stay
	report.outcome.reset();
	EXPECT_EQ(itme::held_elsewhere(report, {.tier = Tier::dram}), 0); // not known yet
}

TEST(Hint, ErrorsNameTheFix)
{
	const auto force =
		itme::explain_hint(EPERM, {.op = HintOp::release, .force = true}, region);

	EXPECT_EQ(force.code, itme::Exit::failed);
	EXPECT_NE(force.text.find("CAP_SYS_ADMIN"), std::string::npos) << force.text;
	EXPECT_NE(force.text.find("itmectl hint release"), std::string::npos) << force.text;
	EXPECT_NE(itme::explain_hint(EAGAIN, {}, region).text.find("(100): hint it in parts"),
		  std::string::npos);
	EXPECT_EQ(itme::explain_hint(EOPNOTSUPP, {}, region).code, itme::Exit::unsupported);
}

TEST(Hint, AWatchTellsWhatWasTouched)
{
	std::vector<Granule> granules(4, Granule{.watched = true});
	std::ostringstream out, err;
	itme::Env env{out, err};

	granules[1].watched = granules[2].watched = false;
	const Hint hint{.op = HintOp::watch, .offset = 20 * mib, .length = 8 * mib};
	itme::print_watch(env, region, hint, granules, false);
	EXPECT_EQ(out.str(), "RESULT   GRANULES  WHICH\n"
			     "touched         2  11-12\n"
			     "watched         2  not touched\n");
	out.str("");
	itme::print_watch(env, region, hint, granules, true);
	EXPECT_NE(out.str().find("\"first_granule\": 11"), std::string::npos) << out.str();
}
