// SPDX-License-Identifier: GPL-2.0-only
// The socket to which runtimes send what they do, through libitme. Anybody may
// send: a datagram counts only for a region that its sender has open, or its own memory.
#pragma once

#include "itmed/loop.hpp"
#include "lib/declaration.hpp"
#include "lib/file.hpp"
#include "lib/json.hpp"

#include <cstdint>
#include <functional>
#include <set>
#include <string>

namespace itme {

class EventSocket {
public:
	// Takes a declaration, or says in a sentence's end why it is not for it.
	using Handler = std::function<Result<void>(const Declaration &)>;

	EventSocket(Loop &loop, Handler handler) : loop_(loop), handler_(std::move(handler)) {}
	EventSocket(const EventSocket &) = delete;
	EventSocket &operator=(const EventSocket &) = delete;
	~EventSocket();

	// Takes the socket over from an itmed that has died, not from a living one.
	Result<void> listen(const Path &path);

	struct Counts {
		std::uint64_t taken = 0;   // by the handler
		std::uint64_t ignored = 0; // not for it: another region, stream or position
		std::uint64_t refused = 0; // not well-formed, or no region of the sender
	};
	[[nodiscard]] const Counts &counts() const { return counts_; }
	[[nodiscard]] Json to_json() const;

private:
	void receive_some();
	bool receive();
	void tell(const std::string &what, std::uint32_t pid, const std::string &why);

	Loop &loop_;
	Handler handler_;
	Path path_;
	Fd socket_, pause_;
	Counts counts_;
	std::set<std::string> told_; // once each
};

} // namespace itme
