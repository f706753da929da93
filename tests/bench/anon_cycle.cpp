// SPDX-License-Identifier: GPL-2.0-only
// A program with memory of its own, which it reads from its beginning to its end in each pass.
// Prints where it is, waits for a line, then measures.
#include "bench/program.hpp"

#include "replay/clock.hpp"

#include <cerrno>
#include <cstring>
#include <sys/mman.h>
#include <unistd.h>

using namespace itme;
using namespace itme::replay;

namespace {

struct Options {
	uint64_t bytes = 0;
	int warm = 2, passes = 10;
};

void declare(CLI::App &app, Options &options)
{
	app.add_option("--bytes", options.bytes)->required();
	app.add_option("--warm", options.warm, "passes that are not measured");
	app.add_option("--passes", options.passes);
}

// Each word once, so that the bandwidth of its tier counts.
uint64_t sum(const uint64_t *words, uint64_t count)
{
	uint64_t total = 0;

	for (uint64_t i = 0; i < count; i++)
		total += words[i];
	return total;
}

Result<bench::Json> measure(const Options &options)
{
	const uint64_t count = options.bytes / sizeof(uint64_t);
	auto *memory = static_cast<uint64_t *>(mmap(nullptr, options.bytes, PROT_READ | PROT_WRITE,
						    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	if (memory == MAP_FAILED)
		return fail("no memory: " + std::string{strerror(errno)});
	for (uint64_t i = 0; i < count; i++)
		memory[i] = i;
	const uint64_t right = sum(memory, count);

	std::cout << bench::Json{{"pid", getpid()},
				 {"address", reinterpret_cast<uintptr_t>(memory)}}
		  << std::endl;
	std::cin.get();
	std::vector<double> seconds;
	for (int pass = 0; pass < options.warm + options.passes; pass++) {
		const Stopwatch watch;

		if (sum(memory, count) != right)
			return fail("the memory does not hold what was written to it");
		if (pass >= options.warm)
			seconds.push_back(watch.seconds());
	}
	return bench::Json{{"median", median(seconds)}, {"passes", seconds}};
}

} // namespace

int main(int argc, char **argv)
{
	Options options;

	return bench::run(argc, argv, options, declare, measure);
}
