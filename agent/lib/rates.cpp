// SPDX-License-Identifier: GPL-2.0-only
#include "lib/rates.hpp"

#include "lib/json_tree.hpp"
#include "lib/size.hpp"

#include <charconv>
#include <nlohmann/json.hpp>
#include <set>

namespace itme {

namespace {

constexpr uint64_t version = 1;
constexpr double most = 1e18, least = 1e3;
constexpr double most_p99 = 10;
constexpr uint64_t most_depth = 1ULL << 32;

Parsed<void> read_link(JsonValue value, Link &link)
{
	const auto object = value.object(value.key());

	if (!object)
		return std::unexpected(object.error());
	for (const JsonValue member : *object) {
		Parsed<double> number = 0.0;

		if (member.key() == "bytes_per_s") {
			number = member.real("bytes_per_s", least, most);
			link.bytes_per_s = number.value_or(0);
		} else if (member.key() == "p99_over_mean") {
			number = member.real("p99_over_mean", 1, most_p99);
			link.p99_over_mean = number.value_or(1);
		} else if (member.key() == "depth_bytes") {
			number = member.real("depth_bytes", 0, static_cast<double>(most_depth));
			link.depth_bytes = static_cast<uint64_t>(number.value_or(0));
		} else {
			return refuse(member.offset(), "a link has a key that is not known");
		}
		if (!number)
			return std::unexpected(number.error());
	}
	return {};
}

Parsed<void> read_member(JsonValue member, Rates &rates)
{
	const auto key = member.key();
	Parsed<double> number = 0.0;

	if (key == "store")
		return read_link(member, rates.store);
	if (key == "cxl")
		return read_link(member, rates.cxl);
	if (key == "dram")
		return read_link(member, rates.dram);
	if (key == "flops") {
		number = member.real(key, 0, 1e24);
		rates.flops = number.value_or(0);
	} else if (key == "compute_s") {
		number = member.real(key, 0, 1e9);
		rates.compute_s = number.value_or(0);
	} else if (key == "itme_rates") {
		const auto known = member.number(key);

		if (!known || *known != version)
			return refuse(member.offset(),
				      "a version of the rates file that is not known");
	} else if (key == "origin") {
		const auto text = member.text(key);

		if (!text)
			return std::unexpected(text.error());
		rates.origin = *text;
	} else {
		return refuse(member.offset(), "the rates have a key that is not known");
	}
	if (!number)
		return std::unexpected(number.error());
	return {};
}

// 7G is 7e9, as vendors and fio count; 1.5T, 300M and plain numbers too.
std::optional<double> decimal(std::string_view text)
{
	static constexpr std::string_view units = "KMGTPE";
	double value = 0;
	const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
	std::string_view rest(end, static_cast<size_t>(text.data() + text.size() - end));

	if (error != std::errc{} || !(value >= 0))
		return std::nullopt;
	if (!rest.empty()) {
		const auto unit = units.find(
			static_cast<char>(std::toupper(static_cast<unsigned char>(rest.front()))));

		if (unit == std::string_view::npos)
			return std::nullopt;
		for (size_t i = 0; i <= unit; i++)
			value *= 1000;
		rest.remove_prefix(1);
	}
	if (!rest.empty() && rest != "B/s" && rest != "B" && rest != "FLOPS")
		return std::nullopt;
	return value;
}

// What nobody stated still comes from where it came from before.
std::string stated(bool all_links, const std::string &before)
{
	return all_links ? "stated" : "stated in part, else " + before;
}

Result<void> state(std::string_view word, std::string_view key, double value, Rates &rates)
{
	struct Name {
		std::string_view key;
		double *into;
		double from, to;
	};
	double depth = static_cast<double>(rates.store.depth_bytes);
	const Name names[] = {
		{"store", &rates.store.bytes_per_s, least, most},
		{"cxl", &rates.cxl.bytes_per_s, least, most},
		{"dram", &rates.dram.bytes_per_s, least, most},
		{"p99", &rates.store.p99_over_mean, 1, most_p99},
		{"depth", &depth, 0, static_cast<double>(most_depth)},
		{"flops", &rates.flops, 0, 1e24},
		{"compute", &rates.compute_s, 0, 1e9},
	};

	for (const Name &name : names) {
		if (name.key != key)
			continue;
		if (!(value >= name.from && value <= name.to))
			return fail("rates: '" + std::string(word) + "' is not from " +
					    figure("%.3g", name.from) + " to " +
					    figure("%.3g", name.to),
				    Exit::usage);
		*name.into = value;
		rates.store.depth_bytes = static_cast<uint64_t>(depth);
		return {};
	}
	return fail("rates: '" + std::string(word) +
			    "' is not known (store, cxl, dram, p99, depth, flops, compute)",
		    Exit::usage);
}

} // namespace

Parsed<Rates> parse_rates(std::string_view text)
{
	const auto tree = JsonTree::parse(text, {.bytes = 1 << 20, .depth = 4});
	Rates rates;

	if (!tree)
		return std::unexpected(tree.error());
	const auto root = tree->root().object("the rates");

	if (!root)
		return std::unexpected(root.error());
	if (!root->find("itme_rates"))
		return refuse(0, "the rates lack 'itme_rates'");
	rates.origin = stated(root->find("store") && root->find("cxl") && root->find("dram"),
			      rates.origin);
	for (const JsonValue member : *root) {
		if (auto done = read_member(member, rates); !done)
			return std::unexpected(done.error());
	}
	return rates;
}

std::string rates_text(const Rates &rates)
{
	auto link = [](const Link &l) {
		return nlohmann::ordered_json{{"bytes_per_s", l.bytes_per_s},
					      {"p99_over_mean", l.p99_over_mean},
					      {"depth_bytes", l.depth_bytes}};
	};
	const nlohmann::ordered_json json = {
		{"itme_rates", version},       {"origin", rates.origin},
		{"store", link(rates.store)},  {"cxl", link(rates.cxl)},
		{"dram", link(rates.dram)},    {"flops", rates.flops},
		{"compute_s", rates.compute_s}};

	return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

Result<Rates> state_rates(std::string_view words, Rates rates)
{
	std::set<std::string_view> links;

	while (!words.empty()) {
		const std::string_view word = words.substr(0, words.find(','));
		const auto equals = word.find('=');

		words.remove_prefix(std::min(words.size(), word.size() + 1));
		if (equals == std::string_view::npos)
			return fail("rates: '" + std::string(word) + "' is not KEY=VALUE",
				    Exit::usage);
		const auto value = decimal(word.substr(equals + 1));

		if (!value)
			return fail("rates: '" + std::string(word) +
					    "' has no number; say 7G, 300M or 2e12",
				    Exit::usage);
		const auto key = word.substr(0, equals);

		if (auto done = state(word, key, *value, rates); !done)
			return std::unexpected(done.error());
		links.insert(key);
	}
	rates.origin =
		stated(links.contains("store") && links.contains("cxl") && links.contains("dram"),
		       rates.origin);
	return rates;
}

} // namespace itme
