// SPDX-License-Identifier: GPL-2.0-only
#include "itmed/config.hpp"

#include <fstream>
#include <gtest/gtest.h>
#include <regex>
#include <sstream>

namespace {

using itme::parse_config;

// The one fault of a text, without the file's name: "LINE: text".
std::string fault(const std::string &text)
{
	const auto result = parse_config(text, "f");

	if (result.faults.size() != 1)
		return std::to_string(result.faults.size()) + " faults";
	EXPECT_TRUE(result.faults[0].starts_with("f:")) << result.faults[0];
	return result.faults[0].substr(2);
}

void expect_fault(const std::string &text, const std::string &line, const std::string &part)
{
	const auto said = fault(text);

	EXPECT_TRUE(said.starts_with(line + ": ")) << text << "\n" << said;
	EXPECT_NE(said.find(part), std::string::npos) << text << "\n" << said;
}

const std::string mount = "[[mount]]\npath = \"/mnt/itme\"\ndram = \"32G\"\n";
const std::string attach = mount + "[[mount.attach]]\nstore = \"/m/a.gguf\"\n";

} // namespace

TEST(ItmedConfig, NothingGivesTheDefaults)
{
	const auto result = parse_config("", "f");

	EXPECT_TRUE(result.faults.empty());
	EXPECT_EQ(result.config.socket_group, "itme");
	EXPECT_EQ(result.config.metrics, "127.0.0.1:9464");
	EXPECT_EQ(result.config.sample.count(), 10000);
	EXPECT_TRUE(result.config.probe && result.config.positions);
	EXPECT_TRUE(result.config.mounts.empty());
}

TEST(ItmedConfig, Everything)
{
	const auto result =
		parse_config("socket_group = \"\"\nmetrics = \"\"\nsample_seconds = 60\n"
			     "probe = false\npositions = false\n[[mount]]\n"
			     "path = \"/mnt/itme/\"\ndram = \"32G@0\"\n"
			     "cxl = \"256G@1:2\"\nwindow = \"64M\"\ngranule = \"1M\"\n"
			     "name = \"big\"\n[[mount.attach]]\nstore = \"/m/a.gguf\"\n"
			     "name = \"a\"\nmode = \"0640\"\nowner = \"7\"\n"
			     "group = \"llm\"\nschedule = \"none\"\n[[mount.attach]]\n"
			     "store = \"/m/b.gguf\"\n",
			     "f");

	EXPECT_EQ(result.faults, std::vector<std::string>{});
	ASSERT_EQ(result.config.mounts.size(), 1);
	const auto &one = result.config.mounts[0];
	EXPECT_EQ(one.path, "/mnt/itme");
	EXPECT_EQ(one.options, "dram=32G@0,cxl=256G@1:2,window=64M,granule=1M,name=big");
	ASSERT_EQ(one.attachments.size(), 2);
	EXPECT_EQ(one.attachments[0].name, "a");
	EXPECT_EQ(one.attachments[0].mode, 0640);
	EXPECT_EQ(one.attachments[0].owner, "7");
	EXPECT_EQ(one.attachments[0].schedule, "none");
	EXPECT_EQ(one.attachments[1].name, "b.gguf");
	EXPECT_EQ(one.attachments[1].mode, std::nullopt);
	EXPECT_EQ(one.attachments[1].schedule, "auto");
}

TEST(ItmedConfig, FaultsNameTheLineAndWhatIsRight)
{
	expect_fault("a = ", "1", "");
	expect_fault("\nmetric = \"\"\n", "2", "known are metrics, mount");
	expect_fault("sample_seconds = 0", "1", "from 1 to 3600");
	expect_fault("sample_seconds = \"5\"", "1", "from 1 to 3600");
	expect_fault("probe = 1", "1", "true or false");
	expect_fault("socket_group = 7", "1", "text in quotes");
	expect_fault("\n\nmetrics = \"0.0.0.0:9464\"", "3", "give 127.0.0.1:PORT");
	expect_fault("metrics = \"127.0.0.1:99999\"", "1", "give 127.0.0.1:PORT");
	expect_fault("mount = 1", "1", "write [[mount]]");
	expect_fault("[mount]\npath = \"/m\"", "1", "write [[mount]]");
	expect_fault("[[mount]]\ndram = \"1G\"", "1", "an absolute path");
	expect_fault("[[mount]]\npath = \"/m\"", "1", "needs a budget");
	expect_fault(mount + "cxl = \"1G@x\"", "4", "\"256G@1\"");
	expect_fault(mount + "cxl = \"-1G@1\"", "4", "no budget");
	expect_fault(mount + "window = \"many\"", "4", "such as \"2M\"");
	expect_fault(mount + "name = \"a,dram=900G\"", "4", "names no instance");
	expect_fault(mount + "size = \"1G\"", "4", "'size' is not known in [[mount]]");
	expect_fault(mount + "[[mount.attach]]\nname = \"x\"", "4", "needs store");
	expect_fault(attach + "name = \"a/b\"", "4", "cannot name a region");
	expect_fault(attach + "mode = \"1777\"", "6", "such as \"0640\"");
	expect_fault(attach + "mode = \"rw\"", "6", "such as \"0640\"");
	expect_fault(attach + "schedule = \"x.json\"", "6", "absolute path of a schedule");
	expect_fault(mount + mount, "1", "two [[mount]] have the path /mnt/itme");
	expect_fault(attach + "[[mount.attach]]\nstore = \"/n/a.gguf\"", "1",
		     "the name \"a.gguf\"");
}

TEST(ItmedConfig, EveryFaultIsTold)
{
	EXPECT_EQ(parse_config("probe = 1\nsample_seconds = 0\nx = 1\n", "f").faults.size(), 3);
}

// The example that is installed: as it is, and with every example line switched on.
TEST(ItmedConfig, TheExampleIsRight)
{
	std::ifstream file{"agent/itmed/itmed.toml"};
	if (!file)
		GTEST_SKIP() << "not run from the project's folder";
	std::stringstream text;
	text << file.rdbuf();

	EXPECT_EQ(parse_config(text.str(), "itmed.toml").faults, std::vector<std::string>{});
	const auto on = std::regex_replace(text.str(), std::regex{"(^|\n)#(?=[a-z\\[])"}, "$1");
	const auto result = parse_config(on, "itmed.toml");
	EXPECT_EQ(result.faults, std::vector<std::string>{});
	ASSERT_EQ(result.config.mounts.size(), 1);
	EXPECT_EQ(result.config.mounts[0].attachments.size(), 1);
	// Lines that show a default show the true one.
	const itme::Config defaults;
	EXPECT_EQ(result.config.metrics, defaults.metrics);
	EXPECT_EQ(result.config.socket_group, defaults.socket_group);
	EXPECT_EQ(result.config.sample, defaults.sample);
}
