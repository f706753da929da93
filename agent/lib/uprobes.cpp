// SPDX-License-Identifier: GPL-2.0-only
#include "lib/uprobes.hpp"

#include "lib/clock.hpp"

#include <algorithm>
#include <bpf/libbpf.h>
#include <cerrno>
#include <sstream>

namespace itme {

namespace {

// Entered once for each batch of tokens, by all programs that use libllama.
constexpr const char *step_function = "llama_decode";

struct DestroyLink {
	void operator()(bpf_link *link) const { bpf_link__destroy(link); }
};
using Link = std::unique_ptr<bpf_link, DestroyLink>;

// errno in `err` where there is none.
Link attach_one(bpf_program *program, std::uint32_t pid, const std::string &file, bool at_return,
		int &err)
{
	bpf_uprobe_opts options{};

	options.sz = sizeof(options);
	options.func_name = step_function;
	options.retprobe = at_return;
	Link link{bpf_program__attach_uprobe_opts(program, static_cast<int>(pid), file.c_str(), 0,
						  &options)};
	if (!link)
		err = errno;
	return link;
}

std::string target_of(const Path &link)
{
	std::error_code ec;

	return std::filesystem::read_symlink(link, ec).string();
}

// Of proc(5), stat.
struct Stat {
	// Tells a process, and the program that it executes, from any other; "" for none. When
	// it began, and where its code and its stack do: 22, 26 and 28.
	std::string identity;
	std::string vsize; // 23: other mappings, and this is another one
};

Stat stat_of(const Path &process)
{
	const auto line = read_line(process / "stat").value_or("");
	const auto name_end = line.rfind(')');
	std::istringstream words{name_end == line.npos ? "" : line.substr(name_end + 1)};
	std::string word;
	Stat stat;

	for (int field = 3; words >> word; field++) {
		if (field == 22 || field == 26 || field == 28)
			stat.identity += word + ' ';
		else if (field == 23)
			stat.vsize = word;
	}
	return stat;
}

} // namespace

struct Uprobes::Process {
	std::string comm, identity, vsize;
	bool maps_region = false;
	std::size_t files = 0; // that were tried
	std::vector<Link> links;
	std::string problem; // "" where there is none
};

Uprobes::Uprobes() = default;
Uprobes::Uprobes(Uprobes &&) noexcept = default;
Uprobes &Uprobes::operator=(Uprobes &&) noexcept = default;
Uprobes::~Uprobes() = default;

void Uprobes::notice(std::uint32_t pid)
{
	if (pid != 0)
		processes_.try_emplace(pid);
}

bool Uprobes::attach(const Path &process, std::uint32_t pid, const std::vector<Mapping> &mappings,
		     Process &state, const Programs &programs)
{
	const auto files = runtime_files(mappings, target_of(process / "exe"));
	int why = ENOENT;

	if (files.size() == state.files && !files.empty()) // nothing was loaded since
		return state.problem.empty();
	state.files = files.size();
	for (const auto &file : files) {
		// The very file, whatever has its name by now, in any mount name space.
		const auto path = (process / "map_files" / file.range).string();
		int err = 0;
		auto begin = attach_one(programs.begin, pid, path, false, err);
		auto end = begin ? attach_one(programs.end, pid, path, true, err) : nullptr;

		if (begin && end) {
			state.links.push_back(std::move(begin));
			state.links.push_back(std::move(end));
			return true;
		}
		if (err != ENOENT && err != ESRCH)
			why = err;
	}
	state.problem = why == ENOENT ? std::string("has no symbol ") + step_function +
						" (stripped, or another runtime)"
				      : std::string(step_function) +
						" could not be probed: " + errno_text(why);
	return false;
}

std::vector<Event> Uprobes::look(const Path &root, const std::set<std::uint32_t> &devices,
				 const Programs &programs)
{
	std::vector<Event> events;

	if (!std::exchange(looked_at_all_, true)) {
		for (const auto &name : list_folder(root / "proc"))
			if (const auto pid = parse_number(name))
				notice(static_cast<std::uint32_t>(*pid));
	}
	for (auto it = processes_.begin(); it != processes_.end();) {
		const auto pid = it->first;
		auto &process = it->second;
		const auto folder = root / "proc" / std::to_string(pid);
		const auto [identity, vsize] = stat_of(folder);

		// Its mappings take long to read.
		if (!identity.empty() && process.identity == identity &&
		    (!process.links.empty() || process.vsize == vsize)) {
			++it;
			continue;
		}
		const auto mappings = parse_mappings(read_file(folder / "maps").value_or(""));
		const bool gone = identity.empty() || mappings.empty();
		if (process.maps_region && (gone || identity != process.identity)) {
			auto &event = events.emplace_back();

			event.kind = gone ? Event::Kind::exit : Event::Kind::exec;
			event.pid = event.tid = pid;
			event.time_ns = monotonic_ns();
			process = {};
		}
		if (gone || !maps_device(mappings, devices)) {
			it = processes_.erase(it); // until it is noticed again
			continue;
		}
		process.maps_region = true;
		process.identity = identity;
		process.vsize = vsize;
		process.comm = read_line(folder / "comm").value_or("?");
		if (process.links.empty() && attach(folder, pid, mappings, process, programs))
			process.problem.clear();
		++it;
	}
	return events;
}

std::vector<std::string> Uprobes::degradations() const
{
	std::vector<std::string> sentences;

	for (const auto &[pid, process] : processes_)
		if (!process.problem.empty())
			sentences.push_back("process " + std::to_string(pid) + " (" + process.comm +
					    ") " + process.problem +
					    ": its passes are told by watched granules only");
	return sentences;
}

} // namespace itme
