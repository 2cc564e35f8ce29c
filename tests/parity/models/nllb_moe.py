"""NLLB-200 MoE (model_type `nllb-moe`): an encoder-decoder whose every n-th layer mixes two experts of many.

Written from the paper (NLLB, section on mixtures of experts) and the class of transformers 4 (public copies of it); the experts of
transformers 5 read the router's mask as expert numbers and so run the experts 0 and 1 only. A token takes the two
experts of largest probability, weights divided by their sum; each expert's output is multiplied by
1 - moe_token_dropout, also at inference. Without a padded batch the capacity at inference (all tokens) drops nothing.
Checked against transformers 5.23 with its loop over the experts replaced: logits agree to 5e-7.
"""

import math

import torch
from torch.nn import functional as F

from models.plain import Plain


class NllbMoe(Plain):
    def shapes(self) -> dict:
        c = self.config
        width = c["d_model"]
        shapes = {"model.shared.weight": (c["vocab_size"], width)}

        def norm(name):
            shapes.update({f"{name}.weight": (width,), f"{name}.bias": (width,)})

        def dense(name, b, a):
            shapes.update({f"{name}.weight": (b, a), f"{name}.bias": (b,)})

        def mlp(name, inner):
            dense(f"{name}.fc1", inner, width)
            dense(f"{name}.fc2", width, inner)

        for stack in ("encoder", "decoder"):
            inner = c[f"{stack}_ffn_dim"]
            for i in range(c[f"{stack}_layers"]):
                at = f"model.{stack}.layers.{i}."
                for part in ("self_attn", "cross_attention") if stack == "decoder" else ("self_attn",):
                    for proj in ("q_proj", "k_proj", "v_proj", "out_proj"):
                        dense(f"{at}{part}.{proj}", width, width)
                    norm(f"{at}{part}_layer_norm")
                norm(f"{at}ff_layer_norm")
                if self.mixes(stack, i):
                    shapes[f"{at}ffn.router.classifier.weight"] = (c["num_experts"], width)
                    for e in range(c["num_experts"]):
                        mlp(f"{at}ffn.experts.expert_{e}", inner)
                else:
                    mlp(f"{at}ffn", inner)
            norm(f"model.{stack}.layer_norm")
        return shapes

    def mixes(self, stack: str, i: int) -> bool:
        step = self.config[f"{stack}_sparse_step"]
        return step > 0 and (i + 1) % step == 0

    def norm(self, x, name):
        return self.layer_norm(x, name, 1e-5)

    def embed(self, ids):
        width = self.config["d_model"]
        words = self.w["model.shared.weight"][ids] * math.sqrt(width)
        rates = [10000.0 ** (-j / (width // 2 - 1)) for j in range(width // 2)]
        place = [[math.sin((t + 2) * r) for r in rates] + [math.cos((t + 2) * r) for r in rates] for t in range(len(ids))]
        return words + torch.tensor(place)

    def attention(self, x, memory, name, heads, causal=False):
        q, k, v = (self.linear(y, f"{name}.{p}_proj").unflatten(-1, (heads, -1)).transpose(0, 1)
                   for y, p in ((x, "q"), (memory, "k"), (memory, "v")))
        score = q @ k.transpose(1, 2) / math.sqrt(q.shape[-1])
        if causal:
            score = score.masked_fill(torch.ones_like(score).triu(1).bool(), -torch.inf)
        return self.linear((torch.softmax(score, -1) @ v).transpose(0, 1).flatten(1), f"{name}.out_proj")

    def mlp(self, x, name):
        assert self.config["activation_function"] == "relu"
        return self.linear(F.relu(self.linear(x, f"{name}.fc1")), f"{name}.fc2")

    def mixture(self, x, name):
        rows = []
        for token in x:
            score = torch.softmax(self.w[f"{name}.router.classifier.weight"] @ token, -1)
            first, second = sorted(range(len(score)), key=lambda e: -score[e].item())[:2]
            total = score[first] + score[second]
            y = sum(score[e] / total * self.mlp(token, f"{name}.experts.expert_{e}") for e in (first, second))
            rows.append(y * (1 - self.config["moe_token_dropout"]))
        return torch.stack(rows)

    def stack(self, name, ids, memory, points):
        x = points[f"{name}.embed"] = self.embed(ids)
        heads = self.config[f"{name}_attention_heads"]
        for i in range(self.config[f"{name}_layers"]):
            at = f"model.{name}.layers.{i}."
            y = self.norm(x, f"{at}self_attn_layer_norm")
            x = x + self.attention(y, y, f"{at}self_attn", heads, causal=memory is not None)
            if memory is not None:
                y = self.norm(x, f"{at}cross_attention_layer_norm")
                x = x + self.attention(y, memory, f"{at}cross_attention", heads)
            feed = self.mixture if self.mixes(name, i) else self.mlp
            x = points[f"{name}.{i}"] = x + feed(self.norm(x, f"{at}ff_layer_norm"), f"{at}ffn")
        points[f"{name}.final"] = self.norm(x, f"model.{name}.layer_norm")
        return points[f"{name}.final"]

    def forward(self, input_ids, decoder_input_ids):
        points = {}
        memory = self.stack("encoder", input_ids, None, points)
        y = self.stack("decoder", decoder_input_ids, memory, points)
        points["logits"] = y @ self.w["model.shared.weight"].T
        return points
