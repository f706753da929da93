// SPDX-License-Identifier: MIT
// An unmodified llama.cpp that declares what it reads, by its public cb_eval: the
// scheduler asks it about every node before computing it, with the weights' data
// pointers, and stops after those for which it answers true.
//
//   - asked about a node: which weights of which layer will be read (learnt in the
//     first pass, the order is the same in every other one);
//   - told that l_out-N is computed (one wait a layer): AT of the next layer, and NEED
//     of the one after it;
//   - told that ffn_moe_topk-N is computed: the ids of the routed experts are known,
//     NEED of just those.
#include <libitme.h>
#include <llama.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <vector>

namespace {

constexpr uint32_t layers_ahead = 2;

struct Close {
	void operator()(itme_region *region) const { itme_region_close(region); }
	void operator()(llama_model *model) const { llama_model_free(model); }
	void operator()(llama_context *context) const { llama_free(context); }
};

// A piece of the model's file in this process's memory.
struct Mapping {
	uintptr_t begin, end;
	uint64_t offset;
};

std::vector<Mapping> mappings_of(int fd)
{
	std::vector<Mapping> found;
	std::ifstream maps("/proc/self/maps");
	struct stat file{};

	if (fstat(fd, &file) != 0)
		return found;
	for (std::string line; std::getline(maps, line);) {
		Mapping mapping{};
		unsigned device_major = 0, device_minor = 0;
		unsigned long inode = 0;

		if (sscanf(line.c_str(), "%" SCNxPTR "-%" SCNxPTR " %*s %" SCNx64 " %x:%x %lu",
			   &mapping.begin, &mapping.end, &mapping.offset, &device_major,
			   &device_minor, &inode) == 6 &&
		    inode == file.st_ino && device_major == major(file.st_dev) &&
		    device_minor == minor(file.st_dev))
			found.push_back(mapping);
	}
	return found;
}

// The stacked experts of a layer: expert e is the slice [offset + e * stride, stride).
struct Experts {
	uint64_t offset, stride, count;
};

struct Layer {
	std::map<uint64_t, uint64_t> weights; // offset -> bytes, what every token reads
	std::map<uint64_t, Experts> experts;  // by offset
};

class Declarer {
public:
	Declarer(itme_region *region, std::vector<Mapping> mappings,
		 std::map<int, uint32_t> positions)
	    : region(region), mappings(std::move(mappings)), positions(std::move(positions))
	{
	}

	void begin(uint64_t number)
	{
		pass = number;
		itme_region_step(region, nullptr, pass);
		for (uint32_t i = 0; i < layers_ahead; i++)
			need_layer(static_cast<int>(i));
	}

	static bool on_node(ggml_tensor *node, bool ask, void *self)
	{
		return static_cast<Declarer *>(self)->on_node(node, ask);
	}

	uint64_t needs = 0, expert_needs = 0, errors = 0;

private:
	bool on_node(const ggml_tensor *node, bool ask)
	{
		constexpr std::string_view layer_end = "l_out-", routed = "ffn_moe_topk-";
		const std::string_view name = ggml_get_name(node);
		const bool ends = name.starts_with(layer_end);

		if (ask) {
			if (pass == 1)
				learn(node);
			return ends || name.starts_with(routed);
		}
		if (ends) {
			const int layer = atoi(name.data() + layer_end.size()) + 1;

			if (const auto position = positions.find(layer);
			    position != positions.end())
				itme_region_at(region, nullptr, pass, position->second);
			need_layer(layer - 1 + static_cast<int>(layers_ahead));
		} else {
			need_experts(node, atoi(name.data() + routed.size()));
		}
		return true;
	}

	void learn(const ggml_tensor *node)
	{
		int layer = -1;

		for (const auto *source : node->src) {
			if (source == nullptr || sscanf(source->name, "blk.%d.", &layer) != 1)
				continue;
			const auto address = reinterpret_cast<uintptr_t>(source->data);
			const auto bytes = ggml_nbytes(source);

			for (const auto &mapping : mappings) {
				if (address < mapping.begin || address + bytes > mapping.end)
					continue;
				const auto offset = address - mapping.begin + mapping.offset;
				if (node->op == GGML_OP_MUL_MAT_ID)
					layers[layer].experts[offset] = {
						offset, source->nb[2],
						static_cast<uint64_t>(source->ne[2])};
				else
					layers[layer].weights[offset] = bytes;
			}
		}
	}

	void need(const std::vector<itme_range> &ranges, uint64_t &count)
	{
		if (ranges.empty())
			return;
		count++;
		errors += itme_region_need(region, ranges.data(),
					   static_cast<uint32_t>(ranges.size()), nullptr,
					   nullptr) != 0;
	}

	// Nothing yet in the first pass, and nothing past the last layer.
	void need_layer(int layer)
	{
		std::vector<itme_range> ranges;

		if (const auto found = layers.find(layer); pass > 1 && found != layers.end())
			for (const auto &[offset, bytes] : found->second.weights)
				ranges.push_back({offset, bytes});
		need(ranges, needs);
	}

