// SPDX-License-Identifier: GPL-2.0-only
// A budget is divided step by step, in a made-up sysfs.
#include "lib/dram_share.hpp"
#include "tree.hpp"

using itme::Division;
using itme::DramShare;

namespace {

constexpr std::uint64_t mib = 1 << 20;

class Sysfs {
public:
	Sysfs() { set("dram_bytes", 64 * mib), set("dram_current_bytes", 64 * mib); }
	void set(const std::string &name, std::uint64_t bytes)
	{
		tree.file("itme0/" + name, std::to_string(bytes));
	}
	[[nodiscard]] std::uint64_t get(const std::string &name) const
	{
		return itme::parse_number(
			       itme::read_line(tree.root() / "itme0" / name).value_or(""))
			.value_or(0);
	}
	[[nodiscard]] DramShare share() const { return DramShare{tree.root() / "itme0"}; }

	Tree tree;
};

Division division(std::uint64_t memory)
{
	return {.memory_bytes = memory, .frames_bytes = 64 * mib - memory};
}

} // namespace

TEST(DramShare, FramesGoBeforeMemoryComesAndBack)
{
	Sysfs sysfs;
	auto share = sysfs.share();

	EXPECT_EQ(share.step(0), 0);
	EXPECT_EQ(share.whole_bytes(), 64 * mib);
	share.want(division(24 * mib), "");
	EXPECT_EQ(share.step(0), 0); // the frames are not gone yet
	EXPECT_EQ(sysfs.get("dram_bytes"), 40 * mib);
	sysfs.set("dram_current_bytes", 48 * mib);
	EXPECT_EQ(share.step(0), 0);
	sysfs.set("dram_current_bytes", 40 * mib);
	EXPECT_EQ(share.step(0), 24 * mib);
	// The other way round.
	share.want(division(8 * mib), "");
	EXPECT_EQ(share.step(24 * mib), 8 * mib);
	EXPECT_EQ(sysfs.get("dram_bytes"), 40 * mib);
	EXPECT_EQ(share.step(8 * mib), 8 * mib);
	EXPECT_EQ(sysfs.get("dram_bytes"), 56 * mib);
	share.give_back();
	EXPECT_EQ(sysfs.get("dram_bytes"), 64 * mib);
	EXPECT_EQ(share.step(0), 0);
}

TEST(DramShare, LittleIsNotMovedForAndNothingIsNotKept)
{
	Sysfs sysfs;
	auto share = sysfs.share();

	share.want(division(32 * mib), "");
	sysfs.set("dram_current_bytes", 32 * mib);
	EXPECT_EQ(share.step(0), 32 * mib);
	share.want(division(34 * mib), "");
	EXPECT_EQ(share.step(32 * mib), 32 * mib);
	share.want({}, "no plan");
	EXPECT_EQ(share.step(32 * mib), 0);
	EXPECT_EQ(share.step(0), 0);
	EXPECT_EQ(sysfs.get("dram_bytes"), 64 * mib);
	EXPECT_EQ(itme::text_of(share.to_json(), "why"), "no plan");
}

// An operator who sets the budget meanwhile sets all of it.
TEST(DramShare, AnotherBudgetIsDividedAnew)
{
	Sysfs sysfs;
	auto share = sysfs.share();

	share.want(division(32 * mib), "");
	sysfs.set("dram_current_bytes", 32 * mib);
	EXPECT_EQ(share.step(0), 32 * mib);
	sysfs.set("dram_bytes", 96 * mib);
	EXPECT_EQ(share.step(32 * mib), 0);
	EXPECT_EQ(share.whole_bytes(), 96 * mib);
	share.give_back();
	EXPECT_EQ(sysfs.get("dram_bytes"), 96 * mib);
}

TEST(DramShare, AnInstanceThatIsGone)
{
	Sysfs sysfs;
	auto share = sysfs.share();

	share.want(division(32 * mib), "");
	std::filesystem::remove_all(sysfs.tree.root() / "itme0");
	EXPECT_EQ(share.step(0), 0);
	EXPECT_EQ(share.whole_bytes(), 0);
	share.give_back();
}
