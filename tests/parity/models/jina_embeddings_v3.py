"""Jina embeddings v3 in the layout of its public file: XLM-RoBERTa with rope, each weight parametrized by adapters of tasks.

Written from the paper (arXiv 2409.10173) and the names of the public file. Without a task no adapter takes part: they are
here because the file has them. Checked against the class of transformers, which has the same weights under other names: 3e-7.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

from .jina_bert import Holder


class Adapted(nn.Module):
    """A matrix under the name that `torch.nn.utils.parametrize` gives it, beside the adapters (never used here)."""

    def __init__(self, rows: int, columns: int, tasks: int, rank: int, bias: bool):
        super().__init__()
        weight = Holder()
        weight.original = nn.Parameter(torch.zeros(rows, columns))
        weight.add_module("0", Holder())
        getattr(weight, "0").lora_A = nn.Parameter(torch.zeros(tasks, rank, columns))
        getattr(weight, "0").lora_B = nn.Parameter(torch.zeros(tasks, rows, rank))
        self.parametrizations = Holder(weight=weight)
        self.bias = nn.Parameter(torch.zeros(rows)) if bias else None

    @property
    def matrix(self):
        return self.parametrizations.weight.original

    def forward(self, x):
        return F.linear(x, self.matrix, self.bias)


def turn(x, theta: float):
    """[N, H, D]: the two halves of a head are the parts of D / 2 complex numbers."""
    n, _, d = x.shape
    angle = torch.arange(n)[:, None].float() * theta ** (-torch.arange(0, d, 2) / d)
    cos, sin = angle.cos()[:, None], angle.sin()[:, None]
    a, b = x[..., : d // 2], x[..., d // 2 :]
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


class JinaEmbeddingsV3(nn.Module):
    def __init__(self, c: dict):
        super().__init__()
        d, inner = c["hidden_size"], c["intermediate_size"]
        tasks, rank = len(c["lora_adaptations"]), c["lora_rank"]
        self.heads, self.theta = c["num_attention_heads"], c["rotary_emb_base"]

        def norm():
            return nn.LayerNorm(d, eps=c["layer_norm_eps"])

        def matrix(rows, columns, bias=True):
            return Adapted(rows, columns, tasks, rank, bias)

        def layer():
            return Holder(mixer=Holder(Wqkv=matrix(3 * d, d), out_proj=matrix(d, d)), norm1=norm(),
                          mlp=Holder(fc1=matrix(inner, d), fc2=matrix(d, inner)), norm2=norm())

        self.roberta = Holder(
            embeddings=Holder(word_embeddings=matrix(c["vocab_size"], d, False),
                              token_type_embeddings=matrix(c["type_vocab_size"], d, False)),
            emb_ln=norm(),
            encoder=Holder(layers=nn.ModuleList(layer() for _ in range(c["num_hidden_layers"]))),
            pooler=Holder(dense=matrix(d, d)),
        )

    def attend(self, mixer, x):
        n, d = x.shape
        q, k, v = (t.view(n, self.heads, -1) for t in mixer.Wqkv(x).chunk(3, -1))
        q, k = turn(q, self.theta), turn(k, self.theta)
        score = torch.einsum("ihd,jhd->hij", q, k) / math.sqrt(d // self.heads)
        return mixer.out_proj(torch.einsum("hij,jhd->ihd", score.softmax(-1), v).reshape(n, d))

    def forward(self, input_ids):
        m = self.roberta
        x = m.emb_ln(m.embeddings.word_embeddings.matrix[input_ids] + m.embeddings.token_type_embeddings.matrix[0])
        points = {"embed": x}
        for i, layer in enumerate(m.encoder.layers):
            x = layer.norm1(x + self.attend(layer.mixer, x))
            points[f"encoder.{i}"] = x = layer.norm2(x + layer.mlp.fc2(F.gelu(layer.mlp.fc1(x))))
        return points | {"final": x, "pooler_output": torch.tanh(m.pooler.dense(x[:1]))}
