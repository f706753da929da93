// SPDX-License-Identifier: GPL-2.0-only
#include "itmed/server.hpp"

#include "itmed/service.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <grp.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace itme {

namespace {

constexpr std::size_t most_clients = 32;
constexpr std::uint64_t patience_ns = 10'000'000'000; // for a line, and for reading an answer
constexpr std::size_t most_groups = 65536;

Result<Peer> peer_of(int fd)
{
	ucred credentials{};
	socklen_t size = sizeof(credentials);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0)
		return fail("a peer without credentials: " + errno_text(errno));
	Peer peer{.pid = credentials.pid, .uid = credentials.uid, .groups = {}};
	std::vector<gid_t> groups(64);
	for (;;) {
		size = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
		if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size) == 0)
			break;
		if (errno != ERANGE || groups.size() > most_groups)
			return fail("a peer without groups: " + errno_text(errno));
		groups.resize(size / sizeof(gid_t));
	}
	groups.resize(size / sizeof(gid_t));
	peer.groups = std::move(groups);
	peer.groups.push_back(credentials.gid);
	return peer;
}

} // namespace

std::string refusal(const Peer &peer, RequestKind kind, std::optional<gid_t> group)
{
	if (peer.uid == 0)
		return {};
	if (changes(kind))
		return std::string{request_name(kind)} +
		       " changes what itmed does: run itmectl as root";
	if (group && std::ranges::find(peer.groups, *group) != peer.groups.end())
		return {};
	return "only root and the group of itmed's socket may ask: run itmectl as root, or join "
	       "the group";
}

Server::~Server()
{
	for (auto &client : clients_)
		loop_.remove(client.fd.get());
	if (socket_) {
		loop_.remove(socket_.get());
		unlink(path_.c_str());
	}
}

Result<void> Server::listen(const Path &path, const std::string &group)
{
	sockaddr_un address{};
	const auto lock = path.string() + ".lock";
	std::error_code ec;

	if (path.native().size() >= sizeof(address.sun_path))
		return fail(path.string() + ": too long for a socket's path", Exit::usage);
	std::filesystem::create_directories(path.parent_path(), ec);
	lock_ = Fd{open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)};
	if (!lock_)
		return fail(lock + ": " + errno_text(errno) + " (run itmed as root)");
	if (flock(lock_.get(), LOCK_EX | LOCK_NB) < 0)
		return fail("another itmed has " + path.string() + ": systemctl stop itmed first");

	// Nobody else can be listening: what is there was left by one that died.
	unlink(path.c_str());
	address.sun_family = AF_UNIX;
	path.native().copy(address.sun_path, sizeof(address.sun_path) - 1);
	socket_ = Fd{socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
	const auto before = umask(0177);
	const bool bound =
		socket_ && bind(socket_.get(), reinterpret_cast<const sockaddr *>(&address),
				sizeof(address)) == 0;
	const int err = errno;
	umask(before);
	if (!bound)
		return fail(path.string() + ": " + errno_text(err));

	if (const auto *entry = group.empty() ? nullptr : getgrnam(group.c_str())) {
		if (chown(path.c_str(), static_cast<uid_t>(-1), entry->gr_gid) == 0)
			group_ = entry->gr_gid;
		else
			log(Level::warning, path.string() + " cannot be given to the group " +
						    group + ": only root can ask");
	} else if (!group.empty()) {
		log(Level::notice, "there is no group " + group +
					   ", so only root can ask: groupadd --system " + group);
	}
	if (chmod(path.c_str(), group_ ? 0660 : 0600) < 0 ||
	    ::listen(socket_.get(), most_clients) < 0)
		return fail(path.string() + ": " + errno_text(errno));
	path_ = path;
	return loop_.add(socket_.get(), EPOLLIN, [this](std::uint32_t) { accept_all(); });
}

