// SPDX-License-Identifier: GPL-2.0-only
#include "lib/gguf.hpp"

#include <algorithm>
#include <cstring>
#include <unordered_set>

namespace itme {

namespace {

// Far above any model, far below what would hurt.
constexpr uint64_t most_tensors = 1 << 20;
constexpr uint64_t most_entries = 1 << 16;
constexpr uint64_t most_name = 1 << 12;
constexpr uint64_t most_text = 16 << 20;
constexpr uint64_t most_kept_text = 1 << 16;
constexpr uint64_t most_array = 1 << 28;
constexpr uint64_t most_kept_array = 1 << 12;
constexpr uint64_t most_alignment = 1 << 21;
constexpr uint32_t most_dimensions = 4;

enum Type : uint32_t { U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64, TYPES };

constexpr uint32_t type_bytes[TYPES] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

struct Block {
	uint32_t type, elements, bytes;
};

// ggml's types of tensor: so many elements are stored in so many bytes.
constexpr Block blocks[] = {
	{0, 1, 4},      {1, 1, 2},      {2, 32, 18},    {3, 32, 20},    {6, 32, 22},
	{7, 32, 24},    {8, 32, 34},    {9, 32, 36},    {10, 256, 84},  {11, 256, 110},
	{12, 256, 144}, {13, 256, 176}, {14, 256, 210}, {15, 256, 292}, {16, 256, 66},
	{17, 256, 74},  {18, 256, 98},  {19, 256, 50},  {20, 32, 18},   {21, 256, 110},
	{22, 256, 82},  {23, 256, 136}, {24, 1, 1},     {25, 1, 2},     {26, 1, 4},
	{27, 1, 8},     {28, 1, 8},     {29, 256, 56},  {30, 1, 2},     {34, 256, 54},
	{35, 256, 66},  {39, 32, 17},   {40, 64, 36},   {41, 128, 18},
};

const Block *block_of(uint32_t type)
{
	const auto *found = std::find_if(std::begin(blocks), std::end(blocks),
					 [&](const Block &b) { return b.type == type; });

	return found == std::end(blocks) ? nullptr : found;
}

class Cursor {
public:
	explicit Cursor(std::span<const std::byte> bytes) : bytes(bytes) {}

	[[nodiscard]] Parsed<std::span<const std::byte>> take(uint64_t count, const char *what)
	{
		if (count > bytes.size() - at)
			return std::unexpected(ParseError{
				at, std::string("the header ends inside ") + what, true});
		auto taken = bytes.subspan(at, count);

		at += count;
		return taken;
	}
	template <typename T> [[nodiscard]] Parsed<T> plain(const char *what)
	{
		T value;
		const auto taken = take(sizeof(T), what);

		if (!taken)
			return std::unexpected(taken.error());
		memcpy(&value, taken->data(), sizeof(T));
		return value;
	}
	[[nodiscard]] Parsed<std::string_view> text(const char *what, uint64_t most)
	{
		const uint64_t start = at;
		const auto length = plain<uint64_t>(what);

		if (!length)
			return std::unexpected(length.error());
		if (*length > most)
			return refuse(start, std::string(what) + " of " + std::to_string(*length) +
						     " bytes, the most is " + std::to_string(most));
		const auto taken = take(*length, what);

		if (!taken)
			return std::unexpected(taken.error());
		return std::string_view(reinterpret_cast<const char *>(taken->data()),
					taken->size());
	}

