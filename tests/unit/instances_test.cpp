// SPDX-License-Identifier: GPL-2.0-only
#include "lib/instances.hpp"

#include "tree.hpp"

#include <filesystem>
#include <fstream>

TEST(Instances, NoModuleNoInstances)
{
	const Tree tree;

	EXPECT_FALSE(itme::is_loaded(tree.root()));
	EXPECT_TRUE(itme::read_instances(tree.root()).empty());
}

TEST(Instances, ReadsOneValueAFile)
{
	Tree tree;

	tree.file("sys/fs/itme/itme1/dram_bytes", "4096\n");
	tree.file("sys/fs/itme/itme0/dram_bytes", "1073741824\n");
	tree.file("sys/fs/itme/itme0/cxl_nodes", "1-2\n");
	tree.file("sys/fs/itme/itme0/regions/b.gguf/size_bytes", "12\n");
	tree.file("sys/fs/itme/itme0/regions/a b/size_bytes", "13\n");

	const auto instances = itme::read_instances(tree.root());

	EXPECT_TRUE(itme::is_loaded(tree.root()));
	ASSERT_EQ(instances.size(), 2);
	EXPECT_EQ(instances[0].name, "itme0");
	EXPECT_EQ(itme::number(instances[0].attributes, "dram_bytes"), 1073741824);
	EXPECT_EQ(instances[0].attributes.at("cxl_nodes"), "1-2");
	ASSERT_EQ(instances[0].regions.size(), 2);
	EXPECT_EQ(instances[0].regions[0].name, "a b");
	EXPECT_EQ(itme::number(instances[0].regions[1].attributes, "size_bytes"), 12);
	EXPECT_TRUE(instances[1].regions.empty());
}

TEST(Instances, AReaderSeesWhatChanges)
{
	Tree tree;
	itme::InstanceReader reader{tree.root()};
	const auto region = tree.root() / "sys/fs/itme/itme0/regions/a";

	tree.file("sys/fs/itme/itme0/dram_bytes", "4096\n");
	tree.file("sys/fs/itme/itme0/regions/a/fill_bytes", "1\n");
	EXPECT_EQ(reader.read()[0].regions[0].attributes.at("fill_bytes"), "1");
	std::ofstream{region / "fill_bytes"} << "123\nand more\n";
	EXPECT_EQ(reader.read()[0].regions[0].attributes.at("fill_bytes"), "123");

	// Detached, and another one attached by the same name.
	std::filesystem::rename(region, tree.root() / "gone");
	EXPECT_TRUE(reader.read()[0].regions.empty());
	std::filesystem::rename(tree.root() / "gone", region);
	EXPECT_EQ(reader.read()[0].regions.size(), 1);
	std::filesystem::rename(region, tree.root() / "gone");
	tree.file("sys/fs/itme/itme0/regions/a/fill_bytes", "7\n");
	EXPECT_EQ(reader.read()[0].regions[0].attributes.at("fill_bytes"), "7");
	EXPECT_EQ(itme::number(reader.read()[0].attributes, "dram_bytes"), 4096);
}

TEST(Instances, AReaderKeepsSomeFilesOpenAndReadsTheOthers)
{
	Tree tree;
	itme::InstanceReader reader{tree.root()};
	const auto files = [] {
		return std::ranges::distance(std::filesystem::directory_iterator{"/proc/self/fd"});
	};
	const auto before = files();

	for (int i = 0; i < 600; i++)
		tree.file("sys/fs/itme/itme0/regions/" + std::to_string(i) + "/fill_bytes",
			  std::to_string(i) + "\n");
	for (int times = 0; times < 2; times++) {
		const auto instances = reader.read();

		ASSERT_EQ(instances[0].regions.size(), 600);
		for (const auto &region : instances[0].regions)
			EXPECT_EQ(region.attributes.at("fill_bytes"), region.name);
	}
	EXPECT_LE(files(), before + 384);
}

TEST(Instances, NumbersAreStrict)
{
	const itme::Attributes attributes{{"a_bytes", "12"}, {"b_bytes", "12 "}, {"c_bytes", ""}};

	EXPECT_EQ(itme::number(attributes, "a_bytes"), 12);
	EXPECT_EQ(itme::number(attributes, "b_bytes"), std::nullopt);
	EXPECT_EQ(itme::number(attributes, "c_bytes"), std::nullopt);
	EXPECT_EQ(itme::number(attributes, "none"), std::nullopt);
	EXPECT_TRUE(itme::is_number("fault_count"));
	EXPECT_FALSE(itme::is_number("dram_nodes"));
}
