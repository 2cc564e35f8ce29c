"""Models of the Llama line that live in code beside their weights: Baichuan 1 and 2, InternLM, InternLM2, MiniCPM.

Checked against the public code of each: `modeling_baichuan.py` (Baichuan2-13B: W_pack is q | k | v; slopes times the index
of the key, in the order of the ALiBi paper; NormHead gives the rows of lm_head length 1; 7B: rope with base 10000),
`modeling_internlm.py` (biases by `bias`; `rotary` names base and kind, `dynamic` with factor 1 stretches the base once a text
is longer than max_position_embeddings), `modeling_internlm2.py` (wqkv is [key head, its queries + k + v, head_dim]),
`modeling_minicpm.py` (embedding times scale_emb, branches times scale_depth / sqrt(layers), final state over
hidden_size / dim_model_base; MiniCPM 4: longrope).
"""

import math

import torch
from torch import nn
from torch.nn.functional import linear, silu, softmax


class Norm(nn.Module):
    def __init__(self, size: int, eps: float):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(size)), eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.weight * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps)


def frequencies(config: dict, dim: int, length: int) -> tuple[torch.Tensor, float]:
    """The angle of each pair for one step, and a factor on cos and sin."""
    base, steps = config.get("rope_theta", 10000.0), torch.arange(0, dim, 2) / dim
    longest, scaling = config.get("max_position_embeddings"), config.get("rope_scaling")
    if config.get("rotary"):
        base = config["rotary"]["base"]
        dynamic = config["rotary"]["type"] == "dynamic"
        scaling = {"type": "dynamic", "factor": config["rotary"].get("scaling_factor", 1.0)} if dynamic else None
    if not scaling:
        return base**-steps, 1.0
    kind, factor = scaling.get("type") or scaling["rope_type"], scaling.get("factor")
    if kind == "linear":
        return base**-steps / factor, 1.0
    if kind == "dynamic":
        if length > longest:
            base = base * (factor * length / longest - (factor - 1)) ** (dim / (dim - 2))
        return base**-steps, 1.0
    assert kind == "longrope"
    first = scaling["original_max_position_embeddings"]
    by = torch.tensor(scaling["long_factor" if length > first else "short_factor"])
    return base**-steps / by, math.sqrt(1 + math.log(longest / first) / math.log(first))


def turn(x: torch.Tensor, config: dict) -> torch.Tensor:
    """x [tokens, heads, dim]: feature j and j + dim / 2 are one point of a plane."""
    rate, gain = frequencies(config, x.shape[-1], len(x))
    angle = torch.arange(len(x))[:, None, None] * rate
    a, b = x.chunk(2, -1)
    return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1) * gain


def slopes(heads: int) -> list[float]:
    """The ALiBi paper's: a power of two is a geometric row; the rest takes every second one of the next power."""
    if heads & (heads - 1) == 0:
        return [2 ** (-8 * (h + 1) / heads) for h in range(heads)]
    below = 1 << (heads.bit_length() - 1)
    return slopes(below) + slopes(2 * below)[0::2][: heads - below]


def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, bias: torch.Tensor | float = 0.0) -> torch.Tensor:
    """[tokens, heads, dim] each, k and v with fewer heads; bias [heads, 1, tokens] on the keys."""
    per = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(per, 1), v.repeat_interleave(per, 1)
    score = torch.einsum("qhd,khd->hqk", q, k) / math.sqrt(q.shape[-1]) + bias
    score = score.masked_fill(torch.ones(len(q), len(q)).triu(1).bool(), float("-inf"))
    return torch.einsum("hqk,khd->qhd", softmax(score, -1), v).flatten(1)


