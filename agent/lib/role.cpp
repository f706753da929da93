// SPDX-License-Identifier: GPL-2.0-only
#include "lib/role.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <string>

namespace itme {

namespace {

using Text = std::string_view;

struct Word {
	Text name;
	Phase phase;
};

// Names of a layer's tensors in the order in which they are read, GGUF's and
// the usual ones of safetensors side by side. A name stands here without its
// layer and without .weight, .bias and the like.
constexpr Word words[] = {
	// normalisation before the mixer
	{"attn_norm", Phase::mixer},
	{"input_layernorm", Phase::mixer},
	{"ln_1", Phase::mixer},
	{"ln1", Phase::mixer},
	{"attention_norm", Phase::mixer},
	{"operator_norm", Phase::mixer},
	{"attn_norm_2", Phase::mixer},
	// latent attention
	{"attn_q_a", Phase::mixer},
	{"q_a_proj", Phase::mixer},
	{"attn_q_a_norm", Phase::mixer},
	{"q_a_layernorm", Phase::mixer},
	{"attn_q_b", Phase::mixer},
	{"q_b_proj", Phase::mixer},
	{"attn_kv_a_mqa", Phase::mixer},
	{"kv_a_proj_with_mqa", Phase::mixer},
	{"attn_kv_a_norm", Phase::mixer},
	{"kv_a_layernorm", Phase::mixer},
	{"indexer.attn_q_b", Phase::mixer},
	{"indexer.wq_b", Phase::mixer},
	{"indexer.attn_k", Phase::mixer},
	{"indexer.wk", Phase::mixer},
	{"indexer.k_norm", Phase::mixer},
	{"indexer.proj", Phase::mixer},
	{"indexer.weights_proj", Phase::mixer},
	{"attn_k_b", Phase::mixer},
	{"attn_kv_b", Phase::mixer},
	{"kv_b_proj", Phase::mixer},
	{"attn_v_b", Phase::mixer},
	// attention
	{"attn_qkv", Phase::mixer},
	{"qkv_proj", Phase::mixer},
	{"query_key_value", Phase::mixer},
	{"attn.c_attn", Phase::mixer},
	{"c_attn", Phase::mixer},
	{"Wqkv", Phase::mixer},
	{"attn_q", Phase::mixer},
	{"q_proj", Phase::mixer},
	{"wq", Phase::mixer},
	{"attn_q_norm", Phase::mixer},
	{"q_norm", Phase::mixer},
	{"attn_k", Phase::mixer},
	{"k_proj", Phase::mixer},
	{"wk", Phase::mixer},
	{"attn_k_norm", Phase::mixer},
	{"k_norm", Phase::mixer},
	{"attn_v", Phase::mixer},
	{"v_proj", Phase::mixer},
	{"wv", Phase::mixer},
	{"attn_rot_embd", Phase::mixer},
	{"rotary_emb.inv_freq", Phase::mixer},
	{"attn_sinks", Phase::mixer},
	{"sinks", Phase::mixer},
	{"attn_gate", Phase::mixer},
	{"attn_sub_norm", Phase::mixer},
	// state space and linear attention
	{"ssm_in", Phase::mixer},
	{"in_proj", Phase::mixer},
	{"in_proj_qkvz", Phase::mixer},
	{"in_proj_qkv", Phase::mixer},
	{"in_proj_z", Phase::mixer},
	{"ssm_ba", Phase::mixer},
	{"in_proj_ba", Phase::mixer},
	{"in_proj_b", Phase::mixer},
	{"in_proj_a", Phase::mixer},
	{"ssm_conv1d", Phase::mixer},
	{"conv1d", Phase::mixer},
	{"ssm_conv1d_q", Phase::mixer},
	{"ssm_conv1d_k", Phase::mixer},
	{"ssm_conv1d_v", Phase::mixer},
	{"ssm_f_a", Phase::mixer},
	{"ssm_f_b", Phase::mixer},
	{"ssm_g_a", Phase::mixer},
	{"ssm_g_b", Phase::mixer},
	{"ssm_x", Phase::mixer},
	{"x_proj", Phase::mixer},
	{"ssm_dt_norm", Phase::mixer},
	{"dt_layernorm", Phase::mixer},
	{"ssm_b_norm", Phase::mixer},
	{"b_layernorm", Phase::mixer},
	{"ssm_c_norm", Phase::mixer},
	{"c_layernorm", Phase::mixer},
	{"ssm_beta", Phase::mixer},
	{"ssm_alpha", Phase::mixer},
	{"ssm_dt", Phase::mixer},
	{"dt_proj", Phase::mixer},
	{"dt_bias", Phase::mixer},
	{"ssm_a", Phase::mixer},
	{"A_log", Phase::mixer},
	{"ssm_d", Phase::mixer},
	{"D", Phase::mixer},
	{"ssm_norm", Phase::mixer},
	{"linear_attn.norm", Phase::mixer},
	{"mamba.norm", Phase::mixer},
	{"ssm_out", Phase::mixer},
	{"out_proj", Phase::mixer},
	{"shortconv.in_proj", Phase::mixer},
	{"shortconv.conv", Phase::mixer},
	{"conv.conv", Phase::mixer},
	{"shortconv.out_proj", Phase::mixer},
	// out of the mixer
	{"attn_output", Phase::mixer},
	{"o_proj", Phase::mixer},
	{"attention.dense", Phase::mixer},
	{"self_attention.dense", Phase::mixer},
	{"attn.c_proj", Phase::mixer},
	{"wo", Phase::mixer},
	{"attn_output_norm", Phase::mixer},
	{"post_attention_norm", Phase::mixer},
	{"post_attention_layernorm", Phase::mixer},
	{"ffn_norm", Phase::mixer},
	{"pre_feedforward_layernorm", Phase::mixer},
	{"ln_2", Phase::mixer},
	{"ln2", Phase::mixer},
	// dense feed-forward
	{"ffn_gate", Phase::dense},
	{"gate_proj", Phase::dense},
	{"gate_up_proj", Phase::dense},
	{"w1", Phase::dense},
	{"mlp.c_fc", Phase::dense},
	{"mlp.dense_h_to_4h", Phase::dense},
	{"mlp.fc1", Phase::dense},
	{"fc1", Phase::dense},
	{"ffn_up", Phase::dense},
	{"up_proj", Phase::dense},
	{"w3", Phase::dense},
	{"ffn_sub_norm", Phase::dense},
	{"ffn_down", Phase::dense},
	{"down_proj", Phase::dense},
	{"w2", Phase::dense},
	{"mlp.c_proj", Phase::dense},
	{"mlp.dense_4h_to_h", Phase::dense},
	{"mlp.fc2", Phase::dense},
	{"fc2", Phase::dense},
	{"post_ffw_norm_1", Phase::dense},
	// mixture of experts
	{"pre_ffw_norm_2", Phase::router},
	{"ffn_norm_exps", Phase::router},
	{"ffn_gate_inp", Phase::router},
	{"mlp.gate", Phase::router},
	{"block_sparse_moe.gate", Phase::router},
	{"feed_forward.router", Phase::router},
	{"feed_forward.gate", Phase::router},
	{"ffn.gate", Phase::router},
	{"mlp.router", Phase::router},
	{"router", Phase::router},
	{"router.layer", Phase::router},
	{"exp_probs_b", Phase::router},
	{"mlp.gate.e_score_correction_bias", Phase::router},
	{"e_score_correction_bias", Phase::router},
	{"ffn_latent_down", Phase::router},
	{"ffn_gate_up_exps", Phase::experts},
	{"ffn_gate_exps", Phase::experts},
	{"ffn_up_exps", Phase::experts},
	{"ffn_down_exps", Phase::experts},
	{"ffn_latent_up", Phase::shared},
	{"post_ffw_norm_2", Phase::shared},
	// shared experts, and the end of the layer
	{"ffn_gate_inp_shexp", Phase::shared},
	{"shared_expert_gate", Phase::shared},
	{"ffn_gate_shexp", Phase::shared},
	{"shared_expert.gate_proj", Phase::shared},
	{"shared_experts.gate_proj", Phase::shared},
	{"shared_mlp.input_linear", Phase::shared},
	{"ffn_up_shexp", Phase::shared},
	{"shared_expert.up_proj", Phase::shared},
	{"shared_experts.up_proj", Phase::shared},
	{"ffn_down_shexp", Phase::shared},
	{"shared_expert.down_proj", Phase::shared},
	{"shared_experts.down_proj", Phase::shared},
	{"shared_mlp.output_linear", Phase::shared},
	{"ffn_gate_chexps", Phase::shared},
	{"ffn_up_chexps", Phase::shared},
	{"ffn_down_chexps", Phase::shared},
	{"post_ffw_norm", Phase::shared},
	{"post_feedforward_layernorm", Phase::shared},
	{"inp_gate", Phase::shared},
	{"proj", Phase::shared},
	{"post_norm", Phase::shared},
	{"layer_output_norm", Phase::shared},
	{"layer_output_scale", Phase::shared},
};

// An expert's own matrices, gate before up before down.
constexpr Text expert_words[] = {
	"gate_up_proj", "gate_and_up_proj", "input_linear",  "ffn_gate_up_exps", "gate_proj",
	"w1",           "ffn_gate_exps",    "ffn_gate",      "linear",           "up_proj",
	"w3",

	"linear_v",     "ffn_up_exps",      "ffn_up",        "down_proj",        "w2",
	"linear_1",     "output_linear",    "ffn_down_exps", "ffn_down"};

enum TopFlag : uint8_t { PLAIN = 0, LOOKUP = 1, EMBEDDING = 2, OUTPUT = 4 };

struct Top {
	Text name;
	Place place;
	int flags;
};

// Outside the layers, in the order in which they are read.
constexpr Top tops[] = {
	{"token_embd", Place::start, LOOKUP | EMBEDDING},
	{"embed_tokens", Place::start, LOOKUP | EMBEDDING},
	{"tok_embeddings", Place::start, LOOKUP | EMBEDDING},
	{"embed_in", Place::start, LOOKUP | EMBEDDING},
	{"word_embeddings", Place::start, LOOKUP | EMBEDDING},
	{"wte", Place::start, LOOKUP | EMBEDDING},
	{"per_layer_token_embd", Place::start, LOOKUP},
	{"embed_tokens_per_layer", Place::start, LOOKUP},
	{"position_embd", Place::start, LOOKUP},
	{"wpe", Place::start, LOOKUP},
	{"token_types", Place::start, LOOKUP},
	{"token_embd_norm", Place::start, PLAIN},
	{"word_embeddings_layernorm", Place::start, PLAIN},
	{"per_layer_model_proj", Place::start, PLAIN},
	{"per_layer_model_projection", Place::start, PLAIN},
	{"per_layer_proj_norm", Place::start, PLAIN},
	{"per_layer_projection_norm", Place::start, PLAIN},
	{"altup_proj", Place::start, PLAIN},
	{"rope_freqs", Place::start, PLAIN},
	{"rope_factors_long", Place::start, PLAIN},
	{"rope_factors_short", Place::start, PLAIN},
	{"altup_unembd_proj", Place::finish, PLAIN},
	{"output_norm", Place::finish, PLAIN},
	{"norm", Place::finish, PLAIN},
	{"ln_f", Place::finish, PLAIN},
	{"final_layer_norm", Place::finish, PLAIN},
	{"final_layernorm", Place::finish, PLAIN},
	{"embedding_norm", Place::finish, PLAIN},
	{"output", Place::finish, OUTPUT},
	{"lm_head", Place::finish, OUTPUT},
	{"embed_out", Place::finish, OUTPUT},
};

constexpr Text architectures[] = {"afmoe",
				  "apertus",
				  "arcee",
				  "arctic",
				  "baichuan",
				  "bailingmoe",
				  "bailingmoe2",
				  "bitnet",
				  "bloom",
				  "chameleon",
				  "chatglm",
				  "codeshell",
				  "cohere",
				  "cohere2",
				  "commandr",
				  "dbrx",
				  "deci",
				  "deepseek",
				  "deepseek2",
				  "deepseek2ocr",
				  "deepseekv2",
				  "deepseekv3",
				  "deepseekv32",
				  "dots1",
				  "ernie45",
				  "ernie45moe",
				  "exaone",
				  "exaone4",
				  "exaonemoe",
				  "falcon",
				  "falconh1",
				  "falconmamba",
				  "gemma",
				  "gemma2",
				  "gemma3",
				  "gemma3n",
				  "gemma3text",
				  "gemma4",
				  "gemma4text",
				  "glm",
				  "glm4",
				  "glm4moe",
				  "glmdsa",
				  "gpt2",
				  "gptbigcode",
				  "gptj",
				  "gptneox",
				  "gptoss",
				  "granite",
				  "granitehybrid",
				  "granitemoe",
				  "granitemoehybrid",
				  "granitemoeshared",
				  "grok",
				  "grovemoe",
				  "hunyuandense",
				  "hunyuanmoe",
				  "hunyuanvl",
				  "internlm2",
				  "internlm3",
				  "jais",
				  "jais2",
				  "jamba",
				  "kimilinear",
				  "lfm2",
				  "lfm2moe",
				  "llada",
				  "lladamoe",
				  "llama",
				  "llama4",
				  "llama4text",
				  "maincoder",
				  "mamba",
				  "mamba2",
				  "mimo2",
				  "minicpm",
				  "minicpm3",
				  "minimaxm2",
				  "mistral",
				  "mistral3",
				  "mistral4",
				  "mixtral",
				  "mpt",
				  "nemotron",
				  "nemotronh",
				  "nemotronhmoe",
				  "olmo",
				  "olmo2",
				  "olmoe",
				  "openelm",
				  "opt",
				  "orion",
				  "paddleocr",
				  "panguembedded",
				  "phi",
				  "phi2",
				  "phi3",
				  "phimoe",
				  "plamo",
				  "plamo2",
				  "plamo3",
				  "plm",
				  "qwen",
				  "qwen2",
				  "qwen25vl",
				  "qwen2moe",
				  "qwen2vl",
				  "qwen3",
				  "qwen35",
				  "qwen35moe",
				  "qwen3moe",
				  "qwen3next",
				  "qwen3vl",
				  "qwen3vlmoe",
				  "refact",
				  "seedoss",
				  "smallthinker",
				  "smollm3",
				  "stablelm",
				  "starcoder",
				  "starcoder2",
				  "step35",
				  "xverse"};

std::optional<uint32_t> number(Text text)
{
	uint32_t value = 0;
	const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);

