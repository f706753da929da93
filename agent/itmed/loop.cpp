// SPDX-License-Identifier: GPL-2.0-only
#include "itmed/loop.hpp"

#include "lib/file.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <sys/epoll.h>

namespace itme {

namespace {

constexpr std::uint64_t ms_ns = 1'000'000;

} // namespace

Result<Loop> Loop::make()
{
	Loop loop;

	loop.epoll_ = Fd{epoll_create1(EPOLL_CLOEXEC)};
	if (!loop.epoll_)
		return fail("no epoll: " + errno_text(errno));
	return loop;
}

Result<void> Loop::add(int fd, std::uint32_t events, Callback callback)
{
	epoll_event event{.events = events, .data = {.fd = fd}};

	if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) < 0)
		return fail("a descriptor cannot be waited for: " + errno_text(errno));
	callbacks_[fd] = std::make_shared<Callback>(std::move(callback));
	return {};
}

bool Loop::change(int fd, std::uint32_t events)
{
	epoll_event event{.events = events, .data = {.fd = fd}};

	return epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) == 0;
}

void Loop::remove(int fd)
{
	epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
	callbacks_.erase(fd);
}

Result<void> Loop::turn(std::uint64_t until_ns)
{
	std::array<epoll_event, 32> events;
	const auto now = monotonic_ns();
	int timeout = -1;

	if (until_ns != UINT64_MAX) {
		const auto left = until_ns > now ? until_ns - now : 0;
		timeout = static_cast<int>(
			std::min<std::uint64_t>((left + ms_ns - 1) / ms_ns, INT32_MAX));
	}
	const int n = epoll_wait(epoll_.get(), events.data(), events.size(), timeout);
	if (n < 0 && errno != EINTR)
		return fail("waiting failed: " + errno_text(errno));
	for (int i = 0; i < n; i++) {
		const auto &event = events[static_cast<std::size_t>(i)];
		const auto found = callbacks_.find(event.data.fd);

		if (found == callbacks_.end())
			continue; // removed by an earlier callback
		const auto callback = found->second;
		(*callback)(event.events);
	}
	return {};
}

} // namespace itme
