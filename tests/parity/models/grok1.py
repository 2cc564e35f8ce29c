"""Grok-1 in PyTorch (hub repository hpcai-tech/grok-1, class Grok1ModelForCausalLM).

Written from xai-org/grok-1's model.py (JAX) and the configuration class of the PyTorch port. Checked against both: norms
before and after each branch, scores times attn_output_multiplier and then capped, probabilities of all experts, of which
the best k are used as they are. The port takes the exact GELU where the JAX code takes the tanh form; this follows the
port, whose layout the checkpoint has.
"""

import math

import torch
from torch import nn


def turn(x: torch.Tensor) -> torch.Tensor:
    """Rotary positions over the whole head, theta 10000; x is [tokens, heads, width]."""
    n, _, width = x.shape
    half = width // 2
    angle = torch.outer(torch.arange(n).float(), 10000.0 ** (-torch.arange(half).float() / half))[:, None]
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)


class Norm(nn.Module):
    def __init__(self, c):
        super().__init__()
        # Repositories that follow the port call it `scale`, those made for servers `weight`.
        self.name, self.eps = "scale" if c["model_type"] == "grok-1" else "weight", c["rms_norm_eps"]
        setattr(self, self.name, nn.Parameter(torch.zeros(c["hidden_size"])))

    def forward(self, x):
        return getattr(self, self.name) * (x / (x.square().mean(-1, keepdim=True) + self.eps).sqrt())


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.heads, self.keys = c["num_attention_heads"], c["num_key_value_heads"]
        self.width = c["hidden_size"] // self.heads
        self.factor, self.cap = c["attn_output_multiplier"], c["max_attn_value"]
        self.q_proj = nn.Linear(c["hidden_size"], self.heads * self.width, bias=False)
        self.k_proj = nn.Linear(c["hidden_size"], self.keys * self.width, bias=False)
        self.v_proj = nn.Linear(c["hidden_size"], self.keys * self.width, bias=False)
        self.o_proj = nn.Linear(self.heads * self.width, c["hidden_size"], bias=False)

    def forward(self, x):
        n = len(x)
        q = turn(self.q_proj(x).view(n, self.heads, self.width))
        k = turn(self.k_proj(x).view(n, self.keys, self.width)).repeat_interleave(self.heads // self.keys, 1)
        v = self.v_proj(x).view(n, self.keys, self.width).repeat_interleave(self.heads // self.keys, 1)
        score = torch.einsum("qhd,khd->hqk", q, k) * self.factor
        score = self.cap * torch.tanh(score / self.cap)
        score = score.masked_fill(torch.ones(n, n, dtype=torch.bool).triu(1), -math.inf)
        return self.o_proj(torch.einsum("hqk,khd->qhd", score.softmax(-1), v).reshape(n, -1))


class Expert(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.linear = nn.Linear(c["hidden_size"], c["intermediate_size"], bias=False)
        self.linear_v = nn.Linear(c["hidden_size"], c["intermediate_size"], bias=False)
        self.linear_1 = nn.Linear(c["intermediate_size"], c["hidden_size"], bias=False)

    def forward(self, x):
        return self.linear_1(nn.functional.gelu(self.linear(x)) * self.linear_v(x))


class Experts(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.k = c["num_experts_per_tok"]
        self.gate = nn.Linear(c["hidden_size"], c["num_experts"], bias=False)
        self.experts = nn.ModuleList(Expert(c) for _ in range(c["num_experts"]))

    def forward(self, x):
        weight, index = self.gate(x).softmax(-1).topk(self.k, -1)
        rows = [sum(w * self.experts[e](row) for w, e in zip(ws, es)) for row, ws, es in zip(x, weight, index.tolist())]
        return torch.stack(rows)


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        for name in ("pre_attn_norm", "post_attn_norm", "pre_moe_norm", "post_moe_norm"):
            setattr(self, name, Norm(c))
        self.attn, self.moe_block = Attention(c), Experts(c)

    def forward(self, x):
        x = x + self.post_attn_norm(self.attn(self.pre_attn_norm(x)))
        return x + self.post_moe_norm(self.moe_block(self.pre_moe_norm(x)))


class Body(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.embed_tokens = nn.Embedding(c["vocab_size"], c["hidden_size"])
        self.layers = nn.ModuleList(Layer(c) for _ in range(c["num_hidden_layers"]))
        self.norm = Norm(c)


class Grok1(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.c, self.model = config, Body(config)
        if not config["tie_word_embeddings"]:
            self.lm_head = nn.Linear(config["hidden_size"], config["vocab_size"], bias=False)

    def forward(self, input_ids):
        x = self.model.embed_tokens(input_ids) * self.c["embedding_multiplier_scale"]
        points = {"embed": x}
        for i, layer in enumerate(self.model.layers):
            points[f"decoder.{i}"] = x = layer(x)
        points["final"] = x = self.model.norm(x)
        head = self.model.embed_tokens.weight if self.c["tie_word_embeddings"] else self.lm_head.weight
        return points | {"logits": x @ head.T * self.c["output_multiplier_scale"]}
