// SPDX-License-Identifier: GPL-2.0-only
#include "itmed/memory_socket.hpp"

#include "itmed/public_socket.hpp"
#include "itmed/service.hpp"
#include "libitme/memory.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace itme {

namespace {

constexpr std::size_t most_clients = 16;             // others wait until one of these is answered
constexpr std::uint64_t patience_ns = 1'000'000'000; // for the request, which is sent at once
constexpr std::size_t most_bytes =
	sizeof(itme_memory_request) + ITME_MEMORY_SPANS_MAX * sizeof(itme_memory_span);

constexpr std::uint32_t unordered = 1; // ITME_MEMORY_UNORDERED

std::int32_t errno_of(const Error &error)
{
	return error.code == Exit::usage         ? -EINVAL
	       : error.code == Exit::unsupported ? -EOPNOTSUPP
						 : -EPERM;
}

} // namespace

Result<MemoryDeclaration> parse_memory_request(std::span<const std::byte> message)
{
	itme_memory_request request{};
	itme_memory_span span{};
	MemoryDeclaration said;

	if (message.size() < sizeof(request))
		return fail("it is too short", Exit::usage);
	std::memcpy(&request, message.data(), sizeof(request));
	if (request.version != ITME_MEMORY_VERSION || request.size != message.size())
		return fail("it is of another version of libitme", Exit::usage);
	const auto tail = message.subspan(sizeof(request));
	const bool declares = request.kind == ITME_MEMORY_DECLARE;
	if (request.reserved != 0 || request.flags > unordered || message.size() > most_bytes ||
	    tail.size() % sizeof(span) != 0 || declares == tail.empty() ||
	    (!declares &&
	     (request.kind != ITME_MEMORY_FORGET || request.dram_bytes != 0 || request.flags != 0)))
		return fail("it is not well-formed", Exit::usage);
	said.dram_bytes = request.dram_bytes;
	said.ordered = request.flags != unordered;
	for (std::size_t at = 0; at < tail.size(); at += sizeof(span)) {
		std::memcpy(&span, tail.data() + at, sizeof(span));
		said.ranges.push_back({span.address, span.bytes});
	}
	return said;
}

MemorySocket::~MemorySocket()
{
	for (const auto &client : clients_)
		loop_.remove(client.fd.get());
	if (socket_) {
		loop_.remove(socket_.get());
		unlink(path_.c_str());
	}
}

Result<void> MemorySocket::listen(const Path &path)
{
	auto socket = bind_public(path, SOCK_SEQPACKET);
	if (!socket)
		return std::unexpected(socket.error());
	if (::listen(socket->get(), most_clients) < 0)
		return fail(path.string() + ": " + errno_text(errno));
	socket_ = std::move(*socket);
	path_ = path;
	return loop_.add(socket_.get(), EPOLLIN, [this](std::uint32_t) { accept_one(); });
}

void MemorySocket::accept_one()
{
	Fd fd{accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};

	if (!fd)
		return;
	auto &client = clients_.emplace_back();
	client.fd = std::move(fd);
	client.deadline_ns = monotonic_ns() + patience_ns;
	if (!loop_.add(client.fd.get(), EPOLLIN, [this, &client](std::uint32_t) { serve(client); }))
		clients_.pop_back();
	if (clients_.size() == most_clients)
		loop_.change(socket_.get(), 0);
}

void MemorySocket::serve(const Client &client)
{
	const auto done = receive(client);
	const itme_memory_answer answer{.size = sizeof(answer),
					.error = done ? 0 : errno_of(done.error())};

	if (!done && told_.insert(done.error().text).second)
		log(Level::notice,
		    "a declaration of memory is refused, as all of its kind: " + done.error().text);
	// One who does not take his answer goes without.
	(void)!send(client.fd.get(), &answer, sizeof(answer), MSG_NOSIGNAL | MSG_DONTWAIT);
	drop(client);
}

Result<void> MemorySocket::receive(const Client &client)
{
	std::array<std::byte, most_bytes> bytes;

	const auto received = receive_from(client.fd.get(), bytes);
	if (received.bytes <= 0 || received.truncated)
		return fail("it is empty, or too long", Exit::usage);
	const auto &sender = received.sender;
	if (sender.pid <= 0)
		return fail("its sender is not known here", Exit::usage);
	auto said = parse_memory_request(
		std::span{bytes}.first(static_cast<std::size_t>(received.bytes)));
	if (!said)
		return std::unexpected(said.error());
	said->pid = sender.pid;
	said->user = sender.uid;
	return handler_(*said);
}

void MemorySocket::drop(const Client &client)
{
	loop_.remove(client.fd.get());
	clients_.remove_if([&](const Client &other) { return &other == &client; });
	loop_.change(socket_.get(), EPOLLIN);
}

void MemorySocket::drop_dawdlers(std::uint64_t now_ns)
{
	while (!clients_.empty() && clients_.front().deadline_ns <= now_ns)
		drop(clients_.front());
}

std::uint64_t MemorySocket::next_ns() const
{
	return clients_.empty() ? UINT64_MAX : clients_.front().deadline_ns;
}

} // namespace itme
