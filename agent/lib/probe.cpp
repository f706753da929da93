// SPDX-License-Identifier: GPL-2.0-only
#include "lib/probe.hpp"

#include "itme_record.h"
#include "lib/bpf.hpp"
#include "lib/clock.hpp"
#include "lib/event_format.hpp"
#include "lib/fd.hpp"
#include "lib/probe_state.hpp"

#include <algorithm>
#include <bit>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <cerrno>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace itme {

namespace {

static_assert(sizeof(itme_record_event) == ITME_RECORD_EVENT_BYTES);
static_assert(static_cast<int>(Event::Kind::touch) + 1 == ITME_RECORD_EVENT_TOUCH);
static_assert(static_cast<int>(Event::Kind::stall) + 1 == ITME_RECORD_EVENT_STALL);
static_assert(static_cast<int>(Event::Kind::pass_begin) + 1 == ITME_RECORD_EVENT_PASS_BEGIN);
static_assert(static_cast<int>(Event::Kind::pass_end) + 1 == ITME_RECORD_EVENT_PASS_END);
static_assert(static_cast<int>(Event::Kind::use) + 1 == ITME_RECORD_EVENT_USE);

struct FreeBtf {
	void operator()(btf *types) const { btf__free(types); }
};
using Btf = std::unique_ptr<btf, FreeBtf>;

bpf_program *program_of(telemetry_bpf *skeleton, std::string_view event, bool typed)
{
	const auto name = std::string(event) + (typed ? "_typed" : "_classic");

	return bpf_object__find_program_by_name(skeleton->obj, name.c_str());
}

// The types of the module, or why there are none.
Result<Btf> read_module_types(Btf &kernel)
{
	kernel.reset(btf__load_vmlinux_btf());
	if (!kernel)
		return fail("the kernel has no type information (BTF)", Exit::unsupported);
	Btf module{btf__load_module_btf("itme", kernel.get())};
	if (!module) {
		if (errno == EPERM)
			return std::unexpected(explain_load(EPERM));
		return fail("the module has no type information (BTF)", Exit::unsupported);
	}
	return module;
}

// How many arguments a typed tracepoint has; nothing where it is not there.
std::optional<unsigned> arguments_of(const btf *types, std::string_view event)
{
	const auto name = "btf_trace_" + std::string(event);
	const int id = btf__find_by_name_kind(types, name.c_str(), BTF_KIND_TYPEDEF);
	const btf_type *type = id > 0 ? btf__type_by_id(types, static_cast<__u32>(id)) : nullptr;

	if (type)
		type = btf__type_by_id(types, type->type); // a pointer
	if (type)
		type = btf__type_by_id(types, type->type); // to a function
	if (!type || !btf_is_func_proto(type) || btf_vlen(type) == 0)
		return std::nullopt;
	return btf_vlen(type) - 1; // the first is the program's context
}

std::string without(const EventKind &event, std::string_view why)
{
	return "itme:" + std::string(event.name) + " " + std::string(why) + ": " +
	       std::string(event.lost) + " are not seen";
}

// Which events can be had at all. A sentence for each that cannot.
Result<std::vector<std::string>> choose_typed(telemetry_bpf *skeleton)
{
	std::vector<std::string> missing;
	Btf kernel;
	const auto module = read_module_types(kernel);

	if (!module)
		return std::unexpected(module.error());
	for (const auto &event : event_kinds()) {
		const auto arguments = arguments_of(module->get(), event.name);
		const bool good = arguments && *arguments >= event.arguments;

		bpf_program__set_autoload(program_of(skeleton, event.name, true), good);
		if (!arguments)
			missing.push_back(without(event, "is not in this module"));
		else if (!good)
			missing.push_back(without(event, "tells less in this module"));
	}
	return missing;
}

Result<std::vector<std::string>> choose_classic(telemetry_bpf *skeleton, const Path &root)
{
	std::vector<std::string> missing;

	for (const auto &event : event_kinds()) {
		const auto format = read_event_format(root, event.name);
		const bool good = format && is_known_format(event.name, *format);

		if (!format && (format.error() == EACCES || format.error() == EPERM))
			return fail("the module's trace events cannot be read: run as root");
		bpf_program__set_autoload(program_of(skeleton, event.name, false), good);
		if (!format)
			missing.push_back(without(event, "is not in this module, or tracefs is "
							 "not mounted"));
		else if (!good)
			missing.push_back(without(event, "has another layout in this module"));
	}
	return missing;
}

// libbpf loads no object with relocations by type where it finds no types of a kernel,
// not even programs that have none. The object's own satisfy it.
Result<Fd> own_types()
{
	std::size_t bytes = 0;
	const void *object = telemetry_bpf::elf_bytes(&bytes);
	Fd file{memfd_create("types", MFD_CLOEXEC)};

	if (!file || write(file.get(), object, bytes) != static_cast<ssize_t>(bytes))
		return fail("the BPF programs cannot be loaded: " + errno_text(errno));
	return file;
}

int take_event(void *context, void *data, std::size_t size)
{
	const auto &sink = **static_cast<const Probe::Sink *const *>(context);
	const auto &record = *static_cast<const itme_record_event *>(data);

	if (size < sizeof(record) || record.kind < ITME_RECORD_EVENT_TOUCH ||
	    record.kind > ITME_RECORD_EVENT_USE)
		return 0;
	sink(Event{
		.kind = static_cast<Event::Kind>(record.kind - 1),
		.pid = record.pid,
		.tid = record.tid,
		.time_ns = record.time_ns,
		.region = {record.dev, record.inode},
		.granule = record.granule,
		.value = record.value,
		.cause = static_cast<StallCause>(
			std::min<std::uint32_t>(record.cause, stall_causes - 1)),
	});
	return 0;
}

} // namespace

