// SPDX-License-Identifier: GPL-2.0-only
#include "lib/event_format.hpp"

#include <gtest/gtest.h>

namespace {

// As the kernel shows it.
constexpr auto fault = "name: fault\n"
		       "ID: 1801\n"
		       "format:\n"
		       "\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n"
		       "\n"
		       "\tfield:u32 dev;\toffset:8;\tsize:4;\tsigned:0;\n"
		       "\tfield:u32 tier;\toffset:12;\tsize:4;\tsigned:0;\n"
		       "\tfield:u32 cause;\toffset:16;\tsize:4;\tsigned:0;\n"
		       "\tfield:u32 count;\toffset:20;\tsize:4;\tsigned:0;\n"
		       "\tfield:u64 region;\toffset:24;\tsize:8;\tsigned:0;\n"
		       "\tfield:u64 granule;\toffset:32;\tsize:8;\tsigned:0;\n"
		       "\tfield:u64 latency_ns;\toffset:40;\tsize:8;\tsigned:0;\n"
		       "\tfield:u64 lead_ns;\toffset:48;\tsize:8;\tsigned:0;\n"
		       "\n"
		       "print fmt: \"x\"\n";

} // namespace

TEST(EventFormat, KnowsTheLayout)
{
	EXPECT_TRUE(itme::is_known_format("fault", fault));
	EXPECT_FALSE(itme::is_known_format("fill", fault));
	EXPECT_FALSE(itme::is_known_format("unheard_of", fault));
	EXPECT_FALSE(itme::is_known_format("fault", ""));
}

TEST(EventFormat, RefusesAnotherLayout)
{
	std::string moved = fault;
	moved.replace(moved.find("offset:40"), 9, "offset:44");
	EXPECT_FALSE(itme::is_known_format("fault", moved));

	std::string older = fault; // a module that tells no lead
	older.replace(older.find("lead_ns"), 7, "some_ns");
	EXPECT_FALSE(itme::is_known_format("fault", older));

	std::string shorter = fault;
	shorter.replace(shorter.find("size:8"), 6, "size:4");
	EXPECT_FALSE(itme::is_known_format("fault", shorter));
}

TEST(EventFormat, SaysWhatIsLostWithoutAnEvent)
{
	EXPECT_EQ(itme::event_kinds().size(), 7);
	for (const auto &event : itme::event_kinds())
		EXPECT_FALSE(event.lost.empty()) << event.name;
}
