"""MPT in the form of its own code, for what the class of transformers leaves out: it ignores `alibi_bias_max`.

Checked against the public code of the repositories (attention with ALiBi: slopes for the next power of two heads, every
second one first) and, with `alibi_bias_max` 8, against transformers.
"""

import math

import torch
from torch import nn


def slopes(heads: int, largest: float) -> list[float]:
    whole = 2 ** math.ceil(math.log2(heads))
    every = [2.0 ** -(largest * k / whole) for k in range(1, whole + 1)]
    return every if whole == heads else (every[1::2] + every[0::2])[:heads]


class Norm(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        centred = x - x.mean(-1, keepdim=True)
        return centred / (centred.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt() * self.weight


class Attention(nn.Module):
    def __init__(self, config: dict):
        super().__init__()
        width, self.heads, self.settings = config["d_model"], config["n_heads"], config["attn_config"]
        self.Wqkv = nn.Linear(width, 3 * width, bias=False)
        self.out_proj = nn.Linear(width, width, bias=False)

    def forward(self, x):
        tokens, width = x.shape
        size = width // self.heads
        fused = self.Wqkv(x)
        if self.settings["clip_qkv"]:
            fused = fused.clamp(-self.settings["clip_qkv"], self.settings["clip_qkv"])
        scale = self.settings["softmax_scale"] or size**-0.5
        future = torch.ones(tokens, tokens).triu(1).bool()
        back = torch.arange(1 - tokens, 1).float()
        out = []
        for head, slope in enumerate(slopes(self.heads, self.settings["alibi_bias_max"])):
            q, k, v = (part[:, head * size : (head + 1) * size] for part in fused.split(width, -1))
            out.append((q @ k.T * scale + slope * back).masked_fill(future, -math.inf).softmax(-1) @ v)
        return self.out_proj(torch.cat(out, -1))


class Layer(nn.Module):
    def __init__(self, config: dict):
        super().__init__()
        width = config["d_model"]
        self.norm_1, self.norm_2 = Norm(width), Norm(width)
        self.attn = Attention(config)
        self.ffn = nn.ModuleDict({"up_proj": nn.Linear(width, 4 * width, bias=False),
                                  "down_proj": nn.Linear(4 * width, width, bias=False)})

    def forward(self, x):
        x = x + self.attn(self.norm_1(x))
        return x + self.ffn["down_proj"](nn.functional.gelu(self.ffn["up_proj"](self.norm_2(x))))


class Body(nn.Module):
    def __init__(self, config: dict):
        super().__init__()
        self.wte = nn.Embedding(config["vocab_size"], config["d_model"])
        self.blocks = nn.ModuleList(Layer(config) for _ in range(config["n_layers"]))
        self.norm_f = Norm(config["d_model"])


class MPTForCausalLM(nn.Module):
    def __init__(self, config: dict):
        super().__init__()
        self.transformer = Body(config)

    def forward(self, input_ids):
        body = self.transformer
        x = body.wte(input_ids)
        points = {"embed": x}
        for i, layer in enumerate(body.blocks):
            x = points[f"decoder.{i}"] = layer(x)
        points["final"] = body.norm_f(x)
        points["logits"] = points["final"] @ body.wte.weight.T
        return points
