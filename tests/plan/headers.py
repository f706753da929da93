# SPDX-License-Identifier: GPL-2.0-only
"""Headers of models as the official packages write them; the data are a hole.

usage: headers.py FOLDER [NAME...]
"""

import json
import os
import struct
import sys

import gguf
import numpy as np
from safetensors import safe_open
from safetensors.numpy import save

Q = gguf.GGMLQuantizationType


class Gguf:
    """A GGUF whose tensors are only described."""

    def __init__(self, path, arch, **settings):
        self.path, self.arch = path, arch
        self.writer = gguf.GGUFWriter(path, arch, **settings)
        self.ends = {}

    def tensor(self, name, shape, kind=Q.Q8_0):
        count = int(np.prod(shape))
        block, size = gguf.GGML_QUANT_SIZES[kind]
        if kind in (Q.F16, Q.F32):
            dtype = np.dtype(np.float16 if kind == Q.F16 else np.float32)
            stored = list(shape)
        else:
            dtype = np.dtype(np.uint8)
            stored = [*shape[:-1], shape[-1] // block * size]
        self.writer.add_tensor_info(name, stored, dtype, count // block * size, raw_dtype=kind)

    def close(self):
        writer = self.writer
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for file, tensors in zip(writer.fout, writer.tensors):
            data = sum(-(-info.nbytes // 32) * 32 for info in tensors.values())
            header = -(-file.tell() // 32) * 32
            file.truncate(header + data)
        writer.close()


def dense(model, layers, width, hidden, heads, kv_heads, vocabulary, tied, bias):
    """A transformer with the tensors of a layer in llama-quantize's order: by name."""
    writer = model.writer
    writer.add_block_count(layers)
    writer.add_embedding_length(width)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    kv = width // heads * kv_heads
    if not tied:
        model.tensor("output.weight", (vocabulary, width))
    model.tensor("output_norm.weight", (width,), Q.F32)
    model.tensor("token_embd.weight", (vocabulary, width))
    for layer in range(layers):
        names = {
            "attn_k": (kv, width), "attn_norm": (width,), "attn_output": (width, width),
            "attn_q": (width, width), "attn_v": (kv, width), "ffn_down": (width, hidden),
            "ffn_gate": (hidden, width), "ffn_norm": (width,), "ffn_up": (hidden, width),
        }
        for name, shape in sorted(names.items()):
            kind = Q.F32 if len(shape) == 1 else Q.Q8_0
            if bias and name in ("attn_q", "attn_k", "attn_v"):
                model.tensor(f"blk.{layer}.{name}.bias", (shape[0],), Q.F32)
            model.tensor(f"blk.{layer}.{name}.weight", shape, kind)


def llama(folder):
    """Llama-3-8B's shape, in three splits."""
    model = Gguf(f"{folder}/llama.gguf", "llama", split_max_tensors=120)
    dense(model, 32, 4096, 14336, 32, 8, 128256, False, False)
    model.close()


def qwen(folder):
    """Qwen2.5-3B's shape: grouped queries, biases, tied embeddings."""
    model = Gguf(f"{folder}/qwen.gguf", "qwen2")
    dense(model, 36, 2048, 11008, 16, 2, 151936, True, True)
    model.close()


def unknown(folder):
    """An architecture that nobody has heard of."""
    model = Gguf(f"{folder}/unknown.gguf", "zebra9")
    dense(model, 4, 1024, 4096, 8, 8, 32000, False, False)
    model.tensor("blk.3.stripe_mix.weight", (1024, 1024))
    model.close()


def deepseek(folder):
    """DeepSeek-style: latent attention, a dense start, routed and shared experts, one layer for speculation."""
    layers, width, experts, hidden = 7, 2048, 64, 1408
    model = Gguf(f"{folder}/deepseek.gguf", "deepseek2")
    writer = model.writer
    writer.add_block_count(layers)
    writer.add_embedding_length(width)
    writer.add_head_count(16)
    writer.add_head_count_kv(16)
    writer.add_expert_count(experts)
    writer.add_expert_used_count(6)
    writer.add_kv_lora_rank(512)
    writer.add_rope_dimension_count(64)
    writer.add_leading_dense_block_count(1)
    writer.add_nextn_predict_layers(1)
    model.tensor("token_embd.weight", (102400, width))
    for layer in range(layers):
        prefix = f"blk.{layer}."
        model.tensor(prefix + "attn_kv_a_mqa.weight", (576, width))
        model.tensor(prefix + "attn_kv_a_norm.weight", (512,), Q.F32)
        model.tensor(prefix + "attn_kv_b.weight", (4096, 512))
        model.tensor(prefix + "attn_norm.weight", (width,), Q.F32)
        model.tensor(prefix + "attn_output.weight", (width, 2048))
        model.tensor(prefix + "attn_q.weight", (3072, width))
        if layer == 0:
            for name, shape in (("down", (width, 10944)), ("gate", (10944, width)), ("up", (10944, width))):
                model.tensor(f"{prefix}ffn_{name}.weight", shape, Q.F16)
        else:
            for name, shape in (("down", (width, hidden)), ("gate", (hidden, width)), ("up", (hidden, width))):
                model.tensor(f"{prefix}ffn_{name}_exps.weight", (experts, *shape))
                model.tensor(f"{prefix}ffn_{name}_shexp.weight", (shape[0] * (2 if name != "down" else 1), shape[1] * (2 if name == "down" else 1)))
            model.tensor(prefix + "ffn_gate_inp.weight", (experts, width), Q.F32)
            model.tensor(prefix + "exp_probs_b.bias", (experts,), Q.F32)
        model.tensor(prefix + "ffn_norm.weight", (width,), Q.F32)
    model.tensor("blk.6.nextn.eh_proj.weight", (width, 2 * width))
    model.tensor("output_norm.weight", (width,), Q.F32)
    model.tensor("output.weight", (102400, width))
    model.close()


class Safetensors:
    """Files whose tensors are only described, and their index."""

    def __init__(self, folder, stem, per_file):
        self.folder, self.stem, self.per_file, self.files = folder, stem, per_file, [{}]

    def tensor(self, name, shape):
        if len(self.files[-1]) == self.per_file:
            self.files.append({})
        self.files[-1][name] = shape

    def close(self):
        weight_map = {}
        for number, tensors in enumerate(self.files, 1):
            name = f"{self.stem}-{number:05}-of-{len(self.files):05}.safetensors"
            header, at = {"__metadata__": {"format": "pt"}}, 0
            for tensor, shape in sorted(tensors.items()):
                size = 2 * int(np.prod(shape))
                header[tensor] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [at, at + size]}
                weight_map[tensor] = name
                at += size
            text = json.dumps(header, separators=(",", ":")).encode()
            text += b" " * (-len(text) % 8)
            with open(f"{self.folder}/{name}", "wb") as file:
                file.write(struct.pack("<Q", len(text)) + text)
                file.truncate(8 + len(text) + at)
            # The package only writes with all data at hand; that it reads this is as good.
            with safe_open(f"{self.folder}/{name}", framework="np") as file:
                assert {t: tuple(file.get_slice(t).get_shape()) for t in file.keys()} == tensors
        with open(f"{self.folder}/{self.stem}.safetensors.index.json", "w", encoding="ascii") as file:
            json.dump({"metadata": {"total_size": 0}, "weight_map": weight_map}, file)


def mixtral(folder):
    """Mixtral 8x7B's shape, 4 layers of it, in safetensors: an expert is three tensors."""
    folder = f"{folder}/mixtral"
    os.makedirs(folder, exist_ok=True)
    model = Safetensors(folder, "model", 50)
    model.tensor("model.embed_tokens.weight", (32000, 4096))
    for layer in range(4):
        prefix = f"model.layers.{layer}."
        model.tensor(prefix + "input_layernorm.weight", (4096,))
        for name, rows in (("q", 4096), ("k", 1024), ("v", 1024), ("o", 4096)):
            model.tensor(f"{prefix}self_attn.{name}_proj.weight", (rows, 4096))
        model.tensor(prefix + "post_attention_layernorm.weight", (4096,))
        model.tensor(prefix + "block_sparse_moe.gate.weight", (8, 4096))
        for expert in range(8):
            for name, shape in (("w1", (14336, 4096)), ("w2", (4096, 14336)), ("w3", (14336, 4096))):
                model.tensor(f"{prefix}block_sparse_moe.experts.{expert}.{name}.weight", shape)
    model.tensor("model.norm.weight", (4096,))
    model.tensor("lm_head.weight", (32000, 4096))
    model.close()
    with open(f"{folder}/config.json", "w", encoding="ascii") as file:
        json.dump({"model_type": "mixtral", "num_hidden_layers": 4, "num_local_experts": 8, "num_experts_per_tok": 2,
                   "num_attention_heads": 32, "num_key_value_heads": 8, "hidden_size": 4096,
                   "tie_word_embeddings": False}, file)


def small(folder):
    """What the safetensors package itself writes, data and all."""
    data = {"model.embed_tokens.weight": np.zeros((64, 32), np.float16), "model.norm.weight": np.zeros((32,), np.float16)}
    for layer in range(2):
        for name in ("q", "k", "v", "o"):
            data[f"model.layers.{layer}.self_attn.{name}_proj.weight"] = np.zeros((32, 32), np.float16)
        for name in ("gate", "up", "down"):
            data[f"model.layers.{layer}.mlp.{name}_proj.weight"] = np.zeros((32, 32), np.float16)
    os.makedirs(f"{folder}/small", exist_ok=True)
    with open(f"{folder}/small/model.safetensors", "wb") as file:
        file.write(save(data, metadata={"format": "pt"}))
    with open(f"{folder}/small/config.json", "w", encoding="ascii") as file:
        json.dump({"model_type": "llama", "num_hidden_layers": 2, "tie_word_embeddings": True}, file)


def huge(folder):
    """1 TiB: 200 layers of 256 experts."""
    width, hidden = 7168, 1024
    model = Gguf(f"{folder}/huge.gguf", "qwen3moe")
    model.writer.add_block_count(200)
    model.writer.add_embedding_length(width)
    model.writer.add_head_count(128)
    model.writer.add_head_count_kv(8)
    model.writer.add_expert_count(256)
    model.writer.add_expert_used_count(8)
    model.tensor("token_embd.weight", (129280, width))
    for layer in range(200):
        prefix = f"blk.{layer}."
        for name, rows in (("q", 16384), ("k", 1024), ("v", 1024)):
            model.tensor(f"{prefix}attn_{name}.weight", (rows, width))
        model.tensor(prefix + "attn_output.weight", (width, 16384))
        for name in ("attn_norm", "ffn_norm"):
            model.tensor(f"{prefix}{name}.weight", (width,), Q.F32)
        model.tensor(prefix + "ffn_gate_inp.weight", (256, width), Q.F32)
        for name, shape in (("gate", (hidden, width)), ("up", (hidden, width)), ("down", (width, hidden))):
            model.tensor(f"{prefix}ffn_{name}_exps.weight", (256, *shape))
    model.tensor("output_norm.weight", (width,), Q.F32)
    model.tensor("output.weight", (129280, width))
    model.close()


def types(folder):
    """One tensor of every type that the gguf package knows the size of."""
    model = Gguf(f"{folder}/types.gguf", "llama")
    for kind, (block, _) in gguf.GGML_QUANT_SIZES.items():
        if kind in (Q.F16, Q.F32) or np.prod([block, 2]) > 0:
            model.tensor(f"{kind.name}.weight", (2, 4 * block), kind)
    model.close()


def hostile(folder):
    """Headers that are well formed and absurd."""
    model = Gguf(f"{folder}/no-layers.gguf", "llama")
    model.writer.add_embedding_length(64)
    model.writer.add_head_count(1)
    model.writer.add_head_count_kv([1, 2])
    model.tensor("output.weight", (64, 64))
    model.close()
    model = Gguf(f"{folder}/heads.gguf", "llama")
    model.writer.add_block_count(2**32 - 1)
    model.writer.add_embedding_length(2**32 - 1)
    model.writer.add_head_count(1)
    most = [2**63 - 1, 2**63 - 1]
    model.writer.add_key_value("llama.attention.head_count_kv", most, gguf.GGUFValueType.ARRAY, gguf.GGUFValueType.INT64)
    model.tensor("blk.0.attn_q.weight", (64, 64))
    model.close()
    model = Gguf(f"{folder}/experts.gguf", "llama")
    model.writer.add_expert_count(65536)
    for layer in range(100):
        model.tensor(f"blk.{layer}.ffn_up_exps.weight", (65536, 2), Q.I8)
    model.close()


def architectures(folder):
    """All tensors of two layers of every architecture that the gguf package knows."""
    os.makedirs(f"{folder}/architectures", exist_ok=True)
    for arch, tensors in gguf.MODEL_TENSORS.items():
        name = gguf.MODEL_ARCH_NAMES[arch]
        model = Gguf(f"{folder}/architectures/{name}.gguf", name)
        model.writer.add_expert_count(4)
        model.writer.add_expert_used_count(2)
        names = {gguf.TENSOR_NAMES[t].format(bid=layer, xid=0) for t in tensors for layer in range(2)}
        for tensor in sorted(names):
            model.tensor(tensor + ".weight", (4, 64, 64) if "exps" in tensor else (64, 64), Q.F32)
        model.close()


WRITERS = {w.__name__: w for w in (llama, qwen, unknown, deepseek, mixtral, small, huge, types, hostile, architectures)}

if __name__ == "__main__":
    for wanted in sys.argv[2:] or WRITERS:
        WRITERS[wanted](sys.argv[1])
