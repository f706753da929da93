// SPDX-License-Identifier: GPL-2.0-only
#include "itmed/event_socket.hpp"

#include "itmed/public_socket.hpp"
#include "itmed/service.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <sys/epoll.h>
#include <sys/timerfd.h>
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
	auto socket = bind_public(path, SOCK_DGRAM);
	if (!socket)
		return std::unexpected(socket.error());
	socket_ = std::move(*socket);
	path_ = path;
	pause_ = Fd{timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)};
	if (!pause_)
		return fail(path.string() + ": " + errno_text(errno));
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
	const auto received = receive_from(socket_.get(), datagram);
	if (received.bytes < 0)
		return errno == EINTR;
	const auto pid = static_cast<std::uint32_t>(std::max<pid_t>(received.sender.pid, 0));

	auto said = received.truncated ? fail("it is too long")
				       : parse_declaration(std::span{datagram}.first(
						 static_cast<std::size_t>(received.bytes)));
	const auto region = !said ? std::unexpected(said.error())
			    : said->kind == Declaration::Kind::memory
				    ? Result<RegionId>{} // it is about its sender, not a region
				    : region_of("/", pid, said->fd);
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
