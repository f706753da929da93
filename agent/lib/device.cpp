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

static_assert(static_cast<int>(HintOp::prefetch) == ITME_HINT_PREFETCH);
static_assert(static_cast<int>(HintOp::release) == ITME_HINT_RELEASE);
static_assert(static_cast<int>(HintOp::pin) == ITME_HINT_PIN);
static_assert(static_cast<int>(HintOp::unpin) == ITME_HINT_UNPIN);
static_assert(static_cast<int>(HintOp::watch) == ITME_HINT_WATCH);
static_assert(static_cast<int>(HintOp::cancel) == ITME_HINT_CANCEL);

static_assert(static_cast<int>(HintClass::exact) == ITME_CLASS_EXACT);
static_assert(static_cast<int>(HintClass::likely) == ITME_CLASS_LIKELY);
static_assert(static_cast<int>(HintClass::maybe) == ITME_CLASS_MAYBE);

// Bytes that one RESIDENCY call asks for: 2 GiB of a region with the least granule.
constexpr std::size_t residency_chunk = 32768;
constexpr std::size_t hint_chunk = 1024; // the module takes no fewer

struct Name {
	std::uint64_t bit;
	const char *name;
};

constexpr Name features[] = {
	{ITME_FEATURE_READ_ONLY, "read-only"},
	{ITME_FEATURE_HINT, "hint"},
	{ITME_FEATURE_FADVISE, "fadvise"},
	{ITME_FEATURE_READ_WRITE, "read-write"},
};

constexpr Name hint_ops[] = {
	{1U << ITME_HINT_PREFETCH, "prefetch"}, {1U << ITME_HINT_RELEASE, "release"},
	{1U << ITME_HINT_PIN, "pin"},           {1U << ITME_HINT_UNPIN, "unpin"},
	{1U << ITME_HINT_WATCH, "watch"},       {1U << ITME_HINT_CANCEL, "cancel"},
};

constexpr Name hint_classes[] = {
	{1U << ITME_CLASS_EXACT, "exact"},
	{1U << ITME_CLASS_LIKELY, "likely"},
	{1U << ITME_CLASS_MAYBE, "maybe"},
};

template <typename Names> const char *name_of(unsigned number, const Names &names)
{
	for (const auto &[bit, name] : names)
		if (bit == 1U << number)
			return name;
	return "unknown";
}

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

// Only the fields that the op has a use for: the module refuses the others.
struct itme_hint encode(const Hint &hint)
{
	const bool queues = hint.op == HintOp::prefetch || hint.op == HintOp::pin;
	struct itme_hint entry{};

	entry.op = static_cast<__u32>(hint.op);
	if (queues) {
		entry.hint_class = static_cast<__u32>(hint.hint_class);
		entry.tier = static_cast<__u32>(hint.tier);
		entry.deadline_ns = hint.deadline_ns;
	}
	if (queues || hint.op == HintOp::cancel)
		entry.cookie = hint.cookie;
	if (hint.op == HintOp::release && hint.force)
		entry.flags = ITME_HINT_FORCE;
	if (hint.op == HintOp::cancel && hint.cookie != 0)
		return entry; // by its cookie, not by a range
	entry.offset = hint.offset;
	entry.length = hint.length;
	return entry;
}

