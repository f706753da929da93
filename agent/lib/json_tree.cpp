// SPDX-License-Identifier: GPL-2.0-only
#include "lib/json_tree.hpp"

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

namespace itme {

namespace {

// Hands the text to the library byte by byte and remembers how far it got.
class Position {
public:
	using iterator_category = std::input_iterator_tag;
	using value_type = char;
	using difference_type = std::ptrdiff_t;
	using pointer = const char *;
	using reference = const char &;

	Position(const char *at, const char **furthest) : at(at), furthest(furthest) {}
	reference operator*() const { return *at; }
	Position &operator++()
	{
		*furthest = ++at;
		return *this;
	}
	Position operator++(int)
	{
		Position before = *this;

		++*this;
		return before;
	}
	bool operator==(const Position &other) const { return at == other.at; }
	bool operator!=(const Position &other) const { return at != other.at; }

private:
	const char *at;
	const char **furthest;
};

std::string quoted(std::string_view text)
{
	std::string out = "'";

	for (char c : text.substr(0, 80))
		out += c >= ' ' && c <= '~' ? c : '?';
	return out + (text.size() > 80 ? "...'" : "'");
}

} // namespace

class JsonBuilder {
public:
	using Json = nlohmann::json;
	using Kind = JsonValue::Kind;

	JsonBuilder(JsonTree &tree, const char *start, const char **furthest,
		    const JsonLimits &limits)
	    : tree(tree), start(start), after(start), furthest(furthest), limits(limits)
	{
	}

	bool null() { return add(Kind::null); }
	bool boolean(bool value) { return add(Kind::boolean) && (last().number = value, true); }
	bool number_integer(Json::number_integer_t value)
	{
		if (!add(Kind::integer))
			return false;
		after = *furthest - 1; // the lexer looks one byte past a number
		last().negative = value < 0;
		last().number =
			value < 0 ? -static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
		return true;
	}
	bool number_unsigned(Json::number_unsigned_t value)
	{
		if (!add(Kind::integer))
			return false;
		after = *furthest - 1;
		last().number = value;
		return true;
	}
	bool number_float(Json::number_float_t value, const std::string & /*text*/)
	{
		if (!add(Kind::real))
			return false;
		after = *furthest - 1;
		last().real = value;
		return true;
	}
	bool string(std::string &value)
	{
		if (!add(Kind::text))
			return false;
		last().text = {static_cast<uint32_t>(tree.strings.size()),
			       static_cast<uint32_t>(value.size())};
		tree.strings += value;
		return true;
	}
	static bool binary(Json::binary_t & /*value*/) { return false; }
	bool start_object(size_t /*count*/) { return open(Kind::object); }
	bool start_array(size_t /*count*/) { return open(Kind::array); }
	bool end_array()
	{
		after = *furthest;
		return close();
	}
	bool end_object()
	{
		after = *furthest;
		return unique_keys() && close();
	}
	bool key(std::string &value)
	{
		key_at = static_cast<uint32_t>(tree.strings.size());
		key_length = static_cast<uint32_t>(value.size());
		tree.strings += value;
		after = *furthest;
		return true;
	}
	bool parse_error(size_t /*position*/, const std::string & /*token*/,
			 const nlohmann::detail::exception &why)
	{
		std::string message = why.what();

		// The library's text ends in what it expected; its own prefix repeats the place.
		if (const auto colon = message.rfind("; "); colon != std::string::npos)
			message = message.substr(colon + 2);
		return fail(position(), "not JSON: " + message.substr(0, 120));
	}

	ParseError error;

private:
	struct Level {
		uint32_t node;
		uint32_t last_child;
	};

	[[nodiscard]] uint64_t position() const
	{
		const auto read = static_cast<uint64_t>(*furthest - start);

		return read == 0 ? 0 : read - 1;
	}
	// Where the token that was just read began: behind the one before it.
	[[nodiscard]] uint64_t token() const
	{
		const char *at = after;

		while (at < *furthest && std::string_view(" \t\r\n,:").contains(*at))
			at++;
		return static_cast<uint64_t>(at - start);
	}
	bool fail(uint64_t offset, std::string message)
	{
		if (error.message.empty())
			error = {offset, std::move(message)};
		return false;
	}
	JsonTree::Node &last() { return tree.nodes.back(); }

