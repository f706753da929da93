// SPDX-License-Identifier: GPL-2.0-only
#include "itmectl/output.hpp"

#include "lib/json.hpp"
#include "lib/size.hpp"
#include "lib/table.hpp"

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

void print_shares(std::ostream &out, const Json &answer)
{
	for (const auto &share : list(answer, "shares"))
		out << printable(text_of(share, "instance")) << ": of "
		    << format_size(number_of(share, "budget_bytes")) << " of DRAM "
		    << format_size(number_of(share, "frames_bytes")) << " for frames and "
		    << format_size(number_of(share, "memory_bytes")) << " for memory of process "
		    << number_of(share, "pid") << ": " << printable(text_of(share, "why")) << "\n";
}

} // namespace itme
