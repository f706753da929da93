// SPDX-License-Identifier: GPL-2.0-only
#include "itmed/daemon.hpp"

#include "lib/flow.hpp"
#include "lib/host.hpp"
#include "lib/mounts.hpp"
#include "lib/process_memory.hpp"
#include "lib/reports.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <fstream>
#include <sstream>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

namespace itme {

namespace {

constexpr std::uint64_t second_ns = 1'000'000'000;
constexpr std::uint64_t idle_ns = 30 * second_ns; // between looks when nothing is mounted
constexpr std::uint64_t heat_ns = 10 * second_ns;
constexpr std::uint64_t patience_ns = 30 * second_ns; // for the first tries, before READY
constexpr std::size_t history_entries = 32;

ObserverOptions observer_options(const Config &config, Conductor &conductor,
				 decltype(ObserverOptions::schedule) schedule)
{
	return {.root = "/",
		.probe = config.probe,
		.positions = config.positions,
		.conductor = config.plans ? &conductor : nullptr,
		.schedule = std::move(schedule)};
}

// Mounts that were released before this itmed was started, by one that died.
Path released_file(const Path &socket)
{
	return socket.parent_path() / "released";
}

std::set<Path> read_released(const Path &file)
{
	std::set<Path> paths;
	const auto json = Json::parse(read_file(file).value_or("[]"), nullptr, false);

	if (json.is_array())
		for (const auto &entry : json)
			if (entry.is_string())
				paths.insert(entry.get<std::string>());
	return paths;
}

MemoryNodes memory_nodes()
{
	MemoryNodes nodes;

	for (const auto &node : read_nodes("/")) {
		nodes.bytes += node.memory_bytes;
		if (node.memory_bytes > 0)
			(node.has_cpus ? nodes.dram : nodes.cxl).push_back(node.id);
	}
	return nodes;
}

double cpu_seconds()
{
	rusage usage{};
	const auto seconds = [](const timeval &time) {
		return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
	};

	getrusage(RUSAGE_SELF, &usage);
	return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

} // namespace

Result<ConfigResult> read_config(const Path &file)
{
	const auto text = read_file(file);

	if (!text && text.error() == ENOENT)
		return ConfigResult{};
	if (!text)
		return fail(file.string() + ": " + errno_text(text.error()));
	return parse_config(*text, file.string());
}

Daemon::Daemon(DaemonOptions options, Config config, Loop &loop)
    : options_(std::move(options)), config_(std::move(config)), loop_(loop), workers_(loop),
      server_(loop, [this](const Request &request,
			   Server::Ticket ticket) { return handle(request, ticket); }),
      events_(loop,
	      [this](const Declaration &said) {
		      if (said.kind == Declaration::Kind::guess)
			      return hear_guess(said);
		      if (said.kind == Declaration::Kind::memory)
			      return hear_memory(said);
		      auto done = observer_.hear(said);
		      if (done && config_.plans)
			      conductor_.carry_out(monotonic_ns());
		      return done;
	      }),
      memory_socket_(loop,
		     [this](const MemoryDeclaration &said) {
			     return said.ranges.empty() ? memory_.forget_own(said.pid)
							: declare_memory(said);
		     }),
      restorer_(config_.mounts, read_released(released_file(options_.socket))),
      observer_(observer_options(config_, conductor_,
				 [this](const std::string &region, const Path &store) {
					 return schedule_of(region, store);
				 })),
      history_(history_entries), memory_(pages_, {}),
      mover_(loop, pages_,
	     [this](const MemoryMove &move, const Sys<std::vector<int>> &nodes,
		    std::uint64_t took_ns) {
		     memory_.moved(move, nodes, took_ns);
		     move_memory();
	     }),
      accesses_(loop, workers_, memory_),
      shares_(conductor_, memory_, options_.socket.parent_path() / "shares"),
      kept_released_(restorer_.released())
{
}

// ----------------------------------------------------------------------
// From start to end

Result<void> Daemon::start()
{
	if (auto done = watch_signals(); !done)
		return done;
	if (auto done = server_.listen(options_.socket, config_.socket_group); !done)
		return done;
	// It works without: positions are seen from outside then.
	if (const auto done = events_.listen(options_.socket.parent_path() / "events.sock"); !done)
		log(Level::error, done.error().text);
	if (const auto done = memory_socket_.listen(options_.socket.parent_path() / "memory.sock");
	    !done)
		log(Level::error, done.error().text);
	if (auto done = mover_.start(); !done)
		return done;
	accesses_.start();
	shares_.start();
	if (auto done = watch_mounts(); !done)
		return done;
	listen_for_metrics();
	return {};
}

Result<void> Daemon::run()
{
	started_ns_ = monotonic_ns();
	if (auto done = start(); !done)
		return done;
	mounts_changed();

	while (!ends_) {
		const auto now = monotonic_ns();

		service_.beat(now);
		server_.drop_dawdlers(now);
		memory_socket_.drop_dawdlers(now);
		if (now >= restorer_.next_ns())
			restore(now);
		if (now >= next_sample_ns_)
			sample(now);
		keep_memory(now);
		accesses_.step(now);
		shares_.step(now);
		if (now >= events_again_ns_)
			take_events();
		tell_state();
		if (auto done = loop_.turn(next_ns()); !done)
			return done;
	}
	service_.stopping();
	shares_.end();
	accesses_.end();
	// A clean end is meant: the next start restores everything.
	std::error_code ec;
	std::filesystem::remove(released_file(options_.socket), ec);
	return {};
}

std::uint64_t Daemon::next_ns() const
{
	return std::min({service_.next_ns(), server_.next_ns(), memory_socket_.next_ns(),
			 restorer_.next_ns(), accesses_.next_ns(), shares_.next_ns(),
			 next_sample_ns_, events_again_ns_,
			 memory_.empty() ? UINT64_MAX : next_look_ns_,
			 ready_ ? UINT64_MAX : started_ns_ + patience_ns});
}

Result<void> Daemon::watch_signals()
{
	sigset_t set;

	sigemptyset(&set);
	for (const int number : {SIGTERM, SIGINT, SIGHUP})
		sigaddset(&set, number);
	sigprocmask(SIG_BLOCK, &set, nullptr); // before any thread
	std::signal(SIGPIPE, SIG_IGN);
	signals_ = Fd{signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)};
	if (!signals_)
		return fail("no signalfd: " + errno_text(errno));
	return loop_.add(signals_.get(), EPOLLIN, [this](std::uint32_t) {
		signalfd_siginfo info{};

		while (read(signals_.get(), &info, sizeof(info)) == sizeof(info))
			hear(static_cast<int>(info.ssi_signo));
	});
}

void Daemon::hear(int signal)
{
	if (signal == SIGHUP)
		reload();
	else
		ends_ = true;
}

void Daemon::reload()
{
	service_.reloading();
	auto read = read_config(options_.config);

	if (!read)
		log(Level::error, "not reloaded: " + read.error().text);
	else
		for (const auto &fault : read->faults)
			log(Level::error, "not reloaded: " + fault);
	if (read && read->faults.empty()) {
		const bool other_metrics = read->config.metrics != config_.metrics;

		if (read->config.socket_group != config_.socket_group)
			log(Level::warning, "another socket_group takes a restart: systemctl "
					    "restart itmed");
		config_ = std::move(read->config);
		generation_++;
		if (event_fd_ >= 0) // its owner goes
			loop_.remove(std::exchange(event_fd_, -1));
		restorer_ = Restorer{config_.mounts};
		conductor_ = Conductor{};
		observer_ = Observer{observer_options(
			config_, conductor_, [this](const std::string &region, const Path &store) {
				return schedule_of(region, store);
			})};
		watch_events();
		schedules_.clear();
		if (other_metrics)
			listen_for_metrics();
		next_sample_ns_ = 0;
		log(Level::info, "reloaded");
	}
	ready_ = false; // READY=1 again tells systemd that the reload is over
	started_ns_ = monotonic_ns();
	mounts_changed();
	answer_leavers();
}

void Daemon::listen_for_metrics()
{
	exporter_.reset();
	if (config_.metrics.empty())
		return;
	auto exporter = Exporter::listen(config_.metrics);
	if (!exporter)
		return log(Level::error, exporter.error().text);
	exporter_ = std::move(*exporter);
	exporter_->publish(history_.newest(), {.cpu_seconds = cpu_seconds()});
}

// ----------------------------------------------------------------------
// Restoring

Result<void> Daemon::watch_mounts()
{
	mountinfo_ = Fd{open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC)};
	if (!mountinfo_)
		return fail("/proc/self/mountinfo: " + errno_text(errno));
	return loop_.add(mountinfo_.get(), EPOLLPRI | EPOLLERR | EPOLLET,
			 [this](std::uint32_t) { mounts_changed(); });
}

