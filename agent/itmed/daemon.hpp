// SPDX-License-Identifier: GPL-2.0-only
// itmed: restores what its configuration names, observes, carries out plans, and
// answers.
#pragma once

#include "itmed/access_watcher.hpp"
#include "itmed/config.hpp"
#include "itmed/event_socket.hpp"
#include "itmed/exporter.hpp"
#include "itmed/history.hpp"
#include "itmed/loop.hpp"
#include "itmed/memory_shares.hpp"
#include "itmed/memory_socket.hpp"
#include "itmed/mover.hpp"
#include "itmed/restorer.hpp"
#include "itmed/server.hpp"
#include "itmed/service.hpp"
#include "itmed/worker.hpp"
#include "lib/conductor.hpp"
#include "lib/memory_keeper.hpp"
#include "lib/migrations.hpp"

#include <map>
#include <optional>

namespace itme {

struct DaemonOptions {
	Path config = "/etc/itme/itmed.toml";
	Path socket = default_socket;
};

// The file's text and what is in it. A file that is not there: the defaults, and no fault.
[[nodiscard]] Result<ConfigResult> read_config(const Path &file);

class Daemon {
public:
	Daemon(DaemonOptions options, Config config, Loop &loop);

	// Until SIGTERM or SIGINT. What is mounted and attached stays so.
	Result<void> run();

private:
	// Somebody waits for what is under way in a mount to end.
	struct Leaver {
		Server::Ticket ticket = 0;
		Path mount;
	};

	Result<void> start();
	Result<void> watch_signals();
	Result<void> watch_mounts();
	void hear(int signal);
	void reload();
	void listen_for_metrics();

	void mounts_changed();
	void restore(std::uint64_t now_ns);
	void begin(const Restorer::Task &task);
	void answer_leavers();
	void keep_released();
	void tell_state();

	void sample(std::uint64_t now_ns);
	void watch_events();
	void take_events();
	void tell_plans();
	void keep_memory(std::uint64_t now_ns);
	void move_memory();
	Result<void> hear_memory(const Declaration &said);
	Result<void> declare_memory(const MemoryDeclaration &declaration);
	Result<void> hear_guess(const Declaration &said);
	[[nodiscard]] std::optional<Result<Schedule>> schedule_of(const std::string &region,
								  const Path &store);

	[[nodiscard]] std::optional<Result<Json>> handle(const Request &request,
							 Server::Ticket ticket);
	[[nodiscard]] Json status_json() const;
	void add_waiting(Json &answer) const;
	[[nodiscard]] std::uint64_t next_ns() const;

	DaemonOptions options_;
	Config config_;
	Loop &loop_;
	Service service_;
	Workers workers_;
	Server server_;
	EventSocket events_;
	MemorySocket memory_socket_;
	Restorer restorer_;
	std::optional<Exporter> exporter_;
	Conductor conductor_; // before the observer, which tells it
	Observer observer_;
	History history_;
	KernelPages pages_;
	MemoryKeeper memory_;
	Mover mover_;
	AccessWatcher accesses_;
	MemoryShares shares_;
	Migrations migrations_;
	std::uint64_t next_look_ns_ = 0; // at declared memory

	Fd signals_, mountinfo_;
	std::vector<Path> mounts_;     // that are there
	std::uint64_t generation_ = 0; // of the restorer: jobs of an older one are nobody's
	std::uint64_t started_ns_ = 0, next_sample_ns_ = 0, next_heat_ns_ = 0;
	int event_fd_ = -1;                          // that the loop waits for
	std::uint64_t events_again_ns_ = UINT64_MAX; // when they are taken without it
	std::vector<Leaver> leavers_;
	std::set<Path> kept_released_;
	// Of stores; nothing while it is derived.
	std::map<Path, std::optional<Result<Schedule>>> schedules_;
	std::set<std::string> told_; // what is missing, as the log has it
	std::set<std::string> told_plans_;
	// As systemd was told: how many are mounted, restored and waiting.
	using State = std::tuple<std::size_t, std::size_t, std::size_t>;
	State told_state_{};
	bool ready_ = false, ends_ = false;
};

} // namespace itme
