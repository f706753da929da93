// SPDX-License-Identifier: GPL-2.0-only
// The man pages have what the programs have, and nothing else.
#include "itmectl/command.hpp"
#include "itmed/config.hpp"
#include "lib/file.hpp"

#include <gtest/gtest.h>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace {

using Names = std::set<std::string>;

// Every match of the expression's first group.
Names find_all(const std::string &text, const std::string &expression)
{
	const std::regex regex{expression};
	Names names;

	for (std::sregex_iterator it{text.begin(), text.end(), regex}, end; it != end; ++it)
		names.insert((*it)[1]);
	return names;
}

// Without the macros and escapes that stand between words.
std::string page(const char *file)
{
	auto text = itme::read_file(file).value_or("");

	text = std::regex_replace(text, std::regex{R"(\\f[A-Z])"}, "");
	text = std::regex_replace(text, std::regex{R"(\\-)"}, "-");
	return std::regex_replace(text, std::regex{"\""}, "");
}

std::string help(std::vector<std::string> words)
{
	std::vector<const char *> arguments{"itmectl"};
	std::ostringstream out, err;
	itme::Env env{out, err};

	words.emplace_back("--help");
	for (const auto &word : words)
		arguments.push_back(word.c_str());
	EXPECT_EQ(0, itme::run_itmectl(static_cast<int>(arguments.size()), arguments.data(), env));
	return out.str();
}

struct Command {
	std::string name; // "hint pin"
	Names options;
};

void add_commands(const std::vector<std::string> &words, std::vector<Command> &commands)
{
	const auto text = help(words);
	const auto subcommands = text.find("\nSubcommands:\n");
	std::string name;

	if (subcommands == text.npos) {
		for (const auto &word : words)
			name += (name.empty() ? "" : " ") + word;
		commands.push_back({name, find_all(text, "(--[a-z-]+)")});
		return;
	}
	for (const auto &subcommand : find_all(text.substr(subcommands), "\n  ([a-z]+)")) {
		auto longer = words;

		longer.push_back(subcommand);
		add_commands(longer, commands);
	}
}

// What the fault about an unknown key says is known.
Names keys(const std::string &table)
{
	const auto result = itme::parse_config(table + "\nno_such_key = 1\n", "f");

	for (const auto &fault : result.faults)
		if (const auto known = fault.find("known are "); known != fault.npos)
			return find_all(fault.substr(known + 10), "([a-z_]+)");
	return {};
}

} // namespace

TEST(Man, ItmectlHasItsCommandsAndOptions)
{
	const auto text = page("agent/itmectl/itmectl.8");
	std::vector<Command> commands;
	Names options;

	if (text.empty())
		GTEST_SKIP() << "not run from the project's folder";
	add_commands({}, commands);
	EXPECT_GT(commands.size(), 20);
	for (const auto &command : commands) {
		// At the begin of an entry, or in its list.
		EXPECT_TRUE(std::regex_search(
			text, std::regex{"\n\\.TP\n\\.BR? ([^\n]*, +)?" + command.name + "[ ,\n]"}))
			<< command.name;
		options.insert(command.options.begin(), command.options.end());
	}
	options.insert("--version");
	EXPECT_EQ(find_all(text, "(--[a-z-]+)"), options);
}

TEST(Man, ItmedHasItsKeys)
{
	const auto text = page("agent/itmed/itmed.8");

	if (text.empty())
		GTEST_SKIP() << "not run from the project's folder";
	const auto mount = text.find(".SS [[mount]]"), attach = text.find(".SS [[mount.attach]]"),
		   end = text.find(".SH SIGNALS"), begin = text.find(".SH CONFIGURATION");
	ASSERT_TRUE(begin < mount && mount < attach && attach < end && end != text.npos);
	const auto expect_keys = [&](std::size_t from, std::size_t to, const std::string &table) {
		const auto part = text.substr(from, to - from);
		Names entries;

		for (const auto &line : find_all(part, "\n\\.TP\n\\.BR? ([^\n]*)"))
			entries.merge(
				find_all(std::regex_replace(line, std::regex{"\\([^)]*\\)"}, ""),
					 "([a-z_]+)"));
		auto known = keys(table);
		EXPECT_FALSE(known.empty()) << table;
		known.erase("mount"); // have sections of their own
		known.erase("attach");
		EXPECT_EQ(entries, known) << table;
	};

	expect_keys(begin, mount, "");
	expect_keys(mount, attach, "[[mount]]");
	expect_keys(attach, end, "[[mount]]\n[[mount.attach]]");
	for (const auto *option : {"--config", "--socket", "--check-config", "--version"})
		EXPECT_NE(text.find(option), text.npos) << option;
}
