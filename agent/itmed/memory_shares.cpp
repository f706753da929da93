// SPDX-License-Identifier: GPL-2.0-only
#include "itmed/memory_shares.hpp"

#include "itmed/service.hpp"
#include "lib/size.hpp"

#include <algorithm>
#include <cstdio>
#include <fstream>

namespace itme {

namespace {

constexpr std::uint64_t second_ns = 1'000'000'000, divide_ns = 10 * second_ns;
const Path sysfs = "/sys/fs/itme";

std::string seconds(double s)
{
	return figure("%.4g s", s);
}

} // namespace

MemoryShares::MemoryShares(const Conductor &conductor, MemoryKeeper &memory, Path file)
    : conductor_(conductor), memory_(memory), file_(std::move(file))
{
}

// What somebody has set since is left as it is.
void MemoryShares::start()
{
	const auto json = Json::parse(read_file(file_).value_or("[]"), nullptr, false);
	std::error_code ec;

	for (const auto &one : json.is_array() ? json : Json::array()) {
		const auto name = Path{text_of(one, "instance")}.filename();
		const auto file = sysfs / name / "dram_bytes";

		if (name.empty() ||
		    parse_number(read_line(file).value_or("")) != number_of(one, "frames_bytes"))
			continue;
		std::ofstream{file} << number_of(one, "budget_bytes") << std::flush;
		log(Level::notice, name.string() + ": has all of its DRAM again, which was shared");
	}
	std::filesystem::remove(file_, ec);
}

Result<void> MemoryShares::check(const MemoryDeclaration &declaration) const
{
	const auto &name = declaration.share;
	std::error_code ec;

	if (name.empty())
		return {};
	if (name.find('/') != name.npos || name.starts_with('.') ||
	    !std::filesystem::exists(sysfs / name / "dram_bytes", ec))
		return fail("there is no instance " + name + ": itmectl list names them",
			    Exit::usage);
	for (const auto &[pid, share] : shares_)
		if (pid != declaration.pid && share.instance == name)
			return fail(name + " shares its DRAM with process " + std::to_string(pid) +
				    " already: itmectl memory forget " + std::to_string(pid));
	return {};
}

void MemoryShares::changed()
{
	const auto declared = memory_.declarations();

	for (auto it = shares_.begin(); it != shares_.end();) {
		const bool stays = std::ranges::any_of(declared, [&](const auto *one) {
			return one->pid == it->first && one->share == it->second.instance;
		});

		if (!stays)
			it->second.dram.give_back();
		it = stays ? std::next(it) : shares_.erase(it);
	}
	for (const auto *one : declared)
		if (!one->share.empty())
			shares_.try_emplace(one->pid,
					    Share{one->share, DramShare{sysfs / one->share}});
	next_ns_ = 0;
	keep();
}

void MemoryShares::divide(int pid, Share &share) const
{
	const auto *joint = conductor_.joint(share.instance);
	char text[256];

	if (joint == nullptr)
		return share.dram.want({}, "no region of the instance has an order that is known: "
					   "there is nothing to weigh");
	auto options = joint->options;
	options.budget.dram_bytes = share.dram.whole_bytes();
	const auto division = itme::divide(joint->schedule, options, memory_.read_bytes(pid));
	if (!division)
		return share.dram.want({}, division.error().text);
	std::snprintf(text, sizeof(text),
		      "a pass of the regions and a reading of the memory are predicted to take %s "
		      "and %s, and would %s and %s with all of it for frames",
		      seconds(division->regions_s).c_str(), seconds(division->memory_s).c_str(),
		      seconds(division->regions_before_s).c_str(),
		      seconds(division->memory_before_s).c_str());
	share.dram.want(*division, text);
}

void MemoryShares::step(std::uint64_t now_ns)
{
	if (now_ns < next_ns())
		return;
	changed();
	for (auto &[pid, share] : shares_) {
		auto granted = share.dram.step(memory_.dram_bytes(pid));

		if (now_ns >= share.divide_ns && share.dram.whole_bytes() > 0) {
			divide(pid, share);
			share.divide_ns = now_ns + divide_ns;
			granted = share.dram.step(memory_.dram_bytes(pid));
		}
		memory_.set_dram(pid, granted);
	}
	keep();
	next_ns_ = now_ns + second_ns;
}

void MemoryShares::end()
{
	std::error_code ec;

	for (auto &[pid, share] : shares_)
		share.dram.give_back();
	shares_.clear();
	std::filesystem::remove(file_, ec);
}

// For one that takes over from this one if it dies.
void MemoryShares::keep() const
{
	std::error_code ec;
	const auto next = file_.string() + ".new";

	std::ofstream{next} << one_line(to_json()) << '\n';
	std::filesystem::rename(next, file_, ec);
}

Json MemoryShares::to_json() const
{
	auto json = Json::array();

	for (const auto &[pid, share] : shares_) {
		auto one = share.dram.to_json();

		one["pid"] = pid;
		json.push_back(std::move(one));
	}
	return json;
}

} // namespace itme
