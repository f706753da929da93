// SPDX-License-Identifier: GPL-2.0-only
#include "lib/learner.hpp"

#include <algorithm>
#include <bit>
#include <cstdio>

namespace itme {

namespace {

// Passes' worth of accesses after which an order would have shown.
constexpr std::uint64_t enough_passes = 6, enough_accesses = 96;
// What several threads still do in one granule is one access: so many others may lie
// between. Less where the whole pass is short.
constexpr std::uint32_t most_near = 8;
// Accesses of another process in a row, after which it is the one that is followed.
constexpr std::uint32_t others_in_a_row = 16;
constexpr std::uint64_t silence_ns = 100'000'000, silence_gaps = 8;
// Threads and stalls are told a little late.
constexpr std::size_t most_disorder = 16;
// Two passes that differ in a single access are not enough.
constexpr double two_are_enough = 0.9999, three_are_enough = 0.9;
// So many accesses must have been repeated: a few are alike by chance.
constexpr std::uint64_t least_repeated = 16;
constexpr double still_holds = 0.5;
constexpr std::uint32_t least_evidence = 16, most_evidence = 64;
constexpr std::size_t most_steps = 64;

std::string text(const char *format, auto... values)
{
	char line[192];

	std::snprintf(line, sizeof(line), format, values...);
	return line;
}

int percent(double share)
{
	return static_cast<int>(100 * share);
}

} // namespace

Learner::Learner(RegionId region, std::uint32_t granules) : region_(region), granules_(granules) {}

void Learner::learn_anew()
{
	state_ = State::learning;
	std::ranges::fill(granules_, Granule{});
	accesses_.clear();
	begins_.clear();
	unwatched_.clear();
	recent_count_ = recent_distinct_ = 0;
	number_ = distinct_ = again_ = 0;
	looked_ = watched_ = 0;
	gap_ns_ = 0;
	watch_all_ = true;
	order_ = {};
	round_.clear();
	evidence_count_ = 0;
	passes_ = 0;
}

// ----------------------------------------------------------------------
// What is seen

bool Learner::is_other_reader(std::uint32_t pid)
{
	if (pid_ == pid || pid_ == 0) {
		others_ = 0;
	} else {
		others_ = pid == other_pid_ ? others_ + 1 : 1;
		other_pid_ = pid;
		if (others_ < others_in_a_row)
			return true;
	}
	if (pid_ != pid) {
		pid_ = pid;
		others_ = 0;
		evidence_count_ = 0;
		if (state_ == State::given_up)
			learn_anew();
	}
	return false;
}

void Learner::see(const Event &event)
{
	switch (event.kind) {
	case Event::Kind::touch:
	case Event::Kind::stall:
	case Event::Kind::use:
		if (event.region == region_ && event.granule < granules_.size())
			see_granule(event);
		return;
	case Event::Kind::pass_begin:
		if (event.pid == pid_ && state_ == State::learning)
			begins_.push_back(accesses_.size());
		return;
	case Event::Kind::pass_end:
		return;
	case Event::Kind::exec:
	case Event::Kind::exit: // the next one is perhaps alike
		if (event.pid != pid_)
			return;
		pid_ = 0;
		if (state_ == State::given_up)
			learn_anew();
		return;
	}
}

void Learner::see_granule(const Event &event)
{
	const auto granule = static_cast<std::uint32_t>(event.granule);
	const bool other = is_other_reader(event.pid);

	last_ns_ = std::max(last_ns_, event.time_ns);
	if (state_ == State::learning && !other)
		add(event);
	else if (state_ == State::learned && !other)
		check(event);
	// Whoever it was, the watch has ended.
	if (event.kind == Event::Kind::touch && state_ == State::learning)
		unwatched_.push_back({granule, number_});
}

// Granules among the last accesses: so short may a pass be.
void Learner::count_recent(std::uint32_t granule)
{
	auto &slot = recent_[recent_count_ % recent_.size()];

	if (recent_count_ >= recent_.size() && --granules_[slot].recent == 0)
		recent_distinct_--;
	slot = granule;
	recent_count_++;
	if (granules_[granule].recent++ == 0)
		recent_distinct_++;
}

std::uint32_t Learner::near() const
{
	return std::min(recent_distinct_ / 4, most_near);
}

void Learner::add(const Event &event)
{
	const auto granule = static_cast<std::uint32_t>(event.granule);
	const bool waited = event.kind == Event::Kind::stall;
	const auto wait_ns = waited ? static_cast<std::uint64_t>(event.value) : 0;
	auto &known = granules_[granule];

	if ((known.last != 0 && number_ - known.last <= near()) ||
	    (!accesses_.empty() && accesses_.back().granule == granule)) { // still the same access
		known.last = number_;
		return;
	}
	Access access{
		.granule = granule,
		.wait_ns = static_cast<std::uint32_t>(std::min<std::uint64_t>(wait_ns, UINT32_MAX)),
		.begin_ns = event.time_ns - wait_ns};

	again_ += known.last != 0;
	distinct_ += known.last == 0;
	known.last = ++number_;
	count_recent(granule);
	if (!accesses_.empty() && access.begin_ns > accesses_.back().begin_ns) {
		const auto gap = access.begin_ns - accesses_.back().begin_ns;

		gap_ns_ = gap_ns_ == 0 ? gap : gap_ns_ - gap_ns_ / 8 + gap / 8;
	}
	auto at = accesses_.end();
	for (std::size_t i = 0;
	     i < most_disorder && at != accesses_.begin() && (at - 1)->begin_ns > access.begin_ns;
	     i++)
		at--;
	accesses_.insert(at, access);

	// Each look costs as much as all accesses so far, so it is had for a share of them;
	// in a first pass there is nothing to find.
	const auto since = accesses_.size() - looked_;
	if (since < std::max<std::size_t>(8, accesses_.size() / 16))
		return;
	if (std::size_t{again_} * 4 >= since * 3)
		look();
	looked_ = accesses_.size();
	again_ = 0;
	if (state_ == State::learning && accesses_.size() >= enough_accesses &&
	    accesses_.size() >= enough_passes * distinct_) {
		state_ = State::given_up;
		accesses_ = {};
		unwatched_ = {};
	}
}

void Learner::look()
{
	auto order = find_order(accesses_, begins_, static_cast<std::uint32_t>(granules_.size()));

	order_ = std::move(order);
	passes_ = order_.passes;
	if (order_.passes < 2 || order_.granules.size() < 2 ||
	    (order_.passes - 1) * order_.granules.size() < least_repeated ||
	    order_.confidence < (order_.passes == 2 ? two_are_enough : three_are_enough))
		return;
	state_ = State::learned;
	version_++;
	round_.assign(1, Round{order_.granules, static_cast<std::uint32_t>(granules_.size())});
	// Where it is now: after a whole pass, as a granule may stand in several places.
	expected_ = 0;
	const auto last = std::min(accesses_.size(), order_.granules.size());
	for (const auto &access : std::span{accesses_}.last(last))
		if (const auto place = round_[0].nearest(access.granule, expected_))
			expected_ = (place->position + 1) % round_[0].length();
	evidence_count_ = 0;
	accesses_ = {};
	unwatched_ = {};
}

// Little is seen of an order that is followed: marks, waits, first uses. What is not
// seen is skipped, up to a quarter of a pass. What lies a little behind says nothing: it
// is of a thread that is late, or of a run that goes backward.
void Learner::check(const Event &event)
{
	const auto &round = round_[0];
	const auto place = round.nearest(static_cast<std::uint32_t>(event.granule), expected_);
	const auto skipped = std::max<std::int64_t>(round.length() / 4, 1);

	if (place && place->ahead < 0 && place->ahead >= -std::int64_t{round.slack()} - 1)
		return;
	const bool agrees = place && place->ahead >= 0 && place->ahead <= skipped;
	if (place) {
		const bool comes_round = agrees && place->position < expected_;

		expected_ = (place->position + 1) % round.length();
		passes_ += comes_round || (agrees && expected_ == 0);
	}
	evidence_ = evidence_ << 1 | agrees;
	evidence_count_ = std::min(evidence_count_ + 1, most_evidence);
	if (evidence_count_ >= least_evidence && confidence() < still_holds)
		learn_anew();
}

// ----------------------------------------------------------------------
// What is wanted, and what is known

std::vector<GranuleRange> Learner::wanted_watches(std::uint64_t now_ns)
{
	std::vector<std::uint32_t> granules;
	std::vector<GranuleRange> ranges;

	if (state_ != State::learning)
		return {};
	// Events that were lost have taken their watches with them.
	if (watch_all_ || accesses_.size() >= watched_ + granules_.size() + enough_accesses) {
		watch_all_ = false;
		watched_ = accesses_.size();
		unwatched_.clear();
		return {{0, granules_.size()}};
	}
	// Nothing that is used is watched any more, as it seems.
	const bool silence = !unwatched_.empty() && now_ns > last_ns_ &&
			     now_ns - last_ns_ > silence_ns + silence_gaps * gap_ns_;
	if (silence)
		number_ += most_near + 1;
	while (!unwatched_.empty() && number_ - unwatched_.front().number > near()) {
		granules.push_back(unwatched_.front().granule);
		unwatched_.pop_front();
	}
	std::ranges::sort(granules);
	for (const auto granule : granules)
		append(ranges, granule);
	return ranges;
}

double Learner::confidence() const
{
	if (state_ != State::learned || evidence_count_ < least_evidence)
		return order_.confidence;
	const auto seen =
		evidence_count_ == 64 ? evidence_ : evidence_ & ((1ULL << evidence_count_) - 1);
	return static_cast<double>(std::popcount(seen)) / evidence_count_;
}

std::string Learner::words() const
{
	switch (state_) {
	case State::learning:
		break;
	case State::learned:
		return text("learned (%d %% sure, %llu passes)", percent(confidence()),
			    static_cast<unsigned long long>(passes_));
	case State::given_up:
		return text("no order (%d %% sure): %llu accesses to %u granules, and no two "
			    "passes alike",
			    percent(order_.confidence), static_cast<unsigned long long>(looked_),
			    distinct_);
	}
	return text("learning: %zu accesses to %u of %zu granules so far", accesses_.size(),
		    distinct_, granules_.size());
}

// ----------------------------------------------------------------------

Schedule schedule_of(const Order &order, const std::string &region, std::uint64_t bytes,
		     std::uint64_t granule_bytes)
{
	const auto length = order.granules.size();
	const auto steps = std::min(most_steps, length);
	Schedule schedule;
	Program program;

	schedule.name = "learned";
	schedule.notes.push_back(text("learned from %u passes, %d %% sure", order.passes,
				      percent(order.confidence)));
	schedule.regions.push_back({.name = region, .file = "", .bytes = bytes});
	program.name = "learned";
	for (std::size_t i = 0; i < steps; i++) {
		const auto begin = i * length / steps, end = (i + 1) * length / steps;
		Object object;
		Step step;

		object.name = step.name = "part." + std::to_string(i);
		step.objects = {static_cast<std::uint32_t>(i)};
		std::uint64_t compute_ns = 0;
		for (auto p = begin; p < end; p++) {
			const auto offset = order.granules[p] * granule_bytes;
			const auto length_here = std::min(granule_bytes, bytes - offset);
			auto &extents = object.extents;

			if (!extents.empty() &&
			    extents.back().offset + extents.back().bytes == offset)
				extents.back().bytes += length_here;
			else
				extents.push_back({0, offset, length_here});
			compute_ns += order.compute_ns[p];
		}
		step.compute_ns = compute_ns;
		schedule.objects.push_back(std::move(object));
		program.steps.push_back(std::move(step));
	}
	schedule.programs.push_back(std::move(program));
	schedule.streams.push_back({.name = "learned", .program = 0, .weight = 1});
	return schedule;
}

} // namespace itme
