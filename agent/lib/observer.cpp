// SPDX-License-Identifier: GPL-2.0-only
#include "lib/observer.hpp"

#include "lib/clock.hpp"
#include "lib/derive.hpp"
#include "lib/device.hpp"
#include "lib/model.hpp"
#include "lib/mounts.hpp"

#include <algorithm>

namespace itme {

namespace {

constexpr std::uint64_t second_ns = 1'000'000'000;
constexpr std::uint64_t attach_again_ns = 60 * second_ns;
constexpr std::chrono::seconds heat_interval{10};
constexpr std::size_t heat_intervals = 60;
constexpr std::ptrdiff_t most_positions = 1024; // that are kept

std::optional<Result<Schedule>> schedule_of_model(const Path &store)
{
	const auto model = read_model(store);

	if (!model)
		return Result<Schedule>{std::unexpected(model.error())};
	return derive(*model, {});
}

} // namespace

void Trail::add(const Position &position)
{
	// So that little is moved, twice as many are kept at times.
	if (positions_.size() >= 2 * most_positions)
		positions_.erase(positions_.begin(), positions_.begin() + most_positions);
	positions_.push_back(position);
	end_++;
}

std::span<const Position> Trail::between(std::uint64_t from, std::uint64_t to) const
{
	const auto first = end_ - positions_.size();

	to = std::clamp(to, first, end_);
	from = std::clamp(from, first, to);
	return std::span{positions_}.subspan(from - first, to - from);
}

Observer::Observer(ObserverOptions options)
    : options_(std::move(options)), instances_(options_.root), heat_(heat_interval, heat_intervals)
{
}

// The kernel names an instance's mounts nowhere; each must be asked. Only when
// the list of mounts has changed, because an open root keeps off umount(8).
void Observer::read_mounts_of()
{
	if (!mount_watch_.changed(options_.root))
		return;
	const auto mounts = read_mounts(options_.root);
	mounts_.clear();
	if (!mounts)
		return;
	for (const auto &mount : *mounts) {
		const auto root = open_path(mount.path);
		const auto info = root ? read_info(*root) : std::unexpected(root.error());

		if (info)
			mounts_.emplace(info->instance, mount.path);
	}
}

void Observer::attach(bool wanted, std::uint64_t now_ns)
{
	if (!wanted || !options_.probe) {
		for (const auto &[id, followed] : followed_)
			forget(id);
		tracker_.reset();
		probe_.reset();
		followed_.clear();
		used_.clear();
		tried_.clear();
		unfollowed_.clear();
		last_ = {};
		next_attach_ns_ = 0;
		return;
	}
	if (probe_ || now_ns < next_attach_ns_)
		return;
	ProbeOptions options;
	options.root = options_.root;
	options.runtimes = options_.positions;
	auto probe = Probe::attach(options);
	if (!probe) {
		probe_failure_ = probe.error().text;
		next_attach_ns_ = now_ns + attach_again_ns;
		return;
	}
	probe_failure_.clear();
	probe_ = std::move(*probe);
	if (options_.positions)
		tracker_.emplace();
}

bool Observer::follow(const Instance &instance, const Region &region, const Path &mount)
{
	const auto key = instance.name + "/" + region.name;
	const auto store = region.attributes.find("store");

	if (store == region.attributes.end() || !tracker_)
		return true;
	const auto answer = options_.schedule ? options_.schedule(region.name, store->second)
					      : schedule_of_model(store->second);
	if (!answer)
		return false;
	const auto &schedule = *answer;
	if (!schedule) {
		const auto &why = schedule.error();
		const bool may_learn = options_.schedule && why.code == Exit::unsupported;
		const auto done = may_learn ? learn(instance, region, mount, why.text)
					    : Result<void>{std::unexpected(why)};

		if (!done)
			unfollowed_[key] = done.error().text;
		return true;
	}
	// A model in several files declares several regions: this is the one of that size.
	std::uint32_t declared = 0;
	const auto bytes = number(region.attributes, "size_bytes").value_or(0);
	for (std::size_t i = schedule->regions.size(); i-- > 0;)
		if (schedule->regions[i].bytes == bytes || schedule->regions[i].name == region.name)
			declared = static_cast<std::uint32_t>(i);

	const auto id = tracker_->follow(mount / region.name, *schedule, declared);
	if (!id) {
		unfollowed_[key] = id.error().text;
		return true;
	}
	Followed followed{.instance = instance.name, .region = region.name, .mount = mount};
	const auto granule = number(instance.attributes, "granule_bytes").value_or(0);
	for (std::uint32_t i = 0; granule > 0 && i < schedule->streams.size(); i++)
		if (auto landmarks = Landmarks::make(*schedule, i, declared, granule))
			followed.landmarks.push_back(std::move(*landmarks));
	followed_.insert_or_assign(*id, std::move(followed));
	auto conducted = conduct({.id = *id,
				  .instance = instance.name,
				  .region = region.name,
				  .file = mount / region.name,
				  .granule_bytes = granule,
				  .bytes = bytes,
				  .schedule = *schedule,
				  .declared = declared,
				  .origin = "declared"});
	if (!conducted)
		unfollowed_[key] = conducted.error().text;
	return true;
}

// Its plan is carried out from now on, where somebody does that.
Result<void> Observer::conduct(Conducted region)
{
	if (options_.conductor == nullptr)
		return {};
	if (auto taken = options_.conductor->take_up(std::move(region)); !taken)
		return fail("its plan is not carried out: " + taken.error().text);
	return {};
}

void Observer::leave(RegionId id)
{
	if (options_.conductor != nullptr)
		options_.conductor->let_go(id);
}

void Observer::forget(RegionId id)
{
	if (tracker_)
		tracker_->forget(id);
	leave(id);
}

// What is no model may have an order all the same.
Result<void> Observer::learn(const Instance &instance, const Region &region, const Path &mount,
			     const std::string &why)
{
	const auto id = tracker_->learn(mount / region.name);
	if (!id)
		return fail(why + "; nor can its order be learned: " + id.error().text);
	followed_.insert_or_assign(
		*id,
		Followed{.instance = instance.name,
			 .region = region.name,
			 .mount = mount,
			 .granule_bytes = number(instance.attributes, "granule_bytes").value_or(0),
			 .undeclared = why});
	return {};
}

// Orders that were learned by now, or that no longer hold.
void Observer::follow_learned()
{
	for (auto &[id, followed] : followed_) {
		const auto order = learned(id);
		if (!order)
			continue;
		const auto key = followed.instance + "/" + followed.region;
		const auto version = order->schedule != nullptr ? order->version : 0;

		if (version != followed.learned) {
			followed.learned = version;
			followed.landmarks.clear();
			unfollowed_.erase(key);
			if (version == 0)
				leave(id);
			else if (const auto done = take_up(id, followed, *order); !done)
				unfollowed_[key] = done.error().text;
		}
		if (version == 0)
			unfollowed_[key] = followed.undeclared + "; " +
					   (order->state == Learner::State::given_up
						    ? order->words
						    : "its order is being learned");
	}
}

Result<void> Observer::take_up(RegionId id, Followed &followed, const LearnedOrder &order)
{
	if (order.schedule == nullptr)
		return {};
	auto landmarks = Landmarks::make(*order.schedule, 0, 0, followed.granule_bytes);
	if (!landmarks)
		return std::unexpected(landmarks.error());
	followed.landmarks.push_back(std::move(*landmarks));
	return conduct({.id = id,
			.instance = followed.instance,
			.region = followed.region,
			.file = followed.mount / followed.region,
			.granule_bytes = followed.granule_bytes,
			.bytes = order.schedule->regions[0].bytes,
			.schedule = *order.schedule,
			.declared = 0,
			.origin = order.words});
}

std::optional<LearnedOrder> Observer::learned(RegionId region) const
{
	return tracker_ ? tracker_->learned(region) : std::nullopt;
}

void Observer::follow_new(const std::vector<Instance> &instances)
{
	std::set<std::string> there;

	for (const auto &instance : instances) {
		const auto mount = mounts_.find(instance.name);
		if (mount == mounts_.end() || left_.contains(mount->second))
			continue;
		for (const auto &region : instance.regions) {
			const auto key = instance.name + "/" + region.name;

			there.insert(key);
			if (!tried_.contains(key) && follow(instance, region, mount->second))
				tried_.insert(key);
		}
	}
	std::erase_if(tried_, [&](const std::string &key) { return !there.contains(key); });
	std::erase_if(unfollowed_, [&](const auto &entry) { return !there.contains(entry.first); });
	std::erase_if(followed_, [&](const auto &entry) {
		if (there.contains(entry.second.instance + "/" + entry.second.region))
			return false;
		forget(entry.first);
		heat_.forget(entry.first);
		return true;
	});
}

std::vector<Place> Observer::places() const
{
	std::vector<Place> places;

	if (!tracker_)
		return places;
	for (auto &position : tracker_->positions()) {
		std::uint32_t steps = 0;

		if (const auto followed = followed_.find(position.region);
		    followed != followed_.end())
			for (const auto &landmarks : followed->second.landmarks)
				if (landmarks.stream() == position.stream)
					steps = landmarks.steps();
		Place place{.at = std::move(position), .steps = steps};
		if (const auto order = learned(place.at.region))
			place.order = order->words;
		places.push_back(std::move(place));
	}
	return places;
}

Observation Observer::sample(std::uint64_t now_ns)
{
	Observation now{.time_ns = now_ns,
			.instances = instances_.read(),
			.seen = {},
			.places = {},
			.missing = {}};

	if (!is_loaded(options_.root))
		now.missing.emplace_back("the itme module is not loaded: modprobe itme");
	attach(!now.instances.empty(), now_ns);
	if (probe_) {
		read_mounts_of();
		if (tracker_) {
			probe_->find_runtimes();
			follow_new(now.instances);
		}
		drain();
		if (auto snapshot = probe_->snapshot()) {
			now.seen = last_ = std::move(*snapshot);
			now.missing.insert(now.missing.end(), last_.degradations.begin(),
					   last_.degradations.end());
		} else {
			now.missing.push_back("the counts of the BPF programs cannot be read: " +
					      snapshot.error().text);
		}
	} else if (!now.instances.empty()) {
		now.missing.push_back("stalls, links of single tiers and positions are not seen: " +
				      (options_.probe ? probe_failure_
						      : std::string{"BPF programs are switched "
								    "off"}));
	}
	if (tracker_)
		for (auto &text : tracker_->degradations())
			now.missing.push_back(std::move(text));
	for (const auto &[key, why] : unfollowed_)
		now.missing.push_back("no position in " + key + ": " + why);
	now.places = places();
	now.trail_end = trail_.end();
	return now;
}

Result<void> Observer::hear(const Declaration &said)
{
	if (!probe_ || !tracker_)
		return fail("positions are not followed here");
	auto done = tracker_->hear(said, [this](const Position &position) { publish(position); });
	if (done)
		probe_->notice(said.pid); // its end is of interest
	return done;
}

void Observer::publish(const Position &position)
{
	trail_.add(position);
	if (options_.conductor != nullptr)
		options_.conductor->reach(position);
}

int Observer::event_fd() const
{
	return probe_ ? probe_->event_fd() : -1;
}

bool Observer::drain()
{
	if (!probe_)
		return false;
	// What cannot be read now is told by the count of dropped events.
	const auto taken = probe_->events(std::chrono::milliseconds{0}, [this](const Event &event) {
		news_ = (event.region != RegionId{} && used_.insert(event.region).second) || news_;
		if (options_.conductor != nullptr)
			options_.conductor->see(event);
		if (tracker_)
			tracker_->see(event,
				      [this](const Position &position) { publish(position); });
	});
	if (tracker_)
		tracker_->keep_up(monotonic_ns());
	follow_learned();
	return taken && *taken > 0;
}

std::uint64_t Observer::patience_ns() const
{
	return tracker_ ? tracker_->patience_ns() : second_ns;
}

Result<std::vector<LayerStalls>> Observer::layers()
{
	std::vector<LayerStalls> layers;

	if (!probe_)
		return layers;
	const auto granules = probe_->granules();
	if (!granules)
		return std::unexpected(granules.error());
	for (const auto &[id, followed] : followed_)
		for (const auto &landmarks : followed.landmarks)
			layers.push_back({followed.instance, followed.region, landmarks.stream(),
					  landmarks.program(),
					  by_position(*granules, id, landmarks)});
	return layers;
}

void Observer::add_heat(std::uint64_t now_ns)
{
	if (!probe_)
		return;
	if (const auto granules = probe_->granules())
		heat_.add(*granules, now_ns);
}

std::vector<std::pair<RegionCounts, HeatMap>> Observer::heat()
{
	std::vector<std::pair<RegionCounts, HeatMap>> maps;

	for (const auto &id : heat_.regions()) {
		const auto counts = std::ranges::find(last_.regions, id, &RegionCounts::id);

		if (counts != last_.regions.end() && !counts->name.empty())
			maps.emplace_back(*counts, heat_.map(id));
	}
	return maps;
}

void Observer::take_up(const Path &mount)
{
	if (mount.empty())
		left_.clear();
	else
		left_.erase(mount);
}

void Observer::let_go(const Path &mount)
{
	left_.insert(mount);
	std::erase_if(followed_, [&](const auto &entry) {
		if (entry.second.mount != mount)
			return false;
		forget(entry.first);
		tried_.erase(entry.second.instance + "/" + entry.second.region);
		return true;
	});
}

} // namespace itme
