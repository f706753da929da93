// SPDX-License-Identifier: GPL-2.0-only
// libitme's declarations of memory and itmed's end of them: what arrives, what is answered,
// and what anybody may send without harm.
#include "itmed/memory_socket.hpp"
#include "libitme/libitme.h"
#include "libitme/memory.h"
#include "open_files.hpp"
#include "tree.hpp"

#include <atomic>
#include <cstring>
#include <random>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <thread>

using itme::Fd;
using itme::MemoryDeclaration;
using itme::MemorySocket;

namespace {

constexpr std::uint64_t page = 4096, second_ns = 1'000'000'000;

// A socket, and a thread that serves it until its end.
class World {
public:
	World()
	    : loop(std::move(*itme::Loop::make())),
	      memory(loop, [this](const MemoryDeclaration &said) {
		      heard.push_back(said);
		      return answer;
	      })
	{
		setenv("ITME_MEMORY", path().c_str(), 1);
		const auto listens = memory.listen(path());
		EXPECT_TRUE(listens) << listens.error().text;
		thread = std::thread{[this] {
			while (!ends) {
				const auto now = itme::monotonic_ns();

				memory.drop_dawdlers(now);
				EXPECT_TRUE(loop.turn(
					std::min(memory.next_ns(), now + second_ns / 100)));
			}
		}};
	}
	World(const World &) = delete;
	World &operator=(const World &) = delete;
	~World()
	{
		stop();
		unsetenv("ITME_MEMORY");
	}
	// What was heard may be looked at now.
	void stop()
	{
		ends = true;
		if (thread.joinable())
			thread.join();
	}
	[[nodiscard]] std::string path() const { return (tree.root() / "memory.sock").string(); }
	[[nodiscard]] Fd connected() const
	{
		sockaddr_un address{};
		Fd fd{socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)};

		address.sun_family = AF_UNIX;
		path().copy(address.sun_path, sizeof(address.sun_path) - 1);
		EXPECT_EQ(
			connect(fd.get(), reinterpret_cast<sockaddr *>(&address), sizeof(address)),
			0);
		return fd;
	}

	Tree tree;
	itme::Result<void> answer;
	std::vector<MemoryDeclaration> heard;
	itme::Loop loop;
	MemorySocket memory;
	std::atomic<bool> ends = false;
	std::thread thread;
};

const itme_memory two[] = {{reinterpret_cast<void *>(7 * page), page},
			   {reinterpret_cast<void *>(2 * page), 3 * page}};

} // namespace

TEST(MemorySocket, TellsWhoDeclaresWhat)
{
	World world;
	struct stat status{};

	ASSERT_EQ(stat(world.path().c_str(), &status), 0);
	EXPECT_EQ(status.st_mode & 07777, 0666);
	EXPECT_EQ(itme_memory_declare(two, 2, 12345, ITME_MEMORY_UNORDERED), 0);
	const auto child = fork();
	if (child == 0)
		_exit(itme_memory_forget() == 0 ? 0 : 1);
	int ended = -1;
	waitpid(child, &ended, 0);
	EXPECT_EQ(ended, 0);
	world.stop();
	ASSERT_EQ(world.heard.size(), 2);
	EXPECT_EQ(world.heard[0].pid, getpid());
	EXPECT_EQ(world.heard[0].user, getuid());
	EXPECT_EQ(world.heard[0].dram_bytes, 12345);
	EXPECT_FALSE(world.heard[0].ordered);
	EXPECT_EQ(world.heard[0].ranges,
		  (std::vector<itme::MemoryRange>{{7 * page, page}, {2 * page, 3 * page}}));
	EXPECT_EQ(world.heard[1].pid, child);
	EXPECT_TRUE(world.heard[1].ranges.empty());
}

// Who has connected is not who asks: a process cannot declare for another that way.
TEST(MemorySocket, TheSenderCounts)
{
	World world;
	const auto fd = world.connected();
	const auto child = fork();

	if (child == 0) {
		itme_memory_request request{};

		request.size = sizeof(request);
		request.version = ITME_MEMORY_VERSION;
		request.kind = ITME_MEMORY_FORGET;
		itme_memory_answer answer{};
		_exit(send(fd.get(), &request, sizeof(request), 0) != sizeof(request) ||
		      recv(fd.get(), &answer, sizeof(answer), 0) != sizeof(answer) ||
		      answer.error != 0);
	}
	int ended = -1;
	waitpid(child, &ended, 0);
	EXPECT_EQ(ended, 0);
	world.stop();
	ASSERT_EQ(world.heard.size(), 1);
	EXPECT_EQ(world.heard[0].pid, child);
}

