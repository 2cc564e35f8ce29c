"""Qwen 1, after modeling_qwen.py of the public repositories (the form with one alpha for all layers) and, for the first files'
config keys, its earliest form; checked against neither by running.

Two things depend on the length: alpha, which stretches theta in powers of two beyond `seq_length`, and the queries' factor
log(position) / log(seq_length), positions counted from 1, at positions beyond it.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn


class Norm(nn.Module):
    def __init__(self, width, eps):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return x / (x.square().mean(-1, keepdim=True) + self.eps).sqrt() * self.weight


class Attention(nn.Module):
    def __init__(self, about):
        super().__init__()
        self.about = about
        width = about["width"]
        self.c_attn = nn.Linear(width, 3 * width)
        self.c_proj = nn.Linear(width, width, bias=about["bias"])

    def turned(self, x):
        """Pairs (j, j + half) of the first `dim` features of every head, turned by position / theta^(2j / dim)."""
        about, tokens = self.about, len(x)
        dim = int(x.shape[-1] * about["share"])
        theta = about["theta"]
        if about["ntk"]:
            alpha = 2 ** math.ceil(math.log2(tokens / about["span"]) + 1) - 1
            theta *= max(alpha, 1) ** (dim / (dim - 2))
        angles = torch.arange(tokens)[:, None] * theta ** (-torch.arange(0, dim, 2).double() / dim)
        cos, sin = angles.cos().float()[:, None], angles.sin().float()[:, None]
        a, b, rest = x.split([dim // 2, dim // 2, x.shape[-1] - dim], -1)
        return torch.cat([a * cos - b * sin, b * cos + a * sin, rest], -1)

    def forward(self, x):
        heads, tokens = self.about["heads"], len(x)
        q, k, v = (part.reshape(tokens, heads, -1) for part in self.c_attn(x).chunk(3, -1))
        q, k = self.turned(q), self.turned(k)
        if self.about["logn"]:
            span = self.about["span"]
            q = q * torch.tensor([math.log(n, span) if n > span else 1.0 for n in range(1, tokens + 1)])[:, None, None]
        scores = torch.einsum("qhd,khd->hqk", q, k) / math.sqrt(q.shape[-1])
        later = torch.ones(tokens, tokens, dtype=torch.bool).triu(1)
        seen = torch.einsum("hqk,khd->qhd", scores.masked_fill(later, -torch.inf).softmax(-1), v)
        return self.c_proj(seen.reshape(tokens, -1))


class Mlp(nn.Module):
    def __init__(self, about):
        super().__init__()
        self.w1 = nn.Linear(about["width"], about["inner"], bias=about["bias"])
        self.w2 = nn.Linear(about["width"], about["inner"], bias=about["bias"])
        self.c_proj = nn.Linear(about["inner"], about["width"], bias=about["bias"])

    def forward(self, x):
        return self.c_proj(self.w1(x) * F.silu(self.w2(x)))


class Block(nn.Module):
    def __init__(self, about):
        super().__init__()
        self.ln_1 = Norm(about["width"], about["eps"])
        self.attn = Attention(about)
        self.ln_2 = Norm(about["width"], about["eps"])
        self.mlp = Mlp(about)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class Qwen(nn.Module):
    def __init__(self, config):
        super().__init__()
        first = config.get

        def either(new, old):
            return config[new] if new in config else config[old]

        about = {
            "width": either("hidden_size", "n_embd"), "heads": either("num_attention_heads", "n_head"),
            "inner": either("intermediate_size", "ffn_hidden_size") // 2, "bias": not first("no_bias", True),
            "eps": first("layer_norm_epsilon", 1e-6), "span": config["seq_length"], "ntk": first("use_dynamic_ntk", True),
            "logn": first("use_logn_attn", True), "share": first("rotary_pct", 1.0), "theta": first("rotary_emb_base", 10000),
        }
        self.transformer = nn.ModuleDict({
            "wte": nn.Embedding(config["vocab_size"], about["width"]),
            "h": nn.ModuleList(Block(about) for _ in range(either("num_hidden_layers", "n_layer"))),
            "ln_f": Norm(about["width"], about["eps"]),
        })
        self.lm_head = nn.Linear(about["width"], config["vocab_size"], bias=False)

    def forward(self, input_ids):
        x = self.transformer.wte(input_ids)
        points = {"embed": x}
        for i, block in enumerate(self.transformer.h):
            x = block(x)
            points[f"decoder.{i}"] = x
        points["final"] = self.transformer.ln_f(x)
        points["logits"] = self.lm_head(points["final"])
        return points
