// SPDX-License-Identifier: GPL-2.0-only
// What a tensor is for, from its name: where in a pass it is read.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace itme {

enum class Place : uint8_t {
	start, // before the layers
	layer,
	finish, // after the layers
	aside,  // of a part that decoding does not run: vision, audio, encoder, speculation
};

// The parts of a layer, in the order in which they run.
enum class Phase : uint8_t { mixer, dense, router, experts, shared };

struct Role {
	Place place = Place::finish;
	Phase phase = Phase::shared;
	uint32_t layer = 0;
	uint32_t rank = 0;              // order of execution within the place
	bool known = false;             // false: rank says nothing, keep the file's order
	bool lookup = false;            // only the rows of the tokens at hand are read
	bool embedding = false;         // the token embedding, which may also be the output
	bool output = false;            // the output projection
	bool stacked = false;           // all experts in one tensor, along its first dimension
	std::optional<uint32_t> expert; // one expert's own tensor
};

[[nodiscard]] Role role_of(std::string_view tensor);

// Is the order in which this architecture's layers run the one role_of() gives?
[[nodiscard]] bool known_architecture(std::string_view name);

} // namespace itme
