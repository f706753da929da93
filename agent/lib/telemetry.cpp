// SPDX-License-Identifier: GPL-2.0-only
#include "lib/telemetry.hpp"

#include "fault.skel.h"
#include "itme_record.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cerrno>
#include <cstdio>
#include <map>
#include <numeric>
#include <sstream>
#include <vector>

namespace itme {

namespace {

static_assert(sizeof(itme_record_fault) == ITME_RECORD_FAULT_BYTES);
static_assert(std::tuple_size_v<Log2Histogram> == ITME_RECORD_LOG2_BUCKETS);

// What libbpf has to say is in the error that it returns; -1 to keep it quiet.
int quiet(enum libbpf_print_level, const char *, va_list)
{
	return 0;
}

// Runs that the kernel left out, because the program was running already on that CPU.
std::uint64_t left_out(const bpf_program *program)
{
	struct bpf_prog_info info{};
	__u32 size = sizeof(info);
	const int fd = bpf_program__fd(program);

	if (fd < 0 || bpf_prog_get_info_by_fd(fd, &info, &size) < 0)
		return 0;
	return info.recursion_misses;
}

Path event_format(const Path &root)
{
	const Path event = "events/itme/fault/format";
	const auto tracefs = root / "sys/kernel/tracing" / event;
	std::error_code ec;

	if (std::filesystem::exists(tracefs, ec))
		return tracefs;
	return root / "sys/kernel/debug/tracing" / event;
}

Error explain_load(int err)
{
	if (err == EPERM || err == EACCES)
		return {Exit::failed, "BPF programs need CAP_BPF and CAP_PERFMON: run as root"};
	return {Exit::unsupported, "the BPF program could not be loaded: " + errno_text(err)};
}

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

bool is_known_format(const std::string &format)
{
	// As struct fault_event in bpf/fault.bpf.c.
	static const std::map<std::string, std::pair<unsigned, unsigned>> expected = {
		{"cause", {16, 4}},
		{"latency_ns", {40, 8}},
		{"lead_ns", {48, 8}},
	};
	std::istringstream lines{format};
	std::size_t found = 0;

	for (std::string line; std::getline(lines, line);) {
		// field:u32 cause;	offset:16;	size:4;	signed:0;
		char name[64];
		unsigned offset = 0, size = 0;

		if (std::sscanf(line.c_str(), " field:%*s %63[^;]; offset:%u; size:%u;", name,
				&offset, &size) != 3)
			continue;
		const auto field = expected.find(name);
		if (field != expected.end() && field->second == std::pair{offset, size})
			found++;
	}
	return found == expected.size();
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

	libbpf_set_print(quiet);

	auto skeleton = load(true);
	if (!skeleton && skeleton.error().code != Exit::unsupported)
		return std::unexpected(skeleton.error());
	if (!skeleton) {
		probe.fallback_reason_ = skeleton.error().text;
		const auto format = read_file(event_format(root));
		if (!format)
			return fail("the module's trace event itme:fault cannot be read: " +
				    errno_text(format.error()) +
				    " (run as root, with tracefs mounted)");
		if (!is_known_format(*format))
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
