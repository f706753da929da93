// SPDX-License-Identifier: GPL-2.0-only
// What is asked of DAMON, and what is left alone. The kernel's own end: memory_test of
// tests/kselftest.
#include "lib/damon.hpp"
#include "tree.hpp"

using itme::Damon;
using itme::DamonTarget;

namespace {

constexpr std::uint64_t mib = 1 << 20;
const std::string kdamonds = "sys/kernel/mm/damon/admin/kdamonds/";
const std::string context = kdamonds + "0/contexts/0/";

// As sysfs has it once a kdamond watches this.
const DamonTarget watched{7, {{4 * mib, 2 * mib}}};
void watching(Tree &tree)
{
	tree.file(kdamonds + "nr_kdamonds", "1\n");
	tree.file(kdamonds + "0/state", "on\n");
	tree.file(context + "monitoring_attrs/intervals/sample_us", "100003\n");
	tree.file(context + "monitoring_attrs/intervals/aggr_us", "4000003\n");
	tree.file(context + "targets/0/pid_target", "7\n");
	tree.file(context + "targets/0/regions/nr_regions", "1\n");
	tree.file(context + "targets/0/regions/0/start", std::to_string(4 * mib) + "\n");
	tree.file(context + "targets/0/regions/0/end", std::to_string(6 * mib) + "\n");
}

std::string text_of(const Tree &tree, const std::string &file)
{
	return itme::read_line(tree.root() / file).value_or("none");
}

} // namespace

TEST(Damon, FewRangesAreWatched)
{
	std::vector<itme::MemoryRange> many;

	EXPECT_EQ(itme::damon_target(1, {{5 * mib, mib}, {mib, mib}, {2 * mib, mib}}).ranges,
		  (std::vector<itme::MemoryRange>{{mib, 2 * mib}, {5 * mib, mib}}));
	for (std::uint64_t i = 0; i < 1000; i++)
		many.push_back({(i + (i >= 500 ? 1000 : 0)) * 2 * mib, mib});
	const auto few = itme::damon_target(1, many).ranges;
	EXPECT_EQ(few.size(), 64);
	EXPECT_EQ(few.front().address, 0);
	EXPECT_EQ(few.back().address + few.back().bytes, (1999 * 2 + 1) * mib);
	// The wide gap is none of theirs.
	EXPECT_TRUE(std::ranges::none_of(few, [](const auto &range) {
		return range.address < 1100 * mib && range.address + range.bytes > 2900 * mib;
	}));
}

TEST(Damon, WhereThereIsNoneItIsSaid)
{
	const Tree tree;
	Damon damon{tree.root()};
	const auto done = damon.watch({&watched, 1});

	ASSERT_FALSE(done);
	EXPECT_NE(done.error().text.find("no DAMON_SYSFS"), std::string::npos);
	damon.give_back();
}

TEST(Damon, AnothersIsLeftAlone)
{
	Tree tree;
	Damon damon{tree.root()};

	watching(tree);
	tree.file(context + "monitoring_attrs/intervals/sample_us", "5000\n");
	const auto done = damon.watch({&watched, 1});
	ASSERT_FALSE(done);
	EXPECT_NE(done.error().text.find("in use by another"), std::string::npos);
	damon.give_back();
	EXPECT_EQ(text_of(tree, kdamonds + "0/state"), "on");
	EXPECT_EQ(text_of(tree, kdamonds + "nr_kdamonds"), "1");
}

TEST(Damon, OursIsKeptWhileItWatchesTheSame)
{
	Tree tree;
	Damon damon{tree.root()};

	watching(tree);
	EXPECT_TRUE(damon.watch({&watched, 1}));
	EXPECT_EQ(text_of(tree, kdamonds + "0/state"), "on");
	damon.give_back();
	EXPECT_EQ(text_of(tree, kdamonds + "0/state"), "off");
	EXPECT_EQ(text_of(tree, kdamonds + "nr_kdamonds"), "0");
}

TEST(Damon, AnswersWhatWasSeen)
{
	Tree tree;
	Damon damon{tree.root()};

	watching(tree);
	tree.file(context + "schemes/0/tried_regions/total_bytes", "0\n");
	for (const auto &[name, value] :
	     {std::pair{"start", 4 * mib}, {"end", 5 * mib}, {"nr_accesses", 3UL}, {"age", 9UL}})
		tree.file(context + "schemes/0/tried_regions/12/" + name,
			  std::to_string(value) + "\n");
	const auto answer = itme::carry_out_damon(itme::damon_request({&watched, 1}), damon);
	ASSERT_TRUE(answer) << answer.error().text;
	EXPECT_EQ(itme::parse_damon_answer(*answer),
		  (std::vector<std::vector<itme::Accessed>>{{{4 * mib, mib, 3}}}));
	EXPECT_EQ(text_of(tree, kdamonds + "0/state"), "update_schemes_tried_regions");
	EXPECT_TRUE(itme::carry_out_damon(itme::damon_request({}), damon)); // gives it back
	EXPECT_EQ(text_of(tree, kdamonds + "nr_kdamonds"), "0");
	EXPECT_FALSE(itme::carry_out_damon("x", damon));
	EXPECT_TRUE(itme::parse_damon_answer("x").empty());
}
