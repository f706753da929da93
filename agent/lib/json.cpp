// SPDX-License-Identifier: GPL-2.0-only
#include "lib/json.hpp"

#include <cmath>

namespace itme {

namespace {

const Json none;
const Json empty_list = Json::array();

constexpr double most = 18446744073709549568.0; // the largest double below 2^64

} // namespace

std::string one_line(const Json &json)
{
	return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

const Json &member(const Json &json, std::string_view key)
{
	if (!json.is_object())
		return none;
	const auto found = json.find(std::string{key});
	return found == json.end() ? none : *found;
}

const Json &list(const Json &json, std::string_view key)
{
	const auto &value = member(json, key);

	return value.is_array() ? value : empty_list;
}

std::uint64_t number_of(const Json &json, std::string_view key)
{
	const auto &value = member(json, key);

	if (value.is_number_unsigned())
		return value.get<std::uint64_t>();
	const double real = real_of(json, key);
	return real > 0 && real <= most ? static_cast<std::uint64_t>(real) : 0;
}

double real_of(const Json &json, std::string_view key)
{
	const auto &value = member(json, key);

	if (!value.is_number())
		return 0;
	const auto real = value.get<double>();
	return std::isfinite(real) ? real : 0;
}

bool is_set(const Json &json, std::string_view key)
{
	const auto &value = member(json, key);

	return value.is_boolean() && value.get<bool>();
}

std::string text_of(const Json &json, std::string_view key)
{
	const auto &value = member(json, key);

	return value.is_string() ? value.get<std::string>() : std::string{};
}

} // namespace itme
