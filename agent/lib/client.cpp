// SPDX-License-Identifier: GPL-2.0-only
#include "lib/client.hpp"

#include "lib/fd.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace itme {

namespace {

using Clock = std::chrono::steady_clock;

Result<Fd> connect_to(const Path &socket_path, std::chrono::milliseconds patience)
{
	sockaddr_un address{};
	const auto &text = socket_path.native();

	if (text.size() >= sizeof(address.sun_path))
		return fail(text + ": too long for a socket's path", Exit::usage);
	address.sun_family = AF_UNIX;
	text.copy(address.sun_path, sizeof(address.sun_path) - 1);

	Fd fd{socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
	if (!fd)
		return fail("no socket: " + errno_text(errno));
	// Of connect(2) too, which waits while too many others do.
	const timeval limit{.tv_sec = patience.count() / 1000,
			    .tv_usec = patience.count() % 1000 * 1000};
	setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(fd.get(), reinterpret_cast<const sockaddr *>(&address), sizeof(address)) == 0)
		return fd;
	switch (errno) {
	case ENOENT:
	case ECONNREFUSED:
		return fail("no itmed is running: systemctl start itmed", Exit::unsupported);
	case EAGAIN:
		return fail("itmed does not answer: systemctl status itmed tells more");
	case EACCES:
		return fail("itmed may not be asked by this user: run as root, or join the group "
			    "of " +
			    text);
	default:
		return fail(text + ": " + errno_text(errno));
	}
}

// Waits until the socket is ready; false when patience is at its end.
bool ready(const Fd &fd, short events, Clock::time_point end)
{
	for (;;) {
		const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now());
		pollfd poll_fd{fd.get(), events, 0};

		if (left.count() <= 0)
			return false;
		const int n = poll(&poll_fd, 1, static_cast<int>(left.count()));
		if (n > 0)
			return true;
		if (n < 0 && errno != EINTR)
			return false;
	}
}

Result<std::string> exchange(const Fd &fd, const std::string &line, Clock::time_point end)
{
	const auto slow = fail("itmed did not answer in time: systemctl status itmed tells more");

	for (std::size_t sent = 0; sent < line.size();) {
		if (!ready(fd, POLLOUT, end))
			return slow;
		const auto n = send(fd.get(), line.data() + sent, line.size() - sent,
				    MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			break; // an answer may be there all the same: a refusal
		if (n > 0)
			sent += static_cast<std::size_t>(n);
	}

	std::string answer;
	std::array<char, 65536> buffer;
	while (!answer.ends_with('\n')) {
		if (answer.size() > most_response_bytes)
			return fail("itmed's answer does not end");
		if (!ready(fd, POLLIN, end))
			return slow;
		const auto n = recv(fd.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <= 0)
			return fail("itmed closed the connection without an answer: journalctl -u "
				    "itmed tells more");
		answer.append(buffer.data(), static_cast<std::size_t>(n));
	}
	answer.pop_back();
	return answer;
}

} // namespace

Result<Json> ask_itmed(const Path &socket, const Request &request,
		       std::chrono::milliseconds patience)
{
	const auto fd = connect_to(socket, patience);
	if (!fd)
		return std::unexpected(fd.error());
	const auto answer = exchange(*fd, request_line(request), Clock::now() + patience);
	if (!answer)
		return std::unexpected(answer.error());
	return parse_answer(*answer);
}

} // namespace itme
