// SPDX-License-Identifier: GPL-2.0-only
#include "itmectl/gnuplot.hpp"

#include <csignal>
#include <cstdio>
#include <sys/wait.h>

namespace itme {

Result<void> run_gnuplot(const std::string &script)
{
	// A gnuplot that is not there closes the pipe: told by its status, not by a signal.
	const auto before = std::signal(SIGPIPE, SIG_IGN);
	FILE *pipe = popen("exec gnuplot", "w");

	if (pipe == nullptr)
		return fail("gnuplot cannot be started");
	const bool written = fwrite(script.data(), 1, script.size(), pipe) == script.size();
	const int status = pclose(pipe);

	std::signal(SIGPIPE, before);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return fail("gnuplot is not installed: apt install gnuplot-nox", Exit::unsupported);
	if (!written || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return fail("gnuplot could not draw the picture");
	return {};
}

} // namespace itme
