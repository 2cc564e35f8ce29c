"""FlauBERT with either order of norms: its large model (`pre_norm`), which the class of transformers 5 cannot run.

Written from the papers (arXiv 1912.05372, 1901.07291) and the public code of the class. Checked against transformers with
the norms after the blocks, where its class works: 3e-7.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

from .jina_bert import Holder


class Flaubert(nn.Module):
    def __init__(self, c: dict):
        super().__init__()
        d, layers, self.c = c["emb_dim"], c["n_layers"], c

        def norm():
            return nn.LayerNorm(d, eps=c["layer_norm_eps"])

        def attention():
            return Holder(**{name: nn.Linear(d, d) for name in ("q_lin", "k_lin", "v_lin", "out_lin")})

        def many(make):
            return nn.ModuleList(make() for _ in range(layers))

        self.transformer = Holder(
            embeddings=nn.Embedding(c["vocab_size"], d),
            position_embeddings=nn.Embedding(c["max_position_embeddings"], d),
            layer_norm_emb=norm(),
            attentions=many(attention),
            layer_norm1=many(norm),
            ffns=many(lambda: Holder(lin1=nn.Linear(d, 4 * d), lin2=nn.Linear(4 * d, d))),
            layer_norm2=many(norm),
        )
        self.pred_layer = Holder(proj=Holder())
        self.pred_layer.proj.bias = nn.Parameter(torch.zeros(c["vocab_size"]))

    def attend(self, m, x):
        n, d = x.shape
        q, k, v = (t(x).view(n, self.c["n_heads"], -1) for t in (m.q_lin, m.k_lin, m.v_lin))
        score = torch.einsum("ihd,jhd->hij", q, k) / math.sqrt(q.shape[-1])
        return m.out_lin(torch.einsum("hij,jhd->ihd", score.softmax(-1), v).reshape(n, d))

    def forward(self, input_ids):
        t = self.transformer
        x = t.layer_norm_emb(t.embeddings(input_ids) + t.position_embeddings.weight[: len(input_ids)])
        points = {"embed": x}
        for i, (attention, norm1, ffn, norm2) in enumerate(zip(t.attentions, t.layer_norm1, t.ffns, t.layer_norm2)):
            if self.c["pre_norm"]:
                x = x + self.attend(attention, norm1(x))
                x = x + ffn.lin2(F.gelu(ffn.lin1(norm2(x))))
            else:
                x = norm1(x + self.attend(attention, x))
                x = norm2(x + ffn.lin2(F.gelu(ffn.lin1(x))))
            points[f"encoder.{i}"] = x
        return points | {"final": x, "logits": x @ t.embeddings.weight.T + self.pred_layer.proj.bias}
