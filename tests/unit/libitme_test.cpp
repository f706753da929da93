// SPDX-License-Identifier: GPL-2.0-only
// libitme without a module: on plain files, and on a made-up region, whose ioctls are
// answered here (the build wraps ioctl and posix_fadvise). The real ones: libitme_test
// of tests/kselftest.
#include "open_files.hpp"
#include "tree.hpp"

#include "lib/fd.hpp"
#include "libitme/event.h"
#include "libitme/libitme.h"

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <mutex>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <thread>
#include <vector>

using itme::Fd;

namespace {

constexpr std::uint64_t granule = 2 << 20, region_bytes = 5 * granule;

struct Advice {
	off_t offset, length;
	int advice;
};

// What one file answers for as long as this lives.
class Module {
public:
	Module();
	Module(const Module &) = delete;
	Module &operator=(const Module &) = delete;
	~Module();

	[[nodiscard]] std::string path() const { return (tree.root() / "region").string(); }
	int answer(unsigned long command, void *argument);

	Tree tree;
	ino_t inode = 0;
	std::mutex mutex;
	std::uint64_t dram_bytes = 8 * granule;
	std::vector<itme_hint> hints;
	std::vector<std::uint32_t> vectors; // their sizes
	std::vector<itme_wait> waits;
	itme_wait outcome{};
	int wait_errno = 0;

private:
	int hint(itme_hint_vec &vec);
};

std::atomic<Module *> module;
std::vector<Advice> advice; // of plain files; one thread

Module::Module()
{
	struct stat status{};

	tree.file("region", "data");
	EXPECT_EQ(stat(path().c_str(), &status), 0);
	inode = status.st_ino;
	module = this;
}

Module::~Module()
{
	module = nullptr;
}

int Module::hint(itme_hint_vec &vec)
{
	auto *entries = reinterpret_cast<itme_hint *>(vec.entries);

	EXPECT_EQ(vec.size, sizeof(vec));
	EXPECT_EQ(vec.entry_size, sizeof(itme_hint));
	EXPECT_LE(vec.count, 64);
	vectors.push_back(vec.count);
	for (std::uint32_t i = 0; i < vec.count; i++) {
		hints.push_back(entries[i]);
		if (entries[i].length == 0 ||
		    entries[i].offset + entries[i].length > region_bytes) {
			entries[i].error = -EINVAL;
			continue;
		}
		entries[i].accepted_bytes = granule;
		entries[i].resident_bytes = 2;
		entries[i].clipped_bytes = 3;
		entries[i].refused_bytes = 4;
	}
	return 0;
}

int Module::answer(unsigned long command, void *argument)
{
	const std::scoped_lock lock{mutex};

	switch (command) {
	case ITME_IOC_INFO: {
		auto &info = *static_cast<itme_info *>(argument);

		EXPECT_EQ(info.size, sizeof(info));
		info.granule_bytes = granule;
		info.dram_bytes = dram_bytes;
		return 0;
	}
	case ITME_IOC_HINT:
		return hint(*static_cast<itme_hint_vec *>(argument));
	case ITME_IOC_WAIT: {
		auto &wait = *static_cast<itme_wait *>(argument);

		waits.push_back(wait);
		wait.ready_bytes = outcome.ready_bytes;
		wait.failed_bytes = outcome.failed_bytes;
		wait.expired_bytes = outcome.expired_bytes;
		wait.lost_bytes = outcome.lost_bytes;
		errno = wait_errno;
		return wait_errno != 0 ? -1 : 0;
	}
	case ITME_IOC_RESIDENCY: {
		auto &residency = *static_cast<itme_residency *>(argument);
		auto *bytes = reinterpret_cast<std::uint8_t *>(residency.buffer);
		const auto left = region_bytes / granule - residency.first_granule;

		residency.count = std::min<std::uint64_t>(residency.count, left);
		for (std::uint64_t i = 0; i < residency.count; i++)
			bytes[i] = static_cast<std::uint8_t>(residency.first_granule + i);
		return 0;
	}
	default:
		errno = ENOTTY;
		return -1;
	}
}

} // namespace

