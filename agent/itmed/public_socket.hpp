// SPDX-License-Identifier: GPL-2.0-only
// A socket in the file system to which anybody may send, and by which the kernel tells who has.
#pragma once

#include "lib/error.hpp"
#include "lib/fd.hpp"
#include "lib/file.hpp"

#include <cstddef>
#include <span>
#include <sys/socket.h>

namespace itme {

// Of AF_UNIX and this type, SOCK_DGRAM or SOCK_SEQPACKET, bound and not blocking. Taken over
// from an itmed that has died, not from a living one. Who is accepted inherits that senders are
// told: a message tells its own, who need not be the one that has connected.
[[nodiscard]] Result<Fd> bind_public(const Path &path, int type);

struct Received {
	ssize_t bytes = 0;      // as of recvmsg(2): below 0 there is none, and errno says why
	bool truncated = false; // it was longer
	ucred sender{};         // pid 0: not known here, as of another pid namespace
};

// One message, without waiting.
[[nodiscard]] Received receive_from(int socket, std::span<std::byte> bytes);

} // namespace itme
