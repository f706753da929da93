// SPDX-License-Identifier: GPL-2.0-only
// Write a valid GGUF of the llama architecture with seeded random weights.
//
// The same options give the same bytes everywhere. It needs nothing but a
// compiler: the demo's model is made in a second, with no Python packages to
// install first. The tensors lie in the order in which llama.cpp's converter
// leaves them, which is not the order in which a pass reads them.

#include <bit>
#include <cerrno>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <expected>
#include <getopt.h>
#include <string>
#include <string_view>
#include <vector>

static_assert(std::endian::native == std::endian::little,
	      "GGUF is written in the host's byte order");

namespace {

// GGUF's own numbers: types of values, types of tensors, types of files.
enum Value : uint32_t { U32 = 4, I32 = 5, F32 = 6, BOOL = 7, STRING = 8, ARRAY = 9 };

struct Quant {
	const char *name;
	uint32_t tensor_type, file_type;
	uint32_t block_bytes; // for 32 weights: an f16 scale, then the quants
	double spread;        // standard deviation of a uniformly random quant
};

constexpr uint32_t block_weights = 32;
constexpr uint32_t tensor_f32 = 0;
constexpr uint32_t data_alignment = 32;
constexpr Quant quants[] = {
	{"q4_0", 2, 2, 2 + 16, 4.610},
	{"q8_0", 8, 7, 2 + 32, 73.61},
};

struct Options {
	const Quant *quant = &quants[1];
	uint32_t layers = 15, width = 1024, hidden = 2816, heads = 8, vocabulary = 512;
	uint32_t experts = 0, used = 2; // experts 0: a dense model
	uint64_t seed = 1;
	double gain = 1.0; // of a matrix, on a vector of independent elements
	const char *path = nullptr;
};

struct Tensor {
	std::string name;
	uint32_t columns, rows; // rows 0: a vector of ones
	double gain;
	uint32_t matrices = 0; // 0: one, of two dimensions; else experts, stacked in three
	uint64_t offset = 0;

	[[nodiscard]] uint32_t all_rows() const { return rows * (matrices == 0 ? 1 : matrices); }
	[[nodiscard]] uint64_t bytes(const Quant &quant) const
	{
		if (rows == 0)
			return uint64_t{columns} * sizeof(float);
		return uint64_t{columns} / block_weights * all_rows() * quant.block_bytes;
	}
};

// splitmix64: one multiply-shift chain a word, any word reachable by its index.
class Random {
public:
	explicit Random(uint64_t seed) : state(seed) {}

	uint64_t next()
	{
		uint64_t word = state += 0x9e3779b97f4a7c15;

		word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9;
		word = (word ^ (word >> 27)) * 0x94d049bb133111eb;
		return word ^ (word >> 31);
	}

private:
	uint64_t state;
};

class Writer {
public:
	explicit Writer(FILE *stream) : stream(stream) {}

	void bytes(const void *from, size_t count)
	{
		failed |= fwrite(from, 1, count, stream) != count;
		position += count;
	}
	template <typename T> void plain(T value) { bytes(&value, sizeof(value)); }
	void text(std::string_view value)
	{
		plain(uint64_t{value.size()});
		bytes(value.data(), value.size());
	}
	void align()
	{
		static constexpr char zeros[data_alignment] = {};

		bytes(zeros, -position % data_alignment);
	}

	uint64_t position = 0;
	bool failed = false;

private:
	FILE *stream;
};

class Header {
public:
	explicit Header(Writer &out) : out(out) {}

	void number(std::string_view key, uint32_t value) { entry(key, U32), out.plain(value); }
	void real(std::string_view key, float value) { entry(key, F32), out.plain(value); }
	void flag(std::string_view key, bool value) { entry(key, BOOL), out.plain(uint8_t{value}); }
	void text(std::string_view key, std::string_view value)
	{
		entry(key, STRING), out.text(value);
	}
	void array(std::string_view key, Value type, uint64_t count)
	{
		entry(key, ARRAY);
		out.plain(uint32_t{type});
		out.plain(count);
	}

	uint64_t entries = 0;

private:
	void entry(std::string_view key, Value type)
	{
		entries++;
		out.text(key);
		out.plain(uint32_t{type});
	}

	Writer &out;
};

uint64_t metadata_entries(const Options &options)
{
	return options.experts == 0 ? 21 : 23;
}

// A SentencePiece vocabulary: three control tokens, the 256 bytes, then words.
struct Vocabulary {
	enum Type : int32_t { NORMAL = 1, UNKNOWN = 2, CONTROL = 3, BYTE = 6 };