// NOLINTBEGIN(bugprone-reserved-identifier)
extern "C" {
int __real_ioctl(int fd, unsigned long command, ...);
int __wrap_ioctl(int fd, unsigned long command, ...);
int __real_posix_fadvise(int fd, off_t offset, off_t length, int what);
int __wrap_posix_fadvise(int fd, off_t offset, off_t length, int what);

int __wrap_ioctl(int fd, unsigned long command, ...)
{
	struct stat status{};
	va_list arguments;
	Module *asked = module;

	va_start(arguments, command);
	void *argument = va_arg(arguments, void *);
	va_end(arguments);
	if (asked != nullptr && fstat(fd, &status) == 0 && status.st_ino == asked->inode)
		return asked->answer(command, argument);
	return __real_ioctl(fd, command, argument);
}

int __wrap_posix_fadvise(int fd, off_t offset, off_t length, int what)
{
	advice.push_back({offset, length, what});
	return __real_posix_fadvise(fd, offset, length, what);
}
}
// NOLINTEND(bugprone-reserved-identifier)

namespace {

struct Close {
	void operator()(itme_region *region) const { itme_region_close(region); }
};
using Region = std::unique_ptr<itme_region, Close>;

Region open_region(const std::string &path)
{
	itme_region *region = nullptr;

	EXPECT_EQ(itme_region_open(path.c_str(), &region), 0);
	return Region{region};
}

// Where itmed would listen.
class Listener {
public:
	explicit Listener(const std::string &path)
	{
		const int on = 1;
		sockaddr_un address{};

		address.sun_family = AF_UNIX;
		path.copy(address.sun_path, sizeof(address.sun_path) - 1);
		unlink(path.c_str());
		fd_ = Fd{socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
		EXPECT_EQ(bind(fd_.get(), reinterpret_cast<sockaddr *>(&address), sizeof(address)),
			  0);
		EXPECT_EQ(setsockopt(fd_.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)), 0);
	}

	// The next one, and who sent it.
	bool receive(itme_event &event, pid_t *sender = nullptr) const
	{
		alignas(cmsghdr) char control[CMSG_SPACE(sizeof(ucred))];
		iovec part{&event, sizeof(event)};
		msghdr message{};
		ucred credentials{};

		message.msg_iov = &part;
		message.msg_iovlen = 1;
		message.msg_control = control;
		message.msg_controllen = sizeof(control);
		if (recvmsg(fd_.get(), &message, MSG_TRUNC) != event.size)
			return false;
		std::memcpy(&credentials, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(credentials));
		if (sender != nullptr)
			*sender = credentials.pid;
		return true;
	}

private:
	Fd fd_;
};

class Events {
public:
	explicit Events(const Module &module) : path((module.tree.root() / "events").string())
	{
		setenv("ITME_EVENTS", path.c_str(), 1);
	}
	Events(const Events &) = delete;
	Events &operator=(const Events &) = delete;
	~Events() { unsetenv("ITME_EVENTS"); }

	std::string path;
};

} // namespace

TEST(Libitme, OpensFilesAndNothingElse)
{
	Tree tree;
	itme_region *region = nullptr;
	const auto before = open_files();
	const auto path = [&](const char *name) { return (tree.root() / name).string(); };

	tree.file("plain", "text");
	EXPECT_EQ(itme_region_open(path("none").c_str(), &region), -ENOENT);
	EXPECT_EQ(itme_region_open(tree.root().c_str(), &region), -EINVAL);
	ASSERT_EQ(mkfifo(path("fifo").c_str(), 0600), 0);
	EXPECT_EQ(itme_region_open(path("fifo").c_str(), &region), -EINVAL);
	EXPECT_EQ(itme_region_open_fd(-1, &region), -EBADF);
	{
		const Fd out{open(path("plain").c_str(), O_WRONLY | O_CLOEXEC)};
		const Fd handle{open(path("plain").c_str(), O_PATH | O_CLOEXEC)};
		const Fd both{open(path("plain").c_str(), O_RDWR | O_CLOEXEC)};

		EXPECT_EQ(itme_region_open_fd(out.get(), &region), -EBADF);
		EXPECT_EQ(itme_region_open_fd(handle.get(), &region), -EBADF);
		ASSERT_EQ(itme_region_open_fd(both.get(), &region), 0);
	}
	// The caller's own is closed by now.
	EXPECT_EQ(fcntl(itme_region_fd(region), F_GETFD), FD_CLOEXEC);
	EXPECT_EQ(itme_region_granule_bytes(region), 0);
	itme_region_close(region);
	itme_region_close(nullptr);
	EXPECT_EQ(open_files(), before);
}

