// SPDX-License-Identifier: GPL-2.0-only
// Any bytes as a schedule file. What is accepted passes the check, and survives
// being written and read again.
#include "lib/schedule.hpp"

#include <cstdint>
#include <cstdlib>

namespace {

void require(bool holds)
{
	if (!holds)
		abort();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const std::string_view text(reinterpret_cast<const char *>(data), size);
	const auto schedule = itme::parse_schedule(text);

	if (!schedule) {
		require(schedule.error().offset <= size && !schedule.error().message.empty());
		return 0;
	}
	require(!itme::check(*schedule));
	const std::string once = itme::schedule_text(*schedule);
	const auto again = itme::parse_schedule(once);

	require(again.has_value());
	require(itme::schedule_text(*again) == once);
	return 0;
}
