// SPDX-License-Identifier: GPL-2.0-only
// Runs the tests of telemetry, in the guest, and prints TAP as tests/kselftest/run
// reads it: what a test has to say comes before its result.
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
		std::fflush(stdout);
	}

	void OnTestStart(const testing::TestInfo &test) override
	{
		std::printf("#  RUN  %s.%s\n", test.test_suite_name(), test.name());
		std::fflush(stdout);
	}

	void OnTestPartResult(const testing::TestPartResult &part) override
	{
		if (part.skipped()) {
			skip_reason_ = part.message();
			return;
		}
		if (!part.failed())
			return;
		std::printf("# %s:%d:\n", part.file_name() ? part.file_name() : "?",
			    part.line_number());
		std::istringstream lines{part.message()};
		for (std::string line; std::getline(lines, line);)
			std::printf("# %s\n", line.c_str());
	}

	void OnTestEnd(const testing::TestInfo &test) override
	{
		const auto &result = *test.result();

		std::printf("%s %d - %s.%s", result.Failed() ? "not ok" : "ok", ++number_,
			    test.test_suite_name(), test.name());
		if (result.Skipped())
			std::printf(" # SKIP %s", skip_reason_.c_str());
		std::printf("\n");
		std::fflush(stdout);
	}

private:
	int number_ = 0;
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
