"""The encoders of Jina embeddings v2, both codes of them (`feed_forward_type`, symmetric ALiBi; `qk-post-norm`).

Written from the paper (arXiv 2310.19923) and from what is public about the two codes, the second of which norms queries and
keys, adds a norm after the block's own, and gates with the other half. Compared with independent ports of both (read, not run).
"""

import math

import torch
from torch import nn
from torch.nn import functional as F


def slopes(heads: int) -> list[float]:
    """ALiBi: a geometric row for powers of two; for other counts every second slope of the next power is appended."""
    whole = 2 ** math.floor(math.log2(heads))
    row = [2 ** (-8 * (i + 1) / whole) for i in range(whole)]
    return row + [2 ** (-4 * (2 * i + 1) / whole) for i in range(heads - whole)]


class Holder(nn.Module):
    """A module that only holds others under the names of the file."""

    def __init__(self, /, **modules):
        super().__init__()
        for name, module in modules.items():
            self.add_module(name, module)


class Layer(nn.Module):
    def __init__(self, c: dict, post: bool):
        super().__init__()
        d, inner = c["hidden_size"], c["intermediate_size"]
        self.post, self.heads = post, c["num_attention_heads"]
        self.gate = {"geglu": F.gelu, "reglu": F.relu}[c["feed_forward_type"]]

        def norm():
            return nn.LayerNorm(d, eps=c["layer_norm_eps"])

        own = {"layer_norm_q": norm(), "layer_norm_k": norm()} if post else {}
        self.attention = Holder(
            self=Holder(query=nn.Linear(d, d), key=nn.Linear(d, d), value=nn.Linear(d, d), **own),
            output=Holder(dense=nn.Linear(d, d), LayerNorm=norm()),
        )
        if post:
            self.layer_norm_1, self.layer_norm_2 = norm(), norm()
            self.mlp = Holder(up_gated_layer=nn.Linear(d, 2 * inner, bias=False), down_layer=nn.Linear(inner, d))
        else:
            self.mlp = Holder(gated_layers=nn.Linear(d, 2 * inner, bias=False), wo=nn.Linear(inner, d), layernorm=norm())

    def attend(self, x):
        n, d = x.shape
        part = getattr(self.attention, "self")
        q, k, v = part.query(x), part.key(x), part.value(x)
        if self.post:
            q, k = part.layer_norm_q(q), part.layer_norm_k(k)
        q, k, v = (t.view(n, self.heads, d // self.heads) for t in (q, k, v))
        far = (torch.arange(n)[:, None] - torch.arange(n)[None]).abs()
        score = torch.einsum("ihd,jhd->hij", q, k) / math.sqrt(d // self.heads)
        score = score - torch.tensor(slopes(self.heads))[:, None, None] * far
        return self.attention.output.dense(torch.einsum("hij,jhd->ihd", score.softmax(-1), v).reshape(n, d))

    def forward(self, x):
        a = self.attention.output.LayerNorm(x + self.attend(x))
        if not self.post:
            first, second = self.mlp.gated_layers(a).chunk(2, -1)
            return self.mlp.layernorm(a + self.mlp.wo(self.gate(first) * second))
        h = self.layer_norm_1(x + a)
        first, second = self.mlp.up_gated_layer(h).chunk(2, -1)
        return self.layer_norm_2(h + self.mlp.down_layer(first * self.gate(second)))


class JinaBert(nn.Module):
    """With a pooler, without a head, as the public files."""

    def __init__(self, c: dict):
        super().__init__()
        d = c["hidden_size"]
        post = "qk-post-norm" in c["auto_map"]["AutoModel"]
        self.embeddings = Holder(
            word_embeddings=nn.Embedding(c["vocab_size"], d), token_type_embeddings=nn.Embedding(c["type_vocab_size"], d),
            LayerNorm=nn.LayerNorm(d, eps=c["layer_norm_eps"]),
        )
        self.encoder = Holder(layer=nn.ModuleList(Layer(c, post) for _ in range(c["num_hidden_layers"])))
        self.pooler = Holder(dense=nn.Linear(d, d))

    def forward(self, input_ids, token_type_ids):
        e = self.embeddings
        x = e.LayerNorm(e.word_embeddings(input_ids) + e.token_type_embeddings(token_type_ids))
        points = {"embed": x}
        for i, layer in enumerate(self.encoder.layer):
            points[f"encoder.{i}"] = x = layer(x)
        return points | {"final": x, "pooler_output": torch.tanh(self.pooler.dense(x[:1]))}
