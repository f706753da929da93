// SPDX-License-Identifier: GPL-2.0-only
#include "lib/migrations.hpp"
#include "lib/process_memory.hpp"
#include "lib/protocol.hpp"

#include "tree.hpp"

using namespace itme;

namespace {

constexpr auto numa_maps =
	"55d0c0000000 default file=/usr/bin/llama-cli mapped=100 N0=100 kernelpagesize_kB=4\n"
	"55d0c8000000 default heap anon=300 dirty=300 N0=200 N1=100 kernelpagesize_kB=4\n"
	"7f0000000000 default file=/mnt/itme/model mapped=1024 N0=512 N1=512 "
	"kernelpagesize_kB=2048\n"
	"7f1000000000 default file=/mnt/itme-not/model mapped=7 N0=7 kernelpagesize_kB=4\n"
	"7f2000000000 bind:1 anon=512 dirty=512 N1=512 kernelpagesize_kB=4\n"
	"7ffc00000000 default stack anon=4 dirty=4 N0=4 kernelpagesize_kB=4\n"
	"garbage N0=\n";

} // namespace

TEST(ProcessMemory, AnonymousAndRegionsByTier)
{
	const auto memory = parse_numa_maps(numa_maps, {1}, {"/mnt/itme"});

	EXPECT_EQ(memory, (ProcessMemory{.anon_dram = 204 * 4096,
					 .anon_cxl = 612 * 4096,
					 .region_dram = 512 * 4096,
					 .region_cxl = 512 * 4096}));
	EXPECT_EQ(parse_numa_maps("", {1}, {}), ProcessMemory{});
}

TEST(ProcessMemory, OnlyThoseThatAreConcerned)
{
	Tree tree;
	const Json declared{{"processes", Json::array({Json{{"pid", 12}, {"bytes", 4096}}})}};

	tree.file("proc/12/comm", "own\n");
	tree.file("proc/12/numa_maps", "7f2000000000 default anon=2 N0=2 kernelpagesize_kB=4\n");
	tree.file("proc/13/comm", "other\n");
	const auto json = memory_json(tree.root(), declared);
	ASSERT_EQ(json.size(), 1);
	EXPECT_EQ(json[0]["command"], "own");
	EXPECT_EQ(json[0]["anon_dram_bytes"], 8192);
	EXPECT_EQ(json[0]["declared"]["bytes"], 4096);
	EXPECT_TRUE(memory_json(tree.root(), {}).empty());
}

TEST(Migrations, SumsByReason)
{
	const auto pages = parse_migrations(
		"# event histogram\n#\n\n"
		"{ reason:          3 } hitcount:          2  succeeded:       1024\n"
		"{ reason:          8 } hitcount:          1  succeeded:         32\n"
		"{ reason:         99 } hitcount:          1  succeeded:          5\n"
		"\nTotals:\n    Hits: 4\n");

	EXPECT_EQ(pages, (std::map<std::string, std::uint64_t>{
				 {"syscall", 1024}, {"demotion", 32}, {"reason 99", 5}}));
}

TEST(Migrations, TieringIsCountedByNodeSinceTheWatchBegan)
{
	const char *vmstat = "sys/devices/system/node/node0/vmstat";
	Tree tree;
	Migrations migrations{tree.root(), tree.root()};

	tree.file(vmstat, "nr_free_pages 7\npgpromote_success 12\npgdemote_kswapd 3\n");
	EXPECT_TRUE(migrations.to_json()["nodes"].empty());
	migrations.watch();
	tree.file(vmstat, "nr_free_pages 8\npgpromote_success 14\npgpromote_candidate 99\n"
			  "pgdemote_kswapd 4\npgdemote_direct 5\n");
	tree.file("sys/devices/system/node/node1/vmstat", "pgpromote_success 1\n");
	EXPECT_EQ(
		migrations.to_json()["nodes"],
		(Json{{{"node", 0},
		       {"promoted_here_bytes", 2 << 12},
		       {"demoted_away_bytes", 6 << 12}},
		      {{"node", 1}, {"promoted_here_bytes", 1 << 12}, {"demoted_away_bytes", 0}}}));
}

TEST(Migrations, AKernelWithoutSaysSo)
{
	const Tree tree;
	Migrations migrations{tree.root()};

	migrations.watch();
	EXPECT_NE(text_of(migrations.to_json(), "missing").find("no hist trigger"),
		  std::string::npos);
}

TEST(MemoryRequests, SurviveTheWire)
{
	Request request{.kind = RequestKind::declare, .mount = {}, .region = {}};

	request.memory = {.pid = 12,
			  .ranges = {{4096, 8192}, {1 << 20, 4096}},
			  .dram_bytes = 4096,
			  .ordered = false};
	auto line = request_line(request);
	line.pop_back();
	const auto read = parse_request(line);
	ASSERT_TRUE(read) << read.error().text;
	EXPECT_EQ(read->memory.pid, 12);
	EXPECT_EQ(read->memory.dram_bytes, 4096);
	EXPECT_FALSE(read->memory.ordered);
	EXPECT_EQ(read->memory.ranges, request.memory.ranges);
	EXPECT_TRUE(changes(RequestKind::declare) && changes(RequestKind::forget) &&
		    !changes(RequestKind::memory));
}

TEST(MemoryRequests, BadOnesAreRefused)
{
	for (const auto *members :
	     {"", R"(, "pid": -1)", R"(, "pid": "1", "dram_bytes": 1)", R"(, "pid": 1)",
	      R"(, "pid": 99999999, "dram_bytes": 1)", R"(, "pid": 1, "dram_bytes": -1)",
	      R"(, "pid": 1, "dram_bytes": 1, "order": "odd")",
	      R"(, "pid": 1, "dram_bytes": 1, "ranges": [1])",
	      R"(, "pid": 1, "dram_bytes": 1, "ranges": [[1]])",
	      R"(, "pid": 1, "dram_bytes": 1, "ranges": [[-1, 4096]])"})
		EXPECT_FALSE(parse_request(std::string{R"({"version": 1, "request": "declare")"} +
					   members + "}"))
			<< members;
}
