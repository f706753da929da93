// SPDX-License-Identifier: GPL-2.0-only
// JSON read into a compact tree that knows where in the text each value began,
// so that a value that is well formed but wrong is refused with its offset.
#pragma once

#include "lib/parse.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace itme {

struct JsonLimits {
	uint64_t bytes = 256ULL << 20;
	uint32_t depth = 32;
	uint32_t values = 16U << 20;
};

class JsonTree;

// One value. Copy freely; it lives no longer than its tree.
class JsonValue {
public:
	enum class Kind : uint8_t { null, boolean, integer, real, text, array, object };

	[[nodiscard]] Kind kind() const;
	[[nodiscard]] uint64_t offset() const;
	[[nodiscard]] std::string_view key() const; // of a member of an object
	[[nodiscard]] size_t size() const;          // of an array or object

	// Refusals name `what`, the value's place as a reader of the file knows it.
	[[nodiscard]] Parsed<std::string_view> text(std::string_view what) const;
	[[nodiscard]] Parsed<uint64_t> number(std::string_view what,
					      uint64_t most = UINT64_MAX) const;
	[[nodiscard]] Parsed<double> real(std::string_view what, double least, double most) const;
	[[nodiscard]] Parsed<bool> boolean(std::string_view what) const;
	[[nodiscard]] Parsed<JsonValue> array(std::string_view what) const;  // itself, if it is one
	[[nodiscard]] Parsed<JsonValue> object(std::string_view what) const; // itself, if it is one
	[[nodiscard]] std::optional<JsonValue> find(std::string_view key) const;

	class Iterator {
	public:
		Iterator(const JsonTree *tree, uint32_t index) : tree(tree), index(index) {}
		JsonValue operator*() const { return {tree, index}; }
		Iterator &operator++();
		bool operator==(const Iterator &other) const = default;

	private:
		const JsonTree *tree;
		uint32_t index;
	};
	[[nodiscard]] Iterator begin() const;
	[[nodiscard]] Iterator end() const;

private:
	friend class JsonTree;
	JsonValue(const JsonTree *tree, uint32_t index) : tree(tree), index(index) {}

	const JsonTree *tree;
	uint32_t index;
};

class JsonTree {
public:
	// Strict JSON: no comments, no duplicate keys, nothing after the value.
	[[nodiscard]] static Parsed<JsonTree> parse(std::string_view text,
						    const JsonLimits &limits = {});
	[[nodiscard]] JsonValue root() const { return {this, 0}; }

private:
	friend class JsonValue;
	friend class JsonBuilder;
	static constexpr uint32_t none = UINT32_MAX;

	struct Node {
		JsonValue::Kind kind = JsonValue::Kind::null;
		bool negative = false; // of an integer
		uint32_t offset = 0;
		uint32_t key = 0, key_length = 0;
		uint32_t next = none, child = none, count = 0;
		union {
			uint64_t number = 0;
			double real;
			struct {
				uint32_t at, length;
			} text;
		};
	};

	[[nodiscard]] std::string_view slice(uint32_t at, uint32_t length) const
	{
		return std::string_view(strings).substr(at, length);
	}

	std::vector<Node> nodes;
	std::string strings;
};

} // namespace itme