TEST(Libitme, PlainFileIsAdvisedAndSaysWhatItCannot)
{
	Tree tree;
	const itme_range ranges[] = {{0, 4096}, {8192, 100}};
	itme_taken taken{};
	std::uint8_t byte = 0;

	tree.file("plain", std::string(20000, 'x'));
	const auto region = open_region((tree.root() / "plain").string());
	advice.clear();
	EXPECT_EQ(itme_region_need(region.get(), ranges, 2, nullptr, &taken), 0);
	EXPECT_EQ(taken.accepted_bytes, 4196);
	EXPECT_EQ(itme_region_prefetch(region.get(), 1, 2), 0);
	EXPECT_EQ(itme_region_release(region.get(), 3, 4, &taken), 0);
	EXPECT_EQ(taken.accepted_bytes, 4);
	EXPECT_EQ(itme_region_done(region.get(), 5, 6, ITME_NEXT_NEVER), 0);
	EXPECT_EQ(itme_region_done(region.get(), 5, 6, 3), 0);
	ASSERT_EQ(advice.size(), 5);
	const Advice wanted[] = {{0, 4096, POSIX_FADV_WILLNEED},
				 {8192, 100, POSIX_FADV_WILLNEED},
				 {1, 2, POSIX_FADV_WILLNEED},
				 {3, 4, POSIX_FADV_DONTNEED},
				 {5, 6, POSIX_FADV_DONTNEED}};
	for (std::size_t i = 0; i < 5; i++) {
		EXPECT_EQ(advice[i].offset, wanted[i].offset);
		EXPECT_EQ(advice[i].length, wanted[i].length);
		EXPECT_EQ(advice[i].advice, wanted[i].advice);
	}
	EXPECT_EQ(itme_region_wait(region.get(), 0, 1, 0, nullptr), -EOPNOTSUPP);
	EXPECT_EQ(itme_region_fence(region.get(), 1, 0, nullptr), -EOPNOTSUPP);
	EXPECT_EQ(itme_region_residency(region.get(), 0, &byte, 1), -EOPNOTSUPP);
	EXPECT_EQ(itme_region_step(region.get(), "decode", 1), 0);
	EXPECT_EQ(itme_region_at(region.get(), "decode", 1, 0), 0);
	EXPECT_EQ(itme_region_lost_events(region.get()), 0);
}

TEST(Libitme, WrongArgumentsAreRefusedAlikeEverywhere)
{
	Module module;
	module.tree.file("plain", "text");
	const itme_range empty{0, 0}, round{UINT64_MAX, 2}, good{0, 1};
	const itme_want class_4{.hint_class = 4, .tier = 0, .deadline_ns = 0, .cookie = 0};
	const itme_want tier_3{.hint_class = 0, .tier = 3, .deadline_ns = 0, .cookie = 0};
	const std::string long_name(ITME_STREAM_MAX + 1, 'x'), longest(ITME_STREAM_MAX, 'x');

	for (const auto &path : {module.path(), (module.tree.root() / "plain").string()}) {
		const auto file = open_region(path);

		EXPECT_EQ(itme_region_need(file.get(), &good, 0, nullptr, nullptr), -EINVAL);
		EXPECT_EQ(itme_region_need(file.get(), &empty, 1, nullptr, nullptr), -EINVAL);
		EXPECT_EQ(itme_region_need(file.get(), &good, 1, &class_4, nullptr), -EINVAL);
		EXPECT_EQ(itme_region_need(file.get(), &good, 1, &tier_3, nullptr), -EINVAL);
		EXPECT_EQ(itme_region_release(file.get(), 0, 0, nullptr), -EINVAL);
		EXPECT_EQ(itme_region_done(file.get(), 0, 0, 1), -EINVAL);
		EXPECT_EQ(itme_region_done(file.get(), UINT64_MAX, 2, 1), -EINVAL);
		EXPECT_EQ(itme_region_step(file.get(), "decode", 0), -EINVAL);
		EXPECT_EQ(itme_region_at(file.get(), long_name.c_str(), 1, 0), -EINVAL);
		EXPECT_EQ(itme_region_at(file.get(), longest.c_str(), 1, 0), 0);
	}
	const auto plain = open_region((module.tree.root() / "plain").string());
	EXPECT_EQ(itme_region_need(plain.get(), &round, 1, nullptr, nullptr), -EINVAL);
}

