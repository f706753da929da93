// SPDX-License-Identifier: GPL-2.0-only
#include "itmectl/output.hpp"

#include "lib/size.hpp"

#include <ostream>

namespace itme {

void print_json(Env &env, const Json &json)
{
	// File names are bytes, not always UTF-8.
	env.out << json.dump(2, ' ', false, Json::error_handler_t::replace) << '\n';
}

void add_attributes(Json &json, const Attributes &attributes)
{
	for (const auto &[name, text] : attributes) {
		const auto value = is_number(name) ? parse_number(text) : std::nullopt;

		if (value)
			json[name] = *value;
		else
			json[name] = text;
	}
}

std::string attribute_text(const std::string &name, const std::string &value)
{
	const auto bytes = name.ends_with("_bytes") ? parse_number(value) : std::nullopt;

	return bytes ? format_size(*bytes) : value;
}

} // namespace itme
