// SPDX-License-Identifier: GPL-2.0-only
#include "itmectl/command.hpp"

#include <iostream>
#include <unistd.h>

int main(int argc, char **argv)
{
	itme::Env env{.out = std::cout,
		      .err = std::cerr,
		      .err_is_terminal = isatty(STDERR_FILENO) == 1,
		      .out_is_terminal = isatty(STDOUT_FILENO) == 1};
	return itme::run_itmectl(argc, argv, env);
}
