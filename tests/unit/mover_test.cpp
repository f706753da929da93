// SPDX-License-Identifier: GPL-2.0-only
// The thread that moves pages: what it is given comes back by the loop, which does not wait.
#include "itmed/mover.hpp"

#include <atomic>
#include <gtest/gtest.h>
#include <semaphore>

namespace {

constexpr std::uint64_t second_ns = 1'000'000'000;

// Each move takes until it is let go.
class SlowPages final : public itme::Pages {
public:
	std::atomic<int> moves = 0;
	std::binary_semaphore go{0};

	itme::Sys<std::vector<int>> look(int, std::span<const std::uint64_t>) override
	{
		return std::unexpected(ESRCH);
	}
	itme::Sys<std::vector<int>> move(int pid, std::span<const std::uint64_t> addresses,
					 int node, itme::Whose) override
	{
		moves++;
		go.acquire();
		if (pid == 8)
			return std::unexpected(ESRCH);
		return std::vector<int>(addresses.size(), node);
	}
};

} // namespace

TEST(Mover, TheLoopGoesOnMeanwhile)
{
	SlowPages pages;
	auto loop = itme::Loop::make();
	std::vector<std::pair<int, bool>> done;
	ASSERT_TRUE(loop);
	{
		itme::Mover mover{*loop, pages,
				  [&](const itme::MemoryMove &move,
				      const itme::Sys<std::vector<int>> &nodes, std::uint64_t) {
					  EXPECT_TRUE(!nodes || *nodes == std::vector<int>(2, 1));
					  done.emplace_back(move.pid, nodes.has_value());
				  }};
		const auto turn_until_idle = [&] {
			const auto end = itme::monotonic_ns() + 30 * second_ns;

			while (mover.busy() && itme::monotonic_ns() < end)
				ASSERT_TRUE(loop->turn(itme::monotonic_ns() + second_ns / 100));
		};

		ASSERT_TRUE(mover.start());
		EXPECT_FALSE(mover.busy());
		for (const int pid : {7, 8}) {
			mover.move({.pid = pid, .pages = {4096, 8192}, .node = 1});
			EXPECT_TRUE(mover.busy());
			ASSERT_TRUE(loop->turn(itme::monotonic_ns() + second_ns / 100));
			EXPECT_TRUE(mover.busy());
			pages.go.release();
			turn_until_idle();
		}
		EXPECT_EQ(done, (std::vector<std::pair<int, bool>>{{7, true}, {8, false}}));
		mover.move({.pid = 9, .pages = {4096}, .node = 1});
		pages.go.release();
	} // waits for what it has begun, of which nobody hears
	EXPECT_EQ(done.size(), 2);
	EXPECT_TRUE(loop->turn(itme::monotonic_ns()));
}
