// SPDX-License-Identifier: GPL-2.0-only
// Parsers of files that others write: what is wrong is refused where it is wrong.
#include "lib/gguf.hpp"
#include "lib/role.hpp"
#include "lib/safetensors.hpp"
#include "lib/schedule.hpp"

#include <cstring>
#include <gtest/gtest.h>
#include <string>

namespace itme {

namespace {

// A GGUF header, field by field, with a mark for each so that offsets can be named.
class Header {
public:
	template <typename T> Header &plain(T value)
	{
		bytes.append(reinterpret_cast<const char *>(&value), sizeof(value));
		return *this;
	}
	Header &text(const std::string &value)
	{
		plain<uint64_t>(value.size());
		bytes += value;
		return *this;
	}
	Header &begin(uint64_t tensors, uint64_t entries)
	{
		bytes += "GGUF";
		return plain<uint32_t>(3).plain(tensors).plain(entries);
	}
	Header &tensor(const std::string &name, uint64_t columns, uint32_t type, uint64_t offset)
	{
		return text(name).plain<uint32_t>(1).plain(columns).plain(type).plain(offset);
	}
	[[nodiscard]] Parsed<GgufHeader> parse(uint64_t file_bytes = 1 << 20) const
	{
		return parse_gguf(std::as_bytes(std::span(bytes)), file_bytes);
	}

	std::string bytes;
};

void expect_refused(const Header &header, uint64_t offset, const std::string &why)
{
	const auto parsed = header.parse();

	ASSERT_FALSE(parsed);
	EXPECT_EQ(parsed.error().offset, offset) << parsed.error().message;
	EXPECT_NE(parsed.error().message.find(why), std::string::npos) << parsed.error().message;
}

} // namespace

TEST(Gguf, TakesWhatIsRight)
{
	const auto header = Header().begin(2, 1)
				    .text("a.block_count")
				    .plain<uint32_t>(4)
				    .plain<uint32_t>(7)
				    .tensor("x", 64, 0, 0)
				    .tensor("y", 64, 8, 256)
				    .parse();

	ASSERT_TRUE(header) << header.error().text();
	EXPECT_EQ(header->number("a.block_count"), 7U);
	EXPECT_EQ(header->tensors[0].bytes, 256U);
	EXPECT_EQ(header->tensors[1].bytes, 68U);
	EXPECT_EQ(header->tensors[1].offset, header->header_bytes + 256);
}

TEST(Gguf, RefusesWithTheOffset)
{
	expect_refused(Header().begin(1, 0).tensor("x", 64, 99, 0), 24 + 8 + 1 + 4 + 8, "type 99");
	expect_refused(Header().begin(1, 0).tensor("x", 64, 0, 8), 24 + 8 + 1 + 4 + 8 + 4,
		       "aligned");
	expect_refused(Header().begin(1, 0).tensor("x", 1 << 20, 0, 0), 24 + 8 + 1 + 4 + 8 + 4,
		       "past the end");
	expect_refused(Header().begin(1, 0).tensor("x", 33, 8, 0), 24 + 8 + 1 + 4 + 8,
		       "no multiple");
	expect_refused(Header().begin(2, 0).tensor("x", 64, 0, 0).tensor("x", 64, 0, 256), 24 + 33,
		       "twice");
	expect_refused(Header().begin(2, 0).tensor("x", 64, 0, 0).tensor("y", 64, 0, 128),
		       24 + 33 + 25, "overlaps");
	expect_refused(Header().begin(1ULL << 40, 0), 8, "tensors");
	expect_refused(Header().begin(0, 1ULL << 40), 16, "metadata");
	expect_refused(Header().begin(0, 1).text("k").plain<uint32_t>(13), 33, "value type 13");
	expect_refused(Header().begin(0, 1).text("k").plain<uint32_t>(7).plain<uint8_t>(2), 37,
		       "bool");
	expect_refused(Header().begin(0, 1).plain<uint64_t>(1ULL << 60), 24, "a key of");
	expect_refused(Header().begin(0, 1).text("k").plain<uint32_t>(9).plain<uint32_t>(9), 37,
		       "array of type 9");
	// At the value, though what is wrong with it is known only behind the metadata.
	expect_refused(Header().begin(0, 2)
			       .text("general.alignment")
			       .plain<uint32_t>(4)
			       .plain<uint32_t>(48)
			       .text("k")
			       .plain<uint32_t>(4)
			       .plain<uint32_t>(1),
		       24 + 8 + 17 + 4, "power of two");
}

TEST(Gguf, EveryPrefixAsksForMore)
{
	const Header whole = Header().begin(1, 1).text("k").plain<uint32_t>(8).text("word").tensor(
		"x", 64, 0, 0);

	for (size_t length = 0; length < whole.bytes.size(); length++) {
		Header part;

		part.bytes = whole.bytes.substr(0, length);
		const auto parsed = part.parse();

		ASSERT_FALSE(parsed);
		EXPECT_TRUE(parsed.error().truncated);
		EXPECT_LE(parsed.error().offset, length);
	}
}

TEST(Safetensors, RefusesWithTheOffset)
{
	const std::pair<const char *, const char *> wrong[] = {
		{R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,1]}})",
		 "not what its shape needs"},
		{R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})", "hole"},
		{R"({"a":{"dtype":"U7","shape":[1],"data_offsets":[0,1]}})", "dtype"},
		{R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,9]}})", "above"},
		{R"({"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}})", "whole number"},
		{R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":1})", "twice"},
		{R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1}})", "not known"},
		{R"({"a":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,1]}})",
		 "too large"},
		{R"({"a":[)", "not JSON"},
	};

	for (const auto &[json, why] : wrong) {
		const std::string text = json;
		const uint64_t length = text.size();
		std::string file(reinterpret_cast<const char *>(&length), sizeof(length));

		file += text + std::string(2, '\0');
		const auto parsed = parse_safetensors(std::as_bytes(std::span(file)), file.size());

		ASSERT_FALSE(parsed) << json;
		EXPECT_NE(parsed.error().message.find(why), std::string::npos)
			<< json << ": " << parsed.error().text();
		EXPECT_GE(parsed.error().offset, 8U);
	}
	EXPECT_FALSE(parse_safetensors_index(R"({"weight_map":{"a":"../b.safetensors"}})"));
}

