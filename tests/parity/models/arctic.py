"""Snowflake Arctic (hub repository Snowflake/snowflake-arctic-instruct, class ArcticForCausalLM).

Written from the public modeling and configuration code of the model (its plain experts, without DeepSpeed) and checked
against the description in Snowflake's cookbook: a dense transformer whose layers carry, every moe_layer_frequency-th,
experts beside them. These read the input of the layer, not what the attention made of it.
"""

import math

import torch
from torch import nn
from torch.nn.functional import silu


def rms(x, weight, eps):
    return weight * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps)


def turn(x, theta):
    """x is [tokens, heads, width]."""
    n, _, width = x.shape
    half = width // 2
    angle = torch.outer(torch.arange(n).float(), theta ** (-torch.arange(half).float() / half))[:, None]
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)


class Weight(nn.Module):
    """A module that holds one weight."""

    def __init__(self, *shape):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(*shape))


class Mlp(nn.Module):
    def __init__(self, width, inner):
        super().__init__()
        self.w1, self.w2, self.w3 = Weight(inner, width), Weight(width, inner), Weight(inner, width)

    def forward(self, x):
        return (silu(x @ self.w1.weight.T) * (x @ self.w3.weight.T)) @ self.w2.weight.T


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        width, self.heads, self.keys = c["hidden_size"], c["num_attention_heads"], c["num_key_value_heads"]
        self.size, self.theta = width // self.heads, c["rope_theta"]
        self.q_proj, self.k_proj = Weight(width, width), Weight(self.keys * self.size, width)
        self.v_proj, self.o_proj = Weight(self.keys * self.size, width), Weight(width, width)

    def forward(self, x):
        n, group = len(x), self.heads // self.keys
        q = turn((x @ self.q_proj.weight.T).view(n, self.heads, self.size), self.theta)
        k = turn((x @ self.k_proj.weight.T).view(n, self.keys, self.size), self.theta)
        v = (x @ self.v_proj.weight.T).view(n, self.keys, self.size)
        out = []
        for h in range(self.heads):
            score = q[:, h] @ k[:, h // group].T / math.sqrt(self.size)
            score = score + torch.full((n, n), -math.inf).triu(1)
            out.append(score.softmax(-1) @ v[:, h // group])
        return torch.cat(out, -1) @ self.o_proj.weight.T


class Experts(nn.Module):
    def __init__(self, c, sparse):
        super().__init__()
        self.k = c["num_experts_per_tok"]
        if sparse:
            self.gate = Weight(c["num_local_experts"], c["hidden_size"])
            self.experts = nn.ModuleList(Mlp(c["hidden_size"], c["intermediate_size"]) for _ in range(c["num_local_experts"]))
        else:
            self.mlp = Mlp(c["hidden_size"], c["intermediate_size"])

    def forward(self, x):
        if hasattr(self, "mlp"):
            return self.mlp(x)
        share, index = (x @ self.gate.weight.T).softmax(-1).topk(self.k, -1)
        share = share / share.sum(-1, keepdim=True)
        out = torch.zeros_like(x)
        for t in range(len(x)):
            for j in range(self.k):
                out[t] += share[t, j] * self.experts[index[t, j]](x[t])
        return out


class Layer(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        sparse = (i + 1) % c["moe_layer_frequency"] == 0
        self.beside, self.eps, width = sparse and c["parallel_attn_mlp_res"], c["rms_norm_eps"], c["hidden_size"]
        self.self_attn, self.block_sparse_moe = Attention(c), Experts(c, sparse)
        self.input_layernorm, self.post_attention_layernorm = Weight(width), Weight(width)
        if self.beside:
            self.residual_layernorm, self.residual_mlp = Weight(width), Mlp(width, width)

    def forward(self, x):
        h = x + self.self_attn(rms(x, self.input_layernorm.weight, self.eps))
        if not self.beside:
            return h + self.block_sparse_moe(rms(h, self.post_attention_layernorm.weight, self.eps))
        dense = self.residual_mlp(rms(h, self.residual_layernorm.weight, self.eps))
        return h + dense + self.block_sparse_moe(rms(x, self.post_attention_layernorm.weight, self.eps))


class Body(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.embed_tokens, self.norm = Weight(c["vocab_size"], c["hidden_size"]), Weight(c["hidden_size"])
        self.layers = nn.ModuleList(Layer(c, i) for i in range(c["num_hidden_layers"]))


class Arctic(nn.Module):
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
        return points | {"logits": x @ self.lm_head.weight.T}
