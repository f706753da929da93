// SPDX-License-Identifier: GPL-2.0-only
#include "lib/damon.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

namespace itme {

namespace {

// A page of each of DAMON's regions is looked at so often; the odd microseconds are whose it is.
constexpr std::uint64_t sample_us = 100'003, aggregation_us = 4'000'003;
constexpr std::uint64_t least_regions = 10, most_regions = 1000; // of a process
constexpr std::size_t most_ranges = 64;                          // to begin with

Sys<void> write_file(const Path &file, const std::string &text)
{
	const Fd fd{open(file.c_str(), O_WRONLY | O_CLOEXEC)};

	if (!fd || write(fd.get(), text.data(), text.size()) < 0)
		return std::unexpected(errno);
	return {};
}

// While somebody is told of samples the kernel has everybody else come again.
Sys<void> write_patiently(const Path &file, const std::string &text)
{
	constexpr int tries = 200;
	constexpr useconds_t pause_us = 50'000; // ten seconds in all: more than two looks
	auto done = write_file(file, text);

	for (int i = 0; i < tries && !done && done.error() == EBUSY; i++) {
		usleep(pause_us);
		done = write_file(file, text);
	}
	return done;
}

std::uint64_t read_number(const Path &file)
{
	return parse_number(read_line(file).value_or("")).value_or(0);
}

std::uint64_t end_of(const MemoryRange &range)
{
	return range.address + range.bytes;
}

} // namespace

DamonTarget damon_target(int pid, std::vector<MemoryRange> ranges)
{
	std::ranges::sort(ranges, {}, &MemoryRange::address);
	while (ranges.size() > 1) {
		auto nearest = ranges.begin();

		for (auto range = ranges.begin(); std::next(range) != ranges.end(); ++range)
			if (std::next(range)->address - end_of(*range) <
			    std::next(nearest)->address - end_of(*nearest))
				nearest = range;
		const auto next = std::next(nearest);
		if (ranges.size() <= most_ranges && next->address != end_of(*nearest))
			break;
		nearest->bytes = end_of(*next) - nearest->address;
		ranges.erase(next);
	}
	return {pid, std::move(ranges)};
}

std::uint64_t Damon::count() const
{
	return read_number(admin_ / "nr_kdamonds");
}

bool Damon::is_ours() const
{
	for (std::size_t i = 0; i < count(); i++) {
		const auto intervals = kdamond(i) / "contexts/0/monitoring_attrs/intervals";

		if (read_number(intervals / "sample_us") != sample_us ||
		    read_number(intervals / "aggr_us") != aggregation_us)
			return false;
	}
	return true;
}

bool Damon::watches(std::span<const DamonTarget> targets) const
{
	if (count() != targets.size())
		return false;
	for (std::size_t i = 0; i < targets.size(); i++) {
		const auto target = kdamond(i) / "contexts/0/targets/0";
		const auto &ranges = targets[i].ranges;

		if (read_line(kdamond(i) / "state").value_or("") != "on" ||
		    read_number(target / "pid_target") !=
			    static_cast<std::uint64_t>(targets[i].pid) ||
		    read_number(target / "regions/nr_regions") != ranges.size())
			return false;
		for (std::size_t k = 0; k < ranges.size(); k++) {
			const auto region = target / "regions" / std::to_string(k);

			if (read_number(region / "start") != ranges[k].address ||
			    read_number(region / "end") != end_of(ranges[k]))
				return false;
		}
	}
	return true;
}

// fvaddr, not vaddr: that one would watch all of the address space before long.
Result<void> Damon::set_up(const Path &kdamond, const DamonTarget &target) const
{
	const auto context = kdamond / "contexts/0";
	const auto regions = context / "targets/0/regions";
	const auto scheme = context / "schemes/0";
	std::vector<std::pair<Path, std::string>> files{
		{kdamond / "contexts/nr_contexts", "1"},
		{context / "monitoring_attrs/intervals/sample_us", std::to_string(sample_us)},
		{context / "monitoring_attrs/intervals/aggr_us", std::to_string(aggregation_us)},
		{context / "operations", "fvaddr"},
		{context / "monitoring_attrs/nr_regions/max", std::to_string(most_regions)},
		{context / "monitoring_attrs/nr_regions/min", std::to_string(least_regions)},
		{context / "targets/nr_targets", "1"},
		{context / "targets/0/pid_target", std::to_string(target.pid)},
		{regions / "nr_regions", std::to_string(target.ranges.size())},
	};

	for (std::size_t k = 0; k < target.ranges.size(); k++) {
		const auto &range = target.ranges[k];

		files.emplace_back(regions / std::to_string(k) / "start",
				   std::to_string(range.address));
		files.emplace_back(regions / std::to_string(k) / "end",
				   std::to_string(end_of(range)));
	}
	files.emplace_back(context / "schemes/nr_schemes", "1");
	files.emplace_back(scheme / "action", "stat");
	// Of any size, however often and long.
	for (const auto *what : {"sz", "nr_accesses", "age"})
		files.emplace_back(scheme / "access_pattern" / what / "max",
				   std::to_string(UINT32_MAX));
	files.emplace_back(scheme / "access_pattern/sz/max", std::to_string(UINT64_MAX));
	for (const auto &[file, text] : files)
		if (const auto done = write_file(file, text); !done)
			return fail("DAMON does not take " + text + " for " + file.string() + ": " +
				    errno_text(done.error()));
	return {};
}

Result<void> Damon::watch(std::span<const DamonTarget> targets)
{
	std::error_code ec;

	if (!std::filesystem::exists(admin_ / "nr_kdamonds", ec))
		return fail("accesses are not seen: this kernel has no DAMON_SYSFS");
	if (!is_ours())
		return fail("accesses are not seen: DAMON is in use by another, who has "
			    "/sys/kernel/mm/damon/admin/kdamonds");
	if (watches(targets))
		return {};
	give_back();
	const auto made = write_file(admin_ / "nr_kdamonds", std::to_string(targets.size()));
	if (!made)
		return fail("accesses are not seen: DAMON gives no kdamond: " +
			    errno_text(made.error()));
	for (std::size_t i = 0; i < targets.size(); i++) {
		if (auto done = set_up(kdamond(i), targets[i]); !done) {
			give_back();
			return done;
		}
	}
	for (std::size_t i = 0; i < targets.size(); i++) {
		const auto on = write_file(kdamond(i) / "state", "on");

		// A process that has ended is forgotten soon.
		if (on || on.error() == EINVAL || on.error() == ESRCH)
			continue;
		give_back();
		return fail(on.error() == EBUSY
				    ? "accesses are not seen: DAMON is in use by a module of the "
				      "kernel (damon_reclaim, damon_lru_sort)"
				    : "accesses are not seen: DAMON: " + errno_text(on.error()));
	}
	return {};
}

Result<std::vector<std::vector<Accessed>>> Damon::read(std::size_t targets)
{
	std::vector<std::vector<Accessed>> all;

	for (std::size_t i = 0; i < targets; i++) {
		const auto tried = kdamond(i) / "contexts/0/schemes/0/tried_regions";
		auto &seen = all.emplace_back();

		if (!write_file(kdamond(i) / "state", "update_schemes_tried_regions"))
			continue; // it has ended
		for (const auto &name : list_folder(tried)) {
			if (!parse_number(name))
				continue;
			const auto values = read_lines(tried / name);
			const auto value = [&](const char *key) {
				const auto found = values.find(key);

				return found == values.end()
					       ? 0
					       : parse_number(found->second).value_or(0);
			};

			seen.push_back(
				{.address = value("start"),
				 .bytes = value("end") - value("start"),
				 .accesses = static_cast<std::uint32_t>(value("nr_accesses"))});
		}
	}
	return all;
}

// The kernel waits for ever where kdamonds are taken away while somebody waits for what one of them
// has seen (6.12): of ours only one process does anything, also of an itmed that has died.
Fd Damon::lock() const
{
	Fd fd{open(admin_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};

	while (fd && flock(fd.get(), LOCK_EX) < 0 && errno == EINTR)
		;
	return fd;
}

void Damon::give_back()
{
	const auto all = count();

	if (!has_ours())
		return;
	for (std::size_t i = 0; i < all; i++)
		(void)write_patiently(kdamond(i) / "state", "off"); // it may be so already
	(void)write_patiently(admin_ / "nr_kdamonds", "0");
}

std::string damon_request(std::span<const DamonTarget> targets)
{
	auto json = Json::array();

	for (const auto &target : targets) {
		Json one{{"pid", target.pid}, {"ranges", Json::array()}};

		for (const auto &range : target.ranges)
			one["ranges"].push_back(Json::array({range.address, range.bytes}));
		json.push_back(std::move(one));
	}
	return one_line(json);
}

Result<std::string> carry_out_damon(std::string_view request, Damon &damon)
{
	const auto json = Json::parse(request, nullptr, false);
	std::vector<DamonTarget> targets;
	auto answer = Json::array();

	if (!json.is_array())
		return fail("--damon: no list of processes", Exit::usage);
	for (const auto &one : json) {
		auto &target = targets.emplace_back();

		target.pid = static_cast<int>(number_of(one, "pid"));
		for (const auto &range : list(one, "ranges"))
			target.ranges.push_back({range.at(0), range.at(1)});
	}
	const auto lock = damon.lock();
	if (targets.empty()) {
		damon.give_back();
		return one_line(answer);
	}
	if (auto done = damon.watch(targets); !done)
		return std::unexpected(done.error());
	const auto seen = damon.read(targets.size());
	if (!seen)
		return std::unexpected(seen.error());
	for (const auto &regions : *seen) {
		auto &one = answer.emplace_back(Json::array());

		for (const auto &region : regions)
			one.push_back(Json::array({region.address, region.bytes, region.accesses}));
	}
	return one_line(answer);
}

std::vector<std::vector<Accessed>> parse_damon_answer(std::string_view answer)
{
	const auto json = Json::parse(answer, nullptr, false);
	std::vector<std::vector<Accessed>> all;

	if (!json.is_array())
		return all;
	for (const auto &regions : json) {
		auto &seen = all.emplace_back();

		for (const auto &region : regions)
			seen.push_back({region.at(0), region.at(1), region.at(2)});
	}
	return all;
}

} // namespace itme
