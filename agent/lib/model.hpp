// SPDX-License-Identifier: GPL-2.0-only
// A model as its files' headers describe it, whatever their format.
#pragma once

#include "lib/error.hpp"
#include "lib/schedule.hpp"
#include "lib/tensor.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace itme {

struct ModelFile {
	std::string name; // without folders
	uint64_t bytes = 0;
};

enum class Format : uint8_t { gguf, safetensors };

struct Model {
	Format format = Format::gguf;
	std::string name;
	ModelFacts facts;  // what the headers say; derive() adds what the tensors say
	bool tied = false; // the embedding is also the output
	uint64_t unused_layers =
		0; // at the end, for speculation: plain decoding does not read them
	std::vector<ModelFile> files;
	std::vector<Tensor> tensors; // in the headers' order
	std::vector<std::string> notes;
};

// Reads headers and nothing else. A split GGUF is named by any of its files, a
// safetensors model by its index or by its only file; a config.json beside it
// is read if there is one.
[[nodiscard]] Result<Model> read_model(const std::filesystem::path &path);

} // namespace itme
