// SPDX-License-Identifier: GPL-2.0-only
// Any bytes as the beginning of a GGUF file. What is accepted keeps its promises.
#include "lib/gguf.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <utility>
#include <vector>

namespace {

// The input is the header of a file with this much data behind it.
constexpr uint64_t data_bytes = 1ULL << 40;

void require(bool holds)
{
	if (!holds)
		abort();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const auto bytes = std::as_bytes(std::span(data, size));
	const uint64_t file_bytes = size + data_bytes;
	const auto header = itme::parse_gguf(bytes, file_bytes);
	std::vector<std::pair<uint64_t, uint64_t>> ranges;

	if (!header) {
		require(header.error().offset <= size);
		require(!header.error().message.empty());
		return 0;
	}
	require(header->header_bytes >= 24 && header->header_bytes % header->alignment == 0);
	for (const auto &tensor : header->tensors) {
		require(tensor.offset >= header->header_bytes &&
			tensor.offset % header->alignment == 0);
		require(tensor.bytes <= file_bytes && tensor.offset <= file_bytes - tensor.bytes);
		require(!tensor.name.empty() && tensor.elements > 0 && !tensor.shape.empty());
		ranges.emplace_back(tensor.offset, tensor.bytes);
	}
	std::sort(ranges.begin(), ranges.end());
	for (size_t i = 1; i < ranges.size(); i++)
		require(ranges[i - 1].first + ranges[i - 1].second <= ranges[i].first);
	// The shorter file is refused, or says that it wants more.
	if (size > 24) {
		const auto part = itme::parse_gguf(bytes.first(size / 2), file_bytes);

		require(part.has_value() || part.error().offset <= size);
	}
	return 0;
}
