// SPDX-License-Identifier: GPL-2.0-only
#include "lib/fd.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <type_traits>

using itme::Fd;

namespace {

Fd null_device()
{
	return Fd{open("/dev/null", O_RDONLY | O_CLOEXEC)};
}
bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static_assert(!std::is_copy_constructible_v<Fd> && !std::is_copy_assignable_v<Fd>);

} // namespace

TEST(Fd, ClosesAtTheEnd)
{
	int number = -1;
	{
		const Fd fd = null_device();
		number = fd.get();
		EXPECT_TRUE(is_open(number));
	}
	EXPECT_FALSE(is_open(number));
}

TEST(Fd, MovesOwnership)
{
	Fd from = null_device();
	const int number = from.get();
	const Fd to = std::move(from);

	EXPECT_FALSE(from); // NOLINT(bugprone-use-after-move): that is the question
	EXPECT_EQ(to.get(), number);
	EXPECT_TRUE(is_open(number));
}

TEST(Fd, AssignmentClosesWhatWasThere)
{
	Fd fd = null_device();
	const int first = fd.get();
	Fd other = null_device();
	const int second = other.get();

	fd = std::move(other);
	EXPECT_FALSE(is_open(first));
	EXPECT_EQ(fd.get(), second);
}

TEST(Fd, SelfAssignmentKeepsIt)
{
	Fd fd = null_device();
	Fd &same = fd;

	fd = std::move(same);
	EXPECT_TRUE(fd);
	EXPECT_TRUE(is_open(fd.get()));
}
