// SPDX-License-Identifier: GPL-2.0-only
#include "itmectl/measure.hpp"

#include "lib/fd.hpp"
#include "lib/file.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <fcntl.h>
#include <memory>
#include <numeric>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace itme {

namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t block_bytes = 2 << 20, alignment = 4096;
constexpr unsigned readers = 4;
constexpr std::chrono::milliseconds store_time{400}, memory_time{200};
constexpr size_t memory_bytes = 64 << 20; // each thread's, far above its caches' share

double since(Clock::time_point start)
{
	return std::chrono::duration<double>(Clock::now() - start).count();
}

struct Reads {
	std::vector<double> seconds; // of each block
	int error = 0;
};

// Every reader walks through blocks of its own, far apart.
void read_blocks(int fd, uint64_t blocks, unsigned reader, Clock::time_point end, Reads &reads)
{
	std::unique_ptr<void, decltype(&free)> buffer(std::aligned_alloc(alignment, block_bytes),
						      free);

	for (uint64_t i = reader * (blocks / readers); buffer && Clock::now() < end; i++) {
		const auto start = Clock::now();
		const ssize_t got = pread(fd, buffer.get(), block_bytes,
					  static_cast<off_t>(i % blocks * block_bytes));

		if (got < 0) {
			reads.error = errno;
			return;
		}
		reads.seconds.push_back(since(start));
	}
}

Result<Link> measure_store(const std::string &file)
{
	const Fd fd(open(file.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC));
	struct stat status{};
	std::vector<Reads> reads(readers);
	std::vector<double> all;
	Link link;

	if (!fd || fstat(fd.get(), &status) != 0)
		return fail(file + ": cannot be read past the page cache (" + errno_text(errno) +
			    "); state the store's rate with --rates store=...");
	const auto blocks = static_cast<uint64_t>(status.st_size) / block_bytes;

	if (blocks < readers)
		return fail(file + ": too small to measure the store with; state its rate with "
				   "--rates store=...");
	const auto start = Clock::now();
	{
		std::vector<std::jthread> threads;

		for (unsigned i = 0; i < readers; i++)
			threads.emplace_back(read_blocks, fd.get(), blocks, i, start + store_time,
					     std::ref(reads[i]));
	}
	const double took = since(start);
	double sum = 0;

	for (const Reads &r : reads) {
		if (r.error != 0)
			return fail(file + ": " + errno_text(r.error));
		all.insert(all.end(), r.seconds.begin(), r.seconds.end());
	}
	if (all.empty())
		return fail(file + ": nothing could be read in time");
	std::sort(all.begin(), all.end());
	for (const double s : all)
		sum += s;
	link.bytes_per_s = static_cast<double>(all.size() * block_bytes) / took;
	link.p99_over_mean = std::clamp(
		all[all.size() * 99 / 100] / (sum / static_cast<double>(all.size())), 1.0, 10.0);
	link.depth_bytes = 2 << 20;
	return link;
}

// Bytes a second, from when the memory is there; at least one round.
void sum_memory(double &bytes_per_s, uint64_t &sink)
{
	const std::vector<uint64_t> words(memory_bytes / sizeof(uint64_t), 1);
	const auto start = Clock::now();
	double bytes = 0;
	uint64_t sum = 0;

	do {
		for (const uint64_t word : words)
			sum += word;
		bytes += memory_bytes;
	} while (Clock::now() < start + memory_time);
	bytes_per_s = bytes / since(start);
	sink = sum;
}

double measure_memory()
{
	const unsigned count = std::clamp(std::thread::hardware_concurrency(), 1U, 16U);
	std::vector<double> rates(count);
	std::vector<uint64_t> sinks(count);

	{
		std::vector<std::jthread> threads;

		for (unsigned i = 0; i < count; i++)
			threads.emplace_back(sum_memory, std::ref(rates[i]), std::ref(sinks[i]));
	}
	return std::accumulate(rates.begin(), rates.end(), 0.0);
}

} // namespace

Result<Rates> measure_rates(const std::string &file)
{
	const auto store = measure_store(file);
	Rates rates;

	if (!store)
		return std::unexpected(store.error());
	rates.store = *store;
	rates.dram.bytes_per_s = measure_memory();
	rates.origin = "measured (CXL assumed)";
	return rates;
}

} // namespace itme
