// SPDX-License-Identifier: GPL-2.0-only
// safetensors: the header of one file, the index of many, and the part of a
// model's config.json that says what the headers do not.
#pragma once

#include "lib/parse.hpp"
#include "lib/tensor.hpp"

#include <cstddef>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace itme {

// The format's own limit on the JSON header.
constexpr uint64_t safetensors_most_header = 100'000'000;

// The length of the whole header, from the first 8 bytes of a file.
[[nodiscard]] Parsed<uint64_t> safetensors_header_bytes(std::span<const std::byte> bytes,
							uint64_t file_bytes);

// Tensors sorted by offset. `bytes` must hold the whole header.
[[nodiscard]] Parsed<std::vector<Tensor>> parse_safetensors(std::span<const std::byte> bytes,
							    uint64_t file_bytes);

struct SafetensorsIndex {
	std::vector<std::string> files; // plain names, sorted
	// Tensor to file, sorted by tensor.
	std::vector<std::pair<std::string, uint32_t>> tensors;
};
[[nodiscard]] Parsed<SafetensorsIndex> parse_safetensors_index(std::string_view text);

// The numbers and words at the top of a config.json, and of its text_config.
struct ModelConfig {
	std::map<std::string, uint64_t, std::less<>> numbers;
	std::map<std::string, std::string, std::less<>> texts;
	bool tied = false; // tie_word_embeddings

	[[nodiscard]] std::optional<uint64_t>
	number(std::initializer_list<std::string_view> names) const;
};
[[nodiscard]] Parsed<ModelConfig> parse_model_config(std::string_view text);

} // namespace itme
