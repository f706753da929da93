// SPDX-License-Identifier: GPL-2.0-only
// itmectl from the outside: exit codes, streams, tables and JSON, without a module.
#include "itmectl/command.hpp"

#include "tree.hpp"

#include <sstream>
#include <vector>

namespace {

struct Run {
	int code;
	std::string out, err;
};

Run itmectl(const Tree &tree, std::vector<const char *> words)
{
	std::ostringstream out, err;
	itme::Env env{out, err, tree.root()};

	words.insert(words.begin(), "itmectl");
	const int code = itme::run_itmectl(static_cast<int>(words.size()), words.data(), env);
	return {code, out.str(), err.str()};
}

void instance(Tree &tree)
{
	tree.file("proc/self/mountinfo", "22 1 254:0 / / rw - ext4 /dev/vda rw\n");
	tree.file("sys/fs/itme/itme0/granule_bytes", "2097152\n");
	tree.file("sys/fs/itme/itme0/dram_bytes", "1073741824\n");
	tree.file("sys/fs/itme/itme0/dram_current_bytes", "1073741824\n");
	tree.file("sys/fs/itme/itme0/dram_free_bytes", "536870912\n");
	tree.file("sys/fs/itme/itme0/cxl_nodes", "1\n");
	tree.file("sys/fs/itme/itme0/fault_count", "7\n");
	tree.file("sys/fs/itme/itme0/regions/m.gguf/size_bytes", "4194305\n");
	tree.file("sys/fs/itme/itme0/regions/m.gguf/dram_resident_bytes", "2097152\n");
	tree.file("sys/fs/itme/itme0/regions/m.gguf/store", "/data/m.gguf\n");
}

} // namespace

TEST(Itmectl, HelpIsNoError)
{
	const Tree tree;

	for (const auto *word : {"--help", "--version"}) {
		const auto run = itmectl(tree, {word});

		EXPECT_EQ(run.code, 0);
		EXPECT_NE(run.out, "");
		EXPECT_EQ(run.err, "");
	}
	EXPECT_EQ(itmectl(tree, {"list", "--help"}).code, 0);
}

TEST(Itmectl, WrongUseIsTwo)
{
	const Tree tree;
	const std::vector<std::vector<const char *>> lines = {
		{},
		{"nonsense"},
		{"list", "--nonsense"},
		{"list", "extra"},
		{"attach"},
		{"attach", "/mnt"},
		{"attach", "/mnt", "/file", "--mode", "1777"},
		{"attach", "/mnt", "/file", "--mode", "rw"},
		{"attach", "/mnt", "/file", "--name", "a/b"},
		{"attach", "/mnt", "/"},
		{"hint"},
		{"hint", "prefetch"},
		{"hint", "prefetch", "/x", "--tier", "store"},
		{"hint", "prefetch", "/x", "--length", "-1"},
		{"hint", "release", "/x", "--tier", "dram"},
		{"hint", "release", "/x", "--class", "exact"},
		{"hint", "prefetch", "/x", "--class", "sure"},
		{"hint", "prefetch", "/x", "--deadline", "500"},
		{"hint", "prefetch", "/x", "--deadline", "-1s"},
		{"hint", "prefetch", "/x", "--for", "1s"},
		{"hint", "pin", "/x", "--tier", "store"},
		{"hint", "pin", "/x", "--for", "soon"},
		{"hint", "watch", "/x", "--class", "exact"},
		{"hint", "unpin"},
		{"drop", "/x", "--length", "1M"},
		{"stat", "itme0", "--bpf", "1"},
		{"stat", "--bpf", "0"},
		{"stat", "--bpf", "x"},
		{"residency"},
		{"detach"},
		{"umount"},
		{"drop"},
		{"top", "-d", "0"},
		{"top", "-n", "0"},
		{"report"},
		{"report", "nonsense"},
		{"report", "stalls", "--seconds", "0"},
	};

	for (const auto &line : lines) {
		const auto run = itmectl(tree, line);

		EXPECT_EQ(run.code, 2) << testing::PrintToString(line);
		EXPECT_EQ(run.out, "") << testing::PrintToString(line);
		EXPECT_NE(run.err, "") << testing::PrintToString(line);
	}
}