void Daemon::mounts_changed()
{
	const auto found = read_mounts("/");
	std::vector<Path> before = std::move(mounts_);

	mounts_.clear();
	if (found)
		for (const auto &mount : *found)
			mounts_.push_back(mount.path);
	// One that is mounted anew is no longer the one that was left alone.
	for (const auto &path : before)
		if (std::ranges::find(mounts_, path) == mounts_.end())
			observer_.take_up(path);
	restore(monotonic_ns());
	if (before != mounts_)
		next_sample_ns_ = 0;
}

void Daemon::restore(std::uint64_t now_ns)
{
	const Restorer::Facts facts{
		.is_mounted =
			[this](const Path &path) {
				return std::ranges::find(mounts_, path) != mounts_.end();
			},
		.has_region =
			[](const Path &mount, const std::string &name) {
				struct stat status{};

				return lstat((mount / name).c_str(), &status) == 0;
			},
	};

	for (const auto &task : restorer_.step(now_ns, facts))
		begin(task);
	keep_released();
}

void Daemon::begin(const Restorer::Task &task)
{
	const auto generation = generation_;

	workers_.start({"--job", job_text(task.job)}, [this, task,
						       generation](int status,
								   const std::string &output) {
		if (generation != generation_)
			return;
		const auto what = task.job.attach
					  ? (task.job.mount / task.job.attach->name).string()
					  : task.job.mount.string();
		auto result = status == 0 ? Result<void>{} : Result<void>{fail(output)};
		if (!result && output.empty())
			result = fail(what + ": the process that was to restore it died");
		const auto &goal =
			task.attachment < 0
				? restorer_.mount_goal(task.mount)
				: restorer_.attach_goal(task.mount,
							static_cast<std::size_t>(task.attachment));
		const auto last_reason = goal.reason;

		restorer_.done(task, result, monotonic_ns());
		if (result)
			log(Level::info, what + " restored");
		else if (result.error().text != last_reason) // not at each try
			log(Level::warning, what + " not restored yet: " + result.error().text);
		answer_leavers();
		mounts_changed();
	});
}

