// SPDX-License-Identifier: GPL-2.0-only
// A fault on what is in memory already, by 2 MiB at a time: a region beside a
// huge file on tmpfs. Both are mapped anew, and each granule is touched.
#include "bench/program.hpp"

#include "replay/buffer.hpp"
#include "replay/clock.hpp"
#include "replay/region.hpp"

#include <fcntl.h>
#include <fstream>

using namespace itme;
using namespace itme::replay;

namespace {

struct Options {
	Path subject, peer;
	uint64_t bytes = 64 << 20;
	int rounds = 100;
	uint64_t seed = 1;
};

// What /proc/self/smaps says of all mappings together, in bytes.
uint64_t mapped_huge()
{
	std::ifstream rollup{"/proc/self/smaps_rollup"};
	uint64_t kib = 0;

	for (std::string word; rollup >> word;) {
		uint64_t value = 0;

		if ((word == "FilePmdMapped:" || word == "ShmemPmdMapped:") && rollup >> value)
			kib += value;
	}
	return kib << 10;
}

class Faults {
public:
	Faults(const Path &path, uint64_t bytes)
	    : path_(path), fd_(open(path.c_str(), O_RDONLY | O_CLOEXEC)), bytes_(bytes)
	{
	}

	// One round: the seconds of a fault.
	Result<double> round()
	{
		const auto mapping = Mapping::of_file(fd_.get(), 0, bytes_);
		if (!mapping)
			return fail(path_.string() + ": mapping: " + errno_text(errno));

		const Stopwatch watch;
		touch_pages(mapping.data(), bytes_, huge_bytes);
		return watch.seconds() / granules_;
	}

	// All of it in memory, by 2 MiB at a time: else the comparison is of other things.
	Result<void> warm_up()
	{
		const uint64_t before = mapped_huge();
		const auto mapping = Mapping::of_file(fd_.get(), 0, bytes_);
		if (!mapping)
			return fail(path_.string() + ": mapping: " + errno_text(errno));
		touch_pages(mapping.data(), bytes_);
		if (const uint64_t huge = mapped_huge() - before; huge != bytes_)
			return fail(path_.string() + ": " + std::to_string(huge) + " bytes of " +
				    std::to_string(bytes_) + " are mapped by 2 MiB at a time");
		return {};
	}

private:
	Path path_;
	Fd fd_;
	uint64_t bytes_;
	double granules_ = static_cast<double>(bytes_) / huge_bytes;
};

void declare(CLI::App &app, Options &options)
{
	app.add_option("SUBJECT", options.subject, "a region")->required();
	app.add_option("PEER", options.peer, "a file on tmpfs, huge=always")->required();
	app.add_option("--bytes", options.bytes);
	app.add_option("--rounds", options.rounds);
	app.add_option("--seed", options.seed);
}

Result<bench::Json> measure(const Options &options)
{
	Faults subject{options.subject, options.bytes}, peer{options.peer, options.bytes};
	std::vector<double> subject_s, peer_s;
	Random random{options.seed};

	const auto region = Region::open(options.subject);
	if (!region)
		return std::unexpected(region.error());
	for (auto *faults : {&subject, &peer})
		if (auto done = faults->warm_up(); !done)
			return std::unexpected(done.error());

	const auto before = region->counters();
	for (int i = 0; i < 2 * options.rounds; i += 2) {
		const bool subject_first = random.unit() < 0.5;

		for (const bool is_subject : {subject_first, !subject_first}) {
			const auto seconds = (is_subject ? subject : peer).round();
			if (!seconds)
				return std::unexpected(seconds.error());
			(is_subject ? subject_s : peer_s).push_back(*seconds);
		}
	}
	const auto after = region->counters();
	if (!before || !after)
		return fail("the region's counters cannot be read");
	const uint64_t faults = options.rounds * (options.bytes / huge_bytes);
	if (after->miss_count != before->miss_count ||
	    after->fault_count - before->fault_count != faults)
		return fail("not each of " + std::to_string(faults) + " faults found its granule");
	return bench::Json{{"subject", bench::times(subject_s)}, {"peer", bench::times(peer_s)}};
}

} // namespace

int main(int argc, char **argv)
{
	Options options;

	return bench::run(argc, argv, options, declare, measure);
}