	void need_experts(const ggml_tensor *ids, int layer)
	{
		std::vector<itme_range> ranges;
		const auto found = layers.find(layer);

		if (found == layers.end() || ids->type != GGML_TYPE_I32 || ids->data == nullptr)
			return;
		for (const auto &[at, experts] : found->second.experts) {
			for (int64_t token = 0; token < ids->ne[1]; token++) {
				for (int64_t i = 0; i < ids->ne[0]; i++) {
					int32_t id = 0;

					memcpy(&id,
					       static_cast<const char *>(ids->data) +
						       static_cast<size_t>(token) * ids->nb[1] +
						       static_cast<size_t>(i) * ids->nb[0],
					       sizeof(id));
					const auto expert = static_cast<uint64_t>(id);
					if (id >= 0 && expert < experts.count)
						ranges.push_back(
							{experts.offset + expert * experts.stride,
							 experts.stride});
				}
			}
		}
		need(ranges, expert_needs);
	}

	itme_region *region;
	std::vector<Mapping> mappings;
	std::map<int, uint32_t> positions; // of a layer's first step
	std::map<int, Layer> layers;
	uint64_t pass = 0;
};

// Of a schedule file, as itmectl schedule derive makes it: where each layer begins.
std::map<int, uint32_t> positions_of(const char *path)
{
	std::map<int, uint32_t> positions;
	std::ifstream file(path);
	const auto schedule = nlohmann::json::parse(file, nullptr, false);
	uint32_t position = 0;

	if (!schedule.is_object() || !schedule.contains("programs"))
		return positions;
	for (const auto &step : schedule["programs"].at(0)["steps"]) {
		int layer = -1;

		if (sscanf(step["name"].get<std::string>().c_str(), "blk.%d.", &layer) == 1)
			positions.try_emplace(layer, position);
		position++;
	}
	return positions;
}

bool decode(const char *path, int tokens, bool declares, std::map<int, uint32_t> positions)
{
	itme_region *opened = nullptr;
	llama_model_params model_params = llama_model_default_params();
	llama_context_params context_params = llama_context_default_params();
	uint64_t hash = 0xcbf29ce484222325;

	if (const int err = itme_region_open(path, &opened); err != 0) {
		fprintf(stderr, "llama_cb: %s: %s\n", path, strerror(-err));
		return false;
	}
	const std::unique_ptr<itme_region, Close> region(opened);
	llama_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
	llama_backend_init();
	model_params.use_extra_bufts = false; // weights stay where the file is mapped
	const std::unique_ptr<llama_model, Close> model(
		llama_model_load_from_file(path, model_params));
	if (!model)
		return false;
	Declarer declarer(region.get(), mappings_of(itme_region_fd(region.get())),
			  std::move(positions));
	context_params.n_ctx = 256;
	context_params.n_threads = context_params.n_threads_batch = 2;
	if (declares) {
		context_params.cb_eval = Declarer::on_node;
		context_params.cb_eval_user_data = &declarer;
	}
	const std::unique_ptr<llama_context, Close> context(
		llama_init_from_model(model.get(), context_params));
	if (!context)
		return false;
	const llama_vocab *vocabulary = llama_model_get_vocab(model.get());
	const auto size = static_cast<size_t>(llama_vocab_n_tokens(vocabulary));
	llama_token token = llama_vocab_bos(vocabulary);

	for (int pass = 1; pass <= tokens; pass++) {
		if (declares)
			declarer.begin(static_cast<uint64_t>(pass));
		if (llama_decode(context.get(), llama_batch_get_one(&token, 1)) != 0)
			return false;
		const float *logits = llama_get_logits(context.get());
		const auto *byte = reinterpret_cast<const unsigned char *>(logits);
		for (size_t i = 0; i < size * sizeof(float); i++)
			hash = (hash ^ byte[i]) * 0x100000001b3;
		token = static_cast<llama_token>(std::max_element(logits, logits + size) - logits);
	}
	printf("{\"region\": %s, \"tokens\": %d, \"logits\": \"%016" PRIx64
	       "\", \"needs\": %" PRIu64 ", \"expert_needs\": %" PRIu64 ", \"errors\": %" PRIu64
	       ", \"lost_events\": %" PRIu64 "}\n",
	       itme_region_granule_bytes(region.get()) != 0 ? "true" : "false", tokens, hash,
	       declarer.needs, declarer.expert_needs, declarer.errors,
	       itme_region_lost_events(region.get()));
	return true;
}

} // namespace

int main(int argc, char **argv)
{
	const int tokens = argc >= 3 ? atoi(argv[2]) : 0;
	const bool silent = argc == 4 && strcmp(argv[3], "--silent") == 0;

	if (tokens < 1 || argc > 4) {
		fputs("usage: llama_cb MODEL TOKENS [SCHEDULE.itme.json | --silent]\n"
		      "\n"
		      "Decodes greedily and says a hash of all logits. With a schedule (itmectl\n"
		      "schedule derive) positions are declared too; --silent: nothing is.\n",
		      stderr);
		return 2;
	}
	if (!decode(argv[1], tokens, !silent,
		    argc == 4 && !silent ? positions_of(argv[3]) : std::map<int, uint32_t>{})) {
		fprintf(stderr, "llama_cb: llama.cpp failed on %s\n", argv[1]);
		return 1;
	}
	return 0;
}
