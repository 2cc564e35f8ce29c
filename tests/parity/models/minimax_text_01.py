"""MiniMax-Text-01 and MiniMax-M1 (hub repositories MiniMaxAI/MiniMax-Text-01, MiniMaxAI/MiniMax-M1-80k).

Written from the technical report (lightning attention with a decay per head and layer, residuals from the normed input,
half of each head turned by positions) and the public code of vLLM's port. The port of transformers, which turns the whole
head, is the reference of the other fixtures of this model; both agree on everything else.
"""

import math

import torch
from torch import nn
from torch.nn.functional import silu


def rms(x, weight, eps):
    return weight * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps)


def turn(x, width, theta):
    """The first `width` features of each head of x [tokens, heads, size]."""
    half = width // 2
    angle = torch.outer(torch.arange(len(x)).float(), theta ** (-torch.arange(half).float() / half))[:, None]
    a, b, rest = x[..., :half], x[..., half:width], x[..., width:]
    return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin(), rest], -1)


class Weight(nn.Module):
    def __init__(self, *shape):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(*shape))

    def forward(self, x):
        return x @ self.weight.T


class Lightning(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        self.heads, self.size = c["num_attention_heads"], c["head_dim"]
        inner = self.heads * self.size
        self.qkv_proj, self.output_gate = Weight(3 * inner, c["hidden_size"]), Weight(inner, c["hidden_size"])
        self.out_proj, self.norm = Weight(c["hidden_size"], inner), Weight(inner)
        # Heads forget at rates 2^-1 .. 2^-8 (for 8 heads), later layers more slowly.
        rate = torch.tensor([2.0 ** (-8.0 * (h + 1) / self.heads) for h in range(self.heads)])
        self.keep = torch.exp(-rate * (1 - i / (c["num_hidden_layers"] - 1 + 1e-5) + 1e-5))

    def forward(self, x):
        q, k, v = silu(self.qkv_proj(x)).view(len(x), self.heads, 3, self.size).unbind(2)
        state, out = torch.zeros(self.heads, self.size, self.size), []
        for t in range(len(x)):
            state = self.keep[:, None, None] * state + k[t, :, :, None] * v[t, :, None, :]
            out.append((q[t, :, None, :] @ state).reshape(-1))
        return self.out_proj(torch.sigmoid(self.output_gate(x)) * rms(torch.stack(out), self.norm.weight, 1e-6))


class Full(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.heads, self.keys, self.size = c["num_attention_heads"], c["num_key_value_heads"], c["head_dim"]
        self.rotary, self.theta, width = c["rotary_dim"], c["rope_theta"], c["hidden_size"]
        self.q_proj, self.o_proj = Weight(self.heads * self.size, width), Weight(width, self.heads * self.size)
        self.k_proj, self.v_proj = Weight(self.keys * self.size, width), Weight(self.keys * self.size, width)

    def forward(self, x):
        n, group = len(x), self.heads // self.keys
        q = turn(self.q_proj(x).view(n, self.heads, self.size), self.rotary, self.theta)
        k = turn(self.k_proj(x).view(n, self.keys, self.size), self.rotary, self.theta)
        v = self.v_proj(x).view(n, self.keys, self.size)
        out = []
        for h in range(self.heads):
            score = q[:, h] @ k[:, h // group].T / math.sqrt(self.size) + torch.full((n, n), -math.inf).triu(1)
            out.append(score.softmax(-1) @ v[:, h // group])
        return self.o_proj(torch.cat(out, -1))


class Expert(nn.Module):
    def __init__(self, c):
        super().__init__()
        width, inner = c["hidden_size"], c["intermediate_size"]
        self.w1, self.w2, self.w3 = Weight(inner, width), Weight(width, inner), Weight(inner, width)

    def forward(self, x):
        return self.w2(silu(self.w1(x)) * self.w3(x))


class Experts(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.k, self.gate = c["num_experts_per_tok"], Weight(c["num_local_experts"], c["hidden_size"])
        self.experts = nn.ModuleList(Expert(c) for _ in range(c["num_local_experts"]))

    def forward(self, x):
        share, index = self.gate(x).softmax(-1).topk(self.k, -1)
        share = share / share.sum(-1, keepdim=True)
        rows = [sum(s * self.experts[e](row) for s, e in zip(ss, es)) for row, ss, es in zip(x, share, index.tolist())]
        return torch.stack(rows)


class Layer(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        self.c, self.kind = c, "full" if c["attn_type_list"][i] else "linear"
        self.self_attn = Full(c) if c["attn_type_list"][i] else Lightning(c, i)
        self.block_sparse_moe = Experts(c)
        self.input_layernorm, self.post_attention_layernorm = Weight(c["hidden_size"]), Weight(c["hidden_size"])

    def forward(self, x):
        c, eps = self.c, self.c["rms_norm_eps"]
        n = rms(x, self.input_layernorm.weight, eps)
        kept = n if c["postnorm"] else x
        x = kept * c[f"layernorm_{self.kind}_attention_alpha"] + self.self_attn(n) * c[f"layernorm_{self.kind}_attention_beta"]
        n = rms(x, self.post_attention_layernorm.weight, eps)
        kept = n if c["postnorm"] else x
        return kept * c["layernorm_mlp_alpha"] + self.block_sparse_moe(n) * c["layernorm_mlp_beta"]


class Body(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.embed_tokens, self.norm = Weight(c["vocab_size"], c["hidden_size"]), Weight(c["hidden_size"])
        self.layers = nn.ModuleList(Layer(c, i) for i in range(c["num_hidden_layers"]))


class MiniMaxText01(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.eps, self.model = config["rms_norm_eps"], Body(config)
        self.lm_head = Weight(config["vocab_size"], config["hidden_size"])

    def forward(self, input_ids):
        x = self.model.embed_tokens.weight[input_ids]
        points = {"embed": x}
        for i, layer in enumerate(self.model.layers):
            points[f"decoder.{i}"] = x = layer(x)
        points["final"] = x = rms(x, self.model.norm.weight, self.eps)
        return points | {"logits": self.lm_head(x)}
