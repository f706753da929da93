// SPDX-License-Identifier: GPL-2.0-only
// Rates, the plain answers, and how they look on a small terminal.
#include "itmectl/report_view.hpp"
#include "itmectl/top_view.hpp"
#include "itmed/history.hpp"
#include "lib/flow.hpp"
#include "lib/reports.hpp"

#include "observed.hpp"

#include <gtest/gtest.h>
#include <sstream>

namespace {

using namespace itme;

double link(const Json &flow, const std::string &from, const std::string &to)
{
	for (const auto &entry : list(list(flow, "instances")[0], "links"))
		if (text_of(entry, "from") == from && text_of(entry, "to") == to)
			return real_of(entry, "bytes_per_second");
	return -1;
}

std::size_t columns_of(const std::string &line)
{
	return static_cast<std::size_t>(std::ranges::count_if(
		line, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::string joined(const std::vector<std::string> &lines)
{
	std::string text;

	for (const auto &line : lines)
		text += line + "\n";
	return text;
}

} // namespace

TEST(Flow, RatesAreDifferencesOverTime)
{
	const auto flow = flow_json(observed(10), observed(12));

	EXPECT_DOUBLE_EQ(real_of(flow, "seconds"), 2);
	EXPECT_DOUBLE_EQ(link(flow, "store", "dram"), 4e6); // four causes of 1 MB/s
	EXPECT_DOUBLE_EQ(link(flow, "store", "cxl"), 4e6);
	EXPECT_DOUBLE_EQ(link(flow, "cxl", "dram"), 3e6);
	EXPECT_DOUBLE_EQ(link(flow, "dram", "cxl"), 3e6);
	EXPECT_EQ(number_of(list(flow, "instances")[0], "fault_count"), 6'000'000);
}

TEST(Flow, WithoutBpfTheStoreHasOneLink)
{
	auto before = observed(10), now = observed(12);

	before.seen = now.seen = {};
	const auto flow = flow_json(before, now);
	EXPECT_DOUBLE_EQ(link(flow, "store", "memory"), 3e6);
	EXPECT_DOUBLE_EQ(link(flow, "store", "dram"), -1);
	EXPECT_FALSE(is_set(flow, "seen"));
	EXPECT_TRUE(list(flow, "processes").empty());
}

TEST(Flow, WhatBeganAnewHasNoRate)
{
	const auto now = observed(2);

	// The module was loaded anew, or the programs were attached anew.
	auto flow = flow_json(observed(10), now);
	EXPECT_DOUBLE_EQ(link(flow, "cxl", "dram"), 0);
	auto before = observed(1);
	before.seen->attached_ns = 77;
	flow = flow_json(before, now);
	EXPECT_FALSE(is_set(flow, "seen"));
	EXPECT_DOUBLE_EQ(link(flow, "store", "memory"), 3e6);
	// The same moment twice.
	flow = flow_json(now, now);
	EXPECT_DOUBLE_EQ(link(flow, "store", "dram"), 0);
	EXPECT_DOUBLE_EQ(link(flow_json({}, now), "cxl", "dram"), 0);
}

TEST(Flow, APassIsSplit)
{
	const auto flow = flow_json(observed(10), observed(12));
	const auto &place = list(flow, "places")[0];
	const auto &shares = member(place, "shares");

	EXPECT_EQ(number_of(place, "pass_ns"), 100'000'000); // ten a second
	EXPECT_EQ(text_of(place, "region"), "m.gguf");
	EXPECT_EQ(text_of(place, "order"), "declared");
	EXPECT_NEAR(real_of(shares, "miss"), 0.4, 1e-9);
	EXPECT_NEAR(real_of(shares, "late"), 0.1, 1e-9);
	EXPECT_NEAR(real_of(shares, "compute"), 0.5, 1e-9);
	EXPECT_EQ(number_of(list(flow, "processes")[0], "pid"), 4711);
}

TEST(Flow, PositionsInBetweenAreThereEachOnce)
{
	auto before = observed(10), now = observed(12);
	Trail trail;

	for (std::uint32_t i = 0; i < 5; i++) {
		auto position = now.places[0].at;

		position.position = i;
		position.time_ns = 100 + i;
		trail.add(position);
		if (i == 1)
			before.trail_end = trail.end();
		if (i == 3)
			now.trail_end = trail.end();
	}
	const auto flow = flow_json(before, now, trail);
	ASSERT_EQ(list(flow, "trail").size(), 2);
	EXPECT_EQ(number_of(list(flow, "trail")[0], "position"), 2);
	const auto &last = list(flow, "trail")[1];
	EXPECT_EQ(number_of(last, "time_ns"), 103);
	EXPECT_EQ(text_of(last, "region"), "m.gguf");
	EXPECT_EQ(text_of(last, "stream"), "decode");
	EXPECT_EQ(text_of(last, "program"), "decode");
	EXPECT_EQ(text_of(last, "step"), "blk.3.mixer");
	EXPECT_EQ(text_of(last, "known_by"), "touch");
	EXPECT_TRUE(list(flow_json(now, now, trail), "trail").empty());
}

TEST(Trail, IsBounded)
{
	Trail trail;

	EXPECT_TRUE(trail.between(0, 10).empty());
	for (std::uint32_t i = 0; i < 10000; i++) {
		Position position;

		position.position = i;
		trail.add(position);
	}
	EXPECT_EQ(trail.end(), 10000);
	const auto all = trail.between(0, UINT64_MAX);
	EXPECT_GE(all.size(), 1024);
	EXPECT_LE(all.size(), 2048);
	EXPECT_EQ(all.front().position, 10000 - all.size());
	EXPECT_EQ(all.back().position, 9999);
	ASSERT_EQ(trail.between(9990, 9992).size(), 2);
	EXPECT_EQ(trail.between(9990, 9992)[0].position, 9990);
	EXPECT_TRUE(trail.between(9992, 9990).empty()); // of one that was before this
}

TEST(Flow, TheAnswerIsPlain)
{
	EXPECT_TRUE(verdict({}).starts_with("not memory: 100 %"));
	EXPECT_TRUE(verdict({.miss = 0.01, .late = 0.02, .move = 0.01})
			    .starts_with("not memory: 96 %"));
	EXPECT_TRUE(verdict({.miss = 0.5, .late = 0.2, .move = 0}).starts_with("misses: 50 %"));
	EXPECT_TRUE(
		verdict({.miss = 0.1, .late = 0.3, .move = 0}).starts_with("late prefetch: 30 %"));
	EXPECT_TRUE(verdict({.miss = 0, .late = 0.1, .move = 0.2}).starts_with("moves: 20 %"));
}

TEST(Top, FitsASmallTerminal)
{
	auto flow = flow_json(observed(10), observed(12));
	flow["source"] = "itmed";
	const auto lines = top_lines(flow, {});

	EXPECT_LE(lines.size(), 24);
	for (const auto &line : lines)
		EXPECT_LE(columns_of(line), 80) << line;
	const auto text = joined(lines);
	EXPECT_EQ(
		text,
		"itmectl top: the last 2.0 s, seen by itmed\n"
		"itme0\n"
		"  dram        1 GiB [###############               ] 512 MiB used\n"
		"  cxl         4 GiB [##############################] 4 GiB used\n"
		"  store       8 GiB [                              ] 8 MiB of it in memory\n"
		"  MB/s   store->dram 4.0  store->cxl 4.0  cxl->dram 3.0  dram->cxl 3.0 \n"
		"  faults 6000000, misses 6000000, late 6000000; ahead: fetched 5.7 MiB, wasted 5\n"
		"  m.gguf decode: pass 120, step 12 of 83 (blk.3.mixer), 100 ms a pass\n"
		"  [..............................MMMMMMMMMMMMMMMMMMMMMMMMLLLLLL]\n"
		"  compute(.) 50 %  miss(M) 40 %  late(L) 10 %  copy(C) 0 %\n"
		"\n"
		" PID  PROCESS    THREADS  COMPUTE  MISS  LATE  COPY  WHY\n"
		"4711  llama-cli        1     50 %  40 %  10 %   0 %  misses\n"
		"\n"
		"! something is not seen\n");
}

TEST(Top, SaysHowSureALearnedOrderIs)
{
	auto now = observed(12);

	now.places[0].order = "learned (97 % sure, 3 passes)";
	const auto text = joined(top_lines(flow_json(observed(10), now), {}));
	EXPECT_NE(text.find("\n  its order is learned (97 % sure, 3 passes)\n"), text.npos) << text;
}

TEST(Top, SaysWhatDoesNotFit)
{
	auto now = observed(12);

	for (int i = 0; i < 60; i++)
		now.missing.push_back("reason " + std::to_string(i));
	const auto lines = top_lines(flow_json(observed(10), now), {.columns = 40, .lines = 12});
	ASSERT_EQ(lines.size(), 12);
	EXPECT_TRUE(lines.back().starts_with("... and ")) << lines.back();
	for (const auto &line : lines)
		EXPECT_LE(columns_of(line), 40) << line;
}

TEST(Top, NamesCannotSteerTheTerminal)
{
	auto before = observed(10), now = observed(12);

	now.instances[0].name = before.instances[0].name = "a\x1b[2J";
	now.seen->threads[0].comm = before.seen->threads[0].comm = "\x1b]0;x\x07";
	const auto text = joined(top_lines(flow_json(before, now), {}));
	EXPECT_EQ(text.find('\x1b'), text.npos) << text;
	EXPECT_EQ(text.find('\x07'), text.npos) << text;
}

TEST(Top, BearsAnyAnswer)
{
	for (const auto *text : {"{}", "[]", "7", "{\"instances\": 5, \"missing\": [5, {}]}",
				 "{\"instances\": [5, {\"tiers\": [null], \"links\": [[]]}]}",
				 "{\"places\": [{\"pass\": -1, \"shares\": {\"miss\": 1e300}}], "
				 "\"instances\": [{}], \"processes\": [{\"pid\": \"x\"}]}"})
		EXPECT_FALSE(top_lines(Json::parse(text), {}).empty()) << text;
}

TEST(Reports, Stalls)
{
	LayerStalls layer{"itme0", "m.gguf", "decode", "decode", {}};
	layer.positions.push_back({0, "embed", {}});
	layer.positions.push_back({1, "blk.0.mixer", {5'000'000, 1'000'000, 0, 0}});
	const auto report = stalls_json(observed(10), {layer});
	std::ostringstream out;

	EXPECT_TRUE(text_of(report, "verdict").starts_with("misses: 40 %")) << report;
	EXPECT_EQ(text_of(list(list(report, "layers")[0], "positions")[1], "cause"), "miss");
	const auto &region = list(report, "regions")[0];
	EXPECT_EQ(text_of(list(region, "tiers")[0], "tier"), "dram");
	EXPECT_EQ(number_of(list(region, "tiers")[0], "likely_bytes"), 10'000'000);
	EXPECT_EQ(number_of(list(region, "tiers")[0], "copy_ns"), 70'000'000);
	EXPECT_EQ(number_of(list(region, "tiers")[1], "copy_ns"), 90'000'000);
	EXPECT_EQ(text_of(list(report, "processes")[0], "cgroup"), "/llama.service");
	const auto &thread = list(report, "threads")[0];
	EXPECT_EQ(number_of(thread, "tid"), 4711);
	EXPECT_EQ(text_of(thread, "cgroup"), "/llama.service");
	EXPECT_EQ(number_of(member(member(thread, "stalls"), "miss"), "count"), 10);
	EXPECT_NEAR(real_of(member(thread, "shares"), "miss"), 0.4, 1e-6);
	EXPECT_EQ(text_of(list(report, "cgroups")[0], "cgroup"), "/llama.service");
	print_stalls(out, report);
	EXPECT_NE(out.str().find("90 ms"), std::string::npos) << out.str();
	EXPECT_NE(out.str().find("/llama.service"), std::string::npos) << out.str();
	EXPECT_EQ(out.str().find("TID"), std::string::npos) << out.str(); // one a process
	EXPECT_NE(out.str().find("misses: 40 %"), std::string::npos) << out.str();
	EXPECT_NE(out.str().find("itme0:m.gguf"), std::string::npos) << out.str();
	EXPECT_NE(out.str().find("blk.0.mixer"), std::string::npos) << out.str();
	EXPECT_NE(out.str().find("1 steps without a wait are left out"), std::string::npos)
		<< out.str();
	EXPECT_EQ(out.str().find("embed"), std::string::npos) << out.str();
	EXPECT_NE(stalls_script(report, "x.png").find("blk.0.mixer"), std::string::npos);
}

TEST(Reports, ThreadsOfAProcess)
{
	auto now = observed(10);
	std::ostringstream out;

	for (std::uint32_t i = 1; i < 20; i++) {
		auto thread = now.seen->threads[0];

		thread.tid += i;
		thread.comm = "worker";
		now.seen->threads.push_back(thread);
	}
	const auto report = stalls_json(now, {});
	EXPECT_EQ(list(report, "processes").size(), 1);
	EXPECT_EQ(list(report, "threads").size(), 20);
	print_stalls(out, report);
	EXPECT_NE(out.str().find("worker"), std::string::npos) << out.str();
	EXPECT_NE(out.str().find("and 4 more threads"), std::string::npos) << out.str();
}

TEST(Reports, NotMemory)
{
	auto now = observed(10);

	now.seen->threads.clear();
	const auto report = stalls_json(now, {});
	EXPECT_TRUE(text_of(report, "verdict").starts_with("not memory")) << report;
}

TEST(Reports, Prefetch)
{
	auto now = observed(10);
	const auto why = [&] { return text_of(list(prefetch_json(now), "regions")[0], "verdict"); };
	auto &region = now.seen->regions[0];

	region.stalls = {};
	EXPECT_TRUE(why().starts_with("50 % was used, in time")) << why();
	region.stalls.by_cause[1] = {.count = 1, .bytes = 100 << 20, .ns = 1};
	EXPECT_NE(why().find("came too late"), std::string::npos) << why();
	region.prefetch[1].wasted = region.prefetch[1].fetched;
	EXPECT_NE(why().find("dropped untouched"), std::string::npos) << why();
	region.prefetch.fill({});
	EXPECT_NE(why().find("nothing was fetched ahead"), std::string::npos) << why();
	std::ostringstream out;
	print_prefetch(out, prefetch_json(observed(10)));
	EXPECT_NE(out.str().find("likely"), std::string::npos) << out.str();
}

TEST(Reports, Heat)
{
	HeatMap map{{7, 9}, 10'000'000'000, 1, 8, {{0, 1}, {5, 0, 0, 0, 0, 0, 0, 9}}};
	auto counts = observed(1).seen->regions[0];
	counts.region_bytes = 8 * counts.granule_bytes;
	std::ostringstream out;

	auto report = heat_json({{counts, map}}, "");
	EXPECT_EQ(list(list(report, "regions")[0], "accesses")[1].dump(), "[5,0,0,0,0,0,0,9]");
	print_heat(out, report, 80);
	EXPECT_NE(out.str().find("    -10 s  .      \n"), std::string::npos) << out.str();
	EXPECT_NE(out.str().find("     -0 s +      @\n"), std::string::npos) << out.str();
	report = heat_json({{counts, map}}, "", 4); // neighbours are added up
	EXPECT_EQ(list(list(report, "regions")[0], "accesses")[1].dump(), "[5,0,0,9]");
	EXPECT_TRUE(list(heat_json({{counts, map}}, "other"), "regions").empty());
	EXPECT_NE(heat_script(report, "a\"b.png").find("\"a\\\"b.png\""), std::string::npos);
	EXPECT_EQ(heat_script({}, "x.png"), "");
}

TEST(Reports, NothingSeen)
{
	std::ostringstream out;

	print_stalls(out, stalls_json({.time_ns = 1,
				       .instances = {},
				       .seen = {},
				       .places = {},
				       .missing = {"no BTF"}},
				      {}));
	print_prefetch(out, prefetch_json({}));
	print_heat(out, heat_json({}, ""), 80);
	EXPECT_NE(out.str().find("! no BTF"), std::string::npos) << out.str();
	EXPECT_EQ(stalls_script(stalls_json({}, {}), "x"), "");
}

TEST(History, IsBoundedAndFindsTheOneBefore)
{
	History history{3};

	EXPECT_EQ(history.newest(), nullptr);
	EXPECT_EQ(history.since(5), nullptr);
	for (const std::uint64_t second : {1, 2, 3, 4})
		history.add({.time_ns = second,
			     .instances = {},
			     .seen = {},
			     .places = {},
			     .missing = {}});
	EXPECT_EQ(history.size(), 3);
	EXPECT_EQ(history.newest()->time_ns, 4);
	EXPECT_EQ(history.since(3)->time_ns, 3);
	EXPECT_EQ(history.since(100)->time_ns, 4);
	EXPECT_EQ(history.since(0)->time_ns, 2); // the oldest there is
}
