"""DeepSeekMoE 16B (model_type `deepseek`): Llama's decoder whose layers, but for the first, mix small experts.

Written from the paper (fine-grained experts beside shared ones that every token passes) and from the published
`modeling_deepseek.py` / `configuration_deepseek.py`: a softmax over all experts, the k largest as they are unless
`norm_topk_prob` (sum + 1e-20, only for k > 1), no scaling; the shared experts are one MLP of `n_shared_experts` widths;
a layer mixes if it is not before `first_k_dense_replace` and its index is a multiple of `moe_layer_freq`. Checked
against two public copies of that file, not against a run of it.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F


class RmsNorm(nn.Module):
    def __init__(self, width: int, eps: float):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x):
        return self.weight * (x / torch.sqrt((x * x).mean(-1, keepdim=True) + self.eps))


class Mlp(nn.Module):
    def __init__(self, width: int, inner: int):
        super().__init__()
        self.gate_proj = nn.Linear(width, inner, bias=False)
        self.up_proj = nn.Linear(width, inner, bias=False)
        self.down_proj = nn.Linear(inner, width, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Experts(nn.Module):
    def __init__(self, config: dict):
        super().__init__()
        self.k = config["num_experts_per_tok"]
        self.norm = config.get("norm_topk_prob", False)
        width, inner = config["hidden_size"], config["moe_intermediate_size"]
        self.gate = nn.Linear(width, config["n_routed_experts"], bias=False)
        self.experts = nn.ModuleList(Mlp(width, inner) for _ in range(config["n_routed_experts"]))
        shared = config.get("n_shared_experts")
        self.shared_experts = Mlp(width, inner * shared) if shared else None

    def forward(self, x):
        rows = []
        for token in x:
            score = torch.softmax(self.gate(token), -1)
            chosen = sorted(range(len(score)), key=lambda e: -score[e].item())[: self.k]
            total = sum(score[e] for e in chosen) + 1e-20 if self.norm and self.k > 1 else 1.0
            rows.append(sum(score[e] / total * self.experts[e](token) for e in chosen))
        y = torch.stack(rows)
        return y if self.shared_experts is None else y + self.shared_experts(x)


class Attention(nn.Module):
    def __init__(self, config: dict):
        super().__init__()
        width = config["hidden_size"]
        self.heads = config["num_attention_heads"]
        self.kv_heads = config.get("num_key_value_heads") or self.heads
        self.dim = width // self.heads
        bias = config.get("attention_bias", False)
        self.q_proj = nn.Linear(width, self.heads * self.dim, bias=bias)
        self.k_proj = nn.Linear(width, self.kv_heads * self.dim, bias=bias)
        self.v_proj = nn.Linear(width, self.kv_heads * self.dim, bias=bias)
        self.o_proj = nn.Linear(self.heads * self.dim, width, bias=bias)
        self.theta = config.get("rope_theta", 10000.0)
        scaling = config.get("rope_scaling")
        assert not scaling or scaling["type"] == "linear"
        self.divide = scaling["factor"] if scaling else 1.0

    def turn(self, x):
        """Feature j turns with feature j + dim/2."""
        half = self.dim // 2
        angle = torch.arange(len(x))[:, None] / self.divide * self.theta ** (-torch.arange(half) / half)
        cos, sin = angle.cos()[:, None], angle.sin()[:, None]
        a, b = x[..., :half], x[..., half:]
        return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)

    def forward(self, x):
        n = len(x)
        q = self.turn(self.q_proj(x).view(n, self.heads, self.dim))
        k = self.turn(self.k_proj(x).view(n, self.kv_heads, self.dim))
        v = self.v_proj(x).view(n, self.kv_heads, self.dim)
        out = []
        for h in range(self.heads):
            g = h * self.kv_heads // self.heads
            score = q[:, h] @ k[:, g].T / math.sqrt(self.dim)
            score = score.masked_fill(torch.ones(n, n).triu(1).bool(), float("-inf"))
            out.append(torch.softmax(score, -1) @ v[:, g])
        return self.o_proj(torch.cat(out, -1))


class Layer(nn.Module):
    def __init__(self, config: dict, i: int):
        super().__init__()
        width, eps = config["hidden_size"], config["rms_norm_eps"]
        mixes = i >= config.get("first_k_dense_replace", 0) and i % config.get("moe_layer_freq", 1) == 0
        mixes = mixes and config.get("n_routed_experts") is not None
        self.self_attn = Attention(config)
        self.mlp = Experts(config) if mixes else Mlp(width, config["intermediate_size"])
        self.input_layernorm = RmsNorm(width, eps)
        self.post_attention_layernorm = RmsNorm(width, eps)

    def forward(self, x):
        x = x + self.self_attn(self.input_layernorm(x))
        return x + self.mlp(self.post_attention_layernorm(x))


class Model(nn.Module):
    def __init__(self, config: dict):
        super().__init__()
        self.embed_tokens = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.layers = nn.ModuleList(Layer(config, i) for i in range(config["num_hidden_layers"]))
        self.norm = RmsNorm(config["hidden_size"], config["rms_norm_eps"])


class DeepseekForCausalLM(nn.Module):
    def __init__(self, config: dict):
        super().__init__()
        self.model = Model(config)
        self.lm_head = nn.Linear(config["hidden_size"], config["vocab_size"], bias=False)

    def forward(self, input_ids):
        x = self.model.embed_tokens(input_ids)
        points = {"embed": x}
        for i, layer in enumerate(self.model.layers):
            points[f"decoder.{i}"] = x = layer(x)
        points["final"] = x = self.model.norm(x)
        points["logits"] = self.lm_head(x)
        return points
