// SPDX-License-Identifier: GPL-2.0-only
#include "lib/resident_set.hpp"

#include <algorithm>

namespace itme {

namespace {

Tier tier_of(Home home)
{
	switch (home) {
	case Home::dram:
		return Tier::dram;
	case Home::cxl:
	case Home::copied:
		return Tier::cxl;
	case Home::store:
		break;
	}
	return Tier::store;
}

} // namespace

ResidentSet::ResidentSet(std::uint64_t granule_bytes, std::uint64_t region_bytes)
    : granule_bytes_(granule_bytes), region_bytes_(region_bytes),
      homes_((region_bytes + granule_bytes - 1) / granule_bytes, Home::store),
      pins_(homes_.size(), Tier::store)
{
}

void ResidentSet::want(std::vector<Home> homes, bool pinned)
{
	homes.resize(pins_.size(), Home::store);
	homes_ = std::move(homes);
	pinned_ = pinned;
	dram_bytes_ = cxl_bytes_ = 0;
	for (std::uint64_t granule = 0; granule < homes_.size(); granule++) {
		const auto tier = tier_of(homes_[granule]);

		dram_bytes_ += tier == Tier::dram ? bytes_of(granule) : 0;
		cxl_bytes_ += tier == Tier::cxl ? bytes_of(granule) : 0;
	}
}

void ResidentSet::want_nothing()
{
	want({}, pinned_);
}

std::uint64_t ResidentSet::bytes_of(std::uint64_t granule) const
{
	return std::min(granule_bytes_, region_bytes_ - granule * granule_bytes_);
}

// Neighbours as one hint.
void ResidentSet::add(std::vector<Hint> &hints, const Hint &hint, std::uint64_t granule) const
{
	const auto offset = granule * granule_bytes_;
	const auto length = bytes_of(granule);

	if (!hints.empty() && hints.back().op == hint.op && hints.back().tier == hint.tier &&
	    hints.back().offset + hints.back().length == offset) {
		hints.back().length += length;
		return;
	}
	hints.push_back(hint);
	hints.back().offset = offset;
	hints.back().length = length;
}

void ResidentSet::unpin(const Fd &region)
{
	std::vector<Hint> hints;

	for (std::uint64_t granule = 0; granule < pins_.size(); granule++) {
		// What is copied up and back must not be kept where it is.
		const bool stays = pinned_ && homes_[granule] != Home::copied &&
				   tier_of(homes_[granule]) == pins_[granule];

		if (pins_[granule] == Tier::store || stays)
			continue;
		add(hints, {.op = HintOp::unpin}, granule);
		pins_[granule] = Tier::store;
	}
	// What fails was no pin any more.
	[[maybe_unused]] const auto done = carry_out(region, hints);
}

bool ResidentSet::settle(const Fd &region)
{
	const auto now = read_residency(region);
	std::vector<Hint> hints;
	bool all = true;

	if (!now)
		return false;
	for (std::uint64_t granule = 0; granule < std::min(pins_.size(), now->size()); granule++) {
		const auto home = homes_[granule];
		const auto tier = tier_of(home);
		const bool pin = pinned_ && home != Home::copied;

		const auto &state = (*now)[granule];

		if (tier == Tier::store)
			continue;
		if (state.busy) { // on its way, perhaps for us
			all = false;
			continue;
		}
		if (state.tier == tier && (!pin || (state.pinned && pins_[granule] == tier)))
			continue;
		// A copy that is in use now goes back by itself, after its use.
		if (home == Home::copied && state.tier == Tier::dram)
			continue;
		// Pins take the room that is theirs; what is only fetched, what is free.
		add(hints,
		    {.op = pin ? HintOp::pin : HintOp::prefetch,
		     .hint_class = pinned_ ? HintClass::exact : HintClass::likely,
		     .tier = tier},
		    granule);
	}
	const auto results = carry_out(region, hints);
	if (!results)
		return false;
	for (std::size_t i = 0; i < hints.size(); i++) {
		const auto first = hints[i].offset / granule_bytes_;
		const auto count = (hints[i].length + granule_bytes_ - 1) / granule_bytes_;

		all = all && (*results)[i].error == 0 && (*results)[i].clipped_bytes == 0;
		// Also where only some of it could be had: the residency tells which.
		if (hints[i].op == HintOp::pin)
			std::fill_n(pins_.begin() + static_cast<std::ptrdiff_t>(first), count,
				    hints[i].tier);
	}
	return all;
}

} // namespace itme