void Server::accept_all()
{
	for (;;) {
		Fd fd{accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
		if (!fd)
			return;
		if (clients_.size() >= most_clients) {
			const auto line = error_line({Exit::failed, "too many ask at once: try "
								    "again"});

			(void)!send(fd.get(), line.data(), line.size(),
				    MSG_NOSIGNAL | MSG_DONTWAIT);
			continue;
		}
		auto &client = clients_.emplace_back();
		client.fd = std::move(fd);
		client.ticket = ++last_ticket_;
		client.deadline_ns = monotonic_ns() + patience_ns;
		if (!loop_.add(client.fd.get(), EPOLLIN,
			       [this, &client](std::uint32_t events) { serve(client, events); }))
			clients_.pop_back();
	}
}

// The client may be gone when these return.
void Server::serve(Client &client, std::uint32_t events)
{
	if (!client.out.empty()) {
		if (events & (EPOLLHUP | EPOLLERR))
			return drop(client);
		return flush(client);
	}
	receive(client);
}

void Server::receive(Client &client)
{
	std::array<char, most_request_bytes> buffer;
	const auto n = recv(client.fd.get(), buffer.data(), most_request_bytes - client.in.size(),
			    MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		return drop(client);
	client.in.append(buffer.data(), static_cast<std::size_t>(n));
	next_line(client);
}

void Server::next_line(Client &client)
{
	const auto end = client.in.find('\n');

	if (end == client.in.npos) {
		if (client.in.size() < most_request_bytes)
			return;
		client.ends = true;
		return say(client, error_line(parse_request(client.in).error()));
	}
	const auto request = parse_request(std::string_view{client.in}.substr(0, end));
	client.in.erase(0, end + 1);
	client.deadline_ns = monotonic_ns() + patience_ns;
	if (!request) {
		// Who does not speak this language is not heard any longer.
		client.ends = true;
		return say(client, error_line(request.error()));
	}
	const auto peer = peer_of(client.fd.get());
	const auto why = peer ? refusal(*peer, request->kind, group_) : peer.error().text;
	if (!why.empty())
		return say(client, error_line({Exit::failed, why}));
	auto result = handler_(*request, client.ticket);
	if (!result) {
		// Nothing is read meanwhile; the answer has a time limit of its own.
		client.waits = true;
		client.deadline_ns = UINT64_MAX;
		loop_.change(client.fd.get(), 0);
		return;
	}
	say(client, *result ? answer_line(std::move(**result)) : error_line(result->error()));
}

void Server::answer(Ticket ticket, const Result<Json> &result)
{
	const auto client = std::ranges::find(clients_, ticket, &Client::ticket);

	if (client == clients_.end())
		return; // gone meanwhile
	client->waits = false;
	client->deadline_ns = monotonic_ns() + patience_ns;
	say(*client, result ? answer_line(*result) : error_line(result.error()));
}

void Server::say(Client &client, std::string line)
{
	client.out = std::move(line);
	flush(client);
}

void Server::flush(Client &client)
{
	const auto n = send(client.fd.get(), client.out.data(), client.out.size(),
			    MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0 && errno != EAGAIN && errno != EINTR)
		return drop(client);
	if (n > 0)
		client.out.erase(0, static_cast<std::size_t>(n));
	if (!client.out.empty()) {
		loop_.change(client.fd.get(), EPOLLOUT);
		return;
	}
	if (client.ends)
		return drop(client);
	client.out.shrink_to_fit();
	loop_.change(client.fd.get(), EPOLLIN);
	if (client.in.find('\n') != client.in.npos)
		next_line(client);
}

void Server::drop(Client &client)
{
	loop_.remove(client.fd.get());
	clients_.remove_if([&](const Client &other) { return &other == &client; });
}

void Server::drop_dawdlers(std::uint64_t now_ns)
{
	for (auto it = clients_.begin(); it != clients_.end();) {
		auto &client = *it++;

		if (client.deadline_ns <= now_ns)
			drop(client);
	}
}

std::uint64_t Server::next_ns() const
{
	std::uint64_t next = UINT64_MAX;

	for (const auto &client : clients_)
		next = std::min(next, client.deadline_ns);
	return next;
}

} // namespace itme