void Daemon::answer_leavers()
{
	std::erase_if(leavers_, [this](const Leaver &leaver) {
		// Once more: a job that was under way may have made it.
		observer_.let_go(leaver.mount);
		if (restorer_.release(leaver.mount, "itmectl umount"))
			return false;
		server_.answer(leaver.ticket, Json{{"released", leaver.mount.string()}});
		return true;
	});
}

// For an itmed that takes over from this one if it dies.
void Daemon::keep_released()
{
	const auto released = restorer_.released();
	const auto file = released_file(options_.socket);
	std::error_code ec;

	if (released == kept_released_)
		return;
	auto json = Json::array();
	for (const auto &path : released)
		json.push_back(path.string());
	const auto next = file.string() + ".new";
	std::ofstream{next} << one_line(json) << '\n';
	std::filesystem::rename(next, file, ec);
	if (ec)
		log(Level::warning, file.string() + ": " + ec.message());
	kept_released_ = released;
}

void Daemon::tell_state()
{
	std::size_t there = 0, waiting = 0;

	for (std::size_t i = 0; i < restorer_.mounts().size(); i++) {
		const auto count = [&](const Goal &goal) {
			there += goal.state == GoalState::there;
			waiting += goal.state == GoalState::waiting ||
				   goal.state == GoalState::working;
		};

		count(restorer_.mount_goal(i));
		for (std::size_t k = 0; k < restorer_.mounts()[i].attachments.size(); k++)
			count(restorer_.attach_goal(i, k));
	}
	const bool now_ready =
		ready_ || restorer_.tried() || monotonic_ns() >= started_ns_ + patience_ns;
	const State state{mounts_.size(), there, waiting};
	// Each turn of the loop asks. After a reload it is to be said again.
	if (!now_ready || (ready_ && state == told_state_))
		return;
	const auto status = std::to_string(mounts_.size()) + " mounted, " + std::to_string(there) +
			    " restored, " + std::to_string(waiting) + " waiting";
	if (ready_)
		service_.status(status);
	else
		service_.ready(status);
	ready_ = true;
	told_state_ = state;
}

