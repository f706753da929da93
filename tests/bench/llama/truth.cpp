// SPDX-License-Identifier: GPL-2.0-only
// Decodes tokens with an unmodified llama.cpp, and logs when each layer ended, as its
// public eval callback tells: "PASS LAYER BEGIN_NS END_NS" a line, CLOCK_MONOTONIC.
#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <string_view>
#include <vector>

#include "llama.h"

namespace {

struct Layer {
	int pass, layer;
	uint64_t begin_ns, end_ns;
};

struct Log {
	int pass = 0;
	uint64_t last_ns = 0; // when the layer before ended
	std::vector<Layer> layers;
};

uint64_t now_ns()
{
	timespec now{};

	clock_gettime(CLOCK_MONOTONIC, &now);
	return static_cast<uint64_t>(now.tv_sec) * 1000000000 + static_cast<uint64_t>(now.tv_nsec);
}

// Asked for each tensor before it is computed; told of those that were asked for.
bool on_tensor(ggml_tensor *tensor, bool ask, void *data)
{
	constexpr std::string_view layer_end = "l_out-", input = "inp_embd";
	const std::string_view name = ggml_get_name(tensor);
	auto &log = *static_cast<Log *>(data);

	if (ask)
		return name.starts_with(layer_end) || name == input;
	const auto now = now_ns();
	if (name.starts_with(layer_end))
		log.layers.push_back(
			{log.pass, atoi(name.data() + layer_end.size()), log.last_ns, now});
	log.last_ns = now;
	return true;
}

bool decode(const char *path, int tokens)
{
	Log log;

	llama_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
	llama_backend_init();
	llama_model_params model_params = llama_model_default_params();
	model_params.use_extra_bufts = false; // weights stay where the file is mapped
	llama_context_params context_params = llama_context_default_params();
	context_params.n_ctx = 256;
	context_params.n_threads = context_params.n_threads_batch = 2;
	context_params.cb_eval = on_tensor;
	context_params.cb_eval_user_data = &log;

	const std::unique_ptr<llama_model, decltype(&llama_model_free)> model(
		llama_model_load_from_file(path, model_params), llama_model_free);
	if (!model)
		return false;
	const std::unique_ptr<llama_context, decltype(&llama_free)> context(
		llama_init_from_model(model.get(), context_params), llama_free);
	if (!context)
		return false;
	const llama_vocab *vocabulary = llama_model_get_vocab(model.get());
	const auto size = static_cast<size_t>(llama_vocab_n_tokens(vocabulary));
	llama_token token = llama_vocab_bos(vocabulary);

	for (log.pass = 1; log.pass <= tokens; log.pass++) {
		log.last_ns = now_ns();
		if (llama_decode(context.get(), llama_batch_get_one(&token, 1)) != 0)
			return false;
		const float *logits = llama_get_logits(context.get());
		token = static_cast<llama_token>(std::max_element(logits, logits + size) - logits);
	}
	for (const auto &layer : log.layers)
		printf("%d %d %" PRIu64 " %" PRIu64 "\n", layer.pass, layer.layer, layer.begin_ns,
		       layer.end_ns);
	return true;
}

} // namespace

int main(int argc, char **argv)
{
	const int tokens = argc == 3 ? atoi(argv[2]) : 0;

	if (tokens < 1) {
		fputs("usage: truth MODEL TOKENS\n", stderr);
		return 2;
	}
	if (!decode(argv[1], tokens)) {
		fprintf(stderr, "truth: llama.cpp failed on %s\n", argv[1]);
		return 1;
	}
	return 0;
}
