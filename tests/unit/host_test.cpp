// SPDX-License-Identifier: GPL-2.0-only
#include "lib/host.hpp"

#include "tree.hpp"

#include <algorithm>

namespace {

constexpr auto zoneinfo = "Node 0, zone      DMA\n"
			  "  per-node stats\n"
			  "      nr_inactive_anon 1\n"
			  "  pages free     2816\n"
			  "        managed  3840\n"
			  "Node 0, zone  Movable\n"
			  "  pages free     0\n"
			  "        managed  0\n"
			  "Node 1, zone   Normal\n"
			  "        managed  262144\n"
			  "Node 1, zone  Movable\n"
			  "        present  262144\n"
			  "        managed  262143\n";

// A host with everything in order: 6.12, the module loaded, CXL memory on node 1.
void good_host(Tree &tree)
{
	tree.file("proc/sys/kernel/osrelease", "6.12.1-amd64\n");
	tree.file("proc/zoneinfo", "Node 0, zone  Movable\n        managed  0\n");
	tree.file("lib/modules/6.12.1-amd64/build/include/config/kernel.release", "6.12.1-amd64\n");
	tree.file("sys/module/module/parameters/sig_enforce", "N\n");
	tree.folder("sys/fs/itme");
	tree.file("sys/kernel/btf/vmlinux", "");
	tree.file("sys/kernel/btf/itme", "");
	tree.folder("sys/kernel/mm/damon/admin");
	tree.file("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
	tree.file("sys/devices/system/node/node0/meminfo", "Node 0 MemTotal:  2097152 kB\n");
	tree.file("sys/devices/system/node/node0/cpulist", "0-1\n");
	tree.file("sys/devices/system/node/node1/meminfo", "Node 1 MemTotal:  1048576 kB\n");
	tree.file("sys/devices/system/node/node1/cpulist", "\n");
	tree.file("sys/devices/system/node/online", "0-1\n");
	tree.file("sys/devices/system/node/node1/access0/initiators/read_bandwidth", "22000\n");
	tree.file("sys/devices/system/node/node1/access0/initiators/read_latency", "250\n");
}

std::string bad_checks(const Tree &tree)
{
	std::string names;

	for (const auto &check : itme::check_host(tree.root()))
		if (!check.good) {
			EXPECT_FALSE(check.found.empty()) << check.name;
			EXPECT_FALSE(check.fix.empty()) << check.name;
			names += check.name + (check.needed ? "! " : " ");
		}
	return names;
}

} // namespace

TEST(Host, KernelVersions)
{
	for (const auto *good : {"6.12.0", "6.12.117+deb12-amd64", "6.13-rc1", "7.0.1"})
		EXPECT_TRUE(itme::is_supported_kernel(good)) << good;
	for (const auto *bad : {"6.1.0-31-amd64", "6.11.99", "5.20.0", "", "next"})
		EXPECT_FALSE(itme::is_supported_kernel(bad)) << bad;
}

TEST(Host, MovableMemory)
{
	const auto movable = itme::parse_movable(zoneinfo);

	EXPECT_EQ(movable.at(0), 0);
	EXPECT_EQ(movable.at(1), 262143ULL * 4096);
	EXPECT_TRUE(itme::parse_movable("").empty());
	EXPECT_TRUE(itme::parse_movable("garbage\n  managed 12\n").empty());
}

TEST(Host, ReadsNodes)
{
	Tree tree;

	good_host(tree);
	tree.file("proc/zoneinfo", zoneinfo);

	const auto nodes = itme::read_nodes(tree.root());

	ASSERT_EQ(nodes.size(), 2);
	EXPECT_TRUE(nodes[0].has_cpus);
	EXPECT_EQ(nodes[0].memory_bytes, 2097152ULL * 1024);
	EXPECT_FALSE(nodes[1].has_cpus);
	EXPECT_EQ(nodes[1].movable_bytes, 262143ULL * 4096);
}

TEST(Host, AGoodHostHasNothingToMend)
{
	Tree tree;

	good_host(tree);
	EXPECT_EQ(bad_checks(tree), "");
}

TEST(Host, AnEmptyHostFailsEveryCheckButThoseAboutWhatIsNotThere)
{
	const Tree tree;

	EXPECT_EQ(bad_checks(tree), "kernel! headers module! btf huge pages damon dram! cxl ");
}

TEST(Host, EachFaultIsFound)
{
	const std::pair<const char *, std::pair<const char *, const char *>> faults[] = {
		{"kernel! headers ", {"proc/sys/kernel/osrelease", "6.1.0\n"}},
		{"signing! ", {"sys/module/module/parameters/sig_enforce", "Y\n"}},
		{"signing! ",
		 {"sys/kernel/security/lockdown", "none [integrity] confidentiality\n"}},
		{"", {"sys/kernel/security/lockdown", "[none] integrity confidentiality\n"}},
		{"cxl ", {"sys/devices/system/node/node1/cpulist", "2-3\n"}},
		{"cxl ", {"sys/devices/system/node/node1/meminfo", "Node 1 MemTotal: 0 kB\n"}},
		{"zones ", {"proc/zoneinfo", zoneinfo}},
	};

	for (const auto &[names, file] : faults) {
		Tree tree;

		good_host(tree);
		tree.file(file.first, file.second);
		EXPECT_EQ(bad_checks(tree), names) << file.first;
	}
}

TEST(Host, TellsAnInstalledModuleFromAMissingOne)
{
	Tree tree;
	const auto fix = [&] {
		const auto checks = itme::check_host(tree.root());
		return std::ranges::find(checks, "module", &itme::Check::name)->fix;
	};

	tree.file("proc/sys/kernel/osrelease", "6.12.1-amd64\n");
	EXPECT_NE(fix().find("make install"), std::string::npos);
	tree.file("lib/modules/6.12.1-amd64/modules.dep", "updates/itme.ko:\n");
	EXPECT_EQ(fix(), "modprobe itme");
}