// ----------------------------------------------------------------------
// Observing

void Daemon::sample(std::uint64_t now_ns)
{
	history_.add(observer_.sample(now_ns));
	const auto newest = history_.newest();

	if (now_ns >= next_heat_ns_) {
		observer_.add_heat(now_ns);
		next_heat_ns_ = now_ns + heat_ns;
	}
	next_sample_ns_ = now_ns + (newest->instances.empty()
					    ? idle_ns
					    : std::chrono::nanoseconds{config_.sample}.count());
	if (config_.plans)
		conductor_.sample(now_ns, newest->instances,
				  newest->seen ? &*newest->seen : nullptr);
	tell_plans();
	restore(now_ns); // regions are detached without an event
	watch_events();
	if (exporter_) {
		AgentFacts agent{.cpu_seconds = cpu_seconds(), .plans = conductor_.reports()};

		for (const auto &mount : restorer_.to_json()) {
			agent.waiting += text_of(mount, "state") == "waiting";
			for (const auto &attach : list(mount, "attachments"))
				agent.waiting += text_of(attach, "state") == "waiting";
		}
		exporter_->publish(newest, agent);
	}
	std::set<std::string> told{newest->missing.begin(), newest->missing.end()};
	for (const auto &text : told)
		if (!told_.contains(text))
			log(Level::notice, text);
	told_ = std::move(told);
}

// What a plan does not do, and why: once in the log.
void Daemon::tell_plans()
{
	std::set<std::string> told;

	for (const auto &report : conductor_.reports()) {
		const auto what = report.instance + "/" + report.region;

		if (report.state == PlanState::follows)
			told.insert(what + ": the run follows its schedule, so hints are given");
		else if (!report.why.empty() && report.state != PlanState::idle)
			told.insert(what + ": " + report.why);
	}
	for (const auto &text : told)
		if (!told_plans_.contains(text))
			log(Level::notice, text);
	told_plans_ = std::move(told);
}

// Events come with each stall and each use: they are taken some at a time, as late as
// the hints and the watches that follow from them can bear.
void Daemon::watch_events()
{
	constexpr std::uint32_t once = EPOLLIN | EPOLLONESHOT;
	const int fd = observer_.event_fd();

	if (fd >= 0 && events_again_ns_ != UINT64_MAX)
		return; // it has told of one, and tells of no other
	if (fd >= 0 && fd == event_fd_ && loop_.change(fd, once))
		return;
	if (event_fd_ >= 0)
		loop_.remove(std::exchange(event_fd_, -1));
	if (fd >= 0 && loop_.add(fd, once, [this](std::uint32_t) { take_events(); }))
		event_fd_ = fd;
}

