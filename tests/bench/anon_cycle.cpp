// SPDX-License-Identifier: GPL-2.0-only
// A program with memory of its own, which it reads item by item from its beginning to its end
// in each pass, and works on. It tells where it is, to whoever listens. Prints where its memory
// is, waits for a line, then prints a line for each pass.
#include "bench/program.hpp"

#include "libitme/libitme.h"
#include "replay/clock.hpp"
#include "replay/work.hpp"

#include <cerrno>
#include <cstring>
#include <sys/mman.h>
#include <unistd.h>

using namespace itme;
using namespace itme::replay;

namespace {

struct Options {
	uint64_t bytes = 0, item = 2 << 20, work = 0;
	int reads = 1, warm = 2, passes = 10;
	uint64_t dram = 0;
};

void declare(CLI::App &app, Options &options)
{
	app.add_option("--bytes", options.bytes)->required();
	app.add_option("--item", options.item, "bytes that are read and worked on together");
	app.add_option("--reads", options.reads, "of each item, and work after each");
	app.add_option("--work", options.work, "units of work for an item, see replay rate");
	app.add_option("--warm", options.warm, "passes that are not measured");
	app.add_option("--passes", options.passes);
	app.add_option("--dram", options.dram,
		       "declare it to itmed, with so many bytes in DRAM; 0: do not");
}

struct Words {
	uint64_t *first = nullptr;
	uint64_t count = 0;
};

using Vector = uint64_t __attribute__((vector_size(32)));
constexpr uint64_t width = sizeof(Vector) / sizeof(uint64_t);

// Each word once, so that the bandwidth of its tier counts, and as wide as programs that compute
// load: where memory is emulated, a load costs the same however little it loads.
[[gnu::target_clones("avx2", "default")]] uint64_t sum(const Words &words)
{
	const auto *vectors = reinterpret_cast<const Vector *>(words.first);
	const auto count = words.count / width;
	uint64_t total = 0;
	Vector totals{};

	for (uint64_t i = 0; i < count; i++)
		totals += vectors[i];
	for (uint64_t i = 0; i < width; i++)
		total += totals[i];
	for (uint64_t i = count * width; i < words.count; i++)
		total += words.first[i];
	return total;
}

Result<void> pass(const Options &options, const std::vector<Words> &items,
		  const std::vector<uint64_t> &right)
{
	for (size_t i = 0; i < items.size(); i++) {
		(void)itme_memory_at(i * options.item);
		for (int read = 0; read < options.reads; read++) {
			if (sum(items[i]) != right[i])
				return fail("the memory does not hold what was written to it");
			do_work(options.work / static_cast<uint64_t>(options.reads));
		}
	}
	return {};
}

Result<bench::Json> measure(const Options &options)
{
	auto *memory = static_cast<uint64_t *>(mmap(nullptr, options.bytes, PROT_READ | PROT_WRITE,
						    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	std::vector<Words> items;
	std::vector<uint64_t> right;

	if (memory == MAP_FAILED)
		return fail("no memory: " + std::string{strerror(errno)});
	if (options.item == 0 || options.item % sizeof(Vector) != 0 || options.reads < 1)
		return fail("an item has a multiple of 32 bytes, and is read");
	for (uint64_t i = 0; i < options.bytes / sizeof(uint64_t); i++)
		memory[i] = i;
	for (uint64_t at = 0; at < options.bytes; at += options.item) {
		items.push_back({memory + at / sizeof(uint64_t),
				 std::min(options.item, options.bytes - at) / sizeof(uint64_t)});
		right.push_back(sum(items.back()));
	}
	std::cout << bench::Json{{"pid", getpid()},
				 {"address", reinterpret_cast<uintptr_t>(memory)}}
		  << std::endl;
	std::cin.get();
	const itme_memory all{memory, options.bytes};
	if (const int err = options.dram > 0 ? itme_memory_declare(&all, 1, options.dram, 0) : 0)
		return fail("not declared: " + std::string{strerror(-err)});

	std::vector<double> seconds;
	for (int number = 0; number < options.warm + options.passes; number++) {
		const Stopwatch watch;

		if (const auto done = pass(options, items, right); !done)
			return std::unexpected(done.error());
		const double took = watch.seconds();
		std::cout << bench::Json{{"pass", number}, {"seconds", took}} << std::endl;
		if (number >= options.warm)
			seconds.push_back(took);
	}
	return bench::Json{{"median", median(seconds)}, {"passes", seconds}};
}

} // namespace

int main(int argc, char **argv)
{
	Options options;

	return bench::run(argc, argv, options, declare, measure);
}
