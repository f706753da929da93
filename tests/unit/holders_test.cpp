// SPDX-License-Identifier: GPL-2.0-only
#include "lib/holders.hpp"

#include "tree.hpp"

namespace {

void process(Tree &tree, const std::string &pid, const std::string &command,
	     const std::string &folder = "/")
{
	tree.file("proc/" + pid + "/comm", command + "\n");
	tree.file("proc/" + pid + "/maps", "");
	tree.link("proc/" + pid + "/cwd", folder);
	tree.link("proc/" + pid + "/root", "/");
	tree.folder("proc/" + pid + "/fd");
}

} // namespace

TEST(Holders, FindsUsersOfAMount)
{
	Tree tree;

	process(tree, "10", "shell", "/mnt/itme");
	process(tree, "11", "reader");
	tree.link("proc/11/fd/3", "/mnt/itme/model.gguf");
	process(tree, "12", "mapper");
	tree.file("proc/12/maps", "7f00-7f01 r--p 00000000 fe:00 12   /usr/lib/libc.so\n"
				  "7f02-7f03 r--s 00000000 00:23 2    /mnt/itme/my model.gguf\n");
	process(tree, "13", "neighbour", "/mnt/itme2");
	tree.link("proc/13/fd/3", "/mnt/itme2/model.gguf");
	process(tree, "14", "itmectl", "/mnt/itme"); // who asks
	tree.link("proc/self", "14");
	tree.file("proc/uptime", "1 1\n");

	const auto users = itme::users_below(tree.root(), "/mnt/itme");

	EXPECT_EQ(itme::describe(users), "shell (10), reader (11), mapper (12)");
}

TEST(Holders, FindsWritersOnly)
{
	Tree tree;

	process(tree, "20", "reader");
	tree.link("proc/20/fd/3", "/data/model.gguf");
	tree.file("proc/20/fdinfo/3", "pos:\t0\nflags:\t0100000\nmnt_id:\t30\n");
	process(tree, "21", "writer");
	tree.link("proc/21/fd/4", "/data/model.gguf");
	tree.file("proc/21/fdinfo/4", "pos:\t0\nflags:\t0100001\nmnt_id:\t30\n");
	process(tree, "22", "updater");
	tree.link("proc/22/fd/5", "/data/model.gguf");
	tree.file("proc/22/fdinfo/5", "pos:\t0\nflags:\t0100002\nmnt_id:\t30\n");
	process(tree, "23", "other");
	tree.link("proc/23/fd/5", "/data/model.gguf.part");
	tree.file("proc/23/fdinfo/5", "flags:\t02\n");

	EXPECT_EQ(itme::describe(itme::writers_of(tree.root(), "/data/model.gguf")),
		  "writer (21), updater (22)");
}

TEST(Holders, ShortensALongList)
{
	EXPECT_EQ(itme::describe({}), "");
	EXPECT_EQ(itme::describe({{1, "a"}, {2, "b"}, {3, "c"}, {4, "d"}, {5, "e"}, {6, "f"}}),
		  "a (1), b (2), c (3), d (4), e (5) and 1 more");
}
