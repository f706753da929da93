// SPDX-License-Identifier: GPL-2.0-only
#include "lib/snapshot.hpp"

#include <algorithm>
#include <numeric>

namespace itme {

std::uint64_t Histogram::total() const
{
	return std::accumulate(count.begin(), count.end(), std::uint64_t{0});
}

std::uint64_t Histogram::below(double share) const
{
	const auto all = static_cast<double>(total());
	std::uint64_t seen = 0;

	for (std::size_t bucket = 0; bucket < count.size(); bucket++) {
		seen += count[bucket];
		if (seen > 0 && static_cast<double>(seen) >= share * all)
			return bucket < 63 ? std::uint64_t{2} << bucket : UINT64_MAX;
	}
	return 0;
}

Histogram &Histogram::operator+=(const Histogram &other)
{
	for (std::size_t bucket = 0; bucket < count.size(); bucket++)
		count[bucket] += other.count[bucket];
	sum += other.sum;
	return *this;
}

Histogram &Histogram::operator-=(const Histogram &earlier)
{
	sum = since(sum, earlier.sum);
	for (std::size_t b = 0; b < count.size(); b++)
		count[b] = since(count[b], earlier.count[b]);
	return *this;
}

std::uint64_t RegionCounts::from_store(std::size_t tier) const
{
	std::uint64_t sum = 0;

	for (const auto cause :
	     {ByteCause::demand, ByteCause::exact, ByteCause::likely, ByteCause::maybe})
		sum += bytes[tier][static_cast<std::size_t>(cause)];
	return sum;
}

const char *cause_name(StallCause cause)
{
	static constexpr std::array names = {"miss", "late", "promote", "demote"};

	static_assert(names.size() == stall_causes);
	return names[static_cast<std::size_t>(cause)];
}

const char *cause_name(ByteCause cause)
{
	static constexpr std::array names = {"demand", "exact",   "likely",
					     "maybe",  "promote", "demote"};

	static_assert(names.size() == byte_causes);
	return names[static_cast<std::size_t>(cause)];
}

const char *class_name(HintClassSeen hint_class)
{
	static constexpr std::array names = {"unknown", "exact", "likely", "maybe"};

	static_assert(names.size() == hint_classes_seen);
	return names[static_cast<std::size_t>(hint_class)];
}

Stall &Stall::operator+=(const Stall &other)
{
	count += other.count;
	bytes += other.bytes;
	ns += other.ns;
	return *this;
}

std::uint64_t Stalls::ns() const
{
	return std::accumulate(by_cause.begin(), by_cause.end(), std::uint64_t{0},
			       [](std::uint64_t sum, const Stall &s) { return sum + s.ns; });
}

Stalls &Stalls::operator+=(const Stalls &other)
{
	for (std::size_t i = 0; i < stall_causes; i++)
		by_cause[i] += other.by_cause[i];
	return *this;
}

namespace {

double share_of(std::uint64_t ns, const ThreadStalls &thread)
{
	if (thread.last_ns <= thread.first_ns)
		return 0;
	return std::min(1.0, static_cast<double>(ns) /
				     static_cast<double>(thread.last_ns - thread.first_ns));
}

} // namespace

double ThreadStalls::share(StallCause cause) const
{
	return share_of(stalls.of(cause).ns, *this);
}

double ThreadStalls::share() const
{
	return share_of(stalls.ns(), *this);
}

} // namespace itme
