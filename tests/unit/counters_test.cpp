// SPDX-License-Identifier: GPL-2.0-only
#include "lib/counters.hpp"

#include <gtest/gtest.h>
#include <set>

TEST(Counters, EachFileHasOneMeaning)
{
	std::set<std::string_view> names;

	for (const auto &group : itme::meaning_groups()) {
		EXPECT_FALSE(group.title.empty());
		for (const auto &meaning : group.meanings) {
			EXPECT_TRUE(names.insert(meaning.name).second) << meaning.name;
			EXPECT_FALSE(meaning.text.empty()) << meaning.name;
		}
	}
	EXPECT_TRUE(names.contains("late_count"));
}
