"""Nomic BERT with the config.json of its public repositories (GPT-2's keys): gated MLP, plain MLP, mixture of experts, and
the dynamic scaling of its rope.

Written from the papers (arXiv 2402.01613, 2502.07972) and what is public about the code. Checked against the class of
transformers (gated MLP, also with the scaled rope: 2e-7); the experts were compared with independent ports (read, not run).
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

from .jina_bert import Holder
from .jina_embeddings_v3 import turn

GATES = {"swiglu": F.silu, "geglu": F.gelu, "glu": torch.sigmoid}


class Experts(nn.Module):
    """Both matrices of an expert are [inner, width]; one bias for all, after the weighted sum."""

    def __init__(self, c: dict):
        super().__init__()
        self.count, self.chosen = c["num_experts"], c["moe_top_k"]
        self.router = Holder(layer=nn.Linear(c["n_embd"], self.count, bias=False))
        self.experts = Holder(mlp=Holder())
        for name in ("w1", "w2"):
            setattr(self.experts.mlp, name, nn.Parameter(torch.zeros(self.count * c["n_inner"], c["n_embd"])))
        self.experts.bias = nn.Parameter(torch.zeros(c["n_embd"]))

    def forward(self, x):
        probability = self.router.layer(x).softmax(-1)
        kept = torch.zeros_like(probability)
        value, index = probability.topk(self.chosen)
        kept.scatter_(1, index, value)
        out = self.experts.bias.expand_as(x)
        for e, (up, down) in enumerate(zip(self.experts.mlp.w1.chunk(self.count), self.experts.mlp.w2.chunk(self.count))):
            out = out + kept[:, e : e + 1] * (F.gelu(x @ up.T) @ down)
        return out


class NomicBert(nn.Module):
    def __init__(self, c: dict):
        super().__init__()
        self.c, d, inner = c, c["n_embd"], c["n_inner"]

        def norm():
            return nn.LayerNorm(d, eps=c["layer_norm_epsilon"])

        def mlp(i):
            if c.get("num_experts") and i % c["moe_every_n_layers"] == 1:
                return Experts(c)
            first, second = c["mlp_fc1_bias"], c["mlp_fc2_bias"]
            names = ("fc11", "fc12") if c["activation_function"] in GATES else ("fc1",)
            return Holder(**{name: nn.Linear(d, inner, bias=first) for name in names}, fc2=nn.Linear(inner, d, bias=second))

        def layer(i):
            bias = c["qkv_proj_bias"]
            attention = Holder(Wqkv=nn.Linear(d, 3 * d, bias=bias), out_proj=nn.Linear(d, d, bias=bias))
            return Holder(attn=attention, norm1=norm(), mlp=mlp(i), norm2=norm())

        self.embeddings = Holder(word_embeddings=nn.Embedding(c["vocab_size"], d),
                                 token_type_embeddings=nn.Embedding(c["type_vocab_size"], d))
        self.emb_ln = norm()
        self.encoder = Holder(layers=nn.ModuleList(layer(i) for i in range(c["n_layer"])))

    def rotate(self, x):
        """The scaled base holds for texts beyond the trained length; the first `fraction` of a head is turned."""
        theta, n, width = self.c["rotary_emb_base"], len(x), int(x.shape[-1] * self.c["rotary_emb_fraction"])
        factor, trained = self.c.get("rotary_scaling_factor"), self.c["max_trained_positions"]
        if factor and n > trained:
            theta *= (factor * n / trained - (factor - 1)) ** (width / (width - 2))
        return torch.cat([turn(x[..., :width], theta), x[..., width:]], -1)

    def attend(self, m, x):
        n, d = x.shape
        heads = self.c["n_head"]
        q, k, v = (t.view(n, heads, -1) for t in m.Wqkv(x).chunk(3, -1))
        score = torch.einsum("ihd,jhd->hij", self.rotate(q), self.rotate(k)) / math.sqrt(d // heads)
        return m.out_proj(torch.einsum("hij,jhd->ihd", score.softmax(-1), v).reshape(n, d))

    def feed(self, m, x):
        if isinstance(m, Experts):
            return m(x)
        kind = self.c["activation_function"]
        return m.fc2(m.fc11(x) * GATES[kind](m.fc12(x)) if kind in GATES else F.gelu(m.fc1(x)))

    def forward(self, input_ids, token_type_ids=None):
        types = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids
        x = self.emb_ln(self.embeddings.word_embeddings(input_ids) + self.embeddings.token_type_embeddings(types))
        points = {"embed": x}
        for i, layer in enumerate(self.encoder.layers):
            x = layer.norm1(x + self.attend(layer.attn, x))
            points[f"encoder.{i}"] = x = layer.norm2(x + self.feed(layer.mlp, x))
        return points | {"final": x}