TEST(Itmectl, WithoutAModuleIsThree)
{
	Tree tree;

	tree.file("proc/self/mountinfo", "22 1 254:0 / / rw - ext4 /dev/vda rw\n");
	tree.file("plain", "text");
	const auto file = (tree.root() / "plain").string();
	const auto folder = tree.root().string();
	const std::vector<std::vector<const char *>> lines = {
		{"list"},
		{"info"},
		{"stat"},
		{"stat", "itme0"},
		{"stat", "--bpf", "1"},
		{"top", "-n", "1"},
		{"report", "stalls"},
		{"info", folder.c_str()},
		{"stat", file.c_str()},
		{"residency", file.c_str()},
		{"hint", "prefetch", file.c_str()},
		{"hint", "release", file.c_str()},
		{"hint", "pin", file.c_str()},
		{"hint", "unpin", file.c_str()},
		{"hint", "watch", file.c_str()},
		{"hint", "cancel", file.c_str()},
		{"drop", file.c_str()},
		{"detach", file.c_str()},
		{"umount", folder.c_str()},
		{"attach", folder.c_str(), file.c_str()},
	};

	for (const auto &line : lines) {
		const auto run = itmectl(tree, line);

		EXPECT_EQ(run.code, 3) << testing::PrintToString(line) << run.err;
		EXPECT_EQ(run.out, "") << testing::PrintToString(line);
		EXPECT_TRUE(run.err.starts_with("itmectl: ")) << run.err;
	}
	EXPECT_TRUE(std::filesystem::exists(file)); // detach removes no ordinary file
}

TEST(Itmectl, AMissingPathIsOne)
{
	const Tree tree;
	const auto none = (tree.root() / "none").string();

	for (const auto *command : {"residency", "drop", "detach", "umount", "stat"}) {
		const auto run = itmectl(tree, {command, none.c_str()});

		EXPECT_EQ(run.code, 1) << command;
		EXPECT_NE(run.err.find("does not exist"), std::string::npos) << run.err;
	}
}

TEST(Itmectl, DetachLeavesLinksAlone)
{
	Tree tree;

	tree.link("link", "/etc/passwd");
	const auto link = (tree.root() / "link").string();

	EXPECT_EQ(itmectl(tree, {"detach", link.c_str()}).code, 1);
	EXPECT_TRUE(std::filesystem::is_symlink(link));
}

TEST(Itmectl, ListForPeople)
{
	Tree tree;

	instance(tree);
	const auto run = itmectl(tree, {"list"});

	EXPECT_EQ(run.code, 0);
	EXPECT_EQ(run.out, "INSTANCE  MOUNT  GRANULE       DRAM IN USE  CXL IN USE  REGIONS\n"
			   "itme0     -        2 MiB  512 MiB of 1 GiB           -        1\n"
			   "\n"
			   "REGION         SIZE  IN DRAM  IN CXL  PINNED  STORE\n"
			   "itme0:m.gguf  4 MiB    2 MiB       -       -  /data/m.gguf\n");
}

TEST(Itmectl, ListShowsWhatIsStuck)
{
	Tree tree;
	const std::string region = "sys/fs/itme/itme0/regions/m.gguf/";

	instance(tree);
	tree.file(region + "dirty_bytes", "6291456\n");
	tree.file(region + "writeback_errno", "28\n");
	tree.file(region + "writeback_refused_ms", "90000\n");
	EXPECT_TRUE(
		itmectl(tree, {"list"})
			.out.ends_with("\nitme0/m.gguf: its store /data/m.gguf refuses what was "
				       "written, for 90 s now: No space left on device.\n"
				       "  6 MiB stay in memory, and are tried again every few "
				       "seconds.\n"
				       "  Make room for it; then 'sync -f itme0' succeeds. umount "
				       "would lose what is refused.\n"));
	tree.file(region + "writeback_errno", "0\n");
	EXPECT_EQ(itmectl(tree, {"list"}).out.find("refuses"), std::string::npos);
}

TEST(Itmectl, ListAsJson)
{
	Tree tree;

	instance(tree);
	EXPECT_EQ(itmectl(tree, {"list", "--json"}).out, R"({
  "instances": [
    {
      "instance": "itme0",
      "mounts": [],
      "cxl_nodes": "1",
      "dram_bytes": 1073741824,
      "dram_current_bytes": 1073741824,
      "dram_free_bytes": 536870912,
      "fault_count": 7,
      "granule_bytes": 2097152,
      "regions": [
        {
          "region": "m.gguf",
          "dram_resident_bytes": 2097152,
          "size_bytes": 4194305,
          "store": "/data/m.gguf"
        }
      ]
    }
  ]
}
)");
}