Sys<Outcome> wait(const Fd &region, itme_wait &argument)
{
	if (const int err = call(region, ITME_IOC_WAIT, argument))
		return std::unexpected(err);
	return Outcome{
		.ready_bytes = argument.ready_bytes,
		.failed_bytes = argument.failed_bytes,
		.expired_bytes = argument.expired_bytes,
		.lost_bytes = argument.lost_bytes,
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

const char *op_name(HintOp op)
{
	return name_of(static_cast<unsigned>(op), hint_ops);
}

const char *class_name(HintClass hint_class)
{
	return name_of(static_cast<unsigned>(hint_class), hint_classes);
}

std::optional<HintClass> parse_class(const std::string &name)
{
	for (const auto hint_class : {HintClass::exact, HintClass::likely, HintClass::maybe})
		if (name == class_name(hint_class))
			return hint_class;
	return std::nullopt;
}

Sys<bool> is_itme(const Path &path)
{
	struct statfs fs;

	if (statfs(path.c_str(), &fs) < 0)
		return std::unexpected(errno);
	return fs.f_type == ITME_MAGIC;
}

Sys<Fd> open_path(const Path &path, bool writable)
{
	const int access = writable ? O_RDWR : O_RDONLY;

	// O_NONBLOCK: a FIFO given by mistake is refused and not waited for.
	Fd fd{open(path.c_str(), access | O_CLOEXEC | O_NONBLOCK)};
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
		.inflight_bytes = info.inflight_bytes,
		.pin_limit_bytes = info.pin_limit_bytes,
		.hint_max = info.hint_max,
		.queue_max = info.queue_max,
		.cookie_max = info.cookie_max,
		.features = names_of(info.features, features),
		.hint_ops = names_of(info.hint_ops, hint_ops),
		.hint_classes = names_of(info.hint_classes, hint_classes),
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
	if (request.writable)
		argument.flags |= ITME_ATTACH_WRITE;
	if (const int err = call(root, ITME_IOC_ATTACH, argument))
		return std::unexpected(err);
	return argument.region_bytes;
}

Hint watch_of(const GranuleRange &range, std::uint64_t granule_bytes, std::uint64_t region_bytes)
{
	const auto offset = range.first * granule_bytes;

	return {.op = HintOp::watch,
		.offset = offset,
		.length = std::min(range.count * granule_bytes, region_bytes - offset)};
}

Sys<HintResult> carry_out(const Fd &region, const Hint &hint)
{
	const auto results = carry_out(region, std::span{&hint, 1});

	return results ? Sys<HintResult>{results->front()} : std::unexpected(results.error());
}

Sys<std::vector<HintResult>> carry_out(const Fd &region, std::span<const Hint> hints)
{
	std::vector<HintResult> results;
	std::vector<struct itme_hint> entries;

	while (results.size() < hints.size()) {
		const auto some = hints.subspan(
			results.size(), std::min(hint_chunk, hints.size() - results.size()));
		auto vec = sized<itme_hint_vec>();

		entries.clear();
		std::ranges::transform(some, std::back_inserter(entries), encode);
		vec.entries = address(entries.data());
		vec.count = static_cast<__u32>(entries.size());
		vec.entry_size = sizeof(entries[0]);
		if (const int err = call(region, ITME_IOC_HINT, vec))
			return std::unexpected(err);
		for (const auto &entry : entries)
			results.push_back({
				.accepted_bytes = entry.accepted_bytes,
				.resident_bytes = entry.resident_bytes,
				.clipped_bytes = entry.clipped_bytes,
				.refused_bytes = entry.refused_bytes,
				.error = -entry.error,
			});
	}
	return results;
}

Sys<Outcome> wait_cookie(const Fd &region, std::uint64_t cookie, std::uint64_t timeout_ns)
{
	auto argument = sized<itme_wait>();

	argument.flags = ITME_WAIT_COOKIE;
	argument.cookie = cookie;
	argument.timeout_ns = timeout_ns;
	return wait(region, argument);
}

Sys<Outcome> wait_range(const Fd &region, std::uint64_t offset, std::uint64_t length,
			std::uint64_t timeout_ns)
{
	auto argument = sized<itme_wait>();

	argument.flags = ITME_WAIT_RANGE;
	argument.offset = offset;
	argument.length = length;
	argument.timeout_ns = timeout_ns;
	return wait(region, argument);
}

Sys<std::vector<Granule>> read_residency(const Fd &region, std::uint64_t first, std::uint64_t count)
{
	std::vector<Granule> granules;
	std::vector<std::uint8_t> bytes(std::min<std::uint64_t>(residency_chunk, count));

	while (granules.size() < count) {
		auto argument = sized<itme_residency>();

		argument.first_granule = first + granules.size();
		argument.count = std::min<std::uint64_t>(bytes.size(), count - granules.size());
		argument.buffer = address(bytes.data());
		if (const int err = call(region, ITME_IOC_RESIDENCY, argument))
			return std::unexpected(err);
		if (argument.count == 0)
			break;
		std::ranges::transform(bytes.begin(),
				       bytes.begin() + static_cast<std::ptrdiff_t>(argument.count),
				       std::back_inserter(granules), decode);
	}
	return granules;
}

Sys<Counters> read_counters(const Fd &region)
{
	auto stat = sized<itme_stat>();

	if (const int err = call(region, ITME_IOC_STAT, stat))
		return std::unexpected(err);
	return Counters{
		{"size_bytes", stat.region_bytes},
		{"dram_resident_bytes", stat.dram_bytes},
		{"cxl_resident_bytes", stat.cxl_bytes},
		{"fault_count", stat.fault_count},
		{"miss_count", stat.miss_count},
		{"late_count", stat.late_count},
		{"touch_count", stat.touch_count},
		{"fill_count", stat.fill_count},
		{"fill_bytes", stat.fill_bytes},
		{"prefetch_bytes", stat.prefetch_bytes},
		{"useful_bytes", stat.useful_bytes},
		{"wasted_bytes", stat.wasted_bytes},
		{"direct_bytes", stat.direct_bytes},
		{"error_count", stat.error_count},
		{"demote_bytes", stat.demote_bytes},
		{"promote_bytes", stat.promote_bytes},
		{"evict_bytes", stat.evict_bytes},
		{"held_count", stat.held_count},
		{"timeout_count", stat.timeout_count},
		{"accepted_bytes", stat.accepted_bytes},
		{"clipped_bytes", stat.clipped_bytes},
		{"refused_bytes", stat.refused_bytes},
		{"expired_bytes", stat.expired_bytes},
		{"cancelled_bytes", stat.cancelled_bytes},
		{"degraded_bytes", stat.degraded_bytes},
		{"retired_bytes", stat.retired_bytes},
		{"metadata_bytes", stat.metadata_bytes},
		{"queued_bytes", stat.queued_bytes},
		{"pinned_bytes", stat.pinned_bytes},
		{"dirty_bytes", stat.dirty_bytes},
		{"dirtied_bytes", stat.dirtied_bytes},
		{"writeback_count", stat.writeback_count},
		{"writeback_bytes", stat.writeback_bytes},
		{"writeback_error_count", stat.writeback_error_count},
		{"throttle_count", stat.throttle_count},
		{"lost_bytes", stat.lost_bytes},
	};
}

} // namespace itme
