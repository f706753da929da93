// SPDX-License-Identifier: GPL-2.0-only
#include "replay/report.hpp"

#include "lib/size.hpp"
#include "lib/table.hpp"

#include <cstdio>
#include <nlohmann/json.hpp>
#include <ostream>

namespace itme::replay {

namespace {

using Json = nlohmann::ordered_json;

std::string fixed(double value)
{
	char text[32];

	std::snprintf(text, sizeof(text), "%.3f", value);
	return text;
}

std::vector<std::string> cells(const std::string &name, const PassCost &pass, const Limit &limit)
{
	std::vector<std::string> row{
		name,
		fixed(pass.seconds),
		fixed(pass.compute_s),
		fixed(pass.stall_s),
		fixed(pass.hint_s),
		format_size(pass.store_bytes),
		std::to_string(pass.misses),
		std::to_string(pass.late),
	};
	if (limit.bandwidth > 0) {
		row.push_back(fixed(bound_s(pass, limit)));
		row.push_back(fixed(bound_s(pass, limit) / pass.seconds));
	}
	return row;
}

Json to_json(const PassCost &pass, const Limit &limit)
{
	Json json{
		{"seconds", pass.seconds},
		{"compute_s", pass.compute_s},
		{"stall_s", pass.stall_s},
		{"hint_s", pass.hint_s},
		{"read_bytes", pass.read_bytes},
		{"footprint_bytes", pass.footprint_bytes},
		{"store_bytes", pass.store_bytes},
		{"misses", pass.misses},
		{"late", pass.late},
	};
	if (limit.bandwidth > 0) {
		json["bound_s"] = bound_s(pass, limit);
		json["efficiency"] = bound_s(pass, limit) / pass.seconds;
	}
	return json;
}

} // namespace

void print(std::ostream &out, const Played &played, const Limit &limit, bool json)
{
	if (json) {
		Json passes = Json::array();

		for (const auto &pass : played.passes)
			passes.push_back(to_json(pass, limit));
		out << Json{{"passes", passes},
			    {"median", to_json(median_pass(played.passes), limit)},
			    {"sum", played.sum}}
				.dump(2)
		    << '\n';
		return;
	}

	std::vector<std::string> headings{"PASS",   ">SECONDS", ">COMPUTE", ">STALL",
					  ">HINTS", ">STORE",   ">MISSES",  ">LATE"};
	if (limit.bandwidth > 0) {
		headings.emplace_back(">BOUND");
		headings.emplace_back(">EFFICIENCY");
	}
	Table table{headings};
	for (size_t i = 0; i < played.passes.size(); i++)
		table.add(cells(std::to_string(i + 1), played.passes[i], limit));
	table.add(cells("median", median_pass(played.passes), limit));
	table.print(out);
}

} // namespace itme::replay
