"""EXAONE 3 and 3.5, after what several public readers of its files agree on: RMS norms before the branches, grouped heads that
turn in halves, silu(c_fc_0) * c_fc_1. Only the default rope and that of Llama 3.1 occur in public files.
"""

import math

import torch
from torch.nn.functional import silu

from .plain import Plain, rotate_halves


class Exaone(Plain):
    def shapes(self) -> dict:
        c = self.config
        wide, inner, words = c["hidden_size"], c["intermediate_size"], c["vocab_size"]
        dim = c.get("head_dim", wide // c["num_attention_heads"])
        queries, keys = c["num_attention_heads"] * dim, c["num_key_value_heads"] * dim
        shapes = {"transformer.wte.weight": (words, wide), "transformer.ln_f.weight": (wide,)}
        for i in range(c["num_layers"]):
            at = f"transformer.h.{i}"
            shapes |= {f"{at}.ln_1.weight": (wide,), f"{at}.ln_2.weight": (wide,)}
            shapes |= {f"{at}.attn.attention.{n}_proj.weight": s for n, s in (
                ("q", (queries, wide)), ("k", (keys, wide)), ("v", (keys, wide)), ("out", (wide, queries)))}
            shapes |= {f"{at}.mlp.c_fc_0.weight": (inner, wide), f"{at}.mlp.c_fc_1.weight": (inner, wide),
                       f"{at}.mlp.c_proj.weight": (wide, inner)}
        return shapes if c["tie_word_embeddings"] else shapes | {"lm_head.weight": (words, wide)}

    def angles(self, tokens: int, dim: int) -> torch.Tensor:
        f = self.config["rope_theta"] ** (-torch.arange(0, dim, 2).double() / dim)
        scaling = self.config.get("rope_scaling")
        if scaling:
            first, factor = scaling["original_max_position_embeddings"], scaling["factor"]
            low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
            turns = first * f / (2 * math.pi)  # of a pair within the first training's length
            share = ((turns - low) / (high - low)).clamp(0, 1)
            f = share * f + (1 - share) * f / factor
        return (torch.arange(tokens)[:, None] * f).float()

    def attention(self, x: torch.Tensor, at: str) -> torch.Tensor:
        c, tokens = self.config, len(x)
        heads, keys = c["num_attention_heads"], c["num_key_value_heads"]
        q = self.linear(x, f"{at}.q_proj").reshape(tokens, heads, -1)
        k = self.linear(x, f"{at}.k_proj").reshape(tokens, keys, -1)
        v = self.linear(x, f"{at}.v_proj").reshape(tokens, keys, -1).repeat_interleave(heads // keys, 1)
        angles = self.angles(tokens, q.shape[-1])
        q, k = rotate_halves(q, angles), rotate_halves(k, angles).repeat_interleave(heads // keys, 1)
        scores = torch.einsum("qhd,khd->hqk", q, k) / math.sqrt(q.shape[-1])
        later = torch.ones(tokens, tokens, dtype=torch.bool).triu(1)
        seen = torch.einsum("hqk,khd->qhd", scores.masked_fill(later, -torch.inf).softmax(-1), v)
        return self.linear(seen.reshape(tokens, -1), f"{at}.out_proj")

    def forward(self, input_ids: torch.Tensor) -> dict:
        eps = self.config["layer_norm_epsilon"]
        x = self.w["transformer.wte.weight"][input_ids]
        points = {"embed": x}
        for i in range(self.config["num_layers"]):
            at = f"transformer.h.{i}"
            x = x + self.attention(self.rms_norm(x, f"{at}.ln_1", eps), f"{at}.attn.attention")
            n = self.rms_norm(x, f"{at}.ln_2", eps)
            x = x + self.linear(silu(self.linear(n, f"{at}.mlp.c_fc_0")) * self.linear(n, f"{at}.mlp.c_fc_1"), f"{at}.mlp.c_proj")
            points[f"decoder.{i}"] = x
        points["final"] = self.rms_norm(x, "transformer.ln_f", eps)
        head = "transformer.wte" if self.config["tie_word_embeddings"] else "lm_head"
        points["logits"] = self.linear(points["final"], head)
        return points
