"""ChatGLM-6B, and ChatGLM2 / ChatGLM3 / GLM-4-9B with model_type `chatglm`.

Written after the public code: `modeling_chatglm.py` of the repositories chatglm-6b (last revision: the answer stays at the
position of its mask), chatglm2-6b-32k (rope_ratio divides positions), chatglm3-6b and glm-4-9b-chat (it multiplies the
base). In f32, as `.float()` of the public model: its rotary frequencies were rounded to halves before. ChatGLM2's math
also agrees with transformers' `GlmForCausalLM` on the same weights, which another fixture holds.
"""

import math

import torch
import torch.nn.functional as F

from .plain import Plain, frequencies, rotate_halves


def attend(q, k, v, seen):
    """q [N, H, D], k, v [N, G, D]; seen [N, N]: whether the query of the row sees the key of the column."""
    shared = q.shape[1] // k.shape[1]
    heads = []
    for h in range(q.shape[1]):
        score = q[:, h] @ k[:, h // shared].T / math.sqrt(q.shape[-1])
        heads.append(score.masked_fill(~seen, float("-inf")).softmax(-1) @ v[:, h // shared])
    return torch.cat(heads, -1)


class ChatGLM6B(Plain):
    def shapes(self):
        c = self.config
        d, f = c["hidden_size"], c["inner_hidden_size"]
        out = {"transformer.word_embeddings.weight": (c["vocab_size"], d), "lm_head.weight": (c["vocab_size"], d)}
        norms = ["transformer.final_layernorm"]
        for i in range(c["num_layers"]):
            at = f"transformer.layers.{i}."
            norms += [at + "input_layernorm", at + "post_attention_layernorm"]
            out[at + "attention.rotary_emb.inv_freq"] = (d // c["num_attention_heads"] // 4,)
            for name, rows, columns in (("attention.query_key_value", 3 * d, d), ("attention.dense", d, d),
                                        ("mlp.dense_h_to_4h", f, d), ("mlp.dense_4h_to_h", d, f)):
                out |= {f"{at}{name}.weight": (rows, columns), f"{at}{name}.bias": (rows,)}
        return out | {f"{n}.{k}": (d,) for n in norms for k in ("weight", "bias")}

    def forward(self, input_ids):
        c, ids = self.config, input_ids.tolist()
        eps, heads = c["layernorm_epsilon"], c["num_attention_heads"]
        start = ids.index(c["bos_token_id"])
        mask = ids.index(c["gmask_token_id"] if c["gmask_token_id"] in ids else c["mask_token_id"])
        place = torch.tensor([t if t < start else mask for t in range(len(ids))])
        block = torch.tensor([0 if t < start else t - start + 1 for t in range(len(ids))])
        seen = torch.tensor([[k <= q or k < start for k in range(len(ids))] for q in range(len(ids))])
        freq = frequencies(c["hidden_size"] // heads // 2).half().float()

        def turn(z):
            a, b = z.chunk(2, -1)
            return torch.cat([rotate_halves(a, place[:, None] * freq), rotate_halves(b, block[:, None] * freq)], -1)

        x = self.w["transformer.word_embeddings.weight"][input_ids]
        got = {"embed": x}
        for i in range(c["num_layers"]):
            at = f"transformer.layers.{i}."
            n = self.layer_norm(x, at + "input_layernorm", eps)
            q, k, v = self.linear(n, at + "attention.query_key_value").unflatten(-1, (heads, -1)).chunk(3, -1)
            x = n * math.sqrt(2 * c["num_layers"]) + self.linear(attend(turn(q), turn(k), v, seen), at + "attention.dense")
            n = self.layer_norm(x, at + "post_attention_layernorm", eps)
            h = F.gelu(self.linear(n, at + "mlp.dense_h_to_4h"), approximate="tanh")
            x = n * math.sqrt(2 * c["num_layers"]) + self.linear(h, at + "mlp.dense_4h_to_h")
            got[f"decoder.{i}"] = x
        got["final"] = self.layer_norm(x, "transformer.final_layernorm", eps)
        return got | {"logits": self.linear(got["final"], "lm_head")}


class ChatGLM(Plain):
    def sizes(self):
        c = self.config
        heads, size = c["num_attention_heads"], c["kv_channels"]
        return heads, c["multi_query_group_num"] if c.get("multi_query_attention", False) else heads, size

    def shapes(self):
        c, (heads, groups, size) = self.config, self.sizes()
        d, f, vocab = c["hidden_size"], c["ffn_hidden_size"], c["padded_vocab_size"]
        out = {"transformer.embedding.word_embeddings.weight": (vocab, d), "transformer.output_layer.weight": (vocab, d),
               "transformer.rotary_pos_emb.inv_freq": (size // 4,)}
        norms = ["transformer.encoder.final_layernorm"] if c.get("post_layer_norm", True) else []
        bias = c.get("add_bias_linear", False)
        for i in range(c["num_layers"]):
            at = f"transformer.encoder.layers.{i}."
            norms += [at + "input_layernorm", at + "post_attention_layernorm"]
            for name, rows, columns, biased in (
                ("self_attention.query_key_value", (heads + 2 * groups) * size, d, bias or c.get("add_qkv_bias", False)),
                ("self_attention.dense", d, heads * size, bias),
                ("mlp.dense_h_to_4h", 2 * f, d, bias), ("mlp.dense_4h_to_h", d, f, bias),
            ):
                out |= {f"{at}{name}.weight": (rows, columns)} | ({f"{at}{name}.bias": (rows,)} if biased else {})
        kinds = ("weight",) if c.get("rmsnorm", True) else ("weight", "bias")
        return out | {f"{n}.{k}": (d,) for n in norms for k in kinds}

    def norm(self, x, name):
        norm = self.rms_norm if self.config.get("rmsnorm", True) else self.layer_norm
        return norm(x, name, self.config["layernorm_epsilon"])

    def turn(self, x):
        """The first half of each head is turned, in pairs of neighbours."""
        size, ratio = x.shape[-1] // 2, self.config.get("rope_ratio", 1)
        place, theta = torch.arange(len(x)).float(), 10000.0
        if "chatglm2" in self.config.get("_name_or_path", ""):
            place = place / ratio
        else:
            theta *= ratio
        angle = (place[:, None] * frequencies(size, theta))[:, None]
        a, b = x[..., :size:2], x[..., 1:size:2]
        turned = torch.stack([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1).flatten(-2)
        return torch.cat([turned, x[..., size:]], -1)

    def forward(self, input_ids):
        c, (heads, groups, size) = self.config, self.sizes()
        x = self.w["transformer.embedding.word_embeddings.weight"][input_ids]
        seen = torch.ones(len(x), len(x)).tril().bool()
        got = {"embed": x}
        for i in range(c["num_layers"]):
            at = f"transformer.encoder.layers.{i}."
            n = self.norm(x, at + "input_layernorm")
            qkv = self.linear(n, at + "self_attention.query_key_value")
            if c.get("multi_query_attention", False):
                parts = qkv.split([heads * size, groups * size, groups * size], -1)
                q, k, v = (z.unflatten(-1, (-1, size)) for z in parts)
            else:
                q, k, v = qkv.unflatten(-1, (heads, -1)).chunk(3, -1)
            y = self.linear(attend(self.turn(q), self.turn(k), v, seen), at + "self_attention.dense")
            x = (n if c.get("apply_residual_connection_post_layernorm", False) else x) + y
            n = self.norm(x, at + "post_attention_layernorm")
            a, b = self.linear(n, at + "mlp.dense_h_to_4h").chunk(2, -1)
            y = self.linear(F.silu(a) * b, at + "mlp.dense_4h_to_h")
            x = (n if c.get("apply_residual_connection_post_layernorm", False) else x) + y
            got[f"decoder.{i}"] = x
        got["final"] = self.norm(x, "transformer.encoder.final_layernorm") if c.get("post_layer_norm", True) else x
        return got | {"logits": self.linear(got["final"], "transformer.output_layer")}