	uint64_t at = 0;

private:
	std::span<const std::byte> bytes;
};

// Names end up in tables, file names of pictures and JSON: printable, no spaces.
bool printable(std::string_view name)
{
	return !name.empty() &&
	       std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

class Parser {
public:
	Parser(std::span<const std::byte> bytes, uint64_t file_bytes)
	    : in(bytes), file_bytes(file_bytes)
	{
	}

	[[nodiscard]] Parsed<GgufHeader> run()
	{
		if (auto done = start(); !done)
			return std::unexpected(done.error());
		for (uint64_t i = 0; i < entries; i++) {
			if (auto done = entry(); !done)
				return std::unexpected(done.error());
		}
		if (auto done = alignment(); !done)
			return std::unexpected(done.error());
		header.tensors.reserve(std::min<uint64_t>(tensors, 4096));
		for (uint64_t i = 0; i < tensors; i++) {
			if (auto done = tensor(); !done)
				return std::unexpected(done.error());
		}
		if (auto done = place(); !done)
			return std::unexpected(done.error());
		return std::move(header);
	}

private:
	using Done = Parsed<void>;

	Done start()
	{
		const auto magic = in.take(4, "the magic");

		if (!magic)
			return std::unexpected(magic.error());
		if (memcmp(magic->data(), "GGUF", 4) != 0)
			return refuse(0, "not a GGUF file: the magic is wrong");
		const auto version = in.plain<uint32_t>("the version");

		if (!version)
			return std::unexpected(version.error());
		if (*version == 0x03000000 || *version == 0x02000000)
			return refuse(4, "a big-endian GGUF, which is not supported");
		if (*version != 2 && *version != 3)
			return refuse(4, "GGUF version " + std::to_string(*version) +
						 ", known are 2 and 3");
		header.version = *version;
		if (auto done = count("tensors", most_tensors, tensors); !done)
			return done;
		return count("entries of metadata", most_entries, entries);
	}
	Done count(const char *what, uint64_t most, uint64_t &into)
	{
		const uint64_t offset = in.at;
		const auto value = in.plain<uint64_t>("the counts");

		if (!value)
			return std::unexpected(value.error());
		if (*value > most)
			return refuse(offset, std::to_string(*value) + " " + what +
						      ", the most is " + std::to_string(most));
		into = *value;
		return {};
	}

	Done entry()
	{
		const uint64_t offset = in.at;
		const auto key = in.text("a key", most_name);

		if (!key)
			return std::unexpected(key.error());
		if (!printable(*key))
			return refuse(offset, "a key that is empty or not printable");
		if (header.metadata.contains(*key))
			return refuse(offset, "key '" + std::string(*key) + "' stands twice");
		const uint64_t type_at = in.at;
		const auto type = in.plain<uint32_t>("the type of a value");

		if (!type)
			return std::unexpected(type.error());
		if (*type >= TYPES)
			return refuse(type_at,
				      "value type " + std::to_string(*type) + " is not known");
		if (*key == "general.alignment")
			alignment_at = in.at;
		if (*type == ARRAY)
			return array(std::string(*key));
		auto value = scalar(static_cast<Type>(*type));

		if (!value)
			return std::unexpected(value.error());
		header.metadata.emplace(*key, std::move(*value));
		return {};
	}

	template <typename T> Parsed<GgufHeader::Value> integer()
	{
		const auto value = in.plain<T>("a value");

		if (!value)
			return std::unexpected(value.error());
		if constexpr (std::is_signed_v<T>)
			return static_cast<int64_t>(*value);
		else
			return static_cast<uint64_t>(*value);
	}
	template <typename T> Parsed<GgufHeader::Value> real()
	{
		const auto value = in.plain<T>("a value");

		if (!value)
			return std::unexpected(value.error());
		return static_cast<double>(*value);
	}
	Parsed<GgufHeader::Value> truth()
	{
		const uint64_t offset = in.at;
		const auto value = in.plain<uint8_t>("a value");

		if (!value)
			return std::unexpected(value.error());
		if (*value > 1)
			return refuse(offset, "a bool of " + std::to_string(*value));
		return *value == 1;
	}
	Parsed<GgufHeader::Value> string()
	{
		const auto value = in.text("a string", most_text);

		if (!value)
			return std::unexpected(value.error());
		return std::string(value->substr(0, most_kept_text));
	}
	Parsed<GgufHeader::Value> scalar(Type type)
	{
		switch (type) {
		case U8:
			return integer<uint8_t>();
		case I8:
			return integer<int8_t>();
		case U16:
			return integer<uint16_t>();
		case I16:
			return integer<int16_t>();
		case U32:
			return integer<uint32_t>();
		case I32:
			return integer<int32_t>();
		case U64:
			return integer<uint64_t>();
		case I64:
			return integer<int64_t>();
		case F32:
			return real<float>();
		case F64:
			return real<double>();
		case BOOL:
			return truth();
		default:
			return string();
		}
	}

	Done array(std::string key)
	{
		const uint64_t type_at = in.at;
		const auto type = in.plain<uint32_t>("the type of an array");

		if (!type)
			return std::unexpected(type.error());
		if (*type >= TYPES || *type == ARRAY)
			return refuse(type_at, "an array of type " + std::to_string(*type) +
						       " is not known");
		const uint64_t count_at = in.at;
		const auto count = in.plain<uint64_t>("the length of an array");

		if (!count)
			return std::unexpected(count.error());
		if (*count > most_array)
			return refuse(count_at, "an array of " + std::to_string(*count) +
							", the most is " +
							std::to_string(most_array));
		if (*type == STRING) {
			for (uint64_t i = 0; i < *count; i++) {
				if (const auto text = in.text("an array of strings", most_text);
				    !text)
					return std::unexpected(text.error());
			}
			return keep(std::move(key), {});
		}
		if (*count > most_kept_array || *type == F32 || *type == F64) {
			if (const auto over = in.take(*count * type_bytes[*type], "an array");
			    !over)
				return std::unexpected(over.error());
			return keep(std::move(key), {});
		}
		std::vector<int64_t> values;

		for (uint64_t i = 0; i < *count; i++) {
			const auto value = scalar(static_cast<Type>(*type));

			if (!value)
				return std::unexpected(value.error());
			values.push_back(std::visit(
				[](const auto &v) -> int64_t {
					if constexpr (std::is_arithmetic_v<
							      std::decay_t<decltype(v)>>)
						return static_cast<int64_t>(v);
					else
						return 0;
				},
				*value));
		}
		return keep(std::move(key), std::move(values));
	}
	Done keep(std::string key, std::vector<int64_t> values)
	{
		header.metadata.emplace(std::move(key), std::move(values));
		return {};
	}

	Done alignment()
	{
		const auto found = header.metadata.find("general.alignment");

		if (found == header.metadata.end())
			return {};
		const auto value = header.number("general.alignment");

		if (!value || *value == 0 || *value > most_alignment ||
		    (*value & (*value - 1)) != 0)
			return refuse(alignment_at, "general.alignment is no power of two up to " +
							    std::to_string(most_alignment));
		header.alignment = *value;
		return {};
	}

	Done tensor()
	{
		Tensor tensor;
		const uint64_t start = in.at;
		const auto name = in.text("the name of a tensor", most_name);

		if (!name)
			return std::unexpected(name.error());
		if (!printable(*name))
			return refuse(start, "a tensor whose name is empty or not printable");
		if (!names.emplace(*name).second)
			return refuse(start, "tensor '" + std::string(*name) + "' stands twice");
		tensor.name = *name;
		if (auto done = shape(tensor); !done)
			return done;
		const uint64_t offset_at = in.at;
		const auto offset = in.plain<uint64_t>("the offset of a tensor");

		if (!offset)
			return std::unexpected(offset.error());
		if (*offset % header.alignment != 0)
			return refuse(offset_at, "tensor '" + tensor.name + "' is not aligned to " +
							 std::to_string(header.alignment));
		tensor.offset = *offset;
		offsets_at.push_back(offset_at);
		header.tensors.push_back(std::move(tensor));
		return {};
	}
	Done shape(Tensor &tensor)
	{
		const uint64_t count_at = in.at;
		const auto dimensions = in.plain<uint32_t>("the dimensions of a tensor");

		if (!dimensions)
			return std::unexpected(dimensions.error());
		if (*dimensions == 0 || *dimensions > most_dimensions)
			return refuse(count_at, "tensor '" + tensor.name + "' of " +
							std::to_string(*dimensions) +
							" dimensions");
		tensor.elements = 1;
		for (uint32_t i = 0; i < *dimensions; i++) {
			const uint64_t offset = in.at;
			const auto length = in.plain<uint64_t>("the dimensions of a tensor");

			if (!length)
				return std::unexpected(length.error());
			if (*length == 0 || !multiply(tensor.elements, *length, tensor.elements) ||
			    tensor.elements > 1ULL << 62)
				return refuse(offset, "tensor '" + tensor.name +
							      "': a dimension of " +
							      std::to_string(*length));
			tensor.shape.insert(tensor.shape.begin(), *length);
		}
		const uint64_t type_at = in.at;
		const auto type = in.plain<uint32_t>("the type of a tensor");

		if (!type)
			return std::unexpected(type.error());
		const Block *block = block_of(*type);

		if (block == nullptr)
			return refuse(type_at, "tensor '" + tensor.name + "': type " +
						       std::to_string(*type) + " is not known");
		if (tensor.shape.back() % block->elements != 0)
			return refuse(type_at, "tensor '" + tensor.name + "': rows of " +
						       std::to_string(tensor.shape.back()) +
						       " are no multiple of the type's " +
						       std::to_string(block->elements));
		if (!multiply(tensor.elements / block->elements, block->bytes, tensor.bytes))
			return refuse(count_at, "tensor '" + tensor.name + "' is too large");
		return {};
	}

	// Offsets count from the end of the header, aligned, which is known only now.
	Done place()
	{
		header.header_bytes =
			(in.at + header.alignment - 1) / header.alignment * header.alignment;
		std::vector<uint32_t> order(header.tensors.size());
		const Tensor *before = nullptr;

		for (uint32_t i = 0; i < order.size(); i++) {
			Tensor &tensor = header.tensors[i];

			order[i] = i;
			if (__builtin_add_overflow(tensor.offset, header.header_bytes,
						   &tensor.offset) ||
			    tensor.offset > file_bytes || tensor.bytes > file_bytes - tensor.offset)
				return refuse(offsets_at[i],
					      "tensor '" + tensor.name +
						      "' ends past the end of the file (" +
						      std::to_string(file_bytes) + " bytes)");
		}
		std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
			return header.tensors[a].offset < header.tensors[b].offset;
		});
		for (const uint32_t i : order) {
			const Tensor &tensor = header.tensors[i];

			if (before != nullptr && tensor.offset < before->offset + before->bytes)
				return refuse(offsets_at[i], "tensor '" + tensor.name +
								     "' overlaps '" + before->name +
								     "'");
			before = &tensor;
		}
		return {};
	}