// While they come the loop waits for the time only; for the events where there were none.
void Daemon::take_events()
{
	const bool came = observer_.drain();

	if (observer_.takes_news())
		next_sample_ns_ = 0;
	events_again_ns_ = UINT64_MAX;
	if (came) {
		const auto now = monotonic_ns();

		if (config_.plans)
			conductor_.carry_out(now);
		events_again_ns_ =
			now + std::min(observer_.patience_ns(),
				       config_.plans ? conductor_.patience_ns() : UINT64_MAX);
	}
	watch_events();
}

Result<void> Daemon::hear_guess(const Declaration &said)
{
	if (!config_.plans)
		return fail("a guess, and plans = false in " + options_.config.string());
	// First what is known: where the run is, and what was used.
	if (conductor_.takes_guesses(said.region))
		observer_.drain();
	return conductor_.guess(said);
}

std::optional<Result<Schedule>> Daemon::schedule_of(const std::string &region, const Path &store)
{
	std::string wanted = "auto";

	for (const auto &mount : config_.mounts)
		for (const auto &attach : mount.attachments)
			if (attach.name == region && attach.store == store)
				wanted = attach.schedule;
	if (wanted == "none")
		return Result<Schedule>{fail("schedule = \"none\" in " + options_.config.string())};

	const auto [entry, is_new] = schedules_.try_emplace(store);
	if (!is_new)
		return entry->second;
	const auto file = wanted == "auto" ? store : Path{wanted};
	const auto generation = generation_;
	workers_.start({"--schedule", file.string()}, [this, store, generation,
						       wanted](int status,
							       const std::string &output) {
		if (generation != generation_)
			return;
		auto schedule = status == 0 ? parse_schedule(output) : Parsed<Schedule>{};
		// What is no model may be learned; a declared file that is
		// wrong is to be seen to.
		if (status != 0)
			schedules_[store] = Result<Schedule>{
				fail(output, wanted == "auto" ? Exit::unsupported : Exit::failed)};
		else if (!schedule)
			schedules_[store] = Result<Schedule>{fail(schedule.error().text())};
		else
			schedules_[store] = Result<Schedule>{std::move(*schedule)};
		next_sample_ns_ = 0; // it was waited for
	});
	return std::nullopt;
}

void Daemon::keep_memory(std::uint64_t now_ns)
{
	if (memory_.empty() || now_ns < next_look_ns_)
		return;
	memory_.look(now_ns);
	next_look_ns_ = now_ns + second_ns;
	move_memory();
}

void Daemon::move_memory()
{
	if (mover_.busy())
		return;
	if (auto move = memory_.next(monotonic_ns()))
		mover_.move(std::move(*move));
}

Result<void> Daemon::hear_memory(const Declaration &said)
{
	auto done = memory_.at(static_cast<int>(said.pid), said.offset, said.time_ns);

	if (done)
		move_memory();
	return done;
}

Result<void> Daemon::declare_memory(const MemoryDeclaration &declaration)
{
	memory_.use(memory_nodes());
	if (auto good = shares_.check(declaration); !good)
		return good;
	if (auto done = memory_.declare(declaration); !done)
		return done;
	migrations_.watch();
	accesses_.changed();
	shares_.changed();
	move_memory();
	log(Level::info, "memory of process " + std::to_string(declaration.pid) + " is placed");
	return {};
}

// ----------------------------------------------------------------------
// Answering

