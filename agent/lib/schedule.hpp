// SPDX-License-Identifier: GPL-2.0-only
// A schedule: what will be read, declared. Objects are named byte ranges of
// regions; programs say in which order they are read; streams say who runs
// which program. Documentation/schedule.md describes the file it is kept in.
#pragma once

#include "lib/parse.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace itme {

struct DeclaredRegion {
	std::string name;
	std::string file; // what backs it, empty where nothing does yet; a reminder, never opened
	uint64_t bytes = 0;
};

struct Extent {
	uint32_t region = 0;
	uint64_t offset = 0, bytes = 0;

	bool operator==(const Extent &) const = default;
};

enum class Kind : uint8_t { weight, expert, kv, state, scratch };

struct Object {
	std::string name;
	Kind kind = Kind::weight;
	std::vector<Extent> extents; // in the order in which they are read

	[[nodiscard]] uint64_t bytes() const;
};

// What a choice chooses from.
struct Group {
	std::string name;
	std::vector<uint32_t> objects;
	std::vector<double> popularity; // one an object, or none: all alike
};

// One position of a program. It reads objects in order, or it is a choice slot:
// `pick` objects of a group, known only when the run is there.
struct Step {
	std::string name;
	std::vector<uint32_t> objects;
	std::optional<uint32_t> group;
	uint32_t pick = 0;
	uint32_t reads = 1;                 // how often each byte is read here
	std::optional<uint64_t> compute_ns; // for a pass of one token, everything resident
	double flops_per_token = 0;         // for an estimate where compute_ns is not known
};

struct Program {
	std::string name;
	bool cyclic = true;
	std::vector<Step> steps;
};

struct Stream {
	std::string name;
	uint32_t program = 0;
	double weight = 1;
};

// What a header says of the whole model; 0 where it does not say.
struct ModelFacts {
	std::string architecture;
	uint64_t layers = 0, experts = 0, experts_used = 0;
	uint64_t parameters = 0, active_parameters = 0; // active: multiplied for each token
	uint64_t kv_bytes_per_token = 0;                // 16 bits an element
};

struct Schedule {
	static constexpr uint64_t version = 1;

	std::string name;
	ModelFacts model;
	std::vector<std::string> notes; // what deriving had to assume, in plain words
	std::vector<DeclaredRegion> regions;
	std::vector<Object> objects;
	std::vector<Group> groups;
	std::vector<Program> programs;
	std::vector<Stream> streams;
};

[[nodiscard]] std::string_view kind_name(Kind kind);

// Reads the text of a schedule file; what it returns has passed check().
[[nodiscard]] Parsed<Schedule> parse_schedule(std::string_view text);
[[nodiscard]] std::string schedule_text(const Schedule &schedule);

// One sentence about the first thing that is wrong, or nothing.
[[nodiscard]] std::optional<std::string> check(const Schedule &schedule);

} // namespace itme