	std::vector<std::string> pieces;
	std::vector<float> scores;
	std::vector<int32_t> types;

	explicit Vocabulary(uint32_t size)
	{
		static constexpr std::string_view consonants = "bdfghjklmnprstvz", vowels = "aeiou";
		char byte[8];

		add("<unk>", UNKNOWN);
		add("<s>", CONTROL);
		add("</s>", CONTROL);
		for (int i = 0; i < 256; i++) {
			snprintf(byte, sizeof(byte), "<0x%02X>", i);
			add(byte, BYTE);
		}
		for (uint32_t i = 0; pieces.size() < size; i++) {
			std::string word = "\u2581"; // SentencePiece's mark for a space

			for (uint32_t rest = i + 1; rest > 0; rest /= 80) {
				word += consonants[rest % 16];
				word += vowels[rest / 16 % 5];
			}
			add(word, NORMAL);
		}
	}

private:
	void add(const std::string &piece, Type type)
	{
		scores.push_back(type == NORMAL ? -static_cast<float>(pieces.size()) : 0.0F);
		pieces.push_back(piece);
		types.push_back(type);
	}
};

std::vector<Tensor> tensors_of(const Options &options)
{
	const uint32_t width = options.width, hidden = options.hidden;
	std::vector<Tensor> tensors;

	auto matrix = [&](const std::string &name, uint32_t columns, uint32_t rows, double gain) {
		tensors.push_back({name + ".weight", columns, rows, gain / std::sqrt(columns)});
	};
	// A feed-forward matrix: one, or one of each expert.
	auto feed_forward = [&](const std::string &name, uint32_t columns, uint32_t rows) {
		matrix(options.experts == 0 ? name : name + "_exps", columns, rows, options.gain);
		tensors.back().matrices = options.experts;
	};
	auto norm = [&](const std::string &name) {
		tensors.push_back({name + ".weight", width, 0, 0});
	};

	// What keeps greedy decoding moving: rows of the embedding have unit
	// elements, so that what a token says is not drowned by what the layers
	// add; and queries and keys are larger than that, so that attention picks
	// few positions, other ones at each step, and no token repeats itself.
	matrix("token_embd", width, options.vocabulary, std::sqrt(width));
	for (uint32_t i = 0; i < options.layers; i++) {
		const std::string block = "blk." + std::to_string(i) + ".";

		norm(block + "attn_norm");
		feed_forward(block + "ffn_down", hidden, width);
		feed_forward(block + "ffn_gate", width, hidden);
		feed_forward(block + "ffn_up", width, hidden);
		if (options.experts != 0)
			matrix(block + "ffn_gate_inp", width, options.experts, options.gain);
		norm(block + "ffn_norm");
		matrix(block + "attn_k", width, width, 2 * options.gain);
		matrix(block + "attn_output", width, width, options.gain);
		matrix(block + "attn_q", width, width, 2 * options.gain);
		matrix(block + "attn_v", width, width, options.gain);
	}
	norm("output_norm");
	matrix("output", width, options.vocabulary, options.gain);
	return tensors;
}

void write_metadata(Writer &out, const Options &options, const Vocabulary &vocabulary)
{
	Header header(out);

	header.text("general.architecture", "llama");
	header.text("general.name", "random weights, seed " + std::to_string(options.seed));
	header.number("general.alignment", data_alignment);
	header.number("general.file_type", options.quant->file_type);
	header.number("general.quantization_version", 2);
	header.number("llama.context_length", 256);
	header.number("llama.embedding_length", options.width);
	header.number("llama.block_count", options.layers);
	header.number("llama.feed_forward_length", options.hidden);
	header.number("llama.attention.head_count", options.heads);
	header.number("llama.attention.head_count_kv", options.heads);
	header.number("llama.rope.dimension_count", options.width / options.heads);
	header.number("llama.vocab_size", options.vocabulary);
	if (options.experts != 0) {
		header.number("llama.expert_count", options.experts);
		header.number("llama.expert_used_count", options.used);
	}
	header.real("llama.attention.layer_norm_rms_epsilon", 1e-5F);
	header.text("tokenizer.ggml.model", "llama");
	header.array("tokenizer.ggml.tokens", STRING, vocabulary.pieces.size());
	for (const auto &piece : vocabulary.pieces)
		out.text(piece);
	header.array("tokenizer.ggml.scores", F32, vocabulary.scores.size());
	out.bytes(vocabulary.scores.data(), vocabulary.scores.size() * sizeof(float));
	header.array("tokenizer.ggml.token_type", I32, vocabulary.types.size());
	out.bytes(vocabulary.types.data(), vocabulary.types.size() * sizeof(int32_t));
	header.number("tokenizer.ggml.unknown_token_id", 0);
	header.number("tokenizer.ggml.bos_token_id", 1);
	header.number("tokenizer.ggml.eos_token_id", 2);
	if (header.entries != metadata_entries(options))
		abort();
}

void write_tensor_list(Writer &out, const Options &options, std::vector<Tensor> &tensors)
{
	uint64_t offset = 0;

	for (auto &tensor : tensors) {
		tensor.offset = offset;
		offset += tensor.bytes(*options.quant);
		offset += -offset % data_alignment;
		out.text(tensor.name);
		out.plain(uint32_t{tensor.rows == 0 ? 1U : tensor.matrices == 0 ? 2U : 3U});
		out.plain(uint64_t{tensor.columns});
		if (tensor.rows != 0)
			out.plain(uint64_t{tensor.rows});
		if (tensor.matrices != 0)
			out.plain(uint64_t{tensor.matrices});
		out.plain(tensor.rows == 0 ? tensor_f32 : options.quant->tensor_type);
		out.plain(tensor.offset);
	}
}

// Quants are uniform over their whole range, so that every byte of the file
// matters; the sign of each block's scale is random, so that their mean is 0.
void write_weights(Writer &out, const Quant &quant, const Tensor &tensor, uint64_t seed)
{
	const auto scale =
		std::bit_cast<uint16_t>(static_cast<_Float16>(tensor.gain / quant.spread));
	std::vector<uint8_t> row(size_t{tensor.columns} / block_weights * quant.block_bytes);
	Random random(seed);

	for (uint32_t i = 0; i < tensor.all_rows(); i++) {
		uint64_t signs = 0;

		for (size_t at = 0, block = 0; at < row.size(); at += quant.block_bytes, block++) {
			if (block % 64 == 0)
				signs = random.next();
			const auto signed_scale =
				static_cast<uint16_t>(scale ^ (signs >> block % 64 & 1) << 15);

			memcpy(&row[at], &signed_scale, sizeof(signed_scale));
			for (size_t j = sizeof(scale); j < quant.block_bytes;
			     j += sizeof(uint64_t)) {
				const uint64_t word = random.next();

				memcpy(&row[at + j], &word, sizeof(word));
			}
		}
		out.bytes(row.data(), row.size());
	}
}

bool write_model(Writer &out, const Options &options)
{
	const Vocabulary vocabulary(options.vocabulary);
	std::vector<Tensor> tensors = tensors_of(options);
	Random seeds(options.seed);

	out.bytes("GGUF", 4);
	out.plain(uint32_t{3});
	out.plain(uint64_t{tensors.size()});
	out.plain(metadata_entries(options));
	write_metadata(out, options, vocabulary);
	write_tensor_list(out, options, tensors);
	out.align();
	for (const auto &tensor : tensors) {
		const uint64_t seed = seeds.next();

		if (tensor.rows == 0) {
			const std::vector<float> ones(tensor.columns, 1.0F);

			out.bytes(ones.data(), ones.size() * sizeof(float));
		} else {
			write_weights(out, *options.quant, tensor, seed);
		}
		out.align();
	}
	return !out.failed;
}

void usage(FILE *to)
{
	fputs("usage: gguf-random [options] FILE\n"
	      "\n"
	      "Writes a GGUF of the llama architecture with random weights.\n"
	      "\n"
	      "  --type=q8_0|q4_0  type of the matrices (q8_0)\n"
	      "  --layers=N        (15)\n"
	      "  --width=N         embedding length, a multiple of 32 and of --heads (1024)\n"
	      "  --hidden=N        feed-forward length, a multiple of 32 (2816)\n"
	      "  --heads=N         (8)\n"
	      "  --vocabulary=N    tokens, 260 or more (512)\n"
	      "  --experts=N       of each layer; 0: a dense model (0)\n"
	      "  --used=N          of them by each token (2)\n"
	      "  --gain=X          of each matrix (1.0)\n"
	      "  --seed=N          (1)\n",
	      to);
}

std::expected<uint64_t, std::string> parse_number(const char *text, uint64_t least, uint64_t most)
{
	char *end = nullptr;

	errno = 0;
	const uint64_t value = strtoull(text, &end, 0);
	if (errno != 0 || end == text || *end != '\0' || *text == '-' || value < least ||
	    value > most)
		return std::unexpected("'" + std::string(text) + "' is not a number from " +
				       std::to_string(least) + " to " + std::to_string(most));
	return value;
}

// What an option's letter sets, and in which range.
struct Number {
	int letter;
	uint32_t Options::*field;
	uint32_t least, most;
};

constexpr Number numbers[] = {
	{'l', &Options::layers, 1, 1024},
	{'w', &Options::width, block_weights, 1U << 16},
	{'f', &Options::hidden, block_weights, 1U << 18},
	{'n', &Options::heads, 1, 1024},
	{'v', &Options::vocabulary, 260, 1U << 18},
	{'e', &Options::experts, 0, 1024},
	{'u', &Options::used, 1, 1024},
};

std::expected<void, std::string> set_option(Options &options, int letter, const char *text)
{
	if (letter == 't') {
		for (const auto &quant : quants) {
			if (strcmp(quant.name, text) == 0) {
				options.quant = &quant;
				return {};
			}
		}
		return std::unexpected("no type '" + std::string(text) + "'");
	}
	if (letter == 'g') {
		options.gain = strtod(text, nullptr);
		if (!(options.gain > 0 && options.gain < 100))
			return std::unexpected("'" + std::string(text) + "' is not a gain");
		return {};
	}
	if (letter == 's') {
		const auto seed = parse_number(text, 0, UINT64_MAX);
		if (!seed)
			return std::unexpected(seed.error());
		options.seed = *seed;
		return {};
	}
	for (const auto &number : numbers) {
		if (number.letter != letter)
			continue;
		const auto value = parse_number(text, number.least, number.most);
		if (!value)
			return std::unexpected(value.error());
		options.*number.field = static_cast<uint32_t>(*value);
		return {};
	}
	return std::unexpected("see --help");
}

std::expected<Options, std::string> parse_options(int argc, char **argv)
{
	static const option names[] = {
		{"type", required_argument, nullptr, 't'},
		{"layers", required_argument, nullptr, 'l'},
		{"width", required_argument, nullptr, 'w'},
		{"hidden", required_argument, nullptr, 'f'},
		{"heads", required_argument, nullptr, 'n'},
		{"vocabulary", required_argument, nullptr, 'v'},
		{"experts", required_argument, nullptr, 'e'},
		{"used", required_argument, nullptr, 'u'},
		{"gain", required_argument, nullptr, 'g'},
		{"seed", required_argument, nullptr, 's'},
		{"help", no_argument, nullptr, 'h'},
		{},
	};
	Options options;
	int letter;

	while ((letter = getopt_long(argc, argv, "h", names, nullptr)) != -1) {
		if (letter == 'h') {
			usage(stdout);
			exit(0);
		}
		if (auto set = set_option(options, letter, optarg); !set)
			return std::unexpected(set.error());
	}
	if (optind + 1 != argc)
		return std::unexpected("one FILE is wanted, see --help");
	if (options.width % block_weights != 0 || options.hidden % block_weights != 0)
		return std::unexpected("--width and --hidden are multiples of 32");
	if (options.width % (2 * options.heads) != 0)
		return std::unexpected("--width is a multiple of twice --heads");
	if (options.experts != 0 && options.used > options.experts)
		return std::unexpected("--used is at most --experts");
	options.path = argv[optind];
	return options;
}

} // namespace

int main(int argc, char **argv)
{
	const auto options = parse_options(argc, argv);
	if (!options) {
		fprintf(stderr, "gguf-random: %s\n", options.error().c_str());
		return 2;
	}
	FILE *stream = fopen(options->path, "wb");
	if (stream == nullptr) {
		fprintf(stderr, "gguf-random: %s: %s\n", options->path, strerror(errno));
		return 1;
	}
	Writer out(stream);
	const bool written = write_model(out, *options);

	if (fclose(stream) != 0 || !written) {
		fprintf(stderr, "gguf-random: %s: %s\n", options->path, strerror(errno));
		remove(options->path);
		return 1;
	}
	printf("%llu\n", static_cast<unsigned long long>(out.position));
	return 0;
}
