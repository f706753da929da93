// SPDX-License-Identifier: GPL-2.0-only
// The header of a GGUF file: which tensors lie where.
#pragma once

#include "lib/parse.hpp"
#include "lib/tensor.hpp"

#include <cstddef>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace itme {

struct GgufHeader {
	// Scalars and strings. Of arrays only short ones of integers are kept: the
	// per-layer numbers; a vocabulary is read over.
	using Value =
		std::variant<uint64_t, int64_t, double, bool, std::string, std::vector<int64_t>>;

	uint32_t version = 0;
	uint64_t alignment = 32;
	uint64_t header_bytes = 0; // where the data begin
	std::map<std::string, Value, std::less<>> metadata;
	std::vector<Tensor> tensors; // in the header's order; offsets from the start of the file

	[[nodiscard]] std::optional<uint64_t> number(std::string_view key) const;
	[[nodiscard]] std::optional<std::string> text(std::string_view key) const;
	[[nodiscard]] const std::vector<int64_t> *numbers(std::string_view key) const;
};

// `bytes` is the beginning of a file of file_bytes. When they end inside the
// header the error is marked truncated, and more of the file may be given.
[[nodiscard]] Parsed<GgufHeader> parse_gguf(std::span<const std::byte> bytes, uint64_t file_bytes);

} // namespace itme
