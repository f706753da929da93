// SPDX-License-Identifier: GPL-2.0-only
#include "lib/served.hpp"

#include <gtest/gtest.h>

using namespace itme;

namespace {

constexpr std::uint64_t pass = 1000;

TEST(Served, WhoIsBehindIsSoByWhatOthersWereGivenMore)
{
	Served one, other;

	one.add(300);
	other.add(200);
	EXPECT_EQ(one.behind_ns(300, pass), 0);
	EXPECT_EQ(other.behind_ns(300, pass), 100);
	EXPECT_EQ(other.ns(), 200);
}

TEST(Served, WhoHasSleptIsAtMostAPassBehind)
{
	Served sleeper;

	EXPECT_EQ(sleeper.behind_ns(50 * pass, pass), pass);
	EXPECT_EQ(sleeper.ns(), 49 * pass);
	sleeper.add(pass);
	EXPECT_EQ(sleeper.behind_ns(50 * pass, pass), 0);
}

TEST(Served, WhoIsFirstIsNotBehind)
{
	Served first;

	first.add(5 * pass);
	EXPECT_EQ(first.behind_ns(0, pass), 0); // of an instance that was mounted anew
	EXPECT_EQ(first.ns(), 5 * pass);
}

} // namespace
