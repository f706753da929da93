// SPDX-License-Identifier: GPL-2.0-only
// What the BPF programs have counted, from their maps.
#include "itme_record.h"
#include "lib/bpf.hpp"
#include "lib/cgroups.hpp"
#include "lib/clock.hpp"
#include "lib/probe_state.hpp"

#include <algorithm>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cerrno>
#include <cstring>

namespace itme {

namespace {

static_assert(sizeof(itme_record_region) == ITME_RECORD_REGION_BYTES);
static_assert(sizeof(itme_record_thread) == ITME_RECORD_THREAD_BYTES);
static_assert(sizeof(itme_record_granule) == ITME_RECORD_GRANULE_BYTES);
static_assert(stall_causes == ITME_RECORD_STALLS);
static_assert(byte_causes == ITME_RECORD_BYTE_CAUSES);
static_assert(hint_classes_seen == ITME_RECORD_CLASSES);

constexpr std::size_t most_ended_threads = 1024;
constexpr std::uint32_t batch = 1024;

Stalls stalls_of(const itme_record_stall (&records)[ITME_RECORD_STALLS])
{
	Stalls stalls;

	for (std::size_t i = 0; i < stall_causes; i++)
		stalls.by_cause[i] = {records[i].count, records[i].bytes, records[i].ns};
	return stalls;
}

void add(Histogram &histogram, const itme_record_histogram &record)
{
	histogram.sum += record.sum;
	for (std::size_t b = 0; b < ITME_RECORD_LOG2_BUCKETS; b++)
		histogram.count[b] += record.log2_count[b];
}

// What one CPU has counted.
void add(RegionCounts &counts, const itme_record_region &record)
{
	counts.granule_bytes = std::max<std::uint64_t>(counts.granule_bytes, record.granule_bytes);
	counts.region_bytes = std::max<std::uint64_t>(counts.region_bytes, record.region_bytes);
	counts.faults += record.fault_count;
	counts.waited_reads += record.waited_read_count;
	counts.touches += record.touch_count;
	counts.errors += record.error_count;
	counts.stalls += stalls_of(record.stall);
	add(counts.latency_ns, record.latency_ns);
	add(counts.lead_ns, record.lead_ns);
	add(counts.fill_ns, record.fill_ns);
	for (std::size_t tier = 0; tier < counts.bytes.size(); tier++) {
		for (std::size_t cause = 0; cause < byte_causes; cause++)
			counts.bytes[tier][cause] += record.tier_bytes[tier][cause];
		counts.dropped_bytes[tier] += record.dropped_bytes[tier];
	}
	for (std::size_t i = 0; i < hint_classes_seen; i++) {
		counts.prefetch[i].accepted += record.prefetch[i].accepted_bytes;
		counts.prefetch[i].clipped += record.prefetch[i].clipped_bytes;
		counts.prefetch[i].fetched += record.prefetch[i].fetched_bytes;
		counts.prefetch[i].useful += record.prefetch[i].useful_bytes;
		counts.prefetch[i].wasted += record.prefetch[i].wasted_bytes;
	}
	counts.promote_ns += record.promote_ns;
	counts.demote_ns += record.demote_ns;
	counts.held_moves += record.held_count;
}

// Calls visit(key, value) for all of a hash map that is not per CPU.
template <typename Key, typename Value>
Result<void> for_each(const bpf_map *map, const std::function<void(const Key &, Value &)> &visit)
{
	std::vector<Key> keys(batch);
	std::vector<Value> values(batch);
	Key position{}; // the kernel's: it needs as many bytes as a key, at least 4
	bool first = true;

	for (int err = 0; err == 0; first = false) {
		__u32 count = batch;

		err = bpf_map_lookup_batch(bpf_map__fd(map), first ? nullptr : &position, &position,
					   keys.data(), values.data(), &count, nullptr);
		if (err && errno != ENOENT)
			return fail("the BPF programs' counts cannot be read: " +
				    errno_text(errno));
		for (std::size_t i = 0; i < count; i++)
			visit(keys[i], values[i]);
	}
	return {};
}

bool is_alive(const Path &root, std::uint32_t pid, std::uint32_t tid)
{
	std::error_code ec;

	return std::filesystem::exists(
		root / "proc" / std::to_string(pid) / "task" / std::to_string(tid), ec);
}

} // namespace

Result<std::vector<RegionCounts>> Probe::State::read_regions()
{
	const int cpus = libbpf_num_possible_cpus();
	if (cpus < 0)
		return fail("the number of CPUs is unknown: " + errno_text(-cpus));

	const int map = bpf_map__fd(skeleton->maps.regions);
	std::vector<itme_record_region> records(static_cast<std::size_t>(cpus));
	std::vector<RegionCounts> regions;
	itme_record_region_key key{}, *previous = nullptr;

	while (bpf_map_get_next_key(map, previous, &key) == 0) {
		previous = &key;
		if (bpf_map_lookup_elem(map, &key, records.data()) != 0)
			continue;
		auto &counts = regions.emplace_back();
		counts.id = {key.dev, key.inode};
		for (const auto &record : records)
			add(counts, record);
	}
	for (auto &counts : regions) {
		names.look_for(options.root, counts.id);
		names.fill_in(counts);
	}
	std::ranges::sort(regions, {}, &RegionCounts::id);
	return regions;
}

// Threads that have ended are taken out of the map, to make room, and remembered.
Result<std::vector<ThreadStalls>> Probe::State::read_threads(std::uint64_t now_ns)
{
	std::vector<ThreadStalls> threads;
	std::vector<__u64> gone;
	const auto read = for_each<__u64, itme_record_thread>(
		skeleton->maps.threads, [&](const __u64 &id, const itme_record_thread &record) {
			ThreadStalls thread{
				.pid = static_cast<std::uint32_t>(id >> 32),
				.tid = static_cast<std::uint32_t>(id),
				.comm = {record.comm, strnlen(record.comm, sizeof(record.comm))},
				.cgroup_id = record.cgroup_id,
				.first_ns = record.first_ns,
				.last_ns = record.last_ns,
				.alive = true,
				.stalls = stalls_of(record.stall),
			};

			uprobes.notice(thread.pid);
			thread.alive = is_alive(options.root, thread.pid, thread.tid);
			if (thread.alive) {
				thread.last_ns = now_ns;
				threads.push_back(std::move(thread));
			} else {
				gone.push_back(id);
				ended.push_back(std::move(thread));
			}
		});

	if (!read)
		return std::unexpected(read.error());
	for (const auto id : gone)
		bpf_map_delete_elem(bpf_map__fd(skeleton->maps.threads), &id);
	for (; ended.size() > most_ended_threads; forgotten_threads++)
		ended.pop_front();
	threads.insert(threads.end(), ended.begin(), ended.end());
	std::ranges::stable_sort(threads, std::greater<>(),
				 [](const ThreadStalls &thread) { return thread.stalls.ns(); });
	return threads;
}

// A cgroup is looked for once, while it is there; later its threads may be all that is known.
void Probe::State::name_cgroups(const std::vector<ThreadStalls> &threads)
{
	std::set<std::uint64_t> unknown, known;

	for (const auto &thread : threads)
		(cgroups.contains(thread.cgroup_id) ? known : unknown).insert(thread.cgroup_id);
	std::erase_if(cgroups, [&](const auto &entry) { return !known.contains(entry.first); });
	if (unknown.empty())
		return;
	cgroups.merge(find_cgroups(options.root, unknown));
	for (const auto id : unknown)
		cgroups.try_emplace(id);
}

std::vector<Drop> Probe::State::read_drops() const
{
	// In the order of enum itme_record_drop.
	static constexpr std::array reasons = {
		"a CPU had no slot to count in",
		"the table of regions was full: the event was not counted",
		"the table of threads was full: the wait was counted by region only",
		"the table of granules was full: no heat, and its prefetch is of unknown class",
		"the ring of events was full: positions may have been passed unseen",
		"an event came without its region and was not counted",
		"the size of a granule was not known: its bytes were not counted",
	};
	static_assert(reasons.size() == ITME_RECORD_DROP_REASONS);
	std::vector<Drop> drops;
	std::uint64_t not_run = 0;

	for (std::size_t i = 0; i < reasons.size(); i++)
		drops.push_back({reasons[i], skeleton->bss->drop_count[i]});
	bpf_program *program = nullptr;
	bpf_object__for_each_program(program, skeleton->obj)
	{
		if (bpf_program__autoload(program))
			not_run += left_out(program);
	}
	drops.push_back({"the kernel left a program out, which ran on that CPU already", not_run});
	drops.push_back({"an ended thread was forgotten, to make room", forgotten_threads});
	return drops;
}

Result<Snapshot> Probe::snapshot()
{
	Snapshot snapshot;

	snapshot.attached_ns = state_->attached_ns;
	snapshot.time_ns = monotonic_ns();
	auto regions = state_->read_regions();
	if (!regions)
		return std::unexpected(regions.error());
	auto threads = state_->read_threads(snapshot.time_ns);
	if (!threads)
		return std::unexpected(threads.error());
	snapshot.regions = std::move(*regions);
	snapshot.threads = std::move(*threads);
	state_->name_cgroups(snapshot.threads);
	snapshot.cgroups = state_->cgroups;
	snapshot.drops = state_->read_drops();
	snapshot.degradations = degradations();
	return snapshot;
}

Result<std::vector<GranuleCounts>> Probe::granules()
{
	std::vector<GranuleCounts> granules;
	const auto read = for_each<itme_record_granule_key, itme_record_granule>(
		state_->skeleton->maps.granules,
		[&](const itme_record_granule_key &key, const itme_record_granule &record) {
			auto &counts = granules.emplace_back();

			counts.region = {key.region.dev, key.region.inode};
			counts.granule = key.granule;
			counts.faults = record.fault_count;
			counts.fills = record.fill_count;
			counts.touches = record.touch_count;
			std::ranges::copy(record.stall_ns, counts.stall_ns.begin());
		});

	if (!read)
		return std::unexpected(read.error());
	std::ranges::sort(granules, [](const GranuleCounts &a, const GranuleCounts &b) {
		return std::tie(a.region, a.granule) < std::tie(b.region, b.granule);
	});
	return granules;
}

} // namespace itme
