"""Phi-3-small (class Phi3SmallForCausalLM, remote code): LayerNorm, q, k, v by key head, clipped GEGLU, muP scales, and layers
that see a band of near blocks of keys and, further back, every n-th block, shifted from head to head.

Checked against the model's own public code (module and sparse mask) and the port of it in a public inference server. Left
out: the own code also masks the logits of ids that its tokenizer does not have.
"""

import math

import torch
from torch import nn


def visible(config: dict, tokens: int, head: int, sparse: bool) -> torch.Tensor:
    """[query, key]: which keys a query of this head sees."""
    place = torch.arange(tokens)
    causal = place[:, None] >= place[None, :]
    if not sparse:
        return causal
    stride, heads = config["blocksparse_vert_stride"], config["num_attention_heads"]
    step = 0 if config["blocksparse_homo_head_pattern"] else max(1, int(stride / heads))
    block = place // config["blocksparse_block_size"]
    near = block[:, None] - block[None, :] < config["blocksparse_num_local_blocks"]
    far = (block + head * step + 1) % stride == 0
    return causal & (near | far[None, :])


def turn(x: torch.Tensor, config: dict) -> torch.Tensor:
    """Rotary positions of [tokens, size], halves against each other."""
    tokens, size = x.shape
    scaling, scale = config.get("rope_scaling"), 1.0
    stretch = torch.full((size // 2,), float(config["rope_position_scale"]))
    if scaling:
        kind = "long" if tokens > scaling["original_max_position_embeddings"] else "short"
        stretch, scale = torch.tensor(scaling[f"{kind}_factor"]), scaling[f"{kind}_mscale"]
    frequency = 1 / (stretch * config["rope_embedding_base"] ** (torch.arange(0, size, 2).float() / size))
    angle = torch.arange(tokens).float()[:, None] * frequency
    sine, cosine = angle.sin() * scale, angle.cos() * scale
    a, b = x[:, : size // 2], x[:, size // 2 :]
    return torch.cat((a * cosine - b * sine, b * cosine + a * sine), -1)


class Attention(nn.Module):
    def __init__(self, config: dict, layer: int):
        super().__init__()
        self.config = config
        self.heads, self.groups, width = config["num_attention_heads"], config["num_key_value_heads"], config["hidden_size"]
        self.size = width // self.heads
        every = config["dense_attention_every_n_layers"]
        self.sparse = not (every and (layer + 1) % every == 0)
        self.query_key_value = nn.Linear(width, (self.heads + 2 * self.groups) * self.size)
        self.dense = nn.Linear(width, width)

    def forward(self, x):
        tokens, per = len(x), self.heads // self.groups
        fused = self.query_key_value(x).view(tokens, self.groups, per + 2, self.size)
        scale = self.config["mup_attn_multiplier"] / self.size if self.config["mup_use_scaling"] else self.size**-0.5
        out = []
        for head in range(self.heads):
            group = fused[:, head // per]
            q, k, v = turn(group[:, head % per], self.config), turn(group[:, per], self.config), group[:, per + 1]
            score = (q @ k.T * scale).masked_fill(~visible(self.config, tokens, head, self.sparse), -math.inf)
            out.append(score.softmax(-1) @ v)
        return self.dense(torch.cat(out, -1))


class Mlp(nn.Module):
    def __init__(self, config: dict):
        super().__init__()
        width, inner, self.limit = config["hidden_size"], config["ff_intermediate_size"], config["gegelu_limit"]
        self.up_proj = nn.Linear(width, 2 * inner)
        self.down_proj = nn.Linear(inner, width)

    def forward(self, x):
        both = self.up_proj(x)
        gate = both[:, 0::2].clamp(max=self.limit)
        up = both[:, 1::2].clamp(-self.limit, self.limit)
        return self.down_proj(gate * torch.sigmoid(1.702 * gate) * (up + 1))


class Layer(nn.Module):
    def __init__(self, config: dict, layer: int):
        super().__init__()
        self.input_layernorm = nn.LayerNorm(config["hidden_size"], config["layer_norm_epsilon"])
        self.self_attn = Attention(config, layer)
        self.post_attention_layernorm = nn.LayerNorm(config["hidden_size"], config["layer_norm_epsilon"])
        self.mlp = Mlp(config)

    def forward(self, x):
        x = x + self.self_attn(self.input_layernorm(x))
        return x + self.mlp(self.post_attention_layernorm(x))


class Body(nn.Module):
    def __init__(self, config: dict):
        super().__init__()
        self.embed_tokens = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.layers = nn.ModuleList(Layer(config, i) for i in range(config["num_hidden_layers"]))
        self.final_layernorm = nn.LayerNorm(config["hidden_size"], config["layer_norm_epsilon"])


class Phi3SmallForCausalLM(nn.Module):
    def __init__(self, config: dict):
        super().__init__()
        self.config = config
        self.model = Body(config)

    def forward(self, input_ids):
        body = self.model
        x = body.embed_tokens(input_ids) * self.config["mup_embedding_multiplier"]
        points = {"embed": x}
        for i, layer in enumerate(body.layers):
            x = points[f"decoder.{i}"] = layer(x)
        points["final"] = body.final_layernorm(x)
        points["logits"] = points["final"] @ body.embed_tokens.weight.T / self.config["mup_width_multiplier"]
        return points
