// SPDX-License-Identifier: GPL-2.0-only
#include "itmed/event_socket.hpp"

#include "itmed/service.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

namespace itme {

namespace {

constexpr std::uint64_t ms_ns = 1'000'000;
// Whoever floods the socket gets a third of a processor at most, and nobody waits long.
constexpr int most_at_once = 64;
constexpr std::uint64_t most_ns = 5 * ms_ns, pause_ns = 10 * ms_ns;
constexpr std::size_t most_bytes = 2048;
// A sender's clock may be another one's, as in a container with a time of its own.
constexpr std::uint64_t oldest_ns = 1000 * ms_ns;

} // namespace

EventSocket::~EventSocket()
{
	if (pause_)
		loop_.remove(pause_.get());
	if (socket_) {
		loop_.remove(socket_.get());
		unlink(path_.c_str());
	}
}

Result<void> EventSocket::listen(const Path &path)
{
	const int on = 1;
	sockaddr_un address{};
	const auto *name = reinterpret_cast<const sockaddr *>(&address);

	if (path.native().size() >= sizeof(address.sun_path))
		return fail(path.string() + ": too long for a socket's path", Exit::usage);
	address.sun_family = AF_UNIX;
	path.native().copy(address.sun_path, sizeof(address.sun_path) - 1);
	Fd socket{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
	pause_ = Fd{timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)};
	if (!socket || !pause_)
		return fail(path.string() + ": " + errno_text(errno));
	if (connect(socket.get(), name, sizeof(address)) == 0)
		return fail(path.string() + " is another itmed's: give --socket in another folder");
	unlink(path.c_str());
	if (bind(socket.get(), name, sizeof(address)) < 0 || chmod(path.c_str(), 0666) < 0 ||
	    setsockopt(socket.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
		return fail(path.string() + ": " + errno_text(errno));
	socket_ = std::move(socket);
	path_ = path;
	if (auto done = loop_.add(pause_.get(), EPOLLIN,
				  [this](std::uint32_t) {
					  std::uint64_t times = 0;

					  (void)!read(pause_.get(), &times, sizeof(times));
					  loop_.change(socket_.get(), EPOLLIN);
				  });
	    !done)
		return done;
	return loop_.add(socket_.get(), EPOLLIN, [this](std::uint32_t) { receive_some(); });
}

void EventSocket::receive_some()
{
	const auto end = monotonic_ns() + most_ns;

	for (int i = 0; i < most_at_once && monotonic_ns() < end; i++)
		if (!receive())
			return;
	const itimerspec pause{.it_interval = {}, .it_value = {.tv_sec = 0, .tv_nsec = pause_ns}};
	if (timerfd_settime(pause_.get(), 0, &pause, nullptr) == 0)
		loop_.change(socket_.get(), 0);
}

// False: there is none.
bool EventSocket::receive()
{
	std::array<std::byte, most_bytes> datagram;
	// Room for the credentials only: the kernel closes descriptors that are sent along.
	alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(ucred))> control;
	iovec part{.iov_base = datagram.data(), .iov_len = datagram.size()};
	msghdr message{};
	ucred sender{};

	message.msg_iov = &part;
	message.msg_iovlen = 1;
	message.msg_control = control.data();
	message.msg_controllen = control.size();
	const auto n = recvmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0)
		return errno == EINTR;
	if (const auto *header = CMSG_FIRSTHDR(&message); header != nullptr &&
							  header->cmsg_level == SOL_SOCKET &&
							  header->cmsg_type == SCM_CREDENTIALS)
		std::memcpy(&sender, CMSG_DATA(header), sizeof(sender));
	const auto pid = static_cast<std::uint32_t>(std::max<pid_t>(sender.pid, 0));

	auto said =
		(message.msg_flags & MSG_TRUNC) != 0
			? fail("it is too long")
			: parse_declaration(std::span{datagram}.first(static_cast<std::size_t>(n)));
	const auto region = said ? region_of("/", pid, said->fd) : std::unexpected(said.error());
	if (!region) {
		counts_.refused++;
		tell("refused", pid, region.error().text);
		return true;
	}
	const auto now = monotonic_ns();
	said->region = *region;
	said->pid = pid;
	if (said->time_ns > now || now - said->time_ns > oldest_ns)
		said->time_ns = now;
	if (const auto done = handler_(*said)) {
		counts_.taken++;
	} else {
		counts_.ignored++;
		tell("ignored", pid, done.error().text);
	}
	return true;
}

void EventSocket::tell(const std::string &what, std::uint32_t pid, const std::string &why)
{
	if (told_.insert(why).second)
		log(Level::notice, "an event of process " + std::to_string(pid) + " is " + what +
					   ", as all of its kind: " + why);
}

Json EventSocket::to_json() const
{
	return {{"taken", counts_.taken},
		{"ignored", counts_.ignored},
		{"refused", counts_.refused}};
}

} // namespace itme
