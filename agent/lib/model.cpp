// SPDX-License-Identifier: GPL-2.0-only
#include "lib/model.hpp"

#include "lib/gguf.hpp"
#include "lib/safetensors.hpp"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <map>
#include <optional>
#include <span>

namespace itme {

namespace {

namespace fs = std::filesystem;

// A GGUF header is read in growing pieces, for its length stands nowhere.
constexpr uint64_t first_piece = 1 << 20;
constexpr uint64_t most_gguf_header = 512ULL << 20;
constexpr uint64_t most_index = 128ULL << 20;
constexpr uint64_t most_splits = 4096;

std::unexpected<Error> refused(const fs::path &path, const ParseError &error)
{
	return fail(path.string() + ": " + error.text());
}

Result<uint64_t> size_of(const fs::path &path)
{
	std::error_code error;
	const auto bytes = fs::file_size(path, error);

	if (error)
		return fail(path.string() + ": " + error.message());
	return bytes;
}

Result<std::vector<std::byte>> beginning(const fs::path &path, uint64_t bytes)
{
	std::ifstream stream(path, std::ios::binary);
	std::vector<std::byte> data(bytes);

	if (!stream)
		return fail(path.string() + ": cannot be opened for reading");
	stream.read(reinterpret_cast<char *>(data.data()), static_cast<std::streamsize>(bytes));
	data.resize(static_cast<size_t>(stream.gcount()));
	return data;
}

Result<std::string> small_file(const fs::path &path, uint64_t most)
{
	const auto size = size_of(path);

	if (!size)
		return std::unexpected(size.error());
	if (*size > most)
		return fail(path.string() + ": " + std::to_string(*size) + " bytes, the most is " +
			    std::to_string(most));
	const auto data = beginning(path, *size);

	if (!data)
		return std::unexpected(data.error());
	return std::string(reinterpret_cast<const char *>(data->data()), data->size());
}

Result<GgufHeader> gguf_header(const fs::path &path, uint64_t file_bytes)
{
	for (uint64_t piece = first_piece;; piece *= 4) {
		const auto data = beginning(path, std::min({piece, file_bytes, most_gguf_header}));

		if (!data)
			return std::unexpected(data.error());
		auto header = parse_gguf(*data, file_bytes);

		if (header)
			return std::move(*header);
		if (!header.error().truncated || piece >= file_bytes || piece >= most_gguf_header)
			return refused(path, header.error());
	}
}

struct SplitName {
	std::string stem;
	uint64_t number, count;
};

// STEM-00001-of-00003.gguf
std::optional<SplitName> split_name(const std::string &name)
{
	static constexpr size_t digits = 5;
	static constexpr std::string_view middle = "-of-", extension = ".gguf";
	const size_t tail = 1 + digits + middle.size() + digits + extension.size();
	SplitName split;

	if (name.size() <= tail || !name.ends_with(extension) || name[name.size() - tail] != '-' ||
	    name.compare(name.size() - tail + 1 + digits, middle.size(), middle) != 0)
		return std::nullopt;
	auto number = [&](size_t at, uint64_t &value) {
		const char *begin = name.data() + at;
		const auto [end, error] = std::from_chars(begin, begin + digits, value);

		return error == std::errc{} && end == begin + digits;
	};
	split.stem = name.substr(0, name.size() - tail);
	if (!number(name.size() - tail + 1, split.number) ||
	    !number(name.size() - extension.size() - digits, split.count))
		return std::nullopt;
	return split;
}

std::string split_file(const SplitName &split, uint64_t number)
{
	char tail[32];

	snprintf(tail, sizeof(tail), "-%05u-of-%05u.gguf", static_cast<unsigned>(number),
		 static_cast<unsigned>(split.count));
	return split.stem + tail;
}

// Headers are not trusted: what is absurd counts as not said.
uint64_t plausible(std::optional<uint64_t> count)
{
	static constexpr uint64_t most_count = 1 << 24; // of layers, heads, elements of a row

	return count.value_or(0) <= most_count ? count.value_or(0) : 0;
}

// One number for all layers, or one for each.
uint64_t sum_over_layers(const GgufHeader &header, const std::string &key, uint64_t layers)
{
	const auto *each = header.numbers(key);
	uint64_t sum = 0;

	if (each == nullptr)
		return plausible(header.number(key)) * layers;
	for (const int64_t count : *each)
		sum += plausible(static_cast<uint64_t>(count));
	return plausible(sum);
}

// 16 bits an element.
uint64_t kv_bytes(uint64_t heads, uint64_t elements)
{
	uint64_t bytes = 0;

	return multiply(2 * heads, elements, bytes) ? bytes : 0;
}

void gguf_facts(const GgufHeader &header, Model &model)
{
	const std::string name = header.text("general.architecture").value_or("");
	auto number = [&](const char *key) { return plausible(header.number(name + "." + key)); };
	ModelFacts &facts = model.facts;

	facts.architecture = name;
	facts.layers = number("block_count");
	facts.experts = number("expert_count");
	facts.experts_used = number("expert_used_count");
	model.unused_layers = number("nextn_predict_layers");
	if (const uint64_t rank = number("attention.kv_lora_rank"); rank != 0) {
		facts.kv_bytes_per_token =
			kv_bytes(facts.layers, rank + number("rope.dimension_count"));
		return;
	}
	const uint64_t heads = number("attention.head_count");
	const uint64_t width = heads == 0 ? 0 : number("embedding_length") / heads;
	const uint64_t key = number("attention.key_length"),
		       value = number("attention.value_length");
	uint64_t kv_heads =
		sum_over_layers(header, name + ".attention.head_count_kv", facts.layers);

	if (kv_heads == 0)
		kv_heads = heads * facts.layers;
	facts.kv_bytes_per_token =
		kv_bytes(kv_heads, (key != 0 ? key : width) + (value != 0 ? value : width));
}

Result<void> add_gguf_file(const fs::path &path, uint64_t index, uint64_t count, Model &model)
{
	const auto bytes = size_of(path);

	if (!bytes)
		return std::unexpected(bytes.error());
	auto header = gguf_header(path, *bytes);

	if (!header)
		return std::unexpected(header.error());
	if (count > 1 &&
	    (header->number("split.no") != index || header->number("split.count") != count))
		return fail(path.string() + ": its header does not say that it is split " +
			    std::to_string(index + 1) + " of " + std::to_string(count));
	if (count == 1 && header->number("split.count").value_or(0) > 1)
		return fail(
			path.string() +
			": one of several splits, but its name is not NAME-00001-of-0000N.gguf");
	if (index == 0)
		gguf_facts(*header, model);
	for (Tensor &tensor : header->tensors) {
		tensor.file = static_cast<uint32_t>(index);
		model.tensors.push_back(std::move(tensor));
	}
	model.files.push_back({path.filename().string(), *bytes});
	return {};
}

Result<void> distinct(const Model &model)
{
	std::vector<std::string_view> names;

	names.reserve(model.tensors.size());
	for (const Tensor &tensor : model.tensors)
		names.emplace_back(tensor.name);
	std::sort(names.begin(), names.end());
	const auto twice = std::adjacent_find(names.begin(), names.end());

	if (twice != names.end())
		return fail("tensor '" + std::string(*twice) + "' stands in two files");
	return {};
}

Result<Model> read_gguf(const fs::path &path)
{
	const auto split = split_name(path.filename().string());
	const uint64_t count = split ? split->count : 1;
	Model model;

	model.format = Format::gguf;
	model.name = split ? split->stem : path.stem().string();
	if (count == 0 || count > most_splits)
		return fail(path.string() + ": a split of " + std::to_string(count) + " files");
	for (uint64_t i = 0; i < count; i++) {
		const fs::path file = split ? path.parent_path() / split_file(*split, i + 1) : path;

		if (auto added = add_gguf_file(file, i, count, model); !added)
			return std::unexpected(added.error());
	}
	if (auto good = distinct(model); !good)
		return std::unexpected(good.error());
	return model;
}

void config_facts(const ModelConfig &config, Model &model)
{
	ModelFacts &facts = model.facts;
	auto number = [&](std::initializer_list<std::string_view> names) {
		return plausible(config.number(names));
	};

	if (const auto type = config.texts.find("model_type"); type != config.texts.end())
		facts.architecture = type->second;
	facts.layers = number({"num_hidden_layers", "n_layer", "n_layers", "num_layers"});
	facts.experts = number({"n_routed_experts", "num_local_experts", "num_experts"});
	facts.experts_used = number({"num_experts_per_tok", "num_experts_per_token", "moe_topk"});
	model.tied = config.tied;
	if (const uint64_t rank = number({"kv_lora_rank"}); rank != 0) {
		facts.kv_bytes_per_token =
			kv_bytes(facts.layers, rank + number({"qk_rope_head_dim"}));
		return;
	}
	const uint64_t heads = number({"num_attention_heads", "n_head"});
	const uint64_t width = heads == 0 ? 0 : number({"hidden_size", "n_embd"}) / heads;
	const uint64_t kv_heads = number({"num_key_value_heads"}), head = number({"head_dim"});

	facts.kv_bytes_per_token = kv_bytes(facts.layers * (kv_heads != 0 ? kv_heads : heads),
					    2 * (head != 0 ? head : width));
}

Result<void> add_config(const fs::path &folder, Model &model)
{
	const fs::path path = folder / "config.json";
	std::error_code error;

	if (!fs::exists(path, error)) {
		model.notes.emplace_back("no config.json beside the model: it would say the "
					 "architecture and how many experts a token uses");
		return {};
	}
	const auto text = small_file(path, 8ULL << 20);

	if (!text)
		return std::unexpected(text.error());
	const auto config = parse_model_config(*text);

	if (!config)
		return refused(path, config.error());
	config_facts(*config, model);
	return {};
}

Result<void> add_safetensors_file(const fs::path &path, Model &model)
{
	const auto bytes = size_of(path);

	if (!bytes)
		return std::unexpected(bytes.error());
	const auto start = beginning(path, std::min<uint64_t>(*bytes, 8));

	if (!start)
		return std::unexpected(start.error());
	const auto header_bytes = safetensors_header_bytes(*start, *bytes);

	if (!header_bytes)
		return refused(path, header_bytes.error());
	const auto data = beginning(path, *header_bytes);

	if (!data)
		return std::unexpected(data.error());
	auto tensors = parse_safetensors(*data, *bytes);

	if (!tensors)
		return refused(path, tensors.error());
	for (Tensor &tensor : *tensors) {
		tensor.file = static_cast<uint32_t>(model.files.size());
		model.tensors.push_back(std::move(tensor));
	}
	model.files.push_back({path.filename().string(), *bytes});
	return {};
}

Result<void> agree(const fs::path &path, const SafetensorsIndex &index, const Model &model)
{
	if (index.tensors.size() != model.tensors.size())
		return fail(path.string() + ": names " + std::to_string(index.tensors.size()) +
			    " tensors, the files hold " + std::to_string(model.tensors.size()));
	for (const Tensor &tensor : model.tensors) {
		const auto found =
			std::lower_bound(index.tensors.begin(), index.tensors.end(), tensor.name,
					 [](const auto &entry, const std::string &name) {
						 return entry.first < name;
					 });

		if (found == index.tensors.end() || found->first != tensor.name ||
		    found->second != tensor.file)
			return fail(path.string() + ": tensor '" + tensor.name + "' lies in " +
				    model.files[tensor.file].name + ", the index says otherwise");
	}
	return {};
}

Result<Model> read_safetensors(const fs::path &path)
{
	static constexpr std::string_view index_ending = ".index.json";
	Model model;

	model.format = Format::safetensors;
	model.name = path.stem().string();
	if (auto added = add_config(path.parent_path(), model); !added)
		return std::unexpected(added.error());
	if (!path.string().ends_with(index_ending)) {
		if (auto added = add_safetensors_file(path, model); !added)
			return std::unexpected(added.error());
		return model;
	}
	const auto text = small_file(path, most_index);

	if (!text)
		return std::unexpected(text.error());
	const auto index = parse_safetensors_index(*text);

	if (!index)
		return refused(path, index.error());
	model.name = path.stem().stem().stem().string();
	for (const std::string &file : index->files) {
		if (auto added = add_safetensors_file(path.parent_path() / file, model); !added)
			return std::unexpected(added.error());
	}
	if (auto good = distinct(model); !good)
		return std::unexpected(good.error());
	if (auto good = agree(path, *index, model); !good)
		return std::unexpected(good.error());
	return model;
}

} // namespace

Result<Model> read_model(const fs::path &path)
{
	const std::string name = path.filename().string();

	if (name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json"))
		return read_safetensors(path);
	if (name.ends_with(".gguf"))
		return read_gguf(path);
	const auto magic = beginning(path, 4);

	if (!magic)
		return std::unexpected(magic.error());
	if (magic->size() == 4 &&
	    std::equal(magic->begin(), magic->end(), reinterpret_cast<const std::byte *>("GGUF")))
		return read_gguf(path);
	return fail(path.string() + ": neither a GGUF file nor a safetensors file or index");
}

} // namespace itme