TEST(ScheduleFile, RefusesWithTheOffset)
{
	const std::string good =
		R"({"itme_schedule":1,"name":"n","regions":[{"name":"r","bytes":64}],"objects":[{"name":"o","extents":[[0,0,64]]}],)"
		R"("groups":[],"programs":[{"name":"p","cyclic":true,"steps":[{"name":"s","read":["o"]}]}],"streams":[{"name":"d","program":"p"}]})";
	const auto parsed = parse_schedule(good);
	const std::tuple<const char *, const char *, const char *> changes[] = {
		{"\"itme_schedule\":1", "\"itme_schedule\":2", "version 2"},
		{"[\"o\"]", "[\"q\"]", "not declared"},
		{"[0,0,64]", "[0,1,64]", "within region"},
		{"[0,0,64]", "[1,0,64]", "not there"},
		{"[0,0,64]", "[0,-1,64]", "whole number"},
		{"\"cyclic\":true", "\"cyclic\":1", "neither true nor false"},
		{"\"cyclic\":true", "\"cyclic\":true,\"loop\":1", "not known"},
		{"\"program\":\"p\"", "\"program\":\"p\",\"weight\":0", "weight"},
		{"\"read\":[\"o\"]", "\"read\":[\"o\"],\"pick\":1", "no choice"},
		{"\"bytes\":64", "\"bytes\":0", "0 bytes"},
	};

	ASSERT_TRUE(parsed) << parsed.error().text();
	EXPECT_EQ(schedule_text(*parse_schedule(schedule_text(*parsed))), schedule_text(*parsed));
	for (const auto &[from, to, why] : changes) {
		std::string bad = good;

		bad.replace(bad.find(from), strlen(from), to);
		const auto refused = parse_schedule(bad);

		ASSERT_FALSE(refused) << to;
		EXPECT_NE(refused.error().message.find(why), std::string::npos)
			<< refused.error().text();
	}
	// The offset is that of the value: here, of the reference.
	std::string bad = good;

	bad.replace(bad.find("[\"o\"]"), 5, "[\"q\"]");
	EXPECT_EQ(parse_schedule(bad).error().offset, bad.find("\"q\""));
}

TEST(Role, OrderOfExecution)
{
	const char *layers[][14] = {
		{"blk.3.attn_norm.weight", "blk.3.attn_q.weight", "blk.3.attn_k.weight",
		 "blk.3.attn_v.weight", "blk.3.attn_output.weight", "blk.3.ffn_norm.weight",
		 "blk.3.ffn_gate_inp.weight", "blk.3.ffn_gate_exps.weight",
		 "blk.3.ffn_up_exps.weight", "blk.3.ffn_down_exps.weight",
		 "blk.3.ffn_gate_shexp.weight", "blk.3.ffn_down_shexp.weight",
		 "blk.3.post_ffw_norm.weight"},
		{"model.layers.3.input_layernorm.weight", "model.layers.3.self_attn.q_proj.weight",
		 "model.layers.3.self_attn.k_proj.bias", "model.layers.3.self_attn.v_proj.weight",
		 "model.layers.3.self_attn.o_proj.weight",
		 "model.layers.3.post_attention_layernorm.weight", "model.layers.3.mlp.gate.weight",
		 "model.layers.3.mlp.experts.7.gate_proj.weight",
		 "model.layers.3.mlp.experts.7.up_proj.weight",
		 "model.layers.3.mlp.experts.7.down_proj.weight",
		 "model.layers.3.mlp.shared_experts.down_proj.weight"},
	};

	for (const auto &names : layers) {
		std::pair<Phase, uint32_t> before{Phase::mixer, 0};

		for (const char *name : names) {
			if (name == nullptr)
				break;
			const Role role = role_of(name);
			const std::pair at{role.phase, role.rank};

			EXPECT_TRUE(role.known) << name;
			EXPECT_EQ(role.layer, 3U) << name;
			EXPECT_GE(at, before) << name;
			before = at;
		}
	}
	EXPECT_EQ(role_of("model.layers.3.mlp.experts.7.up_proj.weight").expert, 7U);
	EXPECT_TRUE(role_of("blk.0.ffn_up_exps.weight").stacked);
	EXPECT_EQ(role_of("v.blk.0.attn_q.weight").place, Place::aside);
	EXPECT_TRUE(role_of("token_embd.weight").embedding);
	EXPECT_FALSE(known_architecture("zebra9"));
}

} // namespace itme
