// SPDX-License-Identifier: GPL-2.0-only
#include "itmectl/source.hpp"

#include "lib/client.hpp"
#include "lib/explain.hpp"
#include "lib/flow.hpp"
#include "lib/process_memory.hpp"
#include "lib/reports.hpp"

#include <ctime>

namespace itme {

namespace {

std::uint64_t now_ns()
{
	timespec now{};

	clock_gettime(CLOCK_MONOTONIC, &now);
	return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
	       static_cast<std::uint64_t>(now.tv_nsec);
}

} // namespace

Result<Source> Source::open(Env &env, const std::filesystem::path &socket, bool own)
{
	Source source;

	source.socket_ = socket;
	if (own) {
		source.reason_ = "asked not to ask itmed";
	} else if (const auto status = ask_itmed(socket, {.mount = {}, .region = {}}); !status) {
		source.reason_ = status.error().text;
	} else {
		return source;
	}
	if (!is_loaded(env.root))
		return std::unexpected(not_loaded());
	ObserverOptions options;
	options.root = env.root;
	source.observer_ = std::make_unique<Observer>(std::move(options));
	source.root_ = env.root;
	source.before_ = source.observer_->sample(now_ns());
	return source;
}

void Source::note_reason(Json &json) const
{
	json["source"] = is_own() ? "itmectl" : "itmed";
	if (is_own() && json["missing"].is_array() && reason_ != "asked not to ask itmed")
		json["missing"].push_back("seen by itmectl itself: " + reason_);
}

Result<Json> Source::flow()
{
	if (observer_) {
		auto now = observer_->sample(now_ns());
		auto json = flow_json(*before_, now, observer_->trail());

		before_ = std::move(now);
		json["memory"] = memory_json(root_, {});
		note_reason(json);
		return json;
	}
	auto json = ask_itmed(
		socket_,
		{.kind = RequestKind::observe, .mount = {}, .region = {}, .since_ns = since_ns_});
	if (json) {
		since_ns_ = number_of(*json, "time_ns");
		note_reason(*json);
	}
	return json;
}

Result<Json> Source::report(RequestKind kind, const std::string &region)
{
	if (!observer_) {
		auto json = ask_itmed(socket_, {.kind = kind, .mount = {}, .region = region});

		if (json)
			note_reason(*json);
		return json;
	}
	if (kind == RequestKind::plan)
		return fail("plans are carried out by itmed: " + reason_, Exit::unsupported);
	const auto time = now_ns();
	const auto now = observer_->sample(time);
	Json json;

	if (kind == RequestKind::heat) {
		observer_->add_heat(time);
		json = heat_json(observer_->heat(), region);
		json["missing"] = now.missing;
	} else if (kind == RequestKind::prefetch) {
		json = prefetch_json(now);
	} else {
		const auto layers = observer_->layers();

		if (!layers)
			return std::unexpected(layers.error());
		json = stalls_json(now, *layers);
	}
	note_reason(json);
	return json;
}

} // namespace itme
