// SPDX-License-Identifier: GPL-2.0-only
#include "itmed/public_socket.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace itme {

Result<Fd> bind_public(const Path &path, int type)
{
	const int on = 1;
	sockaddr_un address{};
	const auto *name = reinterpret_cast<const sockaddr *>(&address);
	const auto fresh = [type] {
		return Fd{::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
	};

	if (path.native().size() >= sizeof(address.sun_path))
		return fail(path.string() + ": too long for a socket's path", Exit::usage);
	address.sun_family = AF_UNIX;
	path.native().copy(address.sun_path, sizeof(address.sun_path) - 1);
	// EAGAIN: somebody listens, and has too many to accept.
	if (const auto asks = fresh();
	    asks && (connect(asks.get(), name, sizeof(address)) == 0 || errno == EAGAIN))
		return fail(path.string() + " is another itmed's: give --socket in another folder");
	unlink(path.c_str());
	auto socket = fresh();
	if (!socket || bind(socket.get(), name, sizeof(address)) < 0 ||
	    chmod(path.c_str(), 0666) < 0 ||
	    setsockopt(socket.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
		return fail(path.string() + ": " + errno_text(errno));
	return socket;
}

Received receive_from(int socket, std::span<std::byte> bytes)
{
	// Room for the credentials only: the kernel closes descriptors that are sent along.
	alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(ucred))> control;
	iovec part{.iov_base = bytes.data(), .iov_len = bytes.size()};
	msghdr message{};
	Received received;

	message.msg_iov = &part;
	message.msg_iovlen = 1;
	message.msg_control = control.data();
	message.msg_controllen = control.size();
	received.bytes = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (received.bytes < 0)
		return received;
	received.truncated = (message.msg_flags & MSG_TRUNC) != 0;
	if (const auto *header = CMSG_FIRSTHDR(&message); header != nullptr &&
							  header->cmsg_level == SOL_SOCKET &&
							  header->cmsg_type == SCM_CREDENTIALS)
		std::memcpy(&received.sender, CMSG_DATA(header), sizeof(received.sender));
	return received;
}

} // namespace itme
