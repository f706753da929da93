// SPDX-License-Identifier: GPL-2.0-only
// The control socket. Every peer is known by its credentials, bounded in what
// it may send and keep, and dropped when it dawdles.
#pragma once

#include "itmed/loop.hpp"
#include "lib/file.hpp"
#include "lib/protocol.hpp"

#include <functional>
#include <list>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

namespace itme {

struct Peer {
	pid_t pid = 0;
	uid_t uid = 0;
	std::vector<gid_t> groups;
};

// root may do all, the group may read; "" or why not.
[[nodiscard]] std::string refusal(const Peer &peer, RequestKind kind, std::optional<gid_t> group);

class Server {
public:
	// Called with a request that its peer may make; gives the answer, or takes
	// the ticket and calls answer() later.
	using Ticket = std::uint64_t;
	using Handler = std::function<std::optional<Result<Json>>(const Request &, Ticket)>;

	Server(Loop &loop, Handler handler) : loop_(loop), handler_(std::move(handler)) {}
	Server(const Server &) = delete;
	Server &operator=(const Server &) = delete;
	~Server();

	// Takes the socket over from an itmed that has died, not from a living one.
	Result<void> listen(const Path &path, const std::string &group);
	void answer(Ticket ticket, const Result<Json> &result);

	void drop_dawdlers(std::uint64_t now_ns);
	[[nodiscard]] std::uint64_t next_ns() const;

private:
	struct Client {
		Fd fd;
		Ticket ticket = 0;
		std::string in, out;
		std::uint64_t deadline_ns = 0;
		bool waits = false; // for an answer that comes later
		bool ends = false;  // when all is sent
	};

	void accept_all();
	void serve(Client &client, std::uint32_t events);
	void receive(Client &client);
	void next_line(Client &client);
	void say(Client &client, std::string line);
	void flush(Client &client);
	void drop(Client &client);

	Loop &loop_;
	Handler handler_;
	Path path_;
	Fd lock_, socket_;
	std::optional<gid_t> group_;
	std::list<Client> clients_;
	Ticket last_ticket_ = 0;
};

} // namespace itme
