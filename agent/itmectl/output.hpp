// SPDX-License-Identifier: GPL-2.0-only
// JSON as every command prints it, and what turns sysfs text into it.
#pragma once

#include "itmectl/command.hpp"
#include "lib/instances.hpp"

#include <nlohmann/json.hpp>

namespace itme {

// Keys stay in the order in which they were added.
using Json = nlohmann::ordered_json;

void print_json(Env &env, const Json &json);

// Adds one key for each attribute: a number where its name says so, else text.
void add_attributes(Json &json, const Attributes &attributes);

// An attribute for people: sizes with a unit.
[[nodiscard]] std::string attribute_text(const std::string &name, const std::string &value);

// What of the DRAM of instances is shared with declared memory, and why.
void print_shares(std::ostream &out, const Json &answer);

} // namespace itme
