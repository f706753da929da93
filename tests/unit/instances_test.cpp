// SPDX-License-Identifier: GPL-2.0-only
#include "lib/instances.hpp"

#include "tree.hpp"

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
