// SPDX-License-Identifier: GPL-2.0-only
// The socket by which runtimes declare their own memory, through libitme: one request of a
// connection, and its answer. Anybody may ask, about the memory of the process that asks.
#pragma once

#include "itmed/loop.hpp"
#include "lib/file.hpp"
#include "lib/memory_keeper.hpp"

#include <cstdint>
#include <functional>
#include <list>
#include <set>
#include <span>
#include <string>

namespace itme {

// Of bytes that anybody may have sent: whose they are is not in them. Without ranges: a FORGET.
[[nodiscard]] Result<MemoryDeclaration> parse_memory_request(std::span<const std::byte> message);

class MemorySocket {
public:
	// Given a declaration, or one without ranges: the end of what its process has declared.
	using Handler = std::function<Result<void>(const MemoryDeclaration &)>;

	MemorySocket(Loop &loop, Handler handler) : loop_(loop), handler_(std::move(handler)) {}
	MemorySocket(const MemorySocket &) = delete;
	MemorySocket &operator=(const MemorySocket &) = delete;
	~MemorySocket();

	// Takes the socket over from an itmed that has died, not from a living one.
	Result<void> listen(const Path &path);

	void drop_dawdlers(std::uint64_t now_ns);
	[[nodiscard]] std::uint64_t next_ns() const;

private:
	struct Client {
		Fd fd;
		std::uint64_t deadline_ns = 0;
	};

	void accept_one();
	void serve(const Client &client);
	[[nodiscard]] Result<void> receive(const Client &client);
	void drop(const Client &client);

	Loop &loop_;
	Handler handler_;
	Path path_;
	Fd socket_;
	std::list<Client> clients_;
	std::set<std::string> told_; // why some were refused, once each
};

} // namespace itme
