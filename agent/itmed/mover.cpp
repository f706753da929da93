// SPDX-License-Identifier: GPL-2.0-only
#include "itmed/mover.hpp"

#include <cerrno>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace itme {

Mover::Mover(Loop &loop, Pages &pages, Done done)
    : loop_(loop), pages_(pages), done_(std::move(done))
{
}

Mover::~Mover()
{
	if (told_)
		loop_.remove(told_.get());
}

Result<void> Mover::start()
{
	told_ = Fd{eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
	if (!told_)
		return fail("no eventfd: " + errno_text(errno));
	try {
		thread_ = std::jthread{[this](const std::stop_token &stop) { work(stop); }};
	} catch (const std::system_error &error) {
		return fail("no thread: " + std::string{error.what()});
	}
	return loop_.add(told_.get(), EPOLLIN, [this](std::uint32_t) { finished(); });
}

void Mover::move(MemoryMove move)
{
	busy_ = true;
	const std::scoped_lock lock{mutex_};
	wanted_ = std::move(move);
	changed_.notify_one();
}

void Mover::work(const std::stop_token &stop)
{
	std::unique_lock lock{mutex_};

	while (changed_.wait(lock, stop, [this] { return wanted_.has_value(); })) {
		auto move = std::exchange(wanted_, std::nullopt).value_or(MemoryMove{});

		lock.unlock();
		const auto began = monotonic_ns();
		auto nodes = pages_.move(move.pid, move.pages, move.node, move.whose);
		const auto took = monotonic_ns() - began;
		lock.lock();
		outcome_ = Outcome{std::move(move), std::move(nodes), took};
		eventfd_write(told_.get(), 1);
	}
}

void Mover::finished()
{
	eventfd_t times = 0;
	std::optional<Outcome> outcome;

	eventfd_read(told_.get(), &times);
	{
		const std::scoped_lock lock{mutex_};
		outcome = std::exchange(outcome_, std::nullopt);
	}
	if (!outcome)
		return;
	busy_ = false;
	done_(outcome->move, outcome->nodes, outcome->took_ns);
}

} // namespace itme