	Cursor in;
	uint64_t file_bytes;
	uint64_t tensors = 0, entries = 0;
	GgufHeader header;
	uint64_t alignment_at = 0;        // where it stands, for refusals
	std::vector<uint64_t> offsets_at; // and each tensor's offset
	std::unordered_set<std::string_view> names;
};

} // namespace

std::optional<uint64_t> GgufHeader::number(std::string_view key) const
{
	const auto found = metadata.find(key);

	if (found == metadata.end())
		return std::nullopt;
	if (const auto *value = std::get_if<uint64_t>(&found->second))
		return *value;
	if (const auto *value = std::get_if<int64_t>(&found->second);
	    value != nullptr && *value >= 0)
		return static_cast<uint64_t>(*value);
	return std::nullopt;
}

std::optional<std::string> GgufHeader::text(std::string_view key) const
{
	const auto found = metadata.find(key);

	if (found == metadata.end() || !std::holds_alternative<std::string>(found->second))
		return std::nullopt;
	return std::get<std::string>(found->second);
}

const std::vector<int64_t> *GgufHeader::numbers(std::string_view key) const
{
	const auto found = metadata.find(key);

	return found == metadata.end() ? nullptr
				       : std::get_if<std::vector<int64_t>>(&found->second);
}

Parsed<GgufHeader> parse_gguf(std::span<const std::byte> bytes, uint64_t file_bytes)
{
	return Parser(bytes, file_bytes).run();
}

} // namespace itme