TEST(Itmectl, StatAsJson)
{
	Tree tree;

	instance(tree);
	EXPECT_EQ(itmectl(tree, {"stat", "itme0", "--json"}).out, R"({
  "stats": [
    {
      "instance": "itme0",
      "region": null,
      "cxl_nodes": "1",
      "dram_bytes": 1073741824,
      "dram_current_bytes": 1073741824,
      "dram_free_bytes": 536870912,
      "fault_count": 7,
      "granule_bytes": 2097152
    },
    {
      "instance": "itme0",
      "region": "m.gguf",
      "dram_resident_bytes": 2097152,
      "size_bytes": 4194305,
      "store": "/data/m.gguf"
    }
  ]
}
)");
	EXPECT_EQ(itmectl(tree, {"stat", "--json"}).out,
		  itmectl(tree, {"stat", "itme0", "--json"}).out);
	EXPECT_EQ(itmectl(tree, {"stat", "itme9"}).code, 1);
	const auto region = itmectl(tree, {"stat", "m.gguf", "--json"}).out;
	EXPECT_NE(region.find("\"region\": \"m.gguf\""), std::string::npos) << region;
	EXPECT_EQ(region.find("\"region\": null"), std::string::npos) << region;
}

TEST(Itmectl, StatForPeople)
{
	Tree tree;

	instance(tree);
	tree.file("sys/fs/itme/itme0/regions/m.gguf/late_count", "3\n");
	tree.file("sys/fs/itme/itme0/regions/m.gguf/wasted_bytes", "2097152\n");
	tree.file("sys/fs/itme/itme0/regions/m.gguf/later_count", "5\n"); // of a newer module
	const auto run = itmectl(tree, {"stat", "m.gguf"});

	EXPECT_EQ(run.code, 0);
	EXPECT_EQ(run.out,
		  "itme0:m.gguf\n"
		  "\n"
		  "SETUP\n"
		  "  size_bytes                  4 MiB  of the region\n"
		  "  store                /data/m.gguf  where it is read from\n"
		  "\n"
		  "MEMORY, NOW\n"
		  "  dram_resident_bytes         2 MiB  in DRAM\n"
		  "\n"
		  "DEMAND\n"
		  "  late_count                      3  waited for the store although it had been "
		  "hinted\n"
		  "\n"
		  "AHEAD\n"
		  "  wasted_bytes                2 MiB  fetched ahead, and dropped untouched\n"
		  "\n"
		  "OTHERS\n"
		  "  later_count                     5\n");
	EXPECT_NE(itmectl(tree, {"stat"}).out.find("  fault_count"), std::string::npos);
}

TEST(Itmectl, NothingMountedIsNoError)
{
	Tree tree;

	tree.folder("sys/fs/itme");
	tree.file("proc/self/mountinfo", "");
	for (const auto *command : {"list", "info", "stat"})
		EXPECT_EQ(itmectl(tree, {command}).code, 0) << command;
	EXPECT_EQ(itmectl(tree, {"list", "--json"}).out, "{\n  \"instances\": []\n}\n");
	EXPECT_EQ(itmectl(tree, {"info", "--json"}).out, "{\n  \"mounts\": []\n}\n");
	EXPECT_EQ(itmectl(tree, {"stat", "--json"}).out, "{\n  \"stats\": []\n}\n");
}

TEST(Itmectl, JsonSurvivesNamesThatAreNotText)
{
	Tree tree;

	instance(tree);
	tree.file("sys/fs/itme/itme0/regions/\xff\xfe/size_bytes", "1\n");
	const auto run = itmectl(tree, {"list", "--json"});

	EXPECT_EQ(run.code, 0);
	EXPECT_NE(run.out.find("\xef\xbf\xbd"), std::string::npos);
}

TEST(Itmectl, DoctorFailsWhereSomethingNeededIsMissing)
{
	const Tree tree;
	const auto run = itmectl(tree, {"doctor"});

	EXPECT_EQ(run.code, 1);
	EXPECT_NE(run.out.find("-> boot 6.12 or newer"), std::string::npos) << run.out;
	EXPECT_NE(itmectl(tree, {"doctor", "--json"}).out.find("\"ready\": false"),
		  std::string::npos);
}
