// SPDX-License-Identifier: GPL-2.0-only
#include "itmed/service.hpp"

#include "itmed/loop.hpp"
#include "lib/table.hpp"

#include <cstdio>
#include <cstdlib>
#include <systemd/sd-daemon.h>

namespace itme {

namespace {

constexpr std::uint64_t us_ns = 1000;

void notify(const std::string &text)
{
	// A failure has nobody who could be told: who started itmed does not listen.
	(void)sd_notify(0, text.c_str());
}

} // namespace

Service::Service()
{
	std::uint64_t patience_us = 0;

	if (sd_watchdog_enabled(0, &patience_us) > 0 && patience_us > 0) {
		every_ns_ = patience_us * us_ns / 2;
		next_ns_ = monotonic_ns();
	}
}

void Service::ready(const std::string &status)
{
	last_status_ = status;
	notify("READY=1\nSTATUS=" + printable(status));
}

void Service::status(const std::string &status)
{
	if (status == last_status_)
		return;
	last_status_ = status;
	notify("STATUS=" + printable(status));
}

void Service::reloading()
{
	notify("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(monotonic_ns() / us_ns));
}

void Service::stopping()
{
	notify("STOPPING=1");
}

void Service::beat(std::uint64_t now_ns)
{
	if (now_ns < next_ns_)
		return;
	notify("WATCHDOG=1");
	next_ns_ = now_ns + every_ns_;
}

void log(Level level, const std::string &text)
{
	static const bool to_journal = getenv("JOURNAL_STREAM") != nullptr;

	if (to_journal)
		std::fprintf(stderr, "<%d>%s\n", static_cast<int>(level), printable(text).c_str());
	else
		std::fprintf(stderr, "itmed: %s\n", printable(text).c_str());
}

} // namespace itme
