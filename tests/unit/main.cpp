// SPDX-License-Identifier: GPL-2.0-only
// Runs the unit tests and prints TAP. The plan comes first, so that a crash on
// the way is noticed.
#include <cstdio>
#include <gtest/gtest.h>
#include <sstream>
#include <string>

namespace {

class Tap : public testing::EmptyTestEventListener {
public:
	void OnTestIterationStart(const testing::UnitTest &all, int) override
	{
		std::printf("TAP version 13\n1..%d\n", all.test_to_run_count());
	}

	void OnTestPartResult(const testing::TestPartResult &part) override
	{
		if (part.skipped()) {
			skip_reason_ = part.message();
			return;
		}
		if (part.failed())
			note(std::string{part.file_name() ? part.file_name() : "?"} + ":" +
			     std::to_string(part.line_number()) + ": " + part.message());
	}

	void OnTestEnd(const testing::TestInfo &test) override
	{
		const auto &result = *test.result();

		std::printf("%s %d - unit: %s.%s", result.Failed() ? "not ok" : "ok", ++number_,
			    test.test_suite_name(), test.name());
		if (result.Skipped())
			std::printf(" # SKIP %s", skip_reason_.c_str());
		std::printf("\n%s", notes_.c_str());
		std::fflush(stdout);
		notes_.clear();
		skip_reason_.clear();
	}

private:
	void note(const std::string &text)
	{
		std::istringstream lines{text};

		for (std::string line; std::getline(lines, line);)
			notes_ += "# " + line + "\n";
	}

	int number_ = 0;
	std::string notes_;
	std::string skip_reason_;
};

} // namespace

int main(int argc, char **argv)
{
	testing::InitGoogleTest(&argc, argv);

	auto &listeners = testing::UnitTest::GetInstance()->listeners();
	delete listeners.Release(listeners.default_result_printer());
	listeners.Append(new Tap); // which GoogleTest deletes
	return RUN_ALL_TESTS();
}
