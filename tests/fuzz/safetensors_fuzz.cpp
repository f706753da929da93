// SPDX-License-Identifier: GPL-2.0-only
// Any bytes as a safetensors file, as an index and as a config.json.
#include "lib/safetensors.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>

namespace {

void require(bool holds)
{
	if (!holds)
		abort();
}

void check_file(std::span<const std::byte> bytes, uint64_t file_bytes)
{
	const auto tensors = itme::parse_safetensors(bytes, file_bytes);
	uint64_t end = 0;

	if (!tensors) {
		require(!tensors.error().message.empty() && tensors.error().offset <= file_bytes);
		return;
	}
	for (const auto &tensor : *tensors) {
		require(tensor.bytes <= file_bytes && tensor.offset <= file_bytes - tensor.bytes);
		require(tensor.offset >= end && !tensor.name.empty());
		end = tensor.offset + tensor.bytes;
	}
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const auto bytes = std::as_bytes(std::span(data, size));
	const std::string_view text(reinterpret_cast<const char *>(data), size);

	check_file(bytes, size);
	// The same with a length that fits, so that the JSON is reached: the first 8
	// bytes say how much data lie behind it.
	if (size > 8) {
		std::string file(text);
		const uint64_t length = size - 8;
		uint64_t data_bytes;

		memcpy(&data_bytes, file.data(), sizeof(data_bytes));
		memcpy(file.data(), &length, sizeof(length));
		check_file(std::as_bytes(std::span(file)), size + data_bytes % (1ULL << 40));
	}
	if (const auto index = itme::parse_safetensors_index(text)) {
		for (const auto &[tensor, file] : index->tensors)
			require(file < index->files.size() && !tensor.empty());
		for (const auto &file : index->files)
			require(file.find('/') == std::string::npos && file != "..");
	} else {
		require(index.error().offset <= size);
	}
	if (const auto config = itme::parse_model_config(text); !config)
		require(config.error().offset <= size);
	return 0;
}
