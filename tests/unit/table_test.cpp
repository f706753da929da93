// SPDX-License-Identifier: GPL-2.0-only
#include "lib/table.hpp"

#include <gtest/gtest.h>
#include <sstream>

using itme::Table;

namespace {
std::string text_of(const Table &table)
{
	std::ostringstream out;

	table.print(out);
	return out.str();
}
} // namespace

TEST(Table, SetsWordsLeftAndFiguresRight)
{
	Table table{{"NAME", ">BYTES", "NOTE"}};

	EXPECT_TRUE(table.empty());
	table.add({"a", "1", "x"});
	table.add({"longer", "12345678", ""});
	EXPECT_FALSE(table.empty());
	EXPECT_EQ(text_of(table), "NAME       BYTES  NOTE\n"
				  "a              1  x\n"
				  "longer  12345678\n");
}

TEST(Table, CountsCharactersNotBytes)
{
	Table table{{"N", "M"}};

	table.add({"ä", "x"});
	table.add({"b", "y"});
	EXPECT_EQ(text_of(table), "N  M\nä  x\nb  y\n");
}

TEST(Table, FillsMissingCells)
{
	Table table{{"A", "B"}};

	table.add({"1"});
	EXPECT_EQ(text_of(table), "A  B\n1\n");
}

TEST(Table, NamesCannotSteerATerminal)
{
	EXPECT_EQ(itme::printable("a\033[2Jb\nc"), "a\\x1b[2Jb\\x0ac");
	EXPECT_EQ(itme::printable("plain ä"), "plain ä");
}
