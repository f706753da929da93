// SPDX-License-Identifier: GPL-2.0-only
#include "lib/protocol.hpp"

#include "lib/table.hpp"

#include <array>
#include <utility>

namespace itme {

namespace {

constexpr std::array<std::pair<RequestKind, const char *>, 11> names{{
	{RequestKind::status, "status"},
	{RequestKind::observe, "observe"},
	{RequestKind::stalls, "stalls"},
	{RequestKind::prefetch, "prefetch"},
	{RequestKind::heat, "heat"},
	{RequestKind::plan, "plan"},
	{RequestKind::release, "release"},
	{RequestKind::restore, "restore"},
	{RequestKind::memory, "memory"},
	{RequestKind::declare, "declare"},
	{RequestKind::forget, "forget"},
}};

constexpr std::uint64_t most_pid = 1U << 22; // PID_MAX_LIMIT of the kernel

std::unexpected<Error> wrong(const std::string &text)
{
	return fail("the request is not understood: " + text, Exit::usage);
}

std::string known_names()
{
	std::string text;

	for (const auto &[kind, name] : names)
		text += (text.empty() ? "" : ", ") + std::string{name};
	return text;
}

// A member that must be text where it is given.
Result<std::string> text_member(const Json &json, const char *key)
{
	const auto &value = member(json, key);

	if (value.is_null())
		return std::string{};
	if (!value.is_string())
		return wrong(std::string{key} + " must be text");
	auto text = value.get<std::string>();
	if (text.find('\0') != text.npos)
		return wrong(std::string{key} + " holds a NUL");
	return text;
}

// {"pid": 12, "dram_bytes": 8589934592, "ranges": [[address, bytes], ...]}
Result<MemoryDeclaration> memory_member(const Json &json, bool with_ranges)
{
	MemoryDeclaration memory;

	const auto &pid = member(json, "pid");
	if (!pid.is_number_unsigned() || pid.get<std::uint64_t>() > most_pid)
		return wrong("\"pid\" must be a number, that of a process");
	memory.pid = pid.get<int>();
	if (!with_ranges)
		return memory;
	const auto &dram = member(json, "dram_bytes");
	auto share = text_member(json, "share");
	if (!share)
		return std::unexpected(share.error());
	memory.share = std::move(*share);
	if (memory.share.empty() ? !dram.is_number_unsigned() : !dram.is_null())
		return wrong("\"dram_bytes\" must be a number, or \"share\" an instance");
	if (memory.share.empty())
		memory.dram_bytes = dram.get<std::uint64_t>();
	const auto order = text_member(json, "order");
	if (!order || (!order->empty() && *order != "declared" && *order != "unknown"))
		return wrong("\"order\" must be declared or unknown");
	memory.ordered = *order != "unknown";
	for (const auto &range : list(json, "ranges")) {
		if (!range.is_array() || range.size() != 2 || !range[0].is_number_unsigned() ||
		    !range[1].is_number_unsigned())
			return wrong("\"ranges\" must be a list of [address, bytes]");
		memory.ranges.push_back(
			{range[0].get<std::uint64_t>(), range[1].get<std::uint64_t>()});
	}
	return memory;
}

} // namespace

bool changes(RequestKind kind)
{
	return kind == RequestKind::release || kind == RequestKind::restore ||
	       kind == RequestKind::declare || kind == RequestKind::forget;
}

const char *request_name(RequestKind kind)
{
	for (const auto &[known, name] : names)
		if (known == kind)
			return name;
	return "?";
}

Result<Request> parse_request(std::string_view line)
{
	if (line.size() >= most_request_bytes)
		return wrong("a line may have " + std::to_string(most_request_bytes) + " bytes");
	const auto json = Json::parse(line, nullptr, false);
	if (json.is_discarded() || !json.is_object())
		return wrong("a line must be one JSON object");
	const auto &version = member(json, "version");
	if (!version.is_number_unsigned())
		return wrong("\"version\" is missing");
	if (version.get<std::uint64_t>() != protocol_version)
		return wrong("version " + one_line(version) + "; this itmed speaks version " +
			     std::to_string(protocol_version));

	Request request;
	const auto name = text_member(json, "request");
	if (!name)
		return std::unexpected(name.error());
	bool known = false;
	for (const auto &[kind, text] : names) {
		if (*name == text) {
			request.kind = kind;
			known = true;
		}
	}
	if (!known)
		return wrong("\"request\" must be one of " + known_names());

	auto mount = text_member(json, "mount");
	if (!mount)
		return std::unexpected(mount.error());
	request.mount = std::move(*mount);
	auto region = text_member(json, "region");
	if (!region)
		return std::unexpected(region.error());
	request.region = std::move(*region);
	const auto &since = member(json, "since_ns");
	if (!since.is_null() && !since.is_number_unsigned())
		return wrong("since_ns must be a number");
	request.since_ns = number_of(json, "since_ns");
	if (request.kind == RequestKind::release && !request.mount.starts_with('/'))
		return wrong("release needs \"mount\", an absolute path");
	if (request.kind == RequestKind::declare || request.kind == RequestKind::forget) {
		auto memory = memory_member(json, request.kind == RequestKind::declare);
		if (!memory)
			return std::unexpected(memory.error());
		request.memory = std::move(*memory);
	}
	return request;
}

std::string request_line(const Request &request)
{
	Json json{{"version", protocol_version}, {"request", request_name(request.kind)}};

	if (!request.mount.empty())
		json["mount"] = request.mount;
	if (!request.region.empty())
		json["region"] = request.region;
	if (request.since_ns != 0)
		json["since_ns"] = request.since_ns;
	if (request.memory.pid != 0)
		json["pid"] = request.memory.pid;
	if (!request.memory.ranges.empty()) {
		if (request.memory.share.empty())
			json["dram_bytes"] = request.memory.dram_bytes;
		else
			json["share"] = request.memory.share;
		if (!request.memory.ordered)
			json["order"] = "unknown";
		for (const auto &range : request.memory.ranges)
			json["ranges"].push_back(Json::array({range.address, range.bytes}));
	}
	return one_line(json) + '\n';
}

std::string answer_line(Json answer)
{
	Json json{{"version", protocol_version}, {"ok", true}};

	json.update(answer);
	auto line = one_line(json) + '\n';
	if (line.size() > most_response_bytes)
		return error_line({Exit::failed, "the answer is larger than a line may be: ask for "
						 "one region"});
	return line;
}

std::string error_line(const Error &error)
{
	return one_line(Json{{"version", protocol_version},
			     {"ok", false},
			     {"code", static_cast<int>(error.code)},
			     {"error", error.text}}) +
	       '\n';
}

Result<Json> parse_answer(std::string_view line)
{
	auto json = Json::parse(line, nullptr, false);

	if (json.is_discarded() || !json.is_object() ||
	    number_of(json, "version") != protocol_version)
		return fail("itmed's answer is not understood: are itmed and itmectl of the same "
			    "version?");
	if (is_set(json, "ok"))
		return json;
	const auto code = number_of(json, "code");
	return fail("itmed: " + printable(text_of(json, "error")),
		    code >= 1 && code <= 3 ? static_cast<Exit>(code) : Exit::failed);
}

} // namespace itme