	bool add(Kind kind)
	{
		const auto index = static_cast<uint32_t>(tree.nodes.size());

		if (index >= limits.values)
			return fail(token(),
				    "more than " + std::to_string(limits.values) + " values");
		tree.nodes.emplace_back();
		last().kind = kind;
		last().offset = static_cast<uint32_t>(token());
		after = *furthest;
		last().key = key_at;
		last().key_length = key_length;
		key_length = 0;
		if (!levels.empty()) {
			Level &level = levels.back();

			if (level.last_child == JsonTree::none)
				tree.nodes[level.node].child = index;
			else
				tree.nodes[level.last_child].next = index;
			level.last_child = index;
			tree.nodes[level.node].count++;
		}
		return true;
	}
	bool open(Kind kind)
	{
		if (levels.size() >= limits.depth)
			return fail(token(), "nested deeper than " + std::to_string(limits.depth));
		if (!add(kind))
			return false;
		levels.push_back({static_cast<uint32_t>(tree.nodes.size() - 1), JsonTree::none});
		return true;
	}
	bool close()
	{
		levels.pop_back();
		return true;
	}
	bool unique_keys()
	{
		std::vector<uint32_t> members;

		for (uint32_t i = tree.nodes[levels.back().node].child; i != JsonTree::none;
		     i = tree.nodes[i].next)
			members.push_back(i);
		auto key_of = [&](uint32_t i) {
			return tree.slice(tree.nodes[i].key, tree.nodes[i].key_length);
		};
		std::sort(members.begin(), members.end(), [&](uint32_t a, uint32_t b) {
			return key_of(a) != key_of(b) ? key_of(a) < key_of(b) : a < b;
		});
		for (size_t i = 1; i < members.size(); i++) {
			if (key_of(members[i]) == key_of(members[i - 1]))
				return fail(tree.nodes[members[i]].offset,
					    "key " + quoted(key_of(members[i])) + " stands twice");
		}
		return true;
	}

	JsonTree &tree;
	const char *start;
	const char *after; // the end of the token before
	const char **furthest;
	const JsonLimits &limits;
	std::vector<Level> levels;
	uint32_t key_at = 0, key_length = 0;
};

Parsed<JsonTree> JsonTree::parse(std::string_view text, const JsonLimits &limits)
{
	JsonTree tree;
	const char *furthest = text.data();

	if (text.size() > limits.bytes || text.size() >= none)
		return refuse(limits.bytes,
			      "JSON of more than " + std::to_string(limits.bytes) + " bytes");
	if (text.empty())
		return refuse(0, "not JSON: empty");
	// The library skips a byte order mark; JSON has none.
	if (static_cast<unsigned char>(text.front()) == 0xef)
		return refuse(0, "not JSON: a byte order mark");
	JsonBuilder builder(tree, text.data(), &furthest, limits);
	const Position first(text.data(), &furthest);
	const Position past(text.data() + text.size(), &furthest);

	if (!nlohmann::json::sax_parse(first, past, &builder)) {
		if (builder.error.message.empty())
			builder.error = {static_cast<uint64_t>(furthest - text.data()), "not JSON"};
		return std::unexpected(builder.error);
	}
	return tree;
}

JsonValue::Kind JsonValue::kind() const
{
	return tree->nodes[index].kind;
}
uint64_t JsonValue::offset() const
{
	return tree->nodes[index].offset;
}
size_t JsonValue::size() const
{
	return tree->nodes[index].count;
}

std::string_view JsonValue::key() const
{
	return tree->slice(tree->nodes[index].key, tree->nodes[index].key_length);
}

JsonValue::Iterator &JsonValue::Iterator::operator++()
{
	index = tree->nodes[index].next;
	return *this;
}

JsonValue::Iterator JsonValue::begin() const
{
	return {tree, tree->nodes[index].child};
}
JsonValue::Iterator JsonValue::end() const
{
	return {tree, JsonTree::none};
}

Parsed<std::string_view> JsonValue::text(std::string_view what) const
{
	const auto &node = tree->nodes[index];

	if (node.kind != Kind::text)
		return refuse(node.offset, std::string(what) + " is not a string");
	return tree->slice(node.text.at, node.text.length);
}

Parsed<uint64_t> JsonValue::number(std::string_view what, uint64_t most) const
{
	const auto &node = tree->nodes[index];

	if (node.kind != Kind::integer || node.negative)
		return refuse(node.offset, std::string(what) + " is not a whole number from 0");
	if (node.number > most)
		return refuse(node.offset, std::string(what) + " is above " + std::to_string(most));
	return node.number;
}

Parsed<double> JsonValue::real(std::string_view what, double least, double most) const
{
	const auto &node = tree->nodes[index];
	double value;

	if (node.kind == Kind::integer)
		value = node.negative ? -static_cast<double>(node.number)
				      : static_cast<double>(node.number);
	else if (node.kind == Kind::real)
		value = node.real;
	else
		return refuse(node.offset, std::string(what) + " is not a number");
	if (!(value >= least && value <= most))
		return refuse(node.offset, std::string(what) + " is out of range");
	return value;
}

Parsed<bool> JsonValue::boolean(std::string_view what) const
{
	const auto &node = tree->nodes[index];

	if (node.kind != Kind::boolean)
		return refuse(node.offset, std::string(what) + " is neither true nor false");
	return node.number != 0;
}

Parsed<JsonValue> JsonValue::array(std::string_view what) const
{
	if (kind() != Kind::array)
		return refuse(offset(), std::string(what) + " is not an array");
	return *this;
}

Parsed<JsonValue> JsonValue::object(std::string_view what) const
{
	if (kind() != Kind::object)
		return refuse(offset(), std::string(what) + " is not an object");
	return *this;
}

std::optional<JsonValue> JsonValue::find(std::string_view key) const
{
	for (JsonValue value : *this) {
		if (value.key() == key)
			return value;
	}
	return std::nullopt;
}

} // namespace itme
