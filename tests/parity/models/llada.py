"""LLaDA in its `llama` form: after the blocks of the public `modeling_llada.py` (heads turn in halves, act(ff_proj) * up_proj,
attention without any mask) and the names of the public files.
"""

import math

import torch
from torch.nn.functional import silu

from .plain import Plain, frequencies, rotate_halves


class Llada(Plain):
    def shapes(self) -> dict:
        c = self.config
        wide, inner, words = c["d_model"], c["mlp_hidden_size"], c["embedding_size"]
        keys = wide // c["n_heads"] * c["n_kv_heads"]
        top = "model.transformer"
        shapes = {f"{top}.wte.weight": (words, wide), f"{top}.ln_f.weight": (wide,)}
        for i in range(c["n_layers"]):
            at = f"{top}.blocks.{i}"
            shapes |= {f"{at}.attn_norm.weight": (wide,), f"{at}.ff_norm.weight": (wide,)}
            matrices = {"q_proj": (wide, wide), "k_proj": (keys, wide), "v_proj": (keys, wide), "attn_out": (wide, wide),
                        "ff_proj": (inner, wide), "up_proj": (inner, wide), "ff_out": (wide, inner)}
            for name, shape in matrices.items():
                shapes[f"{at}.{name}.weight"] = shape
                if c["include_bias"] or c["include_qkv_bias"] and name in ("q_proj", "k_proj", "v_proj"):
                    shapes[f"{at}.{name}.bias"] = shape[:1]
        return shapes if c["weight_tying"] else shapes | {f"{top}.ff_out.weight": (words, wide)}

    def attention(self, x: torch.Tensor, at: str) -> torch.Tensor:
        c, tokens = self.config, len(x)
        heads, keys = c["n_heads"], c["n_kv_heads"]
        q, k, v = (self.linear(x, f"{at}.{n}_proj").reshape(tokens, h, -1) for n, h in (("q", heads), ("k", keys), ("v", keys)))
        angle = torch.arange(tokens)[:, None] * frequencies(q.shape[-1], c["rope_theta"])
        q, k = rotate_halves(q, angle), rotate_halves(k, angle).repeat_interleave(heads // keys, 1)
        scores = torch.einsum("qhd,khd->hqk", q, k) / math.sqrt(q.shape[-1])
        seen = torch.einsum("hqk,khd->qhd", scores.softmax(-1), v.repeat_interleave(heads // keys, 1))
        return self.linear(seen.reshape(tokens, -1), f"{at}.attn_out")

    def forward(self, input_ids: torch.Tensor) -> dict:
        top, eps = "model.transformer", self.config["rms_norm_eps"]
        x = self.w[f"{top}.wte.weight"][input_ids]
        points = {"embed": x}
        for i in range(self.config["n_layers"]):
            at = f"{top}.blocks.{i}"
            x = x + self.attention(self.rms_norm(x, f"{at}.attn_norm", eps), at)
            n = self.rms_norm(x, f"{at}.ff_norm", eps)
            x = x + self.linear(silu(self.linear(n, f"{at}.ff_proj")) * self.linear(n, f"{at}.up_proj"), f"{at}.ff_out")
            points[f"decoder.{i}"] = x
        points["final"] = self.rms_norm(x, f"{top}.ln_f", eps)
        points["logits"] = self.linear(points["final"], f"{top}.wte" if self.config["weight_tying"] else f"{top}.ff_out")
        return points
