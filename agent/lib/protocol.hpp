// SPDX-License-Identifier: GPL-2.0-only
// What itmectl says to itmed and hears: one JSON object a line each way.
//
//     {"version": 1, "request": "observe", "since_ns": 0}
//     {"version": 1, "ok": true, ...}
//     {"version": 1, "ok": false, "code": 1, "error": "a sentence"}
//
// A newer itmed adds requests and members, and keeps those of version 1.
#pragma once

#include "lib/error.hpp"
#include "lib/json.hpp"
#include "lib/memory_keeper.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace itme {

inline constexpr unsigned protocol_version = 1;
inline constexpr std::size_t most_request_bytes = 8192;       // a line, with its newline
inline constexpr std::size_t most_response_bytes = 16U << 20; // likewise
inline constexpr const char *default_socket = "/run/itme/itmed.sock";

enum class RequestKind {
	status,   // mounts and attachments, and how they are
	observe,  // what happened since `since_ns`, or since the last sample
	stalls,   // report stalls
	prefetch, // report prefetch
	heat,     // report heat
	plan,     // report plan
	release,  // close what is held of `mount`, and leave it alone
	restore,  // forget what was released, and try again what failed
	memory,   // declared memory of processes, and where it is
	declare,  // ranges of a process are to be placed
	forget,   // and are left to the kernel again
};

struct Request {
	RequestKind kind = RequestKind::status;
	std::string mount;             // of release
	std::string region;            // of heat: a region's name; "" for all
	std::uint64_t since_ns = 0;    // of observe, as an earlier answer's time_ns
	MemoryDeclaration memory = {}; // of declare; of forget the pid
};

// Who may: those that change something are for root.
[[nodiscard]] bool changes(RequestKind kind);
[[nodiscard]] const char *request_name(RequestKind kind);

// A line without its newline. Fails with Exit::usage and a sentence.
[[nodiscard]] Result<Request> parse_request(std::string_view line);
[[nodiscard]] std::string request_line(const Request &request);

// An answer with its newline.
[[nodiscard]] std::string answer_line(Json answer);
[[nodiscard]] std::string error_line(const Error &error);

// The answer in a line without its newline, or the error that it tells.
[[nodiscard]] Result<Json> parse_answer(std::string_view line);

} // namespace itme