TEST(Libitme, NeedIsAVectorOfHints)
{
	Module module;
	const auto region = open_region(module.path());
	std::vector<itme_range> ranges(130, {granule, 5});
	const itme_want want{.hint_class = ITME_CLASS_LIKELY,
			     .tier = ITME_TIER_CXL,
			     .deadline_ns = 7,
			     .cookie = 9};
	itme_taken taken{};

	EXPECT_EQ(itme_region_granule_bytes(region.get()), granule);
	ranges[70] = {region_bytes, 1}; // past the end: the others are carried out
	ranges[90] = {0, 0};
	EXPECT_EQ(itme_region_need(region.get(), ranges.data(), 130, &want, &taken), -EINVAL);
	EXPECT_EQ(module.vectors, (std::vector<std::uint32_t>{64, 64, 2}));
	EXPECT_EQ(taken.accepted_bytes, 128 * granule);
	EXPECT_EQ(taken.resident_bytes, 128 * 2);
	EXPECT_EQ(taken.clipped_bytes, 128 * 3);
	EXPECT_EQ(taken.refused_bytes, 128 * 4);
	ASSERT_EQ(module.hints.size(), 130);
	for (std::size_t i = 0; i < 130; i++) {
		const auto &hint = module.hints[i];

		EXPECT_EQ(hint.op, ITME_HINT_PREFETCH);
		EXPECT_EQ(hint.hint_class, ITME_CLASS_LIKELY);
		EXPECT_EQ(hint.tier, ITME_TIER_CXL);
		EXPECT_EQ(hint.deadline_ns, 7);
		EXPECT_EQ(hint.cookie, 9);
		EXPECT_EQ(hint.offset, ranges[i].offset);
		EXPECT_EQ(hint.length, ranges[i].length);
		EXPECT_EQ(hint.flags, 0);
	}
}

TEST(Libitme, PrefetchIsExactAndToTheFastestTier)
{
	Module module;

	for (const auto tier : {ITME_TIER_DRAM, ITME_TIER_CXL}) {
		module.dram_bytes = tier == ITME_TIER_DRAM ? granule : 0;
		const auto region = open_region(module.path());
		EXPECT_EQ(itme_region_prefetch(region.get(), 3, 4), 0);
		EXPECT_EQ(module.hints.back().hint_class, ITME_CLASS_EXACT);
		EXPECT_EQ(module.hints.back().tier, tier);
		EXPECT_EQ(module.hints.back().cookie, 0);
		EXPECT_EQ(itme_region_release(region.get(), 3, 4, nullptr), 0);
		EXPECT_EQ(module.hints.back().op, ITME_HINT_RELEASE);
		EXPECT_EQ(module.hints.back().tier, 0);
		EXPECT_EQ(module.hints.back().hint_class, 0);
	}
}

TEST(Libitme, WaitAndFenceTellWhatCame)
{
	Module module;
	const auto region = open_region(module.path());
	itme_outcome outcome{};

	module.outcome.ready_bytes = 1;
	module.outcome.expired_bytes = 2;
	module.outcome.lost_bytes = 3;
	EXPECT_EQ(itme_region_wait(region.get(), 4, 5, 6, &outcome), 0);
	EXPECT_EQ(outcome.ready_bytes, 1);
	EXPECT_EQ(outcome.expired_bytes, 2);
	EXPECT_EQ(outcome.lost_bytes, 3);
	EXPECT_EQ(module.waits.back().flags, ITME_WAIT_RANGE);
	EXPECT_EQ(module.waits.back().offset, 4);
	EXPECT_EQ(module.waits.back().length, 5);
	EXPECT_EQ(module.waits.back().timeout_ns, 6);
	EXPECT_EQ(itme_region_fence(region.get(), 7, ITME_FOREVER, nullptr), 0);
	EXPECT_EQ(module.waits.back().flags, ITME_WAIT_COOKIE);
	EXPECT_EQ(module.waits.back().cookie, 7);
	EXPECT_EQ(module.waits.back().length, 0);
	EXPECT_EQ(module.waits.back().timeout_ns, UINT64_MAX);
	module.outcome.failed_bytes = 8;
	EXPECT_EQ(itme_region_fence(region.get(), 7, 0, &outcome), -EIO);
	EXPECT_EQ(outcome.failed_bytes, 8);
	for (const int err : {ETIMEDOUT, ENOENT, EINTR}) {
		module.wait_errno = err;
		EXPECT_EQ(itme_region_fence(region.get(), 7, 0, nullptr), -err);
	}
}

