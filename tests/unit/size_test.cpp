// SPDX-License-Identifier: GPL-2.0-only
#include "lib/size.hpp"

#include <gtest/gtest.h>
#include <limits>

using itme::format_size;
using itme::parse_size;

namespace {
constexpr std::uint64_t kib = 1024, mib = kib * kib, gib = mib * kib;
constexpr auto most = std::numeric_limits<std::uint64_t>::max();
} // namespace

TEST(Size, ParsesWhatPeopleWrite)
{
	EXPECT_EQ(parse_size("0"), 0);
	EXPECT_EQ(parse_size("4096"), 4096);
	EXPECT_EQ(parse_size("4096B"), 4096);
	EXPECT_EQ(parse_size("64K"), 64 * kib);
	EXPECT_EQ(parse_size("2m"), 2 * mib);
	EXPECT_EQ(parse_size("1.5G"), gib + gib / 2);
	EXPECT_EQ(parse_size("64GiB"), 64 * gib);
	EXPECT_EQ(parse_size("64GB"), 64 * gib);
	EXPECT_EQ(parse_size("1T"), kib * gib);
	EXPECT_EQ(parse_size("15E"), 15 * gib * gib);
	EXPECT_EQ(parse_size("18446744073709551615"), most);
}

TEST(Size, RefusesTheRest)
{
	for (const auto *text : {"",
				 "-1",
				 "+1",
				 " 1",
				 "1 ",
				 "K",
				 ".5G",
				 "5.",
				 "5.G",
				 "1.2.3",
				 "1X",
				 "1KK",
				 "1Ki",
				 "1iB",
				 "0x10",
				 "1.3",
				 "1.0001K",
				 "16E",
				 "18446744073709551616",
				 "184467440737095516150",
				 "1e3",
				 "nan"})
		EXPECT_EQ(parse_size(text), std::nullopt) << text;
}

TEST(Size, FormatsShortly)
{
	EXPECT_EQ(format_size(0), "0 B");
	EXPECT_EQ(format_size(1023), "1023 B");
	EXPECT_EQ(format_size(kib), "1 KiB");
	EXPECT_EQ(format_size(kib + kib / 2), "1.5 KiB");
	EXPECT_EQ(format_size(2 * mib), "2 MiB");
	EXPECT_EQ(format_size(gib - 1), "1 GiB");
	EXPECT_EQ(format_size(gib), "1 GiB");
	EXPECT_EQ(format_size(most), "16 EiB");
}

TEST(Size, ReadsBackWhatItWrites)
{
	for (const auto bytes : {std::uint64_t{1}, kib, 3 * mib / 2, 64 * gib}) {
		auto text = format_size(bytes);

		std::erase(text, ' ');
		EXPECT_EQ(parse_size(text), bytes) << text;
	}
}
