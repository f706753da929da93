// SPDX-License-Identifier: GPL-2.0-only
#include "lib/cgroups.hpp"

#include "tree.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

namespace {

std::uint64_t inode(const std::filesystem::path &folder)
{
	struct stat status{};

	EXPECT_EQ(0, stat(folder.c_str(), &status)) << folder;
	return status.st_ino;
}

} // namespace

TEST(Cgroups, AreFoundByNumber)
{
	Tree tree;
	tree.file("sys/fs/cgroup/cgroup.controllers", "");
	tree.file("sys/fs/cgroup/system.slice/llama.service/cgroup.procs", "");
	tree.folder("sys/fs/cgroup/user.slice");
	const auto top = tree.root() / "sys/fs/cgroup";
	const auto root = inode(top), service = inode(top / "system.slice/llama.service");

	const auto found = itme::find_cgroups(tree.root(), {root, service, 1});
	EXPECT_EQ(found.size(), 2);
	EXPECT_EQ(found.at(root), "/");
	EXPECT_EQ(found.at(service), "/system.slice/llama.service");
	EXPECT_TRUE(itme::find_cgroups(tree.root(), {}).empty());
}

TEST(Cgroups, BesideThoseOfTheFirstVersion)
{
	Tree tree;
	tree.folder("sys/fs/cgroup/memory/llama");
	tree.file("sys/fs/cgroup/unified/cgroup.controllers", "");
	tree.folder("sys/fs/cgroup/unified/llama");
	const auto old = inode(tree.root() / "sys/fs/cgroup/memory/llama");
	const auto id = inode(tree.root() / "sys/fs/cgroup/unified/llama");

	const auto found = itme::find_cgroups(tree.root(), {old, id});
	EXPECT_EQ(found.size(), 1);
	EXPECT_EQ(found.at(id), "/llama");
	EXPECT_TRUE(itme::find_cgroups(tree.root() / "nowhere", {id}).empty());
}