TEST(Libitme, ResidencyEndsWithTheRegion)
{
	Module module;
	const auto region = open_region(module.path());
	std::uint8_t bytes[8] = {};

	EXPECT_EQ(itme_region_residency(region.get(), 2, bytes, 8), 3);
	EXPECT_EQ(bytes[0], 2);
	EXPECT_EQ(bytes[2], 4);
	EXPECT_EQ(bytes[3], 0);
}

TEST(Libitme, EventsSayWhatWasDeclared)
{
	Module module;
	const Events events{module};
	const Listener itmed{events.path};
	const auto region = open_region(module.path());
	const auto name = [](const itme_event &event) { return std::string{event.stream}; };
	itme_event event{};
	pid_t sender = 0;

	EXPECT_EQ(itme_region_step(region.get(), "decode", 3), 0);
	ASSERT_TRUE(itmed.receive(event, &sender));
	EXPECT_EQ(sender, getpid());
	EXPECT_EQ(event.size, sizeof(event));
	EXPECT_EQ(event.version, ITME_EVENT_VERSION);
	EXPECT_EQ(event.kind, ITME_EVENT_STEP);
	EXPECT_EQ(event.fd, itme_region_fd(region.get()));
	EXPECT_EQ(event.pass, 3);
	EXPECT_EQ(name(event), "decode");
	EXPECT_GT(event.time_ns, 0);
	EXPECT_EQ(itme_region_at(region.get(), nullptr, 4, 5), 0);
	ASSERT_TRUE(itmed.receive(event));
	EXPECT_EQ(event.kind, ITME_EVENT_AT);
	EXPECT_EQ(event.pass, 4);
	EXPECT_EQ(event.position, 5);
	EXPECT_EQ(name(event), "");
	advice.clear();
	EXPECT_EQ(itme_region_done(region.get(), 6, 7, ITME_NEXT_NEVER), 0);
	ASSERT_TRUE(itmed.receive(event));
	EXPECT_EQ(event.kind, ITME_EVENT_DONE);
	EXPECT_EQ(event.offset, 6);
	EXPECT_EQ(event.length, 7);
	EXPECT_EQ(event.next_use, UINT32_MAX);
	EXPECT_TRUE(advice.empty()); // of a region itmed releases it
	const std::vector<itme_range> guesses(ITME_EVENT_RANGES_MAX + 1, {8, 9});
	EXPECT_EQ(itme_region_guess(region.get(), "decode", guesses.data(), guesses.size()), 0);
	for (const std::size_t ranges : {ITME_EVENT_RANGES_MAX, 1}) { // no datagram has more
		ASSERT_TRUE(itmed.receive(event));
		EXPECT_EQ(event.kind, ITME_EVENT_GUESS);
		EXPECT_EQ(event.size, sizeof(event) + ranges * sizeof(itme_event_range));
		EXPECT_EQ(event.pass, 0);
		EXPECT_EQ(name(event), "decode");
	}
	EXPECT_EQ(itme_region_guess(region.get(), nullptr, guesses.data(), 0), -EINVAL);
	const itme_range empty{1, 0};
	EXPECT_EQ(itme_region_guess(region.get(), nullptr, &empty, 1), -EINVAL);
	EXPECT_EQ(itme_region_lost_events(region.get()), 0);
}

TEST(Libitme, PositionsInOwnMemory)
{
	Module module;
	const Events events{module};
	const auto before = open_files();
	itme_event event{};
	pid_t sender = 0;

	EXPECT_EQ(itme_memory_at(1), -ENOENT); // nobody listens
	{
		const Listener itmed{events.path};

		EXPECT_EQ(itme_memory_at(1ULL << 40), 0);
		ASSERT_TRUE(itmed.receive(event, &sender));
		EXPECT_EQ(sender, getpid());
		EXPECT_EQ(event.size, sizeof(event));
		EXPECT_EQ(event.version, ITME_EVENT_VERSION);
		EXPECT_EQ(event.kind, ITME_EVENT_MEMORY_AT);
		EXPECT_EQ(event.fd, -1);
		EXPECT_EQ(event.offset, 1ULL << 40);
		EXPECT_EQ(event.length, 0);
		EXPECT_EQ(event.pass, 0);
		EXPECT_GT(event.time_ns, 0);
		int err = 0;
		for (int i = 0; i < 100000 && err == 0; i++)
			err = itme_memory_at(0);
		EXPECT_EQ(err, -EAGAIN); // a full queue is not waited for
	}
	setenv("ITME_EVENTS", "", 1);
	EXPECT_EQ(itme_memory_at(0), -ENOENT);
	EXPECT_EQ(open_files(), before);
}

