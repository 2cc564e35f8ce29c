"""Writes a Llama checkpoint of a known model's shape with random bf16 weights, in shards:

    python tests/bench/random_checkpoint.py --shape tinyllama-1.1b --out DIR [--shard-mb 500] [--seed 0]

It needs the memory of about two shards. The tokenizer is the quickstart model's: its ids fit every vocabulary here.
"""

import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file

TOKENIZER = Path(__file__).resolve().parents[2] / "pipelines/quickstart/tokenizer.json"

# hidden, intermediate, layers, heads, key heads, vocabulary
SHAPES = {
    "tiny": (256, 512, 4, 8, 4, 2048),
    "tinyllama-1.1b": (2048, 5632, 22, 32, 4, 32000),
    "llama-3.2-3b": (3072, 8192, 28, 24, 8, 128256),
    "llama-2-7b": (4096, 11008, 32, 32, 32, 32000),
    "llama-2-13b": (5120, 13824, 40, 40, 40, 32000),
}


def tensors(shape: tuple):
    """(name, shape, standard deviation) in the order of the file; a deviation of 0 means a norm's ones."""
    hidden, inner, layers, heads, kv_heads, vocab = shape
    kv = hidden // heads * kv_heads
    quiet = (2 * layers) ** -0.5  # of what a branch adds, so that the residual stream ends as large as it began
    yield "model.embed_tokens.weight", (vocab, hidden), 1.0
    for i in range(layers):
        at = f"model.layers.{i}."
        yield at + "input_layernorm.weight", (hidden,), 0.0
        for name, rows in (("q", hidden), ("k", kv), ("v", kv)):
            yield at + f"self_attn.{name}_proj.weight", (rows, hidden), hidden**-0.5
        yield at + "self_attn.o_proj.weight", (hidden, hidden), quiet * hidden**-0.5
        yield at + "post_attention_layernorm.weight", (hidden,), 0.0
        for name in ("gate", "up"):
            yield at + f"mlp.{name}_proj.weight", (inner, hidden), hidden**-0.5
        yield at + "mlp.down_proj.weight", (hidden, inner), quiet * inner**-0.5
    yield "model.norm.weight", (hidden,), 0.0
    yield "lm_head.weight", (vocab, hidden), hidden**-0.5


def shards(shape: tuple, limit: int):
    """The tensors in groups of at most `limit` bytes (a larger tensor alone)."""
    group, size = [], 0
    for name, dims, std in tensors(shape):
        more = 2 * torch.Size(dims).numel()
        if group and size + more > limit:
            yield group
            group, size = [], 0
        group.append((name, dims, std))
        size += more
    yield group


def fill(dims: tuple, std: float, generator: torch.Generator) -> torch.Tensor:
    if std == 0.0:
        return torch.ones(dims, dtype=torch.bfloat16)
    return torch.empty(dims, dtype=torch.bfloat16).normal_(0.0, std, generator=generator)


def main() -> None:
    parser = argparse.ArgumentParser(description="Writes a random Llama checkpoint.")
    parser.add_argument("--shape", choices=list(SHAPES), required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--shard-mb", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    shape = SHAPES[args.shape]
    hidden, inner, layers, heads, kv_heads, vocab = shape
    args.out.mkdir(parents=True, exist_ok=True)
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": vocab, "hidden_size": hidden,
        "intermediate_size": inner, "num_hidden_layers": layers, "num_attention_heads": heads,
        "num_key_value_heads": kv_heads, "hidden_act": "silu", "max_position_embeddings": 4096, "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0, "rope_scaling": None, "tie_word_embeddings": False, "attention_bias": False,
        "bos_token_id": 0, "eos_token_id": None, "torch_dtype": "bfloat16",
    }
    (args.out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    shutil.copyfile(TOKENIZER, args.out / "tokenizer.json")
    generator = torch.Generator().manual_seed(args.seed)
    groups = list(shards(shape, args.shard_mb * 1_000_000))
    index, total = {}, 0
    for number, group in enumerate(groups, 1):
        file = f"model-{number:05}-of-{len(groups):05}.safetensors"
        data = {name: fill(dims, std, generator) for name, dims, std in group}
        save_file(data, args.out / file, metadata={"format": "pt"})
        index |= {name: file for name in data}
        total += sum(2 * t.numel() for t in data.values())
        print(f"{file}: {total / 1e9:.2f} GB so far", flush=True)
    weight_map = {"metadata": {"total_size": total}, "weight_map": index}
    (args.out / "model.safetensors.index.json").write_text(json.dumps(weight_map, indent=2) + "\n")


if __name__ == "__main__":
    main()
