// SPDX-License-Identifier: GPL-2.0-only
#include "replay/hinter.hpp"

#include <algorithm>
#include <fcntl.h>

namespace itme::replay {

HintSteps::HintSteps(HintPlan plan, const std::vector<uint32_t> &sequence, size_t items)
    : plan_(std::move(plan)), sequence_(sequence), pinned_(items)
{
	for (const uint32_t item : plan_.pinned)
		pinned_[item] = true;
}

HintStep HintSteps::at(size_t position)
{
	HintStep step;

	// What is read now is not coming any more, and is no longer worth a hint.
	if (asked_ > position)
		coming_.erase(coming_.find(sequence_[position]));
	asked_ = std::max(asked_, position + 1);

	if (plan_.release && position > 0) {
		const uint32_t last = sequence_[position - 1];

		if (!pinned_[last] && last != sequence_[position] && !coming_.contains(last))
			step.release.push_back(last);
	}
	while (plan_.ahead > 0 && asked_ < sequence_.size() && asked_ <= position + plan_.ahead) {
		const uint32_t item = sequence_[asked_++];

		if (!pinned_[item] && !coming_.contains(item))
			step.prefetch.push_back(item);
		coming_.insert(item);
		// It is asked for again at once: there is no point in letting it go.
		std::erase(step.release, item);
	}
	return step;
}

namespace {

class RegionHinter : public Hinter {
public:
	RegionHinter(Region region, Sureness sureness)
	    : region_(std::move(region)), sureness_(sureness)
	{
	}

	Result<void> pin(const std::vector<Item> &items) override
	{
		std::vector<RegionHint> hints;

		for (const auto &item : items)
			hints.push_back(
				{.ask = Ask::pin, .offset = item.offset, .length = item.length});
		if (hints.empty())
			return {};
		const auto sums = region_.hint(hints);
		if (!sums)
			return std::unexpected(sums.error());
		if (sums->clipped_bytes > 0)
			return fail("not all that was to be pinned fits");
		for (const auto &item : items)
			if (auto done = region_.wait(item.offset, item.length); !done)
				return std::unexpected(done.error());
		return {};
	}

	Result<void> hint(const std::vector<Item> &prefetch,
			  const std::vector<Item> &release) override
	{
		std::vector<RegionHint> hints;

		// Released first, so that there is room.
		for (const auto &item : release)
			hints.push_back({.ask = Ask::release,
					 .offset = item.offset,
					 .length = item.length});
		for (const auto &item : prefetch)
			hints.push_back({.sureness = sureness_,
					 .offset = item.offset,
					 .length = item.length});
		if (auto sums = region_.hint(hints); !sums)
			return std::unexpected(sums.error());
		return {};
	}

	Result<void> guess(const std::vector<Item> &items) override
	{
		std::vector<RegionRange> ranges;

		for (const auto &item : items)
			ranges.push_back({item.offset, item.length});
		return region_.guess(ranges);
	}

	Result<std::vector<bool>> ready(const std::vector<Item> &items) override
	{
		std::vector<bool> there;

		for (const auto &item : items) {
			const auto all = region_.holds(item.offset, item.length);
			if (!all)
				return std::unexpected(all.error());
			there.push_back(*all);
		}
		return there;
	}

private:
	Region region_;
	Sureness sureness_;
};

class FileHinter : public Hinter {
public:
	explicit FileHinter(Fd fd) : fd_(std::move(fd)) {}

	Result<void> pin(const std::vector<Item> &) override { return {}; }

	Result<void> hint(const std::vector<Item> &prefetch,
			  const std::vector<Item> &release) override
	{
		for (const auto &item : release)
			if (auto done = advise(item, POSIX_FADV_DONTNEED); !done)
				return done;
		for (const auto &item : prefetch)
			if (auto done = advise(item, POSIX_FADV_WILLNEED); !done)
				return done;
		return {};
	}

	Result<void> guess(const std::vector<Item> &) override { return {}; }

	Result<std::vector<bool>> ready(const std::vector<Item> &items) override
	{
		return std::vector<bool>(items.size(), true);
	}

private:
	[[nodiscard]] Result<void> advise(const Item &item, int advice) const
	{
		const int err = posix_fadvise(fd_.get(), static_cast<off_t>(item.offset),
					      static_cast<off_t>(item.length), advice);
		if (err != 0)
			return fail("posix_fadvise: " + errno_text(err));
		return {};
	}

	Fd fd_;
};

} // namespace

std::vector<uint32_t> guess_burst(const HintPlan &plan, const Burst &burst,
				  std::span<const uint32_t> picked, Random &source)
{
	std::vector<uint32_t> guesses;
	size_t next = 0;

	for (size_t i = 0; i < plan.guesses; i++) {
		const auto any = burst.first + static_cast<uint32_t>(source.below(burst.items));
		const bool right = source.unit() < plan.right && next < picked.size();
		const auto item = right ? picked[next++] : any;

		if (std::ranges::find(guesses, item) == guesses.end() &&
		    (right || std::ranges::find(picked, item) == picked.end()))
			guesses.push_back(item);
	}
	return guesses;
}

std::vector<uint32_t> ready_first(const std::vector<uint32_t> &items,
				  const std::vector<bool> &ready)
{
	std::vector<uint32_t> order;

	for (const bool first : {true, false})
		for (size_t i = 0; i < items.size(); i++)
			if (ready[i] == first)
				order.push_back(items[i]);
	return order;
}

Result<std::unique_ptr<Hinter>> open_hinter(const Path &path, Sureness sureness)
{
	if (is_region(path)) {
		auto region = Region::open(path);
		if (!region)
			return std::unexpected(region.error());
		return std::make_unique<RegionHinter>(std::move(*region), sureness);
	}
	Fd fd{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
	if (!fd)
		return fail(path.string() + ": " + errno_text(errno));
	return std::make_unique<FileHinter>(std::move(fd));
}

} // namespace itme::replay
