// SPDX-License-Identifier: GPL-2.0-only
// Schedules from headers: what is read together, and what a hostile header may ask for.
#include "lib/derive.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace itme::test {

namespace {

struct Shape {
	std::string name;
	std::vector<uint64_t> shape;
};

// One file with these tensors of bytes behind each other.
Model model_of(const std::string &architecture, const std::vector<Shape> &shapes)
{
	Model model;
	uint64_t at = 0;

	model.name = "m";
	model.facts.architecture = architecture;
	for (const auto &[name, shape] : shapes) {
		Tensor tensor;

		tensor.name = name;
		tensor.shape = shape;
		tensor.offset = at;
		tensor.elements = 1;
		for (const uint64_t length : shape)
			tensor.elements *= length;
		tensor.bytes = tensor.elements;
		at += tensor.bytes;
		model.tensors.push_back(tensor);
	}
	model.files.push_back({"m.gguf", at});
	return model;
}

// "step: object object", or "step: pick of count".
std::vector<std::string> steps_of(const Schedule &schedule)
{
	std::vector<std::string> lines;

	for (const Step &step : schedule.programs[0].steps) {
		std::string line = step.name + ":";

		for (const uint32_t object : step.objects)
			line += " " + schedule.objects[object].name;
		if (step.group)
			line += " " + std::to_string(step.pick) + " of " +
				std::to_string(schedule.groups[*step.group].objects.size());
		lines.push_back(line);
	}
	return lines;
}

bool notes(const Schedule &schedule, const std::string &words)
{
	return std::any_of(schedule.notes.begin(), schedule.notes.end(),
			   [&](const std::string &note) { return note.find(words) != note.npos; });
}

} // namespace

TEST(Derive, OrderOfExecutionNotOfTheFile)
{
	const Model model = model_of("llama", {{"output.weight", {8, 8}},
					       {"blk.1.attn_q.weight", {8, 8}},
					       {"blk.0.ffn_down.weight", {8, 8}},
					       {"blk.0.ffn_gate.weight", {8, 8}},
					       {"blk.0.attn_k.weight", {8, 8}},
					       {"blk.0.attn_q.weight", {8, 8}},
					       {"token_embd.weight", {8, 8}}});
	const auto schedule = derive(model, {});

	ASSERT_TRUE(schedule) << schedule.error().text;
	EXPECT_EQ(steps_of(*schedule),
		  (std::vector<std::string>{
			  "token_embd.weight.rows: 1 of 1",
			  "blk.0.mixer: blk.0.attn_q.weight blk.0.attn_k.weight",
			  "blk.0.ffn: blk.0.ffn_gate.weight blk.0.ffn_down.weight",
			  "blk.1.mixer: blk.1.attn_q.weight", "output: output.weight"}));
	EXPECT_TRUE(schedule->notes.empty());
}

TEST(Derive, AnUnknownArchitectureKeepsTheOrderOfTheFileAndSaysSo)
{
	const Model model = model_of("zebra9", {{"blk.1.attn_q.weight", {8, 8}},
						{"blk.0.ffn_down.weight", {8, 8}},
						{"blk.0.stripe.weight", {8, 8}},
						{"blk.0.attn_q.weight", {8, 8}}});
	const auto schedule = derive(model, {});

	ASSERT_TRUE(schedule) << schedule.error().text;
	EXPECT_EQ(
		steps_of(*schedule),
		(std::vector<std::string>{"blk.0.layer: blk.0.ffn_down.weight blk.0.stripe.weight "
					  "blk.0.attn_q.weight",
					  "blk.1.layer: blk.1.attn_q.weight"}));
	EXPECT_TRUE(notes(*schedule, "'zebra9' is not known"));
}

TEST(Derive, TheEmbeddingIsReadAgainWhereItIsTheOutput)
{
	const auto schedule = derive(model_of("qwen2", {{"token_embd.weight", {1 << 12, 1 << 10}},
							{"blk.0.attn_q.weight", {8, 8}}}),
				     {});

	ASSERT_TRUE(schedule) << schedule.error().text;
	EXPECT_EQ(steps_of(*schedule),
		  (std::vector<std::string>{"token_embd.weight.rows: 1 of 2",
					    "blk.0.mixer: blk.0.attn_q.weight",
					    "tied output: token_embd.weight"}));
}

// However they are kept, an expert is its own slice of each matrix.
TEST(Derive, AnExpertIsOneObject)
{
	Model gguf = model_of("qwen3moe", {{"blk.0.ffn_down_exps.weight", {4, 8, 2}},
					   {"blk.0.ffn_gate_exps.weight", {4, 2, 8}},
					   {"blk.0.ffn_gate_shexp.weight", {2, 8}},
					   {"blk.0.ffn_gate_inp.weight", {4, 8}}});
	Model granite =
		model_of("granitemoeshared",
			 {{"model.layers.0.block_sparse_moe.input_linear.weight", {4, 4, 8}},
			  {"model.layers.0.block_sparse_moe.output_linear.weight", {4, 8, 2}},
			  {"model.layers.0.block_sparse_moe.router.layer.weight", {4, 8}},
			  {"model.layers.0.shared_mlp.input_linear.weight", {4, 8}}});

	for (Model *model : {&gguf, &granite}) {
		model->facts.experts = 4;
		model->facts.experts_used = 2;
		const auto schedule = derive(*model, {});

		ASSERT_TRUE(schedule) << schedule.error().text;
		const auto steps = steps_of(*schedule);

		ASSERT_EQ(steps.size(), 3U);
		EXPECT_EQ(steps[1], "blk.0.experts: 2 of 4");
		EXPECT_EQ(steps[2].substr(0, 12), "blk.0.shared");
	}
	const auto schedule = derive(gguf, {});
	const Object &third = schedule->objects[schedule->groups[0].objects[2]];

	// Gate before down, though down lies first.
	EXPECT_EQ(third.extents, (std::vector<Extent>{{0, 64 + 32, 16}, {0, 32, 16}}));
}

TEST(Derive, KvOfWhatTheHeaderDoesNotSayIsLeftOut)
{
	Model model = model_of("llama", {{"output.weight", {8, 8}}});

	model.facts.kv_bytes_per_token = 64; // and no layer to hold it
	const auto schedule = derive(model, {.context_tokens = 100});

	ASSERT_TRUE(schedule) << schedule.error().text;
	EXPECT_TRUE(notes(*schedule, "KV is: left out"));
	model = model_of("llama", {{"blk.0.attn_q.weight", {8, 8}}});
	model.facts.kv_bytes_per_token = 64;
	model.facts.layers = 1;
	const auto with_kv = derive(model, {.context_tokens = 100});

	ASSERT_TRUE(with_kv) << with_kv.error().text;
	EXPECT_EQ(with_kv->regions[1].bytes, 6400U);
	EXPECT_FALSE(derive(model, {.context_tokens = UINT64_MAX / 2}));
}

// 65536 experts of one byte in each of 64 layers need 4 MiB, and gigabytes of schedule.
TEST(Derive, RefusesMoreExpertsThanAnyModelHas)
{
	std::vector<Shape> shapes;

	for (int layer = 0; layer < 64; layer++)
		shapes.push_back(
			{"blk." + std::to_string(layer) + ".ffn_up_exps.weight", {1 << 16, 1}});
	const auto schedule = derive(model_of("llama", shapes), {});

	ASSERT_FALSE(schedule);
	EXPECT_NE(schedule.error().text.find("more than"), std::string::npos);
}

} // namespace itme::test
