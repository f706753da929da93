// SPDX-License-Identifier: GPL-2.0-only
// How fast memory is copied from one NUMA node to another.
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
	uint64_t bytes = 64ULL << 20;
	int from = 0, to = 0, rounds = 10;
};

void declare(CLI::App &app, Options &options)
{
	app.add_option("--bytes", options.bytes);
	app.add_option("--from", options.from, "a NUMA node");
	app.add_option("--to", options.to, "another");
	app.add_option("--rounds", options.rounds);
}

Result<char *> memory_of(int node, uint64_t bytes)
{
	auto *memory = static_cast<char *>(
		mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	const unsigned long mask = 1UL << node;

	if (memory == MAP_FAILED || mbind(memory, bytes, MPOL_BIND, &mask, 8 * sizeof(mask), 0) < 0)
		return fail("no memory of node " + std::to_string(node) + ": " +
			    std::string{strerror(errno)});
	std::memset(memory, 1, bytes);
	return memory;
}

Result<bench::Json> measure(const Options &options)
{
	const auto from = memory_of(options.from, options.bytes);
	const auto to = memory_of(options.to, options.bytes);
	if (!from || !to)
		return std::unexpected(from ? to.error() : from.error());

	std::vector<double> seconds;
	for (int round = 0; round < options.rounds; round++) {
		const Stopwatch watch;

		std::memcpy(*to, *from, options.bytes);
		seconds.push_back(watch.seconds());
	}
	return bench::Json{{"bytes_per_s", static_cast<double>(options.bytes) / median(seconds)}};
}

} // namespace

int main(int argc, char **argv)
{
	Options options;

	return bench::run(argc, argv, options, declare, measure);
}
