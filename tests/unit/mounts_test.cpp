// SPDX-License-Identifier: GPL-2.0-only
#include "lib/mounts.hpp"

#include "tree.hpp"

using itme::parse_mounts;

TEST(Mounts, FindsThoseOfTypeItme)
{
	const auto mounts = parse_mounts("22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
					 "40 22 0:35 / /mnt/itme rw,relatime shared:2 master:1 - "
					 "itme none rw,dram=1G,cxl=1G@1\n"
					 "41 22 0:36 / /mnt/other rw - itme none rw\n"
					 "42 22 0:37 / /mnt/itme-not rw - tmpfs itme rw\n");

	ASSERT_EQ(mounts.size(), 2);
	EXPECT_EQ(mounts[0].path, "/mnt/itme");
	EXPECT_EQ(mounts[0].options, "rw,dram=1G,cxl=1G@1");
	EXPECT_EQ(mounts[1].path, "/mnt/other");
}

TEST(Mounts, UndoesTheKernelsEscapes)
{
	const auto mounts =
		parse_mounts("40 22 0:35 / /mnt/a\\040b\\011c\\012d\\134e rw - itme none rw\n"
			     "41 22 0:35 / /mnt/\\9\\04 rw - itme none rw\n");

	ASSERT_EQ(mounts.size(), 2);
	EXPECT_EQ(mounts[0].path, "/mnt/a b\tc\nd\\e");
	EXPECT_EQ(mounts[1].path, "/mnt/\\9\\04");
}

TEST(Mounts, DoesNotTakeAPathForTheSeparator)
{
	const auto mounts = parse_mounts("40 22 0:35 / - rw - itme none rw\n");

	ASSERT_EQ(mounts.size(), 1);
	EXPECT_EQ(mounts[0].path, "-");
}

TEST(Mounts, PassesOverWhatItDoesNotUnderstand)
{
	EXPECT_TRUE(parse_mounts("").empty());
	EXPECT_TRUE(parse_mounts("\n\n - \n40 22 0:35 / /mnt rw - itme\n40 22\n").empty());
}

TEST(Mounts, ReadsBelowTheRoot)
{
	Tree tree;

	EXPECT_EQ(itme::read_mounts(tree.root()).error(), ENOENT);
	tree.file("proc/self/mountinfo", "40 22 0:35 / /mnt rw - itme none rw\n");
	EXPECT_EQ(itme::read_mounts(tree.root())->size(), 1);
}
