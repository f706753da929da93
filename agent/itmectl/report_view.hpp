// SPDX-License-Identifier: GPL-2.0-only
// The reports for people: tables, and pictures as gnuplot scripts. Pure.
#pragma once

#include "lib/json.hpp"

#include <iosfwd>
#include <string>

namespace itme {

void print_stalls(std::ostream &out, const Json &report);
void print_prefetch(std::ostream &out, const Json &report);
void print_plans(std::ostream &out, const Json &report);
void print_heat(std::ostream &out, const Json &report, std::size_t columns);

// "" where there is nothing to draw.
[[nodiscard]] std::string stalls_script(const Json &report, const std::string &png);
[[nodiscard]] std::string prefetch_script(const Json &report, const std::string &png);
[[nodiscard]] std::string heat_script(const Json &report, const std::string &png);

} // namespace itme