class Attention(nn.Module):
    """q, k, v apart: InternLM, MiniCPM."""

    def __init__(self, config: dict):
        super().__init__()
        self.config, width, self.heads = config, config["hidden_size"], config["num_attention_heads"]
        self.dim, self.kv = width // self.heads, config.get("num_key_value_heads") or self.heads
        bias = config.get("bias", False)
        self.q_proj = nn.Linear(width, self.heads * self.dim, bias=bias)
        self.k_proj = nn.Linear(width, self.kv * self.dim, bias=bias)
        self.v_proj = nn.Linear(width, self.kv * self.dim, bias=bias)
        self.o_proj = nn.Linear(width, width, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (p(x).unflatten(-1, (-1, self.dim)) for p in (self.q_proj, self.k_proj, self.v_proj))
        return self.o_proj(attend(turn(q, self.config), turn(k, self.config), v))


class BaichuanAttention(nn.Module):
    def __init__(self, config: dict):
        super().__init__()
        self.config, width, self.heads = config, config["hidden_size"], config["num_attention_heads"]
        self.W_pack = nn.Linear(width, 3 * width, bias=False)
        self.o_proj = nn.Linear(width, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (p.unflatten(-1, (self.heads, -1)) for p in self.W_pack(x).chunk(3, -1))
        if "max_position_embeddings" in self.config:  # 7B
            return self.o_proj(attend(turn(q, self.config), turn(k, self.config), v))
        places = torch.arange(len(x)) - len(x) + 1
        return self.o_proj(attend(q, k, v, torch.tensor(slopes(self.heads))[:, None, None] * places))


class InternLM2Attention(nn.Module):
    def __init__(self, config: dict):
        super().__init__()
        self.config, width, self.heads = config, config["hidden_size"], config["num_attention_heads"]
        self.dim, self.kv = width // self.heads, config["num_key_value_heads"]
        self.wqkv = nn.Linear(width, (self.heads + 2 * self.kv) * self.dim, bias=config["bias"])
        self.wo = nn.Linear(width, width, bias=config["bias"])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        groups = self.wqkv(x).unflatten(-1, (self.kv, -1, self.dim))
        q = turn(groups[:, :, :-2].flatten(1, 2), self.config)
        return self.wo(attend(q, turn(groups[:, :, -2], self.config), groups[:, :, -1]))


class MLP(nn.Module):
    names = ("gate_proj", "up_proj", "down_proj")

    def __init__(self, config: dict):
        super().__init__()
        a, b = config["hidden_size"], config["intermediate_size"]
        for name, (i, o) in zip(self.names, ((a, b), (a, b), (b, a))):
            self.add_module(name, nn.Linear(i, o, bias=False))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate, up, down = (getattr(self, name) for name in self.names)
        return down(silu(gate(x)) * up(x))


class InternLM2MLP(MLP):
    names = ("w1", "w3", "w2")


class Layer(nn.Module):
    names = ("input_layernorm", "self_attn", "post_attention_layernorm", "mlp")
    parts = (Attention, MLP)

    def __init__(self, config: dict):
        super().__init__()
        norm = (config["hidden_size"], config["rms_norm_eps"])
        made = (Norm(*norm), self.parts[0](config), Norm(*norm), self.parts[1](config))
        for name, module in zip(self.names, made):
            self.add_module(name, module)

    def forward(self, x: torch.Tensor, scale: float) -> torch.Tensor:
        before, attention, between, mlp = (getattr(self, name) for name in self.names)
        x = x + scale * attention(before(x))
        return x + scale * mlp(between(x))


class BaichuanLayer(Layer):
    parts = (BaichuanAttention, MLP)


class InternLM2Layer(Layer):
    names = ("attention_norm", "attention", "ffn_norm", "feed_forward")
    parts = (InternLM2Attention, InternLM2MLP)


class Model(nn.Module):
    layer, table, head = Layer, "embed_tokens", "lm_head"

    def __init__(self, config: dict):
        super().__init__()
        self.config, size = config, (config["vocab_size"], config["hidden_size"])
        self.model = nn.Module()
        self.model.add_module(self.table, nn.Embedding(*size))
        self.model.layers = nn.ModuleList(self.layer(config) for _ in range(config["num_hidden_layers"]))
        self.model.norm = Norm(config["hidden_size"], config["rms_norm_eps"])
        if not config.get("tie_word_embeddings", False):
            self.add_module(self.head, nn.Linear(size[1], size[0], bias=False))

    def forward(self, input_ids: torch.Tensor) -> dict[str, torch.Tensor]:
        table = getattr(self.model, self.table)
        x = table(input_ids) * self.config.get("scale_emb", 1)
        found = {"embed": x}
        scale = self.branch()
        for i, layer in enumerate(self.model.layers):
            found[f"decoder.{i}"] = x = layer(x, scale)
        found["final"] = x = self.model.norm(x)
        rows = getattr(self, self.head, table).weight
        found["logits"] = linear(self.narrow(x), self.rows(rows))
        return found

    def branch(self) -> float:
        return 1.0

    def narrow(self, x: torch.Tensor) -> torch.Tensor:
        return x

    def rows(self, weight: torch.Tensor) -> torch.Tensor:
        return weight


class Baichuan(Model):
    layer = BaichuanLayer

    def rows(self, weight: torch.Tensor) -> torch.Tensor:
        return weight / weight.norm(dim=-1, keepdim=True) if "z_loss_weight" in self.config else weight


class InternLM(Model):
    pass


class InternLM2(Model):
    layer, table, head = InternLM2Layer, "tok_embeddings", "output"


class MiniCPM(Model):
    def branch(self) -> float:
        return self.config.get("scale_depth", 1.0) / math.sqrt(len(self.model.layers))

    def narrow(self, x: torch.Tensor) -> torch.Tensor:
        return x / (self.config["hidden_size"] / self.config.get("dim_model_base", 1))
