// SPDX-License-Identifier: GPL-2.0-only
// Uprobes on the step functions of runtimes, in the processes that map a region.
#pragma once

#include "lib/file.hpp"
#include "lib/mappings.hpp"
#include "lib/position.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

struct bpf_link;
struct bpf_program;

namespace itme {

class Uprobes {
public:
	struct Programs {
		bpf_program *begin, *end;
	};

	Uprobes();
	Uprobes(Uprobes &&) noexcept;
	Uprobes &operator=(Uprobes &&) noexcept;
	~Uprobes();

	// A process that had to do with a region: the next look() looks at it.
	void notice(std::uint32_t pid);
	// Looks at processes that were noticed, the first time at all; attaches to those that map
	// a file of these devices. Gives the events exec and exit of those that do not any more.
	std::vector<Event> look(const Path &root, const std::set<std::uint32_t> &devices,
				const Programs &programs);
	[[nodiscard]] std::vector<std::string> degradations() const;

private:
	struct Process;
	bool attach(const Path &process, std::uint32_t pid, const std::vector<Mapping> &mappings,
		    Process &state, const Programs &programs);

	std::map<std::uint32_t, Process> processes_; // that were noticed
	bool looked_at_all_ = false;
};

} // namespace itme
