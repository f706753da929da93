// SPDX-License-Identifier: GPL-2.0-only
// What a program chooses from (the experts of a layer), and how often each is chosen, as
// far as that was seen: what is popular is to stay in memory. Pure.
#pragma once

#include "lib/granule_range.hpp"
#include "lib/placement.hpp"
#include "lib/schedule.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace itme {

class Choices {
public:
	// Of one stream, in one region of `granules` granules.
	Choices(const Schedule &schedule, std::uint32_t stream, std::uint32_t region,
		std::uint64_t granule_bytes, std::uint64_t granules);

	[[nodiscard]] bool empty() const { return members_.empty(); }
	// So many steps of the program choose.
	[[nodiscard]] std::uint32_t steps() const { return steps_; }
	// The choice that may read this granule, the last one where there are several.
	[[nodiscard]] std::optional<std::uint32_t> step_of(std::uint64_t granule) const;

	// This granule was used.
	void see(std::uint64_t granule);
	// A pass begins. The use of what is mapped is not seen, unless it is watched: that is
	// done in some passes only, and only these are counted. What is to be watched now.
	[[nodiscard]] std::vector<GranuleRange> begin_pass();

	// So many passes were counted.
	[[nodiscard]] std::uint64_t counted() const { return counted_; }
	// Enough is known to plan by.
	[[nodiscard]] bool known() const;
	// Tells the schedule, which is that of the constructor, how popular its objects are. Of
	// those that were used equally often the ones that stay now, by their homes, are first:
	// most are used seldom, and others would be read for nothing with each plan.
	void tell(Schedule &schedule, std::span<const Home> homes) const;
	// Of the uses that the best residents would have saved, the share that these homes,
	// as many, did save: 0 to 1.
	[[nodiscard]] double worth(std::span<const Home> homes) const;

private:
	struct Member {
		std::uint32_t granule = 0, step = 0;
		float uses = 0;    // in the passes that were counted
		bool used = false; // in this pass
	};
	struct Chosen { // an object of a group
		std::uint32_t group = 0, index = 0;
		std::vector<std::uint32_t> members;
	};

	[[nodiscard]] Member *find(std::uint64_t granule);
	[[nodiscard]] static bool stays(const Member &member, std::span<const Home> homes)
	{
		return member.granule < homes.size() && homes[member.granule] != Home::store;
	}
	[[nodiscard]] std::uint32_t add(std::uint32_t granule, std::uint32_t step);

	std::uint32_t steps_ = 0;
	std::vector<std::uint32_t> number_; // of each granule: its member, from 1; 0: none
	std::vector<Member> members_;
	std::vector<GranuleRange> ranges_; // of all members
	std::vector<Chosen> objects_;
	std::uint64_t passes_ = 0, counted_ = 0;
	bool counts_ = false; // this pass
};

} // namespace itme
