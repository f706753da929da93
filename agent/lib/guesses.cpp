// SPDX-License-Identifier: GPL-2.0-only
#include "lib/guesses.hpp"

#include <algorithm>

namespace itme {

namespace {

constexpr std::uint32_t enough = 32; // guesses that came true or did not: a verdict
// So many have to come true. One that does saves a wait that may be hidden anyway; one that
// does not keeps off what is certain for as long, and has to be dropped.
constexpr double pays = 2. / 3;
constexpr std::uint64_t least_pause = 16, most_pause = 1024; // passes without guesses

} // namespace

void Guesses::allow(std::uint64_t a_pass, std::uint32_t at_once)
{
	a_pass_ = a_pass;
	at_once_ = at_once;
}

void Guesses::begin_pass()
{
	pass_++;
	step_ = 0;
	this_pass_ = 0;
	passes_off_ -= passes_off_ > 0;
}

std::vector<std::uint32_t> Guesses::take(std::span<const Guess> guesses)
{
	std::vector<std::uint32_t> fetched;

	for (const auto &guess : guesses) {
		if (std::ranges::find(out_, guess.granule, &Out::granule) != out_.end())
			continue;
		if (passes_off_ > 0 || out_.size() >= at_once_ || this_pass_ >= a_pass_) {
			counts_.withheld++;
			continue;
		}
		// What lies behind the run is of its next pass.
		out_.push_back({guess.granule, pass_ + (guess.step < step_), guess.step});
		counts_.fetched++;
		this_pass_++;
		fetched.push_back(guess.granule);
	}
	return fetched;
}

void Guesses::not_fetched(std::uint32_t granule)
{
	const auto found = std::ranges::find(out_, granule, &Out::granule);

	if (found == out_.end())
		return;
	out_.erase(found);
	counts_.fetched--;
	this_pass_ -= this_pass_ > 0;
}

void Guesses::see(std::uint64_t granule, bool ahead)
{
	if (std::erase_if(out_, [&](const Out &out) { return out.granule == granule; }) > 0 &&
	    ahead)
		settle(true);
}

void Guesses::settle(bool used)
{
	(used ? counts_.used : counts_.wasted)++;
	settled_++;
	good_ += used;
	if (settled_ < enough)
		return;
	if (good_ < pays * settled_) {
		pause_ = std::clamp(2 * pause_, least_pause, most_pause);
		passes_off_ = pause_;
		verdict_ = "only " + std::to_string(good_) + " of the last " +
			   std::to_string(settled_) + " came true: none are taken for " +
			   std::to_string(pause_) + " passes";
	} else {
		pause_ = 0;
		verdict_.clear();
	}
	settled_ = good_ = 0;
}

std::vector<std::uint32_t> Guesses::drop_before(std::uint64_t pass, std::uint32_t step)
{
	std::vector<std::uint32_t> dropped;

	std::erase_if(out_, [&](const Out &out) {
		if (out.pass > pass || (out.pass == pass && out.step >= step))
			return false;
		dropped.push_back(out.granule);
		settle(false);
		return true;
	});
	return dropped;
}

std::vector<std::uint32_t> Guesses::reach(std::uint32_t step)
{
	step_ = step;
	return drop_before(pass_, step);
}

std::vector<std::uint32_t> Guesses::end()
{
	return drop_before(UINT64_MAX, 0);
}

std::string Guesses::words() const
{
	if (counts_.fetched + counts_.withheld == 0)
		return {};
	const auto text = "of the runtime's guesses " + std::to_string(counts_.fetched) +
			  " granules were fetched, " + std::to_string(counts_.used) + " used, " +
			  std::to_string(counts_.wasted) + " wasted, and " +
			  std::to_string(counts_.withheld) + " left alone";

	if (passes_off_ > 0)
		return text + "; " + verdict_;
	if (a_pass_ == 0 || at_once_ == 0)
		return text + (a_pass_ == 0 ? "; the plan leaves the store no time for them"
					    : "; the window has no room for them");
	return text;
}

} // namespace itme
