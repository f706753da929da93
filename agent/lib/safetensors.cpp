// SPDX-License-Identifier: GPL-2.0-only
#include "lib/safetensors.hpp"

#include "lib/json_tree.hpp"

#include <algorithm>
#include <cstring>

namespace itme {

namespace {

constexpr uint64_t length_bytes = 8;
constexpr size_t most_name = 4096;
constexpr size_t most_dimensions = 16;
constexpr uint64_t most_index_bytes = 128ULL << 20;
constexpr uint64_t most_config_bytes = 8ULL << 20;

struct Type {
	std::string_view name;
	uint32_t bits;
};

constexpr Type types[] = {
	{"BOOL", 8},        {"U8", 8},          {"I8", 8},      {"F8_E5M2", 8}, {"F8_E4M3", 8},
	{"F8_E8M0", 8},     {"F4", 4},          {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"I16", 16},
	{"U16", 16},        {"F16", 16},        {"BF16", 16},   {"I32", 32},    {"U32", 32},
	{"F32", 32},        {"F64", 64},        {"I64", 64},    {"U64", 64},    {"C64", 64},
	{"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8},
};

bool printable(std::string_view name)
{
	return !name.empty() && name.size() <= most_name &&
	       std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

// One component of a path, and nothing that leads out of the folder.
bool plain_file_name(std::string_view name)
{
	return printable(name) && name != "." && name != ".." &&
	       name.find('/') == std::string_view::npos;
}

Parsed<void> shape_of(JsonValue value, Tensor &tensor)
{
	const auto list = value.array("shape");

	if (!list)
		return std::unexpected(list.error());
	if (list->size() > most_dimensions)
		return refuse(value.offset(),
			      "a shape of " + std::to_string(list->size()) + " dimensions");
	tensor.elements = 1;
	for (const JsonValue entry : *list) {
		const auto length = entry.number("a dimension", 1ULL << 62);

		if (!length)
			return std::unexpected(length.error());
		if (!multiply(tensor.elements, *length, tensor.elements))
			return refuse(entry.offset(), "a shape too large");
		tensor.shape.push_back(*length);
	}
	return {};
}

Parsed<uint32_t> bits_of(JsonValue value)
{
	const auto name = value.text("dtype");

	if (!name)
		return std::unexpected(name.error());
	for (const Type &type : types) {
		if (type.name == *name)
			return type.bits;
	}
	return refuse(value.offset(), "a dtype that is not known");
}

Parsed<void> place_of(JsonValue value, uint64_t data_bytes, Tensor &tensor)
{
	const auto list = value.array("data_offsets");
	uint64_t ends[2] = {};
	size_t count = 0;

	if (!list)
		return std::unexpected(list.error());
	if (list->size() != 2)
		return refuse(value.offset(), "data_offsets are not a begin and an end");
	for (const JsonValue entry : *list) {
		const auto end = entry.number("data_offsets", data_bytes);

		if (!end)
			return std::unexpected(end.error());
		ends[count++] = *end;
	}
	if (ends[0] > ends[1])
		return refuse(value.offset(), "data_offsets that end before they begin");
	tensor.offset = ends[0];
	tensor.bytes = ends[1] - ends[0];
	return {};
}

struct Placed {
	Tensor tensor;
	uint64_t header_offset;
};

Parsed<Placed> tensor_of(JsonValue value, uint64_t data_bytes)
{
	Placed placed{{}, value.offset()};
	std::optional<JsonValue> type, shape, place;
	uint64_t bits;

	if (!printable(value.key()))
		return refuse(value.offset(),
			      "a tensor whose name is empty, long or not printable");
	placed.tensor.name = value.key();
	const auto object = value.object("tensor '" + placed.tensor.name + "'");

	if (!object)
		return std::unexpected(object.error());
	for (const JsonValue member : *object) {
		if (member.key() == "dtype")
			type = member;
		else if (member.key() == "shape")
			shape = member;
		else if (member.key() == "data_offsets")
			place = member;
		else
			return refuse(member.offset(), "tensor '" + placed.tensor.name +
							       "' has a key that is not known");
	}
	if (!type || !shape || !place)
		return refuse(value.offset(), "tensor '" + placed.tensor.name +
						      "' lacks dtype, shape or data_offsets");
	const auto width = bits_of(*type);

	if (!width)
		return std::unexpected(width.error());
	if (auto done = shape_of(*shape, placed.tensor); !done)
		return std::unexpected(done.error());
	if (auto done = place_of(*place, data_bytes, placed.tensor); !done)
		return std::unexpected(done.error());
	if (!multiply(placed.tensor.elements, *width, bits) || bits % 8 != 0 ||
	    bits / 8 != placed.tensor.bytes)
		return refuse(place->offset(), "tensor '" + placed.tensor.name +
						       "': " + std::to_string(placed.tensor.bytes) +
						       " bytes are not what its shape needs");
	return placed;
}

Parsed<void> text_map(JsonValue value)
{
	const auto object = value.object("__metadata__");

	if (!object)
		return std::unexpected(object.error());
	for (const JsonValue member : *object) {
		if (const auto text = member.text("__metadata__"); !text)
			return std::unexpected(text.error());
	}
	return {};
}

// The offsets of errors in a header's JSON count from the start of the file.
ParseError shifted(ParseError error)
{
	error.offset += length_bytes;
	return error;
}

Parsed<std::vector<Tensor>> tensors_of(JsonValue root, uint64_t header_bytes, uint64_t data_bytes)
{
	std::vector<Placed> placed;
	std::vector<Tensor> tensors;
	uint64_t end = 0;
	const auto object = root.object("the header");

	if (!object)
		return std::unexpected(object.error());
	for (const JsonValue member : *object) {
		if (member.key() == "__metadata__") {
			if (auto done = text_map(member); !done)
				return std::unexpected(done.error());
			continue;
		}
		auto tensor = tensor_of(member, data_bytes);

		if (!tensor)
			return std::unexpected(tensor.error());
		placed.push_back(std::move(*tensor));
	}
	std::stable_sort(placed.begin(), placed.end(), [](const Placed &a, const Placed &b) {
		return a.tensor.offset != b.tensor.offset ? a.tensor.offset < b.tensor.offset
							  : a.tensor.bytes < b.tensor.bytes;
	});
	tensors.reserve(placed.size());
	for (auto &[tensor, offset] : placed) {
		if (tensor.offset != end)
			return refuse(offset,
				      "tensor '" + tensor.name + "' " +
					      (tensor.offset < end ? "overlaps"
								   : "leaves a hole behind") +
					      " the one before it");
		end += tensor.bytes;
		tensor.offset += header_bytes;
		tensors.push_back(std::move(tensor));
	}
	if (end != data_bytes)
		return refuse(0, "the tensors end at " + std::to_string(end) + " of " +
					 std::to_string(data_bytes) + " bytes of data");
	return tensors;
}

} // namespace

Parsed<uint64_t> safetensors_header_bytes(std::span<const std::byte> bytes, uint64_t file_bytes)
{
	uint64_t length;

	if (bytes.size() < length_bytes)
		return std::unexpected(ParseError{
			bytes.size(), "the file ends inside the length of the header", true});
	memcpy(&length, bytes.data(), sizeof(length));
	if (length > safetensors_most_header)
		return refuse(0, "a header of " + std::to_string(length) + " bytes, the most is " +
					 std::to_string(safetensors_most_header));
	if (length < 2 || length + length_bytes > file_bytes)
		return refuse(0, "a header of " + std::to_string(length) + " bytes in a file of " +
					 std::to_string(file_bytes));
	return length + length_bytes;
}

Parsed<std::vector<Tensor>> parse_safetensors(std::span<const std::byte> bytes, uint64_t file_bytes)
{
	const auto header_bytes = safetensors_header_bytes(bytes, file_bytes);

	if (!header_bytes)
		return std::unexpected(header_bytes.error());
	if (bytes.size() < *header_bytes)
		return std::unexpected(ParseError{bytes.size(), "the header ends early", true});
	const std::string_view text(reinterpret_cast<const char *>(bytes.data()) + length_bytes,
				    *header_bytes - length_bytes);

	if (text.front() != '{')
		return refuse(length_bytes, "the header does not begin with '{'");
	const auto tree = JsonTree::parse(text, {.bytes = safetensors_most_header, .depth = 4});

	if (!tree)
		return std::unexpected(shifted(tree.error()));
	auto tensors = tensors_of(tree->root(), *header_bytes, file_bytes - *header_bytes);

	if (!tensors)
		return std::unexpected(shifted(tensors.error()));
	return tensors;
}

Parsed<SafetensorsIndex> parse_safetensors_index(std::string_view text)
{
	const auto tree = JsonTree::parse(text, {.bytes = most_index_bytes, .depth = 8});
	std::map<std::string_view, uint32_t> files;
	SafetensorsIndex index;

	if (!tree)
		return std::unexpected(tree.error());
	const auto root = tree->root().object("the index");

	if (!root)
		return std::unexpected(root.error());
	const auto map = root->find("weight_map");

	if (!map)
		return refuse(root->offset(), "the index has no weight_map");
	const auto weights = map->object("weight_map");

	if (!weights)
		return std::unexpected(weights.error());
	for (const JsonValue member : *weights) {
		const auto file = member.text("weight_map");

		if (!file)
			return std::unexpected(file.error());
		if (!plain_file_name(*file))
			return refuse(member.offset(), "a file name that is not plain");
		if (!printable(member.key()))
			return refuse(member.offset(),
				      "a tensor whose name is empty, long or not printable");
		files.emplace(*file, 0);
	}
	for (auto &[name, number] : files) {
		number = static_cast<uint32_t>(index.files.size());
		index.files.emplace_back(name);
	}
	for (const JsonValue member : *weights)
		index.tensors.emplace_back(member.key(), files[*member.text("weight_map")]);
	std::sort(index.tensors.begin(), index.tensors.end());
	return index;
}

std::optional<uint64_t> ModelConfig::number(std::initializer_list<std::string_view> names) const
{
	for (const auto name : names) {
		if (const auto found = numbers.find(name); found != numbers.end())
			return found->second;
	}
	return std::nullopt;
}

Parsed<ModelConfig> parse_model_config(std::string_view text)
{
	const auto tree = JsonTree::parse(text, {.bytes = most_config_bytes});
	ModelConfig config;

	if (!tree)
		return std::unexpected(tree.error());
	const auto root = tree->root().object("the configuration");

	if (!root)
		return std::unexpected(root.error());
	auto take = [&](JsonValue object) {
		for (const JsonValue member : object) {
			const std::string key(member.key());

			if (const auto number = member.number(key))
				config.numbers.emplace(key, *number);
			else if (const auto word = member.text(key))
				config.texts.emplace(key, *word);
			else if (key == "tie_word_embeddings" &&
				 member.kind() == JsonValue::Kind::boolean)
				config.tied = *member.boolean(key);
		}
	};
	// What a multimodal model says of its language part goes before its top.
	if (const auto inner = root->find("text_config");
	    inner && inner->kind() == JsonValue::Kind::object)
		take(*inner);
	take(*root);
	return config;
}

} // namespace itme