void FreeRing::operator()(ring_buffer *ring) const
{
	ring_buffer__free(ring);
}

// Opens and loads the programs on tracepoints of one kind, and those of uprobes.
Result<void> Probe::State::load(bool typed)
{
	bpf_object_open_opts open_options{};
	std::string types_path;
	Fd types;

	open_options.sz = sizeof(open_options);
	if (!typed) {
		auto own = own_types();
		if (!own)
			return std::unexpected(own.error());
		types = std::move(*own);
		types_path = "/proc/self/fd/" + std::to_string(types.get());
		open_options.btf_custom_path = types_path.c_str();
	}
	links.clear();
	skeleton.reset(telemetry_bpf::open(&open_options));
	if (!skeleton)
		return std::unexpected(explain_load(errno));
	for (const auto &event : event_kinds()) {
		bpf_program__set_autoload(program_of(skeleton.get(), event.name, true), false);
		bpf_program__set_autoload(program_of(skeleton.get(), event.name, false), false);
	}
	auto chosen =
		typed ? choose_typed(skeleton.get()) : choose_classic(skeleton.get(), options.root);
	if (!chosen)
		return std::unexpected(chosen.error());
	if (chosen->size() == event_kinds().size())
		return fail("the module has none of the trace events that this agent knows: use "
			    "the agent built with it",
			    Exit::unsupported);
	missing = std::move(*chosen);

	skeleton->rodata->by_granule = options.heat;
	bpf_map__set_max_entries(skeleton->maps.regions, std::max(1U, options.max_regions));
	bpf_map__set_max_entries(skeleton->maps.threads, std::max(1U, options.max_threads));
	bpf_map__set_max_entries(skeleton->maps.granules, std::max(1U, options.max_granules));
	bpf_map__set_max_entries(skeleton->maps.events,
				 std::bit_ceil(std::max(4096U, options.ring_bytes)));
	if (const int err = telemetry_bpf::load(skeleton.get()))
		return std::unexpected(explain_load(-err));
	return attach_all(typed);
}

Result<void> Probe::State::attach_all(bool typed)
{
	for (const auto &event : event_kinds()) {
		bpf_program *program = program_of(skeleton.get(), event.name, typed);

		if (!bpf_program__autoload(program))
			continue;
		bpf_link *link = bpf_program__attach(program);
		if (link)
			links.emplace_back(link);
		else
			missing.push_back(without(event, "could not be attached to (" +
								 errno_text(errno) + ")"));
	}
	if (links.empty())
		return fail("none of the module's trace events could be attached to",
			    Exit::unsupported);
	return {};
}

