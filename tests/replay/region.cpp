// SPDX-License-Identifier: GPL-2.0-only
#include "replay/region.hpp"

#include "libitme/libitme.h"
#include "replay/clock.hpp"

#include "itme.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <vector>

namespace itme::replay {

namespace {

// Every struct of the interface begins with its own size.
template <typename Argument> Argument sized()
{
	Argument argument{};

	argument.size = sizeof(argument);
	return argument;
}

template <typename T> uint64_t address(T *pointer)
{
	return reinterpret_cast<uintptr_t>(pointer);
}

std::unexpected<Error> failed(const Path &path, const char *what, int err)
{
	return fail(path.string() + ": " + what + ": " + errno_text(err));
}

struct itme_hint entry_of(const RegionHint &hint)
{
	struct itme_hint entry{};

	switch (hint.ask) {
	case Ask::prefetch:
		entry.op = ITME_HINT_PREFETCH;
		entry.tier = ITME_TIER_DRAM;
		break;
	case Ask::pin:
		entry.op = ITME_HINT_PIN;
		break;
	case Ask::release:
		entry.op = ITME_HINT_RELEASE;
		break;
	}
	if (hint.ask != Ask::release) {
		entry.hint_class = static_cast<__u32>(hint.sureness);
		entry.cookie = hint.cookie;
	}
	entry.offset = hint.offset;
	entry.length = hint.length;
	return entry;
}

} // namespace

Result<Region> Region::open(const Path &path, bool writable)
{
	Region region;
	struct stat st;

	region.path_ = path;
	region.fd_ = Fd{::open(path.c_str(), (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC)};
	if (!region.fd_ || fstat(region.fd(), &st) < 0)
		return failed(path, "opening", errno);
	region.bytes_ = static_cast<uint64_t>(st.st_size);

	itme_region *declared = nullptr;
	if (const int err = itme_region_open_fd(region.fd(), &declared); err < 0)
		return failed(path, "libitme", -err);
	region.declared_ = {declared, itme_region_close};

	auto info = sized<itme_info>();
	if (ioctl(region.fd(), ITME_IOC_INFO, &info) < 0)
		return failed(path, "INFO", errno);
	region.info_ = {
		.granule_bytes = info.granule_bytes,
		.window_bytes = info.window_bytes,
		.inflight_bytes = info.inflight_bytes,
		.hint_max = info.hint_max,
		.queue_max = info.queue_max,
	};
	return region;
}

Result<HintSums> Region::hint(std::span<const RegionHint> hints) const
{
	std::vector<struct itme_hint> entries(hints.size());
	HintSums sums;

	std::ranges::transform(hints, entries.begin(), entry_of);
	for (size_t first = 0; first < entries.size(); first += info_.hint_max) {
		auto vec = sized<itme_hint_vec>();

		vec.entries = address(&entries[first]);
		vec.count = static_cast<__u32>(
			std::min<size_t>(info_.hint_max, entries.size() - first));
		vec.entry_size = sizeof(entries[0]);
		if (ioctl(fd(), ITME_IOC_HINT, &vec) < 0)
			return failed(path_, "HINT", errno);
	}
	for (const auto &entry : entries) {
		if (entry.error != 0)
			return failed(path_, "a hint", -entry.error);
		sums.accepted_bytes += entry.accepted_bytes;
		sums.resident_bytes += entry.resident_bytes;
		sums.clipped_bytes += entry.clipped_bytes;
		sums.refused_bytes += entry.refused_bytes;
	}
	return sums;
}

Result<void> Region::guess(std::span<const RegionRange> ranges) const
{
	std::vector<itme_range> said;

	for (const auto &range : ranges)
		said.push_back({range.offset, range.length});
	const int err = itme_region_guess(declared_.get(), nullptr, said.data(),
					  static_cast<uint32_t>(said.size()));
	if (err < 0)
		return failed(path_, "a guess", -err);
	return {};
}

Result<uint64_t> Region::wait(uint64_t offset, uint64_t length) const
{
	auto wait = sized<itme_wait>();

	wait.flags = ITME_WAIT_RANGE;
	wait.offset = offset;
	wait.length = length;
	wait.timeout_ns = ~0ULL;
	if (ioctl(fd(), ITME_IOC_WAIT, &wait) < 0)
		return failed(path_, "WAIT", errno);
	return wait.ready_bytes;
}

Result<uint64_t> Region::wait(uint64_t cookie) const
{
	auto wait = sized<itme_wait>();

	wait.flags = ITME_WAIT_COOKIE;
	wait.cookie = cookie;
	wait.timeout_ns = ~0ULL;
	if (ioctl(fd(), ITME_IOC_WAIT, &wait) < 0)
		return failed(path_, "WAIT", errno);
	return wait.ready_bytes;
}

Result<bool> Region::holds(uint64_t offset, uint64_t length) const
{
	const uint64_t first = offset / info_.granule_bytes;
	const uint64_t end = (offset + length + info_.granule_bytes - 1) / info_.granule_bytes;
	std::vector<uint8_t> bytes(end - first);
	const int64_t count = itme_region_residency(declared_.get(), first, bytes.data(),
						    static_cast<uint32_t>(bytes.size()));

	if (count < 0)
		return failed(path_, "RESIDENCY", static_cast<int>(-count));
	return static_cast<uint64_t>(count) == bytes.size() &&
	       std::ranges::none_of(bytes, [](uint8_t byte) {
		       return (byte & ITME_RESIDENCY_TIER_MASK) == ITME_TIER_STORE;
	       });
}

Result<RegionCounters> Region::counters() const
{
	auto stat = sized<itme_stat>();

	if (ioctl(fd(), ITME_IOC_STAT, &stat) < 0)
		return failed(path_, "STAT", errno);
	return RegionCounters{
		.fault_count = stat.fault_count,
		.miss_count = stat.miss_count,
		.late_count = stat.late_count,
		.fill_bytes = stat.fill_bytes,
		.direct_bytes = stat.direct_bytes,
		.wasted_bytes = stat.wasted_bytes,
		.resident_bytes = stat.dram_bytes + stat.cxl_bytes,
		.queued_bytes = stat.queued_bytes,
		.metadata_bytes = stat.metadata_bytes,
		.dirty_bytes = stat.dirty_bytes,
		.writeback_bytes = stat.writeback_bytes,
		.throttle_count = stat.throttle_count,
	};
}

Result<void> Region::drop(uint64_t offset, uint64_t length) const
{
	const RegionHint release{.ask = Ask::release, .offset = offset, .length = length};
	const auto sums = hint({&release, 1});

	if (!sums)
		return std::unexpected(sums.error());
	if (sums->refused_bytes > 0)
		return fail(path_.string() + ": not all of it could be dropped");
	return {};
}

bool is_region(const Path &path)
{
	struct statfs fs;

	return statfs(path.c_str(), &fs) == 0 && fs.f_type == ITME_MAGIC;
}

Result<double> time_attach(const Path &mount, const Path &store, const std::string &name)
{
	const Fd root{open(mount.c_str(), O_RDONLY | O_CLOEXEC)};
	const Fd file{open(store.c_str(), O_RDONLY | O_CLOEXEC)};
	if (!root || !file)
		return failed(root ? store : mount, "opening", errno);

	auto argument = sized<itme_attach>();
	argument.fd = file.get();
	argument.name = address(name.data());
	argument.name_len = static_cast<__u32>(name.size());

	const Stopwatch watch;
	if (ioctl(root.get(), ITME_IOC_ATTACH, &argument) < 0)
		return failed(store, "ATTACH", errno);
	return watch.seconds();
}

} // namespace itme::replay