Json Daemon::status_json() const
{
	Json json{{"pid", getpid()},
		  {"config", options_.config.string()},
		  {"ready", ready_},
		  {"cpu_seconds", cpu_seconds()},
		  {"uptime_ns", monotonic_ns() - started_ns_},
		  {"metrics_port", exporter_ ? Json(exporter_->port()) : Json()}};

	json["events"] = events_.to_json();
	json["restore"] = restorer_.to_json();
	json["mounted"] = Json::array();
	for (const auto &path : mounts_)
		json["mounted"].push_back(path.string());
	return json;
}

// People see it where they look: in itmectl top.
void Daemon::add_waiting(Json &answer) const
{
	const auto add = [&](const Json &goal, const std::string &what) {
		if (text_of(goal, "state") == "waiting" && !text_of(goal, "reason").empty())
			answer["missing"].push_back("not restored yet: " + what + ": " +
						    text_of(goal, "reason"));
	};

	for (const auto &mount : restorer_.to_json()) {
		const auto path = text_of(mount, "mount");

		add(mount, path);
		for (const auto &attach : list(mount, "attachments"))
			add(attach, path + "/" + text_of(attach, "region"));
	}
}

std::optional<Result<Json>> Daemon::handle(const Request &request, Server::Ticket ticket)
{
	const auto now = monotonic_ns();
	const auto newest = history_.newest();
	const auto fresh = [&] {
		// At most once a second, however many ask.
		if (!newest || now >= newest->time_ns + second_ns * 9 / 10)
			sample(now);
		return history_.newest();
	};

	switch (request.kind) {
	case RequestKind::status:
		return status_json();
	case RequestKind::observe: {
		const auto last = fresh();
		const auto since = request.since_ns != 0
					   ? request.since_ns
					   : last->time_ns - std::min(last->time_ns, second_ns);
		auto flow = flow_json(*history_.since(since), *last, observer_.trail());

		add_waiting(flow);
		flow["memory"] = memory_json("/", memory_.to_json());
		return flow;
	}
	case RequestKind::stalls: {
		const auto last = fresh();
		const auto layers = observer_.layers();

		if (!layers)
			return Result<Json>{std::unexpected(layers.error())};
		return stalls_json(*last, *layers);
	}
	case RequestKind::prefetch:
		return prefetch_json(*fresh());
	case RequestKind::plan: {
		const auto last = fresh();
		auto json = plans_json(conductor_.reports());

		json["shares"] = shares_.to_json();
		json["missing"] = last->missing;
		if (!config_.plans)
			json["missing"].push_back("plans = false in " + options_.config.string() +
						  ": no plan is carried out");
		return json;
	}
	case RequestKind::heat:
		fresh();
		observer_.add_heat(now);
		return heat_json(observer_.heat(), request.region);
	case RequestKind::release:
		leavers_.push_back({ticket, Path{request.mount}.lexically_normal()});
		log(Level::info, "letting go of " + request.mount);
		observer_.let_go(leavers_.back().mount);
		if (restorer_.release(leavers_.back().mount, "itmectl umount"))
			return std::nullopt; // when the job that is under way has ended
		keep_released();
		leavers_.pop_back();
		return Json{{"released", request.mount}};
	case RequestKind::restore: {
		const auto mount = Path{request.mount}.lexically_normal();

		observer_.take_up(mount);
		restorer_.restore(mount);
		restore(now);
		return status_json();
	}
	case RequestKind::memory: {
		auto json = memory_.to_json();

		json["shares"] = shares_.to_json();
		json["accesses_missing"] = accesses_.missing();
		json["migrations"] = migrations_.to_json();
		return json;
	}
	case RequestKind::declare:
		if (auto done = declare_memory(request.memory); !done)
			return Result<Json>{std::unexpected(done.error())};
		return memory_.to_json();
	case RequestKind::forget:
		if (!memory_.forget(request.memory.pid))
			return Result<Json>{fail("process " + std::to_string(request.memory.pid) +
						 " has declared no memory")};
		return memory_.to_json();
	}
	return Result<Json>{fail("not answered")};
}

} // namespace itme
