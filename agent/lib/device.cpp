// SPDX-License-Identifier: GPL-2.0-only
#include "lib/device.hpp"

#include "itme.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>

namespace itme {

namespace {

static_assert(static_cast<int>(Tier::store) == ITME_TIER_STORE);
static_assert(static_cast<int>(Tier::cxl) == ITME_TIER_CXL);
static_assert(static_cast<int>(Tier::dram) == ITME_TIER_DRAM);

constexpr std::array tier_names = {"store", "cxl", "dram"};

// Bytes that one RESIDENCY call asks for: 2 GiB of a region with the least granule.
constexpr std::size_t residency_chunk = 32768;

struct Name {
	std::uint64_t bit;
	const char *name;
};

constexpr Name features[] = {
	{ITME_FEATURE_READ_ONLY, "read-only"},
	{ITME_FEATURE_HINT, "hint"},
	{ITME_FEATURE_FADVISE, "fadvise"},
};

constexpr Name hint_ops[] = {
	{1U << ITME_HINT_PREFETCH, "prefetch"}, {1U << ITME_HINT_RELEASE, "release"},
	{1U << ITME_HINT_PIN, "pin"},           {1U << ITME_HINT_UNPIN, "unpin"},
	{1U << ITME_HINT_WATCH, "watch"},       {1U << ITME_HINT_CANCEL, "cancel"},
};

template <typename Names> std::vector<std::string> names_of(std::uint64_t bits, const Names &names)
{
	std::vector<std::string> found;

	for (const auto &[bit, name] : names)
		if (bits & bit)
			found.emplace_back(name);
	return found;
}

// Every struct of the interface begins with its own size.
template <typename Argument> Argument sized()
{
	Argument argument{};

	argument.size = sizeof(argument);
	return argument;
}

template <typename T> std::uint64_t address(T *pointer)
{
	return reinterpret_cast<std::uintptr_t>(pointer);
}

// 0 or an errno.
template <typename Argument> int call(const Fd &fd, unsigned long command, Argument &argument)
{
	return ioctl(fd.get(), command, &argument) < 0 ? errno : 0;
}

Granule decode(std::uint8_t byte)
{
	return {
		.tier = static_cast<Tier>(byte & ITME_RESIDENCY_TIER_MASK),
		.busy = (byte & ITME_RESIDENCY_BUSY) != 0,
		.dirty = (byte & ITME_RESIDENCY_DIRTY) != 0,
		.pinned = (byte & ITME_RESIDENCY_PINNED) != 0,
		.held = (byte & ITME_RESIDENCY_HELD) != 0,
		.watched = (byte & ITME_RESIDENCY_WATCHED) != 0,
	};
}

} // namespace

const char *tier_name(Tier tier)
{
	const auto index = static_cast<std::size_t>(tier);

	return index < tier_names.size() ? tier_names[index] : "unknown";
}

std::optional<Tier> parse_tier(const std::string &name)
{
	const auto found = std::ranges::find(tier_names, name);

	if (found == tier_names.end())
		return std::nullopt;
	return static_cast<Tier>(found - tier_names.begin());
}

Sys<bool> is_itme(const Path &path)
{
	struct statfs fs;

	if (statfs(path.c_str(), &fs) < 0)
		return std::unexpected(errno);
	return fs.f_type == ITME_MAGIC;
}

Sys<Fd> open_path(const Path &path)
{
	// O_NONBLOCK: a FIFO given by mistake is refused and not waited for.
	Fd fd{open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
	if (!fd)
		return std::unexpected(errno);
	return fd;
}

Sys<Info> read_info(const Fd &root_or_region)
{
	auto info = sized<itme_info>();

	if (const int err = call(root_or_region, ITME_IOC_INFO, info))
		return std::unexpected(err);
	return Info{
		.instance = {info.instance, strnlen(info.instance, sizeof(info.instance))},
		.version_major = info.version >> 16,
		.version_minor = info.version & 0xffff,
		.granule_bytes = info.granule_bytes,
		.dram_bytes = info.dram_bytes,
		.cxl_bytes = info.cxl_bytes,
		.window_bytes = info.window_bytes,
		.hint_max = info.hint_max,
		.features = names_of(info.features, features),
		.hint_ops = names_of(info.hint_ops, hint_ops),
	};
}

Sys<std::uint64_t> attach(const Fd &root, const Fd &store, const Attach &request)
{
	auto argument = sized<itme_attach>();

	argument.fd = store.get();
	argument.name = address(request.name.data());
	argument.name_len = static_cast<__u32>(request.name.size());
	if (request.mode) {
		argument.flags |= ITME_ATTACH_MODE;
		argument.mode = *request.mode;
	}
	if (const int err = call(root, ITME_IOC_ATTACH, argument))
		return std::unexpected(err);
	return argument.region_bytes;
}

Sys<HintResult> carry_out(const Fd &region, const Hint &hint)
{
	auto vec = sized<itme_hint_vec>();
	struct itme_hint entry{};

	entry.op = hint.op == HintOp::prefetch ? ITME_HINT_PREFETCH : ITME_HINT_RELEASE;
	if (hint.op == HintOp::prefetch) {
		entry.hint_class = ITME_CLASS_EXACT;
		entry.tier = static_cast<__u32>(hint.tier);
	}
	entry.offset = hint.offset;
	entry.length = hint.length;
	vec.entries = address(&entry);
	vec.count = 1;
	vec.entry_size = sizeof(entry);

	if (const int err = call(region, ITME_IOC_HINT, vec))
		return std::unexpected(err);
	return HintResult{
		.accepted_bytes = entry.accepted_bytes,
		.resident_bytes = entry.resident_bytes,
		.clipped_bytes = entry.clipped_bytes,
		.refused_bytes = entry.refused_bytes,
		.error = -entry.error,
	};
}

Sys<std::vector<Granule>> read_residency(const Fd &region)
{
	std::vector<Granule> granules;
	std::vector<std::uint8_t> bytes(residency_chunk);

	for (;;) {
		auto argument = sized<itme_residency>();

		argument.first_granule = granules.size();
		argument.count = bytes.size();
		argument.buffer = address(bytes.data());
		if (const int err = call(region, ITME_IOC_RESIDENCY, argument))
			return std::unexpected(err);
		if (argument.count == 0)
			return granules;
		std::ranges::transform(bytes.begin(),
				       bytes.begin() + static_cast<std::ptrdiff_t>(argument.count),
				       std::back_inserter(granules), decode);
	}
}

Sys<Counters> read_counters(const Fd &region)
{
	auto stat = sized<itme_stat>();

	if (const int err = call(region, ITME_IOC_STAT, stat))
		return std::unexpected(err);
	return Counters{
		{"size_bytes", stat.region_bytes},       {"dram_resident_bytes", stat.dram_bytes},
		{"cxl_resident_bytes", stat.cxl_bytes},  {"fault_count", stat.fault_count},
		{"miss_count", stat.miss_count},         {"late_count", stat.late_count},
		{"touch_count", stat.touch_count},       {"fill_count", stat.fill_count},
		{"fill_bytes", stat.fill_bytes},         {"prefetch_bytes", stat.prefetch_bytes},
		{"useful_bytes", stat.useful_bytes},     {"wasted_bytes", stat.wasted_bytes},
		{"direct_bytes", stat.direct_bytes},     {"error_count", stat.error_count},
		{"demote_bytes", stat.demote_bytes},     {"promote_bytes", stat.promote_bytes},
		{"evict_bytes", stat.evict_bytes},       {"held_count", stat.held_count},
		{"timeout_count", stat.timeout_count},   {"accepted_bytes", stat.accepted_bytes},
		{"clipped_bytes", stat.clipped_bytes},   {"refused_bytes", stat.refused_bytes},
		{"expired_bytes", stat.expired_bytes},   {"cancelled_bytes", stat.cancelled_bytes},
		{"degraded_bytes", stat.degraded_bytes}, {"retired_bytes", stat.retired_bytes},
		{"metadata_bytes", stat.metadata_bytes}, {"queued_bytes", stat.queued_bytes},
		{"pinned_bytes", stat.pinned_bytes},
	};
}

} // namespace itme
