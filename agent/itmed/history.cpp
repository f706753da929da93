// SPDX-License-Identifier: GPL-2.0-only
#include "itmed/history.hpp"

#include <utility>

namespace itme {

void History::add(Observation observation)
{
	entries_.push_back(std::make_shared<const Observation>(std::move(observation)));
	while (entries_.size() > most_)
		entries_.pop_front();
}

History::Entry History::since(std::uint64_t time_ns) const
{
	Entry found;

	for (const auto &entry : entries_)
		if (!found || entry->time_ns <= time_ns)
			found = entry;
	return found;
}

} // namespace itme
