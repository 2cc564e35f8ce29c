"""GTE (`NewModel` of Alibaba's gte-v1.5 and gte-multilingual, `GteModel` of arctic-embed v2): BERT with rope and a gated MLP.

Written from the paper (arXiv 2407.19669) and the public code of the class. Checked against what two public servers of
embeddings compute for it (order of the gate, NTK scaling of the rope); without scaling against the class of transformers: 4e-7.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

from .jina_bert import Holder

ACTS = {"gelu": F.gelu, "relu": F.relu}


class RMSNorm(nn.Module):
    def __init__(self, width: int, eps: float):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(width)), eps

    def forward(self, x):
        return self.weight * x / (x.pow(2).mean(-1, keepdim=True) + self.eps).sqrt()


class Gte(nn.Module):
    """The bare encoder, whose names have no prefix."""

    def __init__(self, c: dict):
        super().__init__()
        self.c, d, inner = c, c["hidden_size"], c["intermediate_size"]
        kind = RMSNorm if c["layer_norm_type"] == "rms_norm" else nn.LayerNorm
        self.act = ACTS[c["hidden_act"]]

        def norm():
            return kind(d, eps=c["layer_norm_eps"])

        def attention():
            names = ("qkv_proj",) if c["pack_qkv"] else ("q_proj", "k_proj", "v_proj")
            return Holder(**{n: nn.Linear(d, 3 * d // len(names)) for n in names}, o_proj=nn.Linear(d, d))

        def layer():
            mlp = Holder(up_gate_proj=nn.Linear(d, 2 * inner, bias=False), down_proj=nn.Linear(inner, d))
            return Holder(attention=attention(), mlp=mlp, attn_ln=norm(), mlp_ln=norm())

        tables = {"word_embeddings": c["vocab_size"]}
        if c["type_vocab_size"] > 0:
            tables["token_type_embeddings"] = c["type_vocab_size"]
        if c["position_embedding_type"] == "absolute":
            tables["position_embeddings"] = c["max_position_embeddings"]
        bare = Holder(embeddings=Holder(**{n: nn.Embedding(rows, d) for n, rows in tables.items()}, LayerNorm=norm()),
                      encoder=Holder(layer=nn.ModuleList(layer() for _ in range(c["num_hidden_layers"]))))
        self.finish(bare, c)

    def finish(self, bare, c):
        self.embeddings, self.encoder = bare.embeddings, bare.encoder

    def angles(self, n: int, d: int):
        theta, scaling = self.c["rope_theta"], self.c["rope_scaling"]
        if scaling is None:
            rate = theta ** (-torch.arange(0, d, 2) / d)
        else:  # "mixed NTK" without its mixing: base * factor, and all rates / factor^(2 / d)
            rate = (theta * scaling["factor"]) ** (-torch.arange(0, d, 2) / d) / scaling["factor"] ** (2 / d)
        return torch.arange(n)[:, None, None] * rate

    def turn(self, x):
        if self.c["position_embedding_type"] != "rope":
            return x
        angle = self.angles(len(x), x.shape[-1])
        a, b = x.chunk(2, -1)
        return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)

    def attend(self, m, x):
        n, d = x.shape
        all_three = m.qkv_proj(x).chunk(3, -1) if self.c["pack_qkv"] else (m.q_proj(x), m.k_proj(x), m.v_proj(x))
        q, k, v = (t.view(n, self.c["num_attention_heads"], -1) for t in all_three)
        score = torch.einsum("ihd,jhd->hij", self.turn(q), self.turn(k)) / math.sqrt(q.shape[-1])
        return m.o_proj(torch.einsum("hij,jhd->ihd", score.softmax(-1), v).reshape(n, d))

    def encode(self, m, ids, types):
        x = m.embeddings.word_embeddings(ids)
        if self.c["position_embedding_type"] == "absolute":
            x = x + m.embeddings.position_embeddings.weight[: len(ids)]
        if self.c["type_vocab_size"] > 0:
            types = torch.zeros_like(ids) if types is None or self.c["type_vocab_size"] < 2 else types
            x = x + m.embeddings.token_type_embeddings(types)
        x = m.embeddings.LayerNorm(x)
        points = {"embed": x}
        for i, layer in enumerate(m.encoder.layer):
            x = layer.attn_ln(x + self.attend(layer.attention, x))
            up, gate = layer.mlp.up_gate_proj(x).chunk(2, -1)
            x = layer.mlp_ln(x + layer.mlp.down_proj(up * self.act(gate)))
            points[f"encoder.{i}"] = x
        return points | {"final": x}

    def forward(self, input_ids, token_type_ids=None):
        return self.encode(self, input_ids, token_type_ids)


class GteForMaskedLM(Gte):
    """The matrix of the head is the table of words; its bias is its own."""

    def finish(self, bare, c):
        d = c["hidden_size"]
        self.new = bare
        self.lm_head = Holder(dense=nn.Linear(d, d), norm=nn.LayerNorm(d, eps=c["layer_norm_eps"]),
                              decoder=Holder())
        self.lm_head.decoder.bias = nn.Parameter(torch.zeros(c["vocab_size"]))

    def forward(self, input_ids, token_type_ids=None):
        points = self.encode(self.new, input_ids, token_type_ids)
        x = self.lm_head.norm(self.act(self.lm_head.dense(points["final"])))
        return points | {"logits": x @ self.new.embeddings.word_embeddings.weight.T + self.lm_head.decoder.bias}


class GteForSequenceClassification(Gte):
    """As the reranker."""

    def finish(self, bare, c):
        d = c["hidden_size"]
        self.new, self.classifier = bare, nn.Linear(d, c["num_labels"])
        self.new.pooler = Holder(dense=nn.Linear(d, d))

    def forward(self, input_ids, token_type_ids=None):
        points = self.encode(self.new, input_ids, token_type_ids)
        pooled = self.new.pooler.dense(points["final"][:1]).tanh()
        return points | {"pooler_output": pooled, "class_logits": self.classifier(pooled)}