TEST(Libitme, WithoutItmedEventsAreCountedAndNothingElse)
{
	Module module;
	const Events events{module};
	const auto region = open_region(module.path());
	itme_event event{};

	for (int i = 0; i < 3; i++)
		EXPECT_EQ(itme_region_at(region.get(), "decode", 1, 0), 0);
	EXPECT_EQ(itme_region_lost_events(region.get()), 3);
	for (int round = 0; round < 2; round++) { // started later, and again
		const Listener itmed{events.path};

		EXPECT_EQ(itme_region_at(region.get(), "decode", 1, 0), 0);
		EXPECT_TRUE(itmed.receive(event));
	}
	EXPECT_EQ(itme_region_at(region.get(), "decode", 1, 0), 0); // one that has died
	EXPECT_EQ(itme_region_lost_events(region.get()), 4);

	setenv("ITME_EVENTS", "", 1);
	const auto silent = open_region(module.path());
	EXPECT_EQ(itme_region_at(silent.get(), "decode", 1, 0), 0);
	EXPECT_EQ(itme_region_lost_events(silent.get()), 1);
	setenv("ITME_EVENTS", std::string(200, 'x').c_str(), 1);
	EXPECT_EQ(itme_region_at(open_region(module.path()).get(), "decode", 1, 0), 0);
}

TEST(Libitme, AFullQueueIsNotWaitedFor)
{
	Module module;
	const Events events{module};
	const Listener itmed{events.path};
	const auto region = open_region(module.path());
	std::uint64_t sent = 0, received = 0;
	itme_event event{};

	while (itme_region_lost_events(region.get()) == 0 && sent < 1'000'000) {
		EXPECT_EQ(itme_region_at(region.get(), "decode", 1, 0), 0);
		sent++;
	}
	while (itmed.receive(event))
		received++;
	EXPECT_GT(received, 0);
	EXPECT_EQ(received + itme_region_lost_events(region.get()), sent);
}

TEST(Libitme, AChildUsesItsParentsHandle)
{
	Module module;
	const Events events{module};
	const Listener itmed{events.path};
	const auto region = open_region(module.path());
	itme_event event{};
	pid_t sender = 0;
	int status = 0;
	const pid_t child = fork();

	if (child == 0)
		_exit(itme_region_at(region.get(), "child", 1, 0) == 0 &&
				      itme_region_prefetch(region.get(), 0, 1) == 0 &&
				      itme_region_lost_events(region.get()) == 0
			      ? 0
			      : 1);
	ASSERT_EQ(waitpid(child, &status, 0), child);
	EXPECT_EQ(status, 0);
	ASSERT_TRUE(itmed.receive(event, &sender));
	EXPECT_EQ(sender, child);
	EXPECT_EQ(itme_region_at(region.get(), "parent", 1, 0), 0);
	ASSERT_TRUE(itmed.receive(event, &sender));
	EXPECT_EQ(sender, getpid());
}

TEST(Libitme, ThreadsShareAHandle)
{
	constexpr std::uint64_t threads = 8, rounds = 500;
	Module module;
	const Events events{module};
	const Listener itmed{events.path};
	const auto region = open_region(module.path());
	std::atomic<int> failures = 0;
	std::atomic<std::uint64_t> ended = 0;
	std::vector<std::thread> runners;
	std::uint64_t received = 0;
	itme_event event{};

	for (std::uint64_t i = 0; i < threads; i++)
		runners.emplace_back([&] {
			for (std::uint64_t k = 0; k < rounds; k++) {
				failures += itme_region_at(region.get(), "decode", 1, 0) != 0;
				failures += itme_region_prefetch(region.get(), 0, 1) != 0;
			}
			ended++;
		});
	while (ended < threads)
		received += itmed.receive(event) ? 1 : 0;
	for (auto &runner : runners)
		runner.join();
	while (itmed.receive(event))
		received++;
	EXPECT_EQ(failures, 0);
	EXPECT_EQ(module.hints.size(), threads * rounds);
	EXPECT_EQ(received + itme_region_lost_events(region.get()), threads * rounds);
}
