// SPDX-License-Identifier: GPL-2.0-only
// The BPF programs while they are attached. Nothing of bpf/ is seen through here.
#pragma once

#include "lib/error.hpp"
#include "lib/file.hpp"
#include "lib/position.hpp"
#include "lib/snapshot.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace itme {

struct ProbeOptions {
	Path root = "/";
	bool classic = false;                // do not even try the typed tracepoints
	bool heat = true;                    // count by granule: also prefetch by class needs it
	bool runtimes = true;                // look for runtimes, and attach uprobes to them
	std::uint32_t max_regions = 256;     // that are counted apart
	std::uint32_t max_threads = 4096;    // alive, that have waited
	std::uint32_t max_granules = 131072; // 256 GiB of 2 MiB granules
	std::uint32_t ring_bytes = 1U << 18; // of events
};

// Attaches what can be attached: an error only where nothing could be. What is
// missing is told by degradations(). One thread at a time.
class Probe {
public:
	[[nodiscard]] static Result<Probe> attach(const ProbeOptions &options);
	Probe(Probe &&) noexcept;
	Probe &operator=(Probe &&) noexcept;
	~Probe(); // detaches all

	// Does also the housekeeping of ended threads: call it every few seconds.
	[[nodiscard]] Result<Snapshot> snapshot();
	// Every granule that was seen, by region and granule. Costs a system call for each
	// thousand or so.
	[[nodiscard]] Result<std::vector<GranuleCounts>> granules();

	// Readable when there are events: for the caller's own poll(2).
	[[nodiscard]] int event_fd() const;
	using Sink = std::function<void(const Event &)>;
	// Hands over what is in the ring; waits at most so long for the first. The number of
	// events.
	[[nodiscard]] Result<std::size_t> events(std::chrono::milliseconds timeout,
						 const Sink &sink);

	// A process that had to do with a region: to be looked at the next time.
	void notice(std::uint32_t pid);
	// Looks at /proc for processes that map a region, and attaches uprobes to the step
	// functions of runtimes that are new in them. Every few seconds: it reads the maps of
	// those processes again, and of new ones.
	void find_runtimes();

	// "" with the typed tracepoints; else why the classic ones had to do.
	[[nodiscard]] const std::string &fallback_reason() const;
	[[nodiscard]] std::vector<std::string> degradations() const;

private:
	struct State;
	explicit Probe(std::unique_ptr<State> state);
	std::unique_ptr<State> state_;
};

} // namespace itme
