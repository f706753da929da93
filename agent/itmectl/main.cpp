// SPDX-License-Identifier: GPL-2.0-only
#include "itmectl/command.hpp"

#include <iostream>

int main(int argc, char **argv)
{
	itme::Env env{std::cout, std::cerr};
	return itme::run_itmectl(argc, argv, env);
}
