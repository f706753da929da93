// SPDX-License-Identifier: GPL-2.0-only
// A tensor as a model file's header describes it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace itme {

struct Tensor {
	std::string name;
	uint32_t file = 0;   // index in the model's list of files
	uint64_t offset = 0; // from the start of the file
	uint64_t bytes = 0;
	uint64_t elements = 0;
	// Slowest dimension first, whatever the format's own order: a slice of the
	// first dimension is contiguous.
	std::vector<uint64_t> shape;

	[[nodiscard]] uint64_t rows() const { return shape.empty() ? 1 : shape.front(); }
};

// a * b, or nothing where it does not fit.
[[nodiscard]] inline bool multiply(uint64_t a, uint64_t b, uint64_t &product)
{
	return !__builtin_mul_overflow(a, b, &product);
}

} // namespace itme
