// SPDX-License-Identifier: GPL-2.0-only
#include "lib/dram_share.hpp"

#include "lib/fd.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <unistd.h>

namespace itme {

namespace {

constexpr std::uint64_t little = 16; // of so many parts of the budget one is not moved for

std::uint64_t read_number(const Path &file)
{
	return parse_number(read_line(file).value_or("")).value_or(0);
}

} // namespace

// Who sets the budget while it is shared sets all of it.
void DramShare::look()
{
	const auto frames = read_number(instance_ / "dram_bytes");

	if (frames == frames_)
		return;
	whole_ = frames_ = frames;
	wanted_ = granted_ = 0;
	division_.reset();
	why_ = "the budget was set: it is divided anew";
}

void DramShare::want(const std::optional<Division> &division, const std::string &why)
{
	look();
	why_ = why;
	if (!division) {
		wanted_ = 0;
		division_.reset();
		return;
	}
	const auto far = division->memory_bytes > wanted_ ? division->memory_bytes - wanted_
							  : wanted_ - division->memory_bytes;
	if (division_ && far < whole_ / little)
		return;
	division_ = division;
	wanted_ = std::min(division->memory_bytes, whole_);
}

// Who gives goes first: frames before the memory gets more, the memory before frames come back.
std::uint64_t DramShare::step(std::uint64_t memory_bytes)
{
	look();
	granted_ = std::min(granted_, wanted_);
	if (wanted_ > granted_) {
		set_frames(whole_ - wanted_);
		if (frames_ == whole_ - wanted_ &&
		    read_number(instance_ / "dram_current_bytes") <= frames_)
			granted_ = wanted_;
	} else if (memory_bytes <= granted_) {
		set_frames(whole_ - granted_);
	}
	return granted_;
}

void DramShare::set_frames(std::uint64_t bytes)
{
	if (bytes == frames_)
		return;
	const Fd fd{open((instance_ / "dram_bytes").c_str(), O_WRONLY | O_CLOEXEC)};
	const auto text = std::to_string(bytes);
	// It takes whole granules, and says then what it has taken.
	if (fd && write(fd.get(), text.data(), text.size()) > 0)
		frames_ = read_number(instance_ / "dram_bytes");
	else
		why_ = "dram_bytes of the instance is not taken: " + errno_text(errno);
}

void DramShare::give_back()
{
	look();
	wanted_ = granted_ = 0;
	set_frames(whole_);
}

Json DramShare::to_json() const
{
	Json json{{"instance", instance_.filename().string()},
		  {"budget_bytes", whole_},
		  {"frames_bytes", frames_},
		  {"memory_bytes", granted_},
		  {"wanted_bytes", wanted_},
		  {"why", why_}};

	if (division_) {
		json["memory_seconds"] = division_->memory_s;
		json["regions_seconds"] = division_->regions_s;
		json["memory_before_seconds"] = division_->memory_before_s;
		json["regions_before_seconds"] = division_->regions_before_s;
	}
	return json;
}

} // namespace itme
