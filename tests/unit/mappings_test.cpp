// SPDX-License-Identifier: GPL-2.0-only
#include "lib/mappings.hpp"

#include <gtest/gtest.h>

namespace {

constexpr auto maps =
	"55d0c0000000-55d0c0010000 r--p 00000000 08:01 100    /usr/bin/python3.11\n"
	"55d0c0010000-55d0c0020000 r-xp 00010000 08:01 100    /usr/bin/python3.11\n"
	"7f0000000000-7f0008000000 r--s 00000000 00:2d 1    /mnt/itme/model.gguf\n"
	"7f0010000000-7f0010100000 r-xp 00000000 08:01 200    /opt/my lib/libllama.so (deleted)\n"
	"7f0010200000-7f0010300000 r-xp 00100000 08:01 200    /opt/my lib/libllama.so (deleted)\n"
	"7f0020000000-7f0020100000 r-xp 00000000 08:01 300    /usr/lib/libc.so.6\n"
	"7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0    [stack]\n"
	"nonsense\n";

} // namespace

TEST(Mappings, AreRead)
{
	const auto mappings = itme::parse_mappings(maps);

	ASSERT_EQ(mappings.size(), 7);
	EXPECT_EQ(mappings[0].range, "55d0c0000000-55d0c0010000");
	EXPECT_EQ(mappings[0].dev, (8U << 20) | 1);
	EXPECT_FALSE(mappings[0].executable);
	EXPECT_EQ(mappings[2].dev, 0x2d);
	EXPECT_EQ(mappings[3].path, "/opt/my lib/libllama.so (deleted)");
	EXPECT_EQ(mappings[6].inode, 0);
	EXPECT_TRUE(itme::parse_mappings("").empty());
}

TEST(Mappings, TellWhoMapsARegion)
{
	const auto mappings = itme::parse_mappings(maps);

	EXPECT_TRUE(itme::maps_device(mappings, {0x2d}));
	EXPECT_FALSE(itme::maps_device(mappings, {0x2e}));
	EXPECT_FALSE(itme::maps_device(mappings, {0})); // anonymous memory is no file
	EXPECT_FALSE(itme::maps_device(mappings, {}));
}

TEST(Mappings, NameTheFilesOfARuntime)
{
	const auto files = itme::runtime_files(itme::parse_mappings(maps), "/usr/bin/python3.11");

	ASSERT_EQ(files.size(), 2);
	EXPECT_EQ(files[0].range, "55d0c0010000-55d0c0020000");
	EXPECT_EQ(files[1].inode, 200);
	EXPECT_TRUE(itme::runtime_files({}, "").empty());
}