TEST(MemorySocket, ErrorsReachTheCaller)
{
	World world;
	const std::vector<itme_memory> many(ITME_MEMORY_RANGES_MAX + 1, two[0]);

	EXPECT_EQ(itme_memory_declare(two, 0, 0, 0), -EINVAL);
	EXPECT_EQ(itme_memory_declare(many.data(), ITME_MEMORY_RANGES_MAX + 1, 0, 0), -EINVAL);
	EXPECT_EQ(itme_memory_declare(many.data(), ITME_MEMORY_RANGES_MAX, 0, 0), 0);
	EXPECT_EQ(itme_memory_declare(two, 2, 0, 1U << 31), -EINVAL);
	world.answer = itme::fail("no range", itme::Exit::usage);
	EXPECT_EQ(itme_memory_declare(two, 2, 0, 0), -EINVAL);
	world.answer = itme::fail("no CXL memory", itme::Exit::unsupported);
	EXPECT_EQ(itme_memory_declare(two, 2, 0, 0), -EOPNOTSUPP);
	world.answer = itme::fail("root's");
	EXPECT_EQ(itme_memory_declare(two, 2, 0, 0), -EPERM);
	setenv("ITME_MEMORY", (world.tree.root() / "none").c_str(), 1);
	EXPECT_EQ(itme_memory_declare(two, 2, 0, 0), -ENOENT);
	setenv("ITME_MEMORY", "", 1);
	EXPECT_EQ(itme_memory_forget(), -ENOENT);
}

TEST(MemorySocket, RefusesWhatIsNotWellFormed)
{
	itme_memory_request good{};
	const auto parse = [](const itme_memory_request &request, std::size_t spans,
			      std::size_t more = 0) {
		std::vector<std::byte> bytes(
			sizeof(request) + spans * sizeof(itme_memory_span) + more, std::byte{0});

		std::memcpy(bytes.data(), &request, sizeof(request));
		return itme::parse_memory_request(bytes).has_value();
	};
	const auto refuses = [&](auto change) {
		auto request = good;

		change(request);
		EXPECT_TRUE(parse(good, 1));
		return !parse(request, 1);
	};

	good.size = sizeof(good) + sizeof(itme_memory_span);
	good.version = ITME_MEMORY_VERSION;
	good.kind = ITME_MEMORY_DECLARE;
	EXPECT_TRUE(refuses([](auto &request) { request.size--; }));
	EXPECT_TRUE(refuses([](auto &request) { request.version++; }));
	EXPECT_TRUE(refuses([](auto &request) { request.kind = 0; }));
	EXPECT_TRUE(refuses([](auto &request) { request.kind = 3; }));
	EXPECT_TRUE(refuses([](auto &request) { request.kind = ITME_MEMORY_FORGET; }));
	EXPECT_TRUE(refuses([](auto &request) { request.reserved = 1; }));
	EXPECT_TRUE(refuses([](auto &request) { request.flags = 1U << 31; }));
	EXPECT_FALSE(parse(good, 0));
	good.size++;
	EXPECT_FALSE(parse(good, 1, 1));
	good.size = sizeof(good);
	EXPECT_FALSE(parse(good, 0));
	EXPECT_FALSE(itme::parse_memory_request({}));
}

TEST(MemorySocket, BearsWhatAnybodySends)
{
	World world;
	std::mt19937 random{5};
	std::vector<char> noise(sizeof(itme_memory_request) + 64);
	const auto before = open_files();
	{
		// More than are served at once, of whom nothing is heard: they are dropped.
		std::vector<Fd> silent;

		for (int i = 0; i < 20; i++)
			silent.push_back(world.connected());
		EXPECT_EQ(itme_memory_forget(), 0);
	}
	for (int round = 0; round < 200; round++) {
		const auto fd = world.connected();
		const auto bytes = 1 + random() % noise.size();
		std::vector<int> files(50, fd.get());
		alignas(cmsghdr) char control[CMSG_SPACE(50 * sizeof(int))];
		iovec part{noise.data(), bytes};
		msghdr message{};
		itme_memory_answer answer{};

		for (auto &byte : noise)
			byte = static_cast<char>(random());
		message.msg_iov = &part;
		message.msg_iovlen = 1;
		if (round % 2 == 0) { // descriptors sent along
			message.msg_control = control;
			message.msg_controllen = sizeof(control);
			auto *header = CMSG_FIRSTHDR(&message);
			header->cmsg_level = SOL_SOCKET;
			header->cmsg_type = SCM_RIGHTS;
			header->cmsg_len = CMSG_LEN(50 * sizeof(int));
			std::memcpy(CMSG_DATA(header), files.data(), 50 * sizeof(int));
		}
		ASSERT_GT(sendmsg(fd.get(), &message, 0), 0);
		ASSERT_EQ(recv(fd.get(), &answer, sizeof(answer), 0), sizeof(answer));
		EXPECT_EQ(answer.error, -EINVAL);
	}
	EXPECT_EQ(itme_memory_declare(two, 2, 0, 0), 0);
	world.stop();
	EXPECT_EQ(world.heard.size(), 2);
	EXPECT_EQ(open_files(), before);
}

TEST(MemorySocket, TakesOverFromTheDeadOnly)
{
	World world;
	auto loop = itme::Loop::make();
	const auto handler = [](const MemoryDeclaration &) { return itme::Result<void>{}; };
	MemorySocket second{*loop, handler}, third{*loop, handler};

	ASSERT_TRUE(loop);
	EXPECT_FALSE(second.listen(world.path()));
	world.tree.file("left", "");
	EXPECT_TRUE(third.listen(world.tree.root() / "left"));
	EXPECT_FALSE(second.listen(std::string(200, 'x')));
}
