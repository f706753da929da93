// SPDX-License-Identifier: GPL-2.0-only
#include "replay/content.hpp"

#include "lib/fd.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace itme::replay {

namespace {

constexpr size_t word_bytes = sizeof(uint64_t);
constexpr size_t line_bytes = 64;

uint64_t word_at(const std::byte *data)
{
	uint64_t word;

	std::memcpy(&word, data, word_bytes);
	return word;
}

// SplitMix64: a good hash of a counter, and a few instructions.
uint64_t mix(uint64_t value)
{
	value += 0x9e3779b97f4a7c15;
	value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
	value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
	return value ^ (value >> 31);
}

} // namespace

uint64_t checksum(std::span<const std::byte> data)
{
	uint64_t first = 0, second = 0, tail = 0;
	size_t i = 0;

	for (; i + word_bytes <= data.size(); i += word_bytes) {
		first += word_at(data.data() + i);
		second += first;
	}
	std::memcpy(&tail, data.data() + i, data.size() - i);
	first += tail;
	second += first;
	return first ^ (second << 32 | second >> 32);
}

uint64_t touch_lines(std::span<const std::byte> data)
{
	uint64_t sum = 0;

	for (size_t i = 0; i + word_bytes <= data.size(); i += line_bytes)
		sum += word_at(data.data() + i);
	return sum;
}

void fill_content(std::span<std::byte> data, uint64_t seed, uint64_t offset)
{
	const uint64_t start = mix(seed) + offset / word_bytes;

	for (size_t i = 0; i < data.size(); i += word_bytes) {
		const uint64_t word = mix(start + i / word_bytes);

		std::memcpy(data.data() + i, &word, std::min(word_bytes, data.size() - i));
	}
}

Result<Sums> parse_sums(const std::string &json)
{
	const auto tree = nlohmann::json::parse(json, nullptr, false);
	Sums sums;

	if (tree.is_discarded())
		return fail("the checksums are no JSON");
	try {
		tree.at("bytes").get_to(sums.bytes);
		tree.at("blocks").get_to(sums.blocks);
		if (tree.at("block_bytes").get<uint64_t>() != block_bytes)
			return fail("the checksums are of blocks of another size");
	} catch (const nlohmann::json::exception &error) {
		return fail(std::string{"the checksums are not understood: "} + error.what());
	}
	if (sums.blocks.size() != (sums.bytes + block_bytes - 1) / block_bytes)
		return fail("the checksums are not as many as the file has blocks");
	return sums;
}

std::string format_sums(const Sums &sums)
{
	return nlohmann::json{
		{"bytes", sums.bytes}, {"block_bytes", block_bytes}, {"blocks", sums.blocks}}
		.dump();
}

Result<void> verify(const Sums &sums, uint64_t offset, std::span<const std::byte> data)
{
	if (offset % block_bytes != 0 || offset + data.size() > sums.bytes)
		return fail("offset " + std::to_string(offset) +
			    " cannot be verified: it is in the middle of a block, or past the end");
	while (!data.empty()) {
		const uint64_t whole = std::min(block_bytes, sums.bytes - offset);

		if (data.size() < whole)
			break;
		if (checksum(data.first(whole)) != sums.blocks[offset / block_bytes])
			return fail("the data at offset " + std::to_string(offset) +
				    " is not what was written there");
		offset += whole;
		data = data.subspan(whole);
	}
	return {};
}

Result<Sums> make_file(const Path &path, uint64_t bytes, uint64_t seed)
{
	const Fd fd{open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)};
	if (!fd)
		return fail(path.string() + ": " + errno_text(errno));

	Sums sums{bytes, {}};
	std::vector<std::byte> block(block_bytes);
	for (uint64_t offset = 0; offset < bytes; offset += block_bytes) {
		const std::span data{block.data(), std::min(block_bytes, bytes - offset)};

		fill_content(data, seed, offset);
		sums.blocks.push_back(checksum(data));
		const ssize_t written = write(fd.get(), data.data(), data.size());
		if (written != static_cast<ssize_t>(data.size()))
			return fail(path.string() + ": " +
				    (written < 0 ? errno_text(errno) : "no space is left"));
	}
	return sums;
}

} // namespace itme::replay
