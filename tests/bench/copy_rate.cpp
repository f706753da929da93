// SPDX-License-Identifier: GPL-2.0-only
// How fast memory is copied from one NUMA node to another, or moved there.
#include "bench/program.hpp"

#include "replay/clock.hpp"

#include <cerrno>
#include <cstring>
#include <numaif.h>
#include <sys/mman.h>

using namespace itme;
using namespace itme::replay;

namespace {

constexpr uint64_t piece = 2 << 20; // as itmed moves them

struct Options {
	uint64_t bytes = 64ULL << 20;
	int from = 0, to = 0, rounds = 10;
	bool move = false;
};

void declare(CLI::App &app, Options &options)
{
	app.add_option("--bytes", options.bytes);
	app.add_option("--from", options.from, "a NUMA node");
	app.add_option("--to", options.to, "another");
	app.add_option("--rounds", options.rounds);
	app.add_flag("--move", options.move, "by move_pages(2), and 2 MiB each");
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

// To the node, whose bytes a second are wanted, or back.
Result<void> move(char *memory, uint64_t bytes, int node)
{
	constexpr uint64_t page = 4096, count = piece / page;
	const std::vector<int> nodes(count, node);
	std::vector<int> status(count);
	std::vector<void *> pages(count);

	for (uint64_t at = 0; at < bytes; at += piece) {
		for (uint64_t i = 0; i < count; i++)
			pages[i] = memory + at + i * page;
		if (move_pages(0, count, pages.data(), nodes.data(), status.data(), MPOL_MF_MOVE) <
		    0)
			return fail("not moved: " + std::string{strerror(errno)});
	}
	return {};
}

Result<bench::Json> measure_moves(const Options &options)
{
	if (options.bytes % piece != 0)
		return fail("--bytes: with --move whole pieces of 2 MiB");
	const auto memory = memory_of(options.from, options.bytes);
	std::vector<double> seconds;

	if (!memory)
		return std::unexpected(memory.error());
	for (int round = 0; round < options.rounds; round++) {
		const Stopwatch watch;

		if (auto done = move(*memory, options.bytes, options.to); !done)
			return std::unexpected(done.error());
		seconds.push_back(watch.seconds());
		if (auto done = move(*memory, options.bytes, options.from); !done)
			return std::unexpected(done.error());
	}
	return bench::Json{{"bytes_per_s", static_cast<double>(options.bytes) / median(seconds)}};
}

Result<bench::Json> measure(const Options &options)
{
	if (options.move)
		return measure_moves(options);
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