	if (text.empty() || text.size() > 6 || error != std::errc{} ||
	    end != text.data() + text.size())
		return std::nullopt;
	return value;
}

Text first_part(Text path)
{
	return path.substr(0, path.find('.'));
}

Text after_first(Text path)
{
	const auto dot = path.find('.');

	return dot == Text::npos ? Text{} : path.substr(dot + 1);
}

Text last_part(Text path)
{
	const auto dot = path.rfind('.');

	return dot == Text::npos ? path : path.substr(dot + 1);
}

// Without what says which array of a parameter it is.
Text without_ending(Text name)
{
	static constexpr Text endings[] = {".weight_scale_inv",
					   ".weight_scale_2",
					   ".weight_scale",
					   ".input_scale",
					   ".weight_packed",
					   ".weight_shape",
					   ".weight",
					   ".bias",
					   ".scale",
					   ".qweight",
					   ".qzeros",
					   ".scales",
					   ".g_idx",
					   "_blocks",
					   "_scales",
					   "_bias"};

	for (const Text ending : endings) {
		if (name.ends_with(ending) && name.size() > ending.size())
			return name.substr(0, name.size() - ending.size());
	}
	return name;
}

bool contains_part(Text path, Text part)
{
	for (; !path.empty(); path = after_first(path)) {
		if (first_part(path) == part)
			return true;
	}
	return false;
}

bool of_another_part(Text name)
{
	static constexpr Text beginnings[] = {"v.",
					      "mm.",
					      "a.",
					      "enc.",
					      "encoder.",
					      "resampler.",
					      "conv1d.",
					      "convnext.",
					      "posnet.",
					      "mtp.",
					      "model.mtp",
					      "vision",
					      "model.vision",
					      "visual.",
					      "model.visual",
					      "audio",
					      "model.audio",
					      "multi_modal_projector",
					      "model.multi_modal_projector"};

	return std::any_of(std::begin(beginnings), std::end(beginnings),
			   [&](Text b) { return name.starts_with(b); }) ||
	       contains_part(name, "nextn");
}

struct InLayer {
	uint32_t layer;
	Text rest;
};

// "blk.7.attn_q", "model.layers.7.self_attn.q_proj", "transformer.h.7.ln_1", ...
std::optional<InLayer> in_layer(Text name)
{
	static constexpr Text folders[] = {"blk", "layers", "h", "blocks", "block", "layer"};

	for (Text path = name; !path.empty(); path = after_first(path)) {
		const Text rest = after_first(path);

		if (std::find(std::begin(folders), std::end(folders), first_part(path)) ==
		    std::end(folders))
			continue;
		if (const auto layer = number(first_part(rest));
		    layer && !after_first(rest).empty())
			return InLayer{*layer, after_first(rest)};
	}
	return std::nullopt;
}

std::optional<uint32_t> rank_in(const Text *begin, const Text *end, Text name)
{
	const Text *found = std::find(begin, end, name);

	return found == end ? std::nullopt : std::optional(static_cast<uint32_t>(found - begin));
}

// Experts: a tensor each ("mlp.experts.3.up_proj", GGUF's older "ffn_up.3"), or
// all stacked in one ("ffn_up_exps", "mlp.experts.gate_up_proj").
bool expert_role(Text rest, Role &role)
{
	static constexpr Text stacks[] = {"ffn_gate_up_exps",
					  "ffn_gate_exps",
					  "ffn_up_exps",
					  "ffn_down_exps",
					  "block_sparse_moe.input_linear",
					  "block_sparse_moe.output_linear"};
	const Text bare = without_ending(rest);
	Text word = last_part(bare);

	for (Text path = bare; !path.empty(); path = after_first(path)) {
		if (first_part(path) != "experts")
			continue;
		role.expert = number(first_part(after_first(path)));
		role.stacked = !role.expert;
	}
	if (std::find(std::begin(stacks), std::end(stacks), bare) != std::end(stacks)) {
		role.stacked = true;
	} else if (const auto e = number(word);
		   e && (bare.starts_with("ffn_gate.") || bare.starts_with("ffn_up.") ||
			 bare.starts_with("ffn_down."))) {
		role.expert = e;
		word = first_part(bare);
	}
	if (!role.expert && !role.stacked)
		return false;
	const auto rank = rank_in(std::begin(expert_words), std::end(expert_words), word);

	role.phase = Phase::experts;
	role.known = rank.has_value();
	role.rank = rank.value_or(std::size(expert_words));
	return true;
}

bool word_role(Text bare, Role &role)
{
	const auto *found = std::find_if(std::begin(words), std::end(words),
					 [&](const Word &w) { return w.name == bare; });

	if (found == std::end(words))
		return false;
	role.known = true;
	role.phase = found->phase;
	role.rank = static_cast<uint32_t>(found - std::begin(words));
	return true;
}

void layer_role(Text rest, Role &role)
{
	if (expert_role(rest, role))
		return;
	// The longest ending that is known: "self_attn.q_proj" by its "q_proj".
	for (const Text name : {without_ending(rest), rest}) {
		for (Text path = name; !path.empty(); path = after_first(path)) {
			if (word_role(path, role))
				return;
		}
	}
}

void top_role(Text name, Role &role)
{
	const Text bare = without_ending(name);

	for (size_t i = 0; i < std::size(tops); i++) {
		if (last_part(bare) != tops[i].name)
			continue;
		role.known = true;
		role.place = tops[i].place;
		role.rank = static_cast<uint32_t>(i);
		role.lookup = (tops[i].flags & LOOKUP) != 0;
		role.embedding = (tops[i].flags & EMBEDDING) != 0;
		role.output = (tops[i].flags & OUTPUT) != 0;
		return;
	}
}

} // namespace

Role role_of(Text tensor)
{
	Role role;

	if (of_another_part(tensor)) {
		role.place = Place::aside;
		role.known = true;
		return role;
	}
	if (const auto at = in_layer(tensor)) {
		role.place = Place::layer;
		role.layer = at->layer;
		layer_role(at->rest, role);
		return role;
	}
	top_role(tensor, role);
	return role;
}

bool known_architecture(Text name)
{
	std::string plain;

	for (const char c : name) {
		if (c != '-' && c != '_' && c != '.')
			plain += c;
	}
	return std::find(std::begin(architectures), std::end(architectures), plain) !=
	       std::end(architectures);
}

} // namespace itme