Result<void> Probe::State::open_ring()
{
	ring.reset(
		ring_buffer__new(bpf_map__fd(skeleton->maps.events), take_event, &sink, nullptr));
	if (!ring)
		return fail("the ring buffer of events cannot be opened: " + errno_text(errno));
	return {};
}

Result<Probe> Probe::attach(const ProbeOptions &options)
{
	auto state = std::make_unique<State>();

	silence_libbpf();
	state->options = options;
	Result<void> loaded = fail("the typed tracepoints were not wanted", Exit::unsupported);
	if (!options.classic)
		loaded = state->load(true);
	if (!loaded && loaded.error().code == Exit::unsupported) {
		state->fallback_reason = loaded.error().text;
		loaded = state->load(false);
	}
	if (!loaded)
		return std::unexpected(Error{loaded.error().code,
					     loaded.error().text +
						     " (without them stalls, leads, heat and "
						     "positions are not seen; the counters in "
						     "sysfs are)"});
	if (const auto opened = state->open_ring(); !opened)
		return std::unexpected(opened.error());
	state->attached_ns = monotonic_ns();
	return Probe(std::move(state));
}

Probe::Probe(std::unique_ptr<State> state) : state_(std::move(state)) {}
Probe::Probe(Probe &&) noexcept = default;
Probe &Probe::operator=(Probe &&) noexcept = default;
Probe::~Probe() = default;

int Probe::event_fd() const
{
	return ring_buffer__epoll_fd(state_->ring.get());
}

Result<std::size_t> Probe::events(std::chrono::milliseconds timeout, const Sink &sink)
{
	const auto own = std::exchange(state_->pending, {});
	const Sink watching = [&](const Event &event) {
		state_->uprobes.notice(event.pid);
		sink(event);
	};

	for (const auto &event : own)
		sink(event);
	state_->sink = &watching;
	const bool wait = own.empty() && timeout.count() > 0;
	const int count =
		wait ? ring_buffer__poll(state_->ring.get(), static_cast<int>(timeout.count()))
		     : ring_buffer__consume(state_->ring.get());
	state_->sink = nullptr;
	if (count < 0 && count != -EINTR)
		return fail("the ring buffer of events cannot be read: " + errno_text(-count));
	return own.size() + static_cast<std::size_t>(std::max(count, 0));
}

void Probe::notice(std::uint32_t pid)
{
	state_->uprobes.notice(pid);
}

void Probe::find_runtimes()
{
	if (!state_->options.runtimes)
		return;
	state_->names.keep_up(state_->options.root);
	auto found = state_->uprobes.look(
		state_->options.root, state_->names.devices(),
		{state_->skeleton->progs.pass_begin, state_->skeleton->progs.pass_end});
	state_->pending.insert(state_->pending.end(), found.begin(), found.end());
}

const std::string &Probe::fallback_reason() const
{
	return state_->fallback_reason;
}

std::vector<std::string> Probe::degradations() const
{
	std::vector<std::string> sentences;
	struct stat pid_names{};
	constexpr ino_t initial_pid_names = 0xEFFFFFFC; // PROC_PID_INIT_INO

	if (!state_->fallback_reason.empty())
		sentences.push_back(
			"using the classic trace events, which are slower, because " +
			state_->fallback_reason +
			": bytes of granules that were not filled since are not counted");
	sentences.insert(sentences.end(), state_->missing.begin(), state_->missing.end());
	if (!state_->options.heat)
		sentences.emplace_back("nothing is counted by granule: no heat, no stalls by "
				       "position, and prefetches count as of unknown class");
	if (stat((state_->options.root / "proc/self/ns/pid").c_str(), &pid_names) == 0 &&
	    pid_names.st_ino != initial_pid_names)
		sentences.emplace_back("this is not the initial PID name space: processes are "
				       "shown with their numbers there, and runtimes in them are "
				       "not found");
	for (auto &sentence : state_->uprobes.degradations())
		sentences.push_back(std::move(sentence));
	for (const auto &drop : state_->read_drops())
		if (drop.count > 0)
			sentences.push_back(std::to_string(drop.count) + " times: " + drop.reason);
	return sentences;
}

} // namespace itme
