// SPDX-License-Identifier: GPL-2.0-only
// A neighbour that takes memory, and how long it has to wait for the last of it.
#include "bench/program.hpp"

#include "replay/clock.hpp"

#include <cerrno>
#include <cstring>
#include <numaif.h>
#include <sys/mman.h>

using namespace itme;
using namespace itme::replay;

namespace {

struct Options {
	uint64_t bytes = 0, last = 0;
	int node = -1;
	bool hold = false;
};

void declare(CLI::App &app, Options &options)
{
	app.add_option("--bytes", options.bytes, "so many, each page written to")->required();
	app.add_option("--last", options.last, "of them, those at the end that are timed");
	app.add_option("--node", options.node, "from this NUMA node only");
	app.add_flag("--hold", options.hold, "print, then keep them until the input ends");
}

Result<bench::Json> measure(const Options &options)
{
	auto *memory = static_cast<char *>(mmap(nullptr, options.bytes, PROT_READ | PROT_WRITE,
						MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	if (memory == MAP_FAILED)
		return fail("no memory: " + std::string{strerror(errno)});
	if (options.node >= 0) {
		const unsigned long mask = 1UL << options.node;

		if (mbind(memory, options.bytes, MPOL_BIND, &mask, 8 * sizeof(mask), 0) < 0)
			return fail("mbind: " + std::string{strerror(errno)});
	}
	const Stopwatch all;
	std::memset(memory, 1, options.bytes - options.last);
	const Stopwatch last;
	std::memset(memory + options.bytes - options.last, 1, options.last);
	const double seconds = last.seconds();

	bench::Json json{{"seconds", all.seconds()}, {"last_seconds", seconds}};
	if (!options.hold)
		return json;
	if (mlock(memory, options.bytes) < 0) // nobody else's tiering may move it away
		return fail("mlock: " + std::string{strerror(errno)});
	std::cout << json << std::endl;
	std::cin.get();
	return json;
}

} // namespace

int main(int argc, char **argv)
{
	Options options;

	return bench::run(argc, argv, options, declare, measure);
}
