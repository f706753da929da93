// SPDX-License-Identifier: GPL-2.0-only
// itmed's end of libitme's events: what is understood, and what anybody may send
// without harm.
#include "itmed/event_socket.hpp"
#include "lib/region_names.hpp"
#include "libitme/event.h"
#include "open_files.hpp"
#include "tree.hpp"

#include <atomic>
#include <cstring>
#include <fcntl.h>
#include <random>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <thread>
#include <vector>

using itme::Declaration;
using itme::EventSocket;
using itme::Fd;

namespace {

constexpr std::uint64_t ms_ns = 1'000'000;

itme_event position_event()
{
	itme_event event{};

	event.size = sizeof(event);
	event.version = ITME_EVENT_VERSION;
	event.kind = ITME_EVENT_AT;
	event.fd = 3;
	event.pass = 1;
	return event;
}

itme_event done_event()
{
	auto event = position_event();

	event.kind = ITME_EVENT_DONE;
	event.pass = 0;
	event.length = 1;
	return event;
}

itme_event memory_event()
{
	auto event = position_event();

	event.kind = ITME_EVENT_MEMORY_AT;
	event.fd = -1;
	event.pass = 0;
	event.offset = 5;
	return event;
}

std::span<const std::byte> bytes_of(const itme_event &event)
{
	return std::as_bytes(std::span{&event, 1});
}

bool understood(const itme_event &event)
{
	return itme::parse_declaration(bytes_of(event)).has_value();
}

// A socket, a loop, and a file that is open.
class World {
public:
	World()
	    : loop(std::move(*itme::Loop::make())),
	      events(loop, [this](const Declaration &said) -> itme::Result<void> {
		      taken.push_back(said);
		      if (said.stream == "unknown")
			      return itme::fail("it is unknown");
		      return {};
	      })
	{
		tree.file("region", "data");
		file = Fd{open((tree.root() / "region").c_str(), O_RDONLY | O_CLOEXEC)};
		sender = Fd{socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
		const auto listens = events.listen(path());
		EXPECT_TRUE(listens) << listens.error().text;
	}

	[[nodiscard]] std::string path() const { return (tree.root() / "events.sock").string(); }

	void send(const void *bytes, std::size_t count, int flags = 0) const
	{
		iovec part{const_cast<void *>(bytes), count};
		msghdr message{};

		message.msg_iov = &part;
		message.msg_iovlen = 1;
		send(message, flags);
	}
	void send(msghdr &message, int flags = 0) const
	{
		sockaddr_un address{};

		address.sun_family = AF_UNIX;
		path().copy(address.sun_path, sizeof(address.sun_path) - 1);
		message.msg_name = &address;
		message.msg_namelen = sizeof(address);
		[[maybe_unused]] const auto sent = sendmsg(sender.get(), &message, flags);
	}
	void send(itme_event event, int fd) const
	{
		event.fd = fd;
		send(&event, sizeof(event));
	}
	// Until so many were looked at.
	void run(std::uint64_t count)
	{
		const auto end = itme::monotonic_ns() + 10'000 * ms_ns;

		while (looked_at() < count && itme::monotonic_ns() < end)
			ASSERT_TRUE(loop.turn(itme::monotonic_ns() + 50 * ms_ns));
		ASSERT_EQ(looked_at(), count);
	}
	[[nodiscard]] std::uint64_t looked_at() const
	{
		const auto &counts = events.counts();

		return counts.taken + counts.ignored + counts.refused;
	}

	Tree tree;
	Fd file, sender;
	std::vector<Declaration> taken;
	itme::Loop loop;
	EventSocket events;
};

} // namespace

TEST(Declaration, SaysWhatWasSent)
{
	auto event = position_event();
	std::strcpy(event.stream, "decode");
	event.position = 7;
	event.time_ns = 9;
	auto said = itme::parse_declaration(bytes_of(event));
	ASSERT_TRUE(said);
	EXPECT_EQ(said->kind, Declaration::Kind::at);
	EXPECT_EQ(said->fd, 3);
	EXPECT_EQ(said->stream, "decode");
	EXPECT_EQ(said->pass, 1);
	EXPECT_EQ(said->position, 7);
	EXPECT_EQ(said->time_ns, 9);

	event = done_event();
	event.offset = 5;
	event.next_use = UINT32_MAX;
	said = itme::parse_declaration(bytes_of(event));
	ASSERT_TRUE(said);
	EXPECT_EQ(said->kind, Declaration::Kind::done);
	EXPECT_EQ(said->offset, 5);
	EXPECT_EQ(said->length, 1);
	EXPECT_EQ(said->next_use, Declaration::never);

	said = itme::parse_declaration(bytes_of(memory_event()));
	ASSERT_TRUE(said);
	EXPECT_EQ(said->kind, Declaration::Kind::memory);
	EXPECT_EQ(said->offset, 5);

	// A newer library's, that says nothing new.
	std::vector<std::byte> longer(sizeof(event) + 8);
	event.size = static_cast<std::uint32_t>(longer.size());
	std::memcpy(longer.data(), &event, sizeof(event));
	EXPECT_TRUE(itme::parse_declaration(longer));
	longer.back() = std::byte{1};
	EXPECT_FALSE(itme::parse_declaration(longer));
}

TEST(Declaration, AGuessHasRanges)
{
	auto event = position_event();
	const auto datagram = [&](std::vector<itme_event_range> ranges) {
		std::vector<std::byte> bytes(sizeof(event) + ranges.size() * sizeof(ranges[0]));

		event.size = static_cast<std::uint32_t>(bytes.size());
		std::memcpy(bytes.data(), &event, sizeof(event));
		std::memcpy(bytes.data() + sizeof(event), ranges.data(),
			    bytes.size() - sizeof(event));
		return bytes;
	};
	event.kind = ITME_EVENT_GUESS;
	event.pass = 0;
	std::strcpy(event.stream, "decode");
	const auto said = itme::parse_declaration(datagram({{5, 7}, {0, 1}}));

	ASSERT_TRUE(said);
	EXPECT_EQ(said->kind, Declaration::Kind::guess);
	EXPECT_EQ(said->stream, "decode");
	EXPECT_EQ(said->guesses, (std::vector<itme::ByteRange>{{5, 7}, {0, 1}}));
	const std::vector<itme_event_range> most(ITME_EVENT_RANGES_MAX, {0, 1});
	EXPECT_TRUE(itme::parse_declaration(datagram(most)));
	auto more = most;
	more.push_back({0, 1});
	EXPECT_FALSE(itme::parse_declaration(datagram(more)));
	EXPECT_FALSE(itme::parse_declaration(datagram({})));
	EXPECT_FALSE(itme::parse_declaration(datagram({{5, 7}, {0, 0}})));
	EXPECT_FALSE(itme::parse_declaration(datagram({{UINT64_MAX, 1}})));
	auto cut = datagram({{5, 7}});
	cut.pop_back();
	event.size--;
	std::memcpy(cut.data(), &event, sizeof(event));
	EXPECT_FALSE(itme::parse_declaration(cut));
	event.pass = 1;
	EXPECT_FALSE(itme::parse_declaration(datagram({{5, 7}})));
}

TEST(Declaration, RefusesWhatIsNotWellFormed)
{
	const auto refuses = [](const itme_event &good, auto change) {
		auto event = good;

		change(event);
		EXPECT_TRUE(understood(good));
		return !understood(event);
	};
	const auto at = position_event(), done = done_event();
	auto step = at;
	step.kind = ITME_EVENT_STEP;

	EXPECT_TRUE(refuses(at, [](auto &event) { event.size--; }));
	EXPECT_TRUE(refuses(at, [](auto &event) { event.size++; }));
	EXPECT_TRUE(refuses(at, [](auto &event) { event.version++; }));
	EXPECT_TRUE(refuses(at, [](auto &event) { event.kind = 0; }));
	EXPECT_TRUE(refuses(at, [](auto &event) { event.kind = 6; }));
	EXPECT_TRUE(refuses(at, [](auto &event) { event.fd = -1; }));
	EXPECT_TRUE(refuses(at, [](auto &event) { event.pass = 0; }));
	EXPECT_TRUE(refuses(at, [](auto &event) { event.offset = 1; }));
	EXPECT_TRUE(refuses(at, [](auto &event) { event.length = 1; }));
	EXPECT_TRUE(refuses(at, [](auto &event) { event.next_use = 1; }));
	EXPECT_TRUE(refuses(at, [](auto &event) { event.reserved = 1; }));
	EXPECT_TRUE(refuses(at, [](auto &event) { event.stream[63] = 'x'; }));
	EXPECT_TRUE(refuses(at, [](auto &event) { std::memset(event.stream, 'x', 64); }));
	const auto memory = memory_event();
	EXPECT_TRUE(refuses(memory, [](auto &event) { event.fd = 0; }));
	EXPECT_TRUE(refuses(memory, [](auto &event) { event.pass = 1; }));
	EXPECT_TRUE(refuses(memory, [](auto &event) { event.position = 1; }));
	EXPECT_TRUE(refuses(memory, [](auto &event) { event.length = 1; }));
	EXPECT_TRUE(refuses(memory, [](auto &event) { event.next_use = 1; }));
	EXPECT_TRUE(refuses(memory, [](auto &event) { event.stream[0] = 'x'; }));
	EXPECT_TRUE(refuses(step, [](auto &event) { event.position = 1; }));
	EXPECT_TRUE(refuses(done, [](auto &event) { event.pass = 1; }));
	EXPECT_TRUE(refuses(done, [](auto &event) { event.position = 1; }));
	EXPECT_TRUE(refuses(done, [](auto &event) { event.stream[0] = 'x'; }));
	EXPECT_TRUE(refuses(done, [](auto &event) { event.length = 0; }));
	EXPECT_TRUE(refuses(done, [](auto &event) { event.offset = UINT64_MAX; }));
	EXPECT_TRUE(refuses(done, [](auto &event) { event.offset = INT64_MAX; }));
	EXPECT_FALSE(itme::parse_declaration(bytes_of(at).first(sizeof(at) - 1)));
	EXPECT_FALSE(itme::parse_declaration({}));
}

TEST(Declaration, AProcessHasWhatItMayRead)
{
	Tree tree;
	struct stat status{};
	tree.file("file", "text");
	const auto path = (tree.root() / "file").string();
	const auto pid = static_cast<std::uint32_t>(getpid());
	const Fd in{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
	const Fd out{open(path.c_str(), O_WRONLY | O_CLOEXEC)};
	const Fd name{open(path.c_str(), O_PATH | O_CLOEXEC)};

	ASSERT_EQ(fstat(in.get(), &status), 0);
	const auto id = itme::region_of("/", pid, in.get());
	ASSERT_TRUE(id);
	EXPECT_EQ(*id, (itme::RegionId{itme::kernel_dev(status.st_dev), status.st_ino}));
	EXPECT_FALSE(itme::region_of("/", pid, out.get()));
	EXPECT_FALSE(itme::region_of("/", pid, name.get()));
	EXPECT_FALSE(itme::region_of("/", pid, 12345));
	EXPECT_FALSE(itme::region_of("/", 0, in.get()));
	EXPECT_FALSE(itme::region_of("/", UINT32_MAX, in.get()));
}

TEST(EventSocket, TellsWhoSaidWhatOfWhich)
{
	World world;
	struct stat status{};
	auto event = position_event();

	ASSERT_EQ(stat(world.path().c_str(), &status), 0);
	EXPECT_EQ(status.st_mode & 07777, 0666);
	ASSERT_EQ(fstat(world.file.get(), &status), 0);
	event.time_ns = itme::monotonic_ns();
	world.send(event, world.file.get());
	const auto child = fork();
	if (child == 0) {
		event.time_ns = UINT64_MAX; // another clock's
		world.send(event, world.file.get());
		pause();
		_exit(0);
	}
	world.run(2);
	kill(child, SIGKILL);
	waitpid(child, nullptr, 0);
	ASSERT_EQ(world.taken.size(), 2);
	EXPECT_EQ(world.taken[0].region,
		  (itme::RegionId{itme::kernel_dev(status.st_dev), status.st_ino}));
	EXPECT_EQ(world.taken[0].pid, getpid());
	EXPECT_EQ(world.taken[0].time_ns, event.time_ns);
	EXPECT_EQ(world.taken[1].pid, child);
	EXPECT_LE(world.taken[1].time_ns, itme::monotonic_ns());
	// Of its own memory, and so of no region.
	world.send(memory_event(), -1);
	world.run(3);
	ASSERT_EQ(world.taken.size(), 3);
	EXPECT_EQ(world.taken[2].kind, Declaration::Kind::memory);
	EXPECT_EQ(world.taken[2].pid, getpid());
	EXPECT_EQ(world.taken[2].region, itme::RegionId{});
	std::strcpy(event.stream, "unknown");
	world.send(event, world.file.get());
	world.run(4);
	EXPECT_EQ(world.events.to_json().dump(), R"({"taken":3,"ignored":1,"refused":0})");
}

TEST(EventSocket, BearsWhatAnybodySends)
{
	World world;
	std::mt19937 random{7};
	const auto good = position_event();
	const auto before = open_files();
	std::vector<char> noise(1000);
	std::uint64_t sent = 0;

	for (int round = 0; round < 300; round++) {
		for (auto &byte : noise)
			byte = static_cast<char>(random());
		std::size_t count = random() % noise.size();
		if (round % 2 == 1) { // a good one with some bytes changed
			count = sizeof(good);
			std::memcpy(noise.data(), &good, count);
			for (auto changes = random() % 4; changes > 0; changes--)
				noise[random() % count] = static_cast<char>(random());
		}
		world.send(noise.data(), count);
		world.run(++sent);
	}
	world.send(nullptr, 0);
	world.run(++sent);
	EXPECT_TRUE(world.taken.size() < 200); // fd 3 may be a file of this process
	// Of files sent along none is kept, or even taken.
	for (int round = 0; round < 20; round++) {
		std::vector<int> files(200, world.file.get());
		std::vector<char> control(CMSG_SPACE(files.size() * sizeof(int)));
		auto event = good;
		event.fd = world.file.get();
		iovec part{&event, sizeof(event)};
		msghdr message{};

		message.msg_iov = &part;
		message.msg_iovlen = 1;
		message.msg_control = control.data();
		message.msg_controllen = control.size();
		auto *header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(files.size() * sizeof(int));
		std::memcpy(CMSG_DATA(header), files.data(), files.size() * sizeof(int));
		world.send(message);
		world.run(++sent);
	}
	EXPECT_EQ(open_files(), before);
	const auto counted = world.events.counts().taken;
	world.send(good, world.file.get());
	world.run(++sent);
	EXPECT_EQ(world.events.counts().taken, counted + 1);
}

TEST(EventSocket, AFloodLeavesTimeForOthers)
{
	World world;
	const Fd timer{timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)};
	const itimerspec soon{.it_interval = {}, .it_value = {.tv_sec = 0, .tv_nsec = 50'000'000}};
	std::atomic<bool> ends = false, ended = false;
	bool fired = false;
	std::uint64_t longest_ns = 0;

	ASSERT_EQ(timerfd_settime(timer.get(), 0, &soon, nullptr), 0);
	ASSERT_TRUE(world.loop.add(timer.get(), 1, [&](std::uint32_t) {
		fired = true;
		world.loop.remove(timer.get());
	}));
	std::thread flood{[&] {
		const auto event = position_event();
		// Ends by itself, so that an endless turn is a failure and no hang.
		const auto end = itme::monotonic_ns() + 5'000 * ms_ns;

		while (!ends && itme::monotonic_ns() < end)
			world.send(&event, sizeof(event), MSG_DONTWAIT);
		ended = true;
	}};
	// The flood's thread may begin after the timer.
	while (!fired || (world.looked_at() == 0 && !ended)) {
		const auto begin = itme::monotonic_ns();

		ASSERT_TRUE(world.loop.turn(begin + 1'000 * ms_ns));
		longest_ns = std::max(longest_ns, itme::monotonic_ns() - begin);
	}
	ends = true;
	flood.join();
	EXPECT_LT(longest_ns, 2'000 * ms_ns);
	EXPECT_GT(world.looked_at(), 0);
}

TEST(EventSocket, TakesOverFromTheDeadOnly)
{
	World world;
	EventSocket second{world.loop, [](const Declaration &) { return itme::Result<void>{}; }};

	EXPECT_FALSE(second.listen(world.path()));
	const auto left = (world.tree.root() / "left").string();
	{
		sockaddr_un address{};
		const Fd dead{socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};

		address.sun_family = AF_UNIX;
		left.copy(address.sun_path, sizeof(address.sun_path) - 1);
		ASSERT_EQ(bind(dead.get(), reinterpret_cast<sockaddr *>(&address), sizeof(address)),
			  0);
	}
	EventSocket third{world.loop, [](const Declaration &) { return itme::Result<void>{}; }};
	EXPECT_TRUE(third.listen(left));
	EXPECT_FALSE(third.listen(std::string(200, 'x')));
}
