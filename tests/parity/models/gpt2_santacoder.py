"""SantaCoder's own GPT-2 (class GPT2LMHeadCustomModel): one key head shared by all query heads.

Checked against the public code that serves the checkpoint: a text generation server's loader of the `GPT2` form of
SantaCoder (transposed `q_attn`, `kv_attn` with the key first, scale 1 / sqrt(head width)), and the paper.
"""

import math

import torch
from torch import nn


class Conv1D(nn.Module):
    """A linear whose weight is `[in, out]`."""

    def __init__(self, width: int, out: int):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width, out))
        self.bias = nn.Parameter(torch.zeros(out))

    def forward(self, x):
        return x @ self.weight + self.bias


class Attention(nn.Module):
    def __init__(self, config: dict):
        super().__init__()
        width, self.heads = config["n_embd"], config["n_head"]
        self.q_attn = Conv1D(width, width)
        self.kv_attn = Conv1D(width, 2 * width // self.heads)
        self.c_proj = Conv1D(width, width)

    def forward(self, x):
        tokens, width = x.shape
        size = width // self.heads
        query, pair = self.q_attn(x), self.kv_attn(x)
        key, value = pair[:, :size], pair[:, size:]
        future = torch.ones(tokens, tokens).triu(1).bool()
        out = []
        for head in range(self.heads):
            score = query[:, head * size : (head + 1) * size] @ key.T / math.sqrt(size)
            out.append(score.masked_fill(future, -math.inf).softmax(-1) @ value)
        return self.c_proj(torch.cat(out, -1))


class Mlp(nn.Module):
    def __init__(self, config: dict):
        super().__init__()
        self.c_fc = Conv1D(config["n_embd"], config["n_inner"])
        self.c_proj = Conv1D(config["n_inner"], config["n_embd"])

    def forward(self, x):
        return self.c_proj(nn.functional.gelu(self.c_fc(x), approximate="tanh"))


class Layer(nn.Module):
    def __init__(self, config: dict):
        super().__init__()
        self.ln_1 = nn.LayerNorm(config["n_embd"], config["layer_norm_epsilon"])
        self.attn = Attention(config)
        self.ln_2 = nn.LayerNorm(config["n_embd"], config["layer_norm_epsilon"])
        self.mlp = Mlp(config)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class Body(nn.Module):
    def __init__(self, config: dict):
        super().__init__()
        self.wte = nn.Embedding(config["vocab_size"], config["n_embd"])
        self.wpe = nn.Embedding(config["n_positions"], config["n_embd"])
        self.h = nn.ModuleList(Layer(config) for _ in range(config["n_layer"]))
        self.ln_f = nn.LayerNorm(config["n_embd"], config["layer_norm_epsilon"])


class GPT2LMHeadCustomModel(nn.Module):
    def __init__(self, config: dict):
        super().__init__()
        self.transformer = Body(config)

    def forward(self, input_ids):
        body = self.transformer
        x = body.wte(input_ids) + body.wpe(torch.arange(len(input_ids)))
        points = {"embed": x}
        for i, layer in enumerate(body.h):
            x = points[f"decoder.{i}"] = layer(x)
        points["final"] = body.ln_f(x)
        points["logits"] = points["final"] @ body.wte.weight.T
        return points
