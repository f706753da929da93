// SPDX-License-Identifier: GPL-2.0-only
// The C example of Documentation/usage.md. The build has compiled it as C11, with
// every warning an error; tests/kselftest runs it on a region.
#include "tree.hpp"

#include <sys/wait.h>

namespace {

int run_example(const std::string &arguments)
{
	const auto self = std::filesystem::read_symlink("/proc/self/exe");
	const auto example = (self.parent_path() / "usage-example").string();
	const int status = std::system(("'" + example + "' " + arguments + " 2>/dev/null").c_str());

	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

} // namespace

TEST(Usage, TheExampleRunsAndSaysNoToWhatIsNoRegion)
{
	Tree tree;

	tree.file("plain", "text");
	EXPECT_EQ(run_example("'" + (tree.root() / "plain").string() + "'"), 1);
	EXPECT_EQ(run_example("'" + (tree.root() / "none").string() + "'"), 1);
}
