// SPDX-License-Identifier: GPL-2.0-only
#include "lib/telemetry.hpp"

#include "fault.skel.h"
#include "itme_record.h"
#include "lib/bpf.hpp"
#include "lib/event_format.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cerrno>
#include <numeric>
#include <vector>

namespace itme {

namespace {

static_assert(sizeof(itme_record_fault) == ITME_RECORD_FAULT_BYTES);
static_assert(std::tuple_size_v<Log2Histogram> == ITME_RECORD_LOG2_BUCKETS);

} // namespace

std::uint64_t below_ns(const Log2Histogram &histogram, double share)
{
	const auto all = std::accumulate(histogram.begin(), histogram.end(), std::uint64_t{0});
	std::uint64_t seen = 0;

	for (std::size_t bucket = 0; bucket < histogram.size(); bucket++) {
		seen += histogram[bucket];
		if (seen > 0 && static_cast<double>(seen) >= share * static_cast<double>(all))
			return bucket < 63 ? std::uint64_t{2} << bucket : UINT64_MAX;
	}
	return 0;
}

void FaultProbe::Destroy::operator()(fault_bpf *skeleton) const
{
	fault_bpf::destroy(skeleton);
}

// Loads and attaches one of the two programs.
Result<FaultProbe::Skeleton> FaultProbe::load(bool typed)
{
	Skeleton skeleton{fault_bpf::open()};

	if (!skeleton)
		return std::unexpected(explain_load(errno));
	bpf_program__set_autoload(skeleton->progs.fault_typed, typed);
	bpf_program__set_autoload(skeleton->progs.fault_classic, !typed);
	if (const int err = fault_bpf::load(skeleton.get()))
		return std::unexpected(explain_load(-err));
	if (const int err = fault_bpf::attach(skeleton.get()))
		return std::unexpected(explain_load(-err));
	return skeleton;
}

Result<FaultProbe> FaultProbe::attach(const Path &root)
{
	FaultProbe probe;

	silence_libbpf();

	auto skeleton = load(true);
	if (!skeleton && skeleton.error().code != Exit::unsupported)
		return std::unexpected(skeleton.error());
	if (!skeleton) {
		probe.fallback_reason_ = skeleton.error().text;
		const auto format = read_event_format(root, "fault");
		if (!format)
			return fail("the module's trace event itme:fault cannot be read: " +
				    errno_text(format.error()) +
				    " (run as root, with tracefs mounted)");
		if (!is_known_format("fault", *format))
			return fail(
				"the module's trace event itme:fault has another layout than this "
				"itmectl knows: use the itmectl built with it",
				Exit::unsupported);
		skeleton = load(false);
	}
	if (!skeleton)
		return std::unexpected(skeleton.error());
	probe.skeleton_ = std::move(*skeleton);
	return probe;
}

Result<FaultCounts> FaultProbe::read() const
{
	const int cpus = libbpf_num_possible_cpus();
	if (cpus < 0)
		return fail("the number of CPUs is unknown: " + errno_text(-cpus));

	std::vector<itme_record_fault> records(static_cast<std::size_t>(cpus));
	const __u32 key = 0;
	const int err =
		bpf_map__lookup_elem(skeleton_->maps.faults, &key, sizeof(key), records.data(),
				     records.size() * sizeof(records[0]), 0);
	if (err)
		return fail("the BPF program's counts cannot be read: " + errno_text(-err));

	FaultCounts counts;
	for (const auto &record : records) {
		counts.fault_count += record.fault_count;
		counts.read_count += record.read_count;
		counts.miss_count += record.miss_count;
		counts.late_count += record.late_count;
		counts.ahead_count += record.ahead_count;
		counts.latency_sum_ns += record.latency_sum_ns;
		counts.lead_sum_ns += record.lead_sum_ns;
		for (std::size_t b = 0; b < ITME_RECORD_LOG2_BUCKETS; b++) {
			counts.latency_log2_count[b] += record.latency_log2_count[b];
			counts.lead_log2_count[b] += record.lead_log2_count[b];
		}
	}
	for (const auto dropped : skeleton_->bss->drop_count)
		counts.dropped_count += dropped;
	counts.dropped_count += left_out(skeleton_->progs.fault_typed);
	counts.dropped_count += left_out(skeleton_->progs.fault_classic);
	return counts;
}

} // namespace itme
