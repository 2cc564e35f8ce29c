"""HyenaDNA and StripedHyena (Evo): long convolutions as plain sums and states, token by token.

Written after the papers (2306.15794, 2302.10866; the modal form of 2310.18780) and the public code: `modeling_hyena.py`
of LongSafari/hyenadna-*-hf, `model.py`, `engine.py`, `layers.py` of StripedHyena, whose FFTs and complex logarithms it
does not use. HyenaDNA's filter, StripedHyena's short filter and column split were compared with that code by eye only.
"""

import math

import torch
import torch.nn.functional as F

from .plain import Plain, convolve, frequencies, rotate_halves


class HyenaDNA(Plain):
    def shapes(self):
        c = self.config
        d, f, order, features = c["d_model"], c["d_inner"], c["filter_order"], c["emb_dim"]
        vocab = -(-c["vocab_size"] // c["pad_vocab_size_multiple"]) * c["pad_vocab_size_multiple"]
        out = {"hyena.backbone.embeddings.word_embeddings.weight": (vocab, d), "lm_head.weight": (vocab, d)}
        norms = ["hyena.backbone.ln_f"]
        for i in range(c["n_layer"]):
            at = f"hyena.backbone.layers.{i}."
            norms += [at + "norm1", at + "norm2"]
            for name, rows, columns in (("mixer.in_proj", 3 * d, d), ("mixer.out_proj", d, d),
                                        ("mlp.fc1", f, d), ("mlp.fc2", d, f)):
                out |= {f"{at}{name}.weight": (rows, columns), f"{at}{name}.bias": (rows,)}
            out |= {f"{at}mixer.short_filter.weight": (3 * d, 1, 3), f"{at}mixer.short_filter.bias": (3 * d,)}
            at += "mixer.filter_fn."
            taps = c["max_seq_len"]
            out |= {at + "bias": (d,), at + "pos_emb.z": (1, taps, features), at + "pos_emb.t": (1, taps, 1)}
            out |= {at + "modulation.deltas": (1, 1, d), at + "implicit_filter.6.weight": (d, order)}
            if c.get("train_freq", True):
                out |= {at + "implicit_filter.1.freq": (1, order)}
            for j, columns in ((0, features), (2, order), (4, order)):
                out |= {f"{at}implicit_filter.{j}.weight": (order, columns), f"{at}implicit_filter.{j}.bias": (order,)}
        return out | {f"{n}.{k}": (d,) for n in norms for k in ("weight", "bias")}

    def filter(self, at, length):
        x = self.w[at + "pos_emb.z"][0, :length]
        freq = self.w.get(at + "implicit_filter.1.freq", self.config.get("activation_freq", 1))
        for j in (0, 2, 4):
            x = torch.sin(freq * self.linear(x, f"{at}implicit_filter.{j}"))
        window = torch.exp(-self.w[at + "pos_emb.t"][0, :length] * self.w[at + "modulation.deltas"][0].abs()) + 0.05
        return self.linear(x, at + "implicit_filter.6") * window

    def mixer(self, x, at):
        z = convolve(self.linear(x, at + "in_proj"), self.w[at + "short_filter.weight"]) + self.w[at + "short_filter.bias"]
        x0, x1, v = z.chunk(3, -1)
        v = v * x1
        taps = self.filter(at + "filter_fn.", len(x))
        y = torch.stack([sum(taps[t - s] * v[s] for s in range(t + 1)) for t in range(len(x))])
        return self.linear((y + self.w[at + "filter_fn.bias"] * v) * x0, at + "out_proj")

    def forward(self, input_ids):
        x = self.w["hyena.backbone.embeddings.word_embeddings.weight"][input_ids]
        got = {"embed": x}
        for i in range(self.config["n_layer"]):
            at = f"hyena.backbone.layers.{i}."
            x = x + self.mixer(self.layer_norm(x, at + "norm1", 1e-5), at + "mixer.")
            h = F.gelu(self.linear(self.layer_norm(x, at + "norm2", 1e-5), at + "mlp.fc1"), approximate="tanh")
            x = x + self.linear(h, at + "mlp.fc2")
            got[f"decoder.{i}"] = x
        got["final"] = self.layer_norm(x, "hyena.backbone.ln_f", self.config["layer_norm_epsilon"])
        return got | {"logits": self.linear(got["final"], "lm_head")}


class StripedHyena(Plain):
    def shapes(self):
        c = self.config
        d, f, states = c["hidden_size"], c["inner_mlp_size"], c["state_size"]
        keys = d // c.get("proj_groups", 1)
        out = {"backbone.embedding_layer.weight": (c["vocab_size"], d), "backbone.norm.scale": (d,)}
        if not c.get("tie_embeddings", False):
            out["backbone.unembed.weight"] = (c["vocab_size"], d)
        for i in range(c["num_layers"]):
            at = f"backbone.blocks.{i}."
            out |= {at + "pre_norm.scale": (d,), at + "post_norm.scale": (d,)}
            out |= {at + "mlp.l1.weight": (f, d), at + "mlp.l2.weight": (f, d), at + "mlp.l3.weight": (d, f)}
            if i in c["attn_layer_idxs"]:
                at += "inner_mha_cls."
                out |= {at + "Wqkv.weight": (d + 2 * keys, d), at + "out_proj.weight": (d, d)}
                out |= {at + "rotary_emb.inv_freq": (d // c["num_attention_heads"] // 2,)}
                out |= {at + "Wqkv.bias": (d + 2 * keys,)} if c.get("qkv_proj_bias", True) else {}
                out |= {at + "out_proj.bias": (d,)} if c.get("mha_out_proj_bias", True) else {}
            else:
                out |= {at + "projections.weight": (3 * d, d), at + "projections.bias": (3 * d,)}
                out |= {at + "out_filter_dense.weight": (d, d), at + "out_filter_dense.bias": (d,)}
                at += "filter."
                out |= {at + "D": (d,), at + "poles": (d, states, 1, 2), at + "residues": (d, states, 1, 2)}
                out |= {at + "short_filter_weight": (3 * d, 1, c["short_filter_length"]), at + "short_filter_bias": (3 * d,)}
        return out

    def norm(self, x, name):
        c = self.config
        if c.get("use_flash_rmsnorm", True):
            return x / torch.sqrt(x.square().mean(-1, keepdim=True) + c["eps"]) * self.w[name + ".scale"]
        return x / (x.norm(dim=-1, keepdim=True) / math.sqrt(c["hidden_size"]) + c["eps"]) * self.w[name + ".scale"]

    def attention(self, x, at):
        c = self.config
        heads, shared, d = c["num_attention_heads"], c.get("proj_groups", 1), c["hidden_size"]
        size = d // heads
        q, k, v = self.linear(x, at + "Wqkv").split([d, d // shared, d // shared], -1)
        q, k, v = (z.unflatten(-1, (-1, size)) for z in (q, k, v))
        place = torch.arange(len(x)).float()
        if c.get("use_interpolated_rotary_pos_emb", False):
            place = place / c["rotary_emb_scaling_factor"]
        angle = place[:, None] * frequencies(size, c.get("rotary_emb_base", 10000))
        q, k = rotate_halves(q, angle), rotate_halves(k, angle)
        rows = []
        for t in range(len(x)):
            row = []
            for h in range(heads):
                score = k[: t + 1, h // shared] @ q[t, h] / math.sqrt(size)
                row.append(score.softmax(0) @ v[: t + 1, h // shared])
            rows.append(torch.cat(row))
        return self.linear(torch.stack(rows), at + "out_proj")

    def hyena(self, x, at):
        c = self.config
        d, heads = c["hidden_size"], c["num_attention_heads"]
        z = convolve(self.linear(x, at + "projections"), self.w[at + "filter.short_filter_weight"])
        z = z + self.w[at + "filter.short_filter_bias"]
        if c.get("column_split_hyena", True):
            z = z.unflatten(-1, (heads, 3, d // heads))
            x2, x1, v = (z[:, :, j].flatten(-2) for j in range(3))
        else:
            x2, x1, v = z.chunk(3, -1)
        u = x1 * v
        poles, residues = (torch.view_as_complex(self.w[f"{at}filter.{n}"])[..., 0] for n in ("poles", "residues"))
        state, rows = torch.zeros_like(poles), []
        for t in range(len(x)):
            state = poles * state + u[t, :, None]
            rows.append((residues * state).real.sum(-1))
        return self.linear((torch.stack(rows) + self.w[at + "filter.D"] * u) * x2, at + "out_filter_dense")

    def forward(self, input_ids):
        c = self.config
        x = self.w["backbone.embedding_layer.weight"][input_ids]
        got = {"embed": x}
        act = {"silu": F.silu, "gelu": F.gelu}[c.get("mlp_activation", "silu")]
        for i in range(c["num_layers"]):
            at = f"backbone.blocks.{i}."
            n = self.norm(x, at + "pre_norm")
            x = x + (self.attention(n, at + "inner_mha_cls.") if i in c["attn_layer_idxs"] else self.hyena(n, at))
            n = self.norm(x, at + "post_norm")
            x = x + self.linear(act(self.linear(n, at + "mlp.l1")) * self.linear(n, at + "mlp.l2"), at + "mlp.l3")
            got[f"decoder.{i}"] = x
        got["final"] = self.norm(x, "backbone.norm") if c.get("final_norm", True) else x
        head = self.w.get("backbone.unembed.weight", self.w["backbone.embedding_layer.weight"])
        return got | {"logits": got["final"] @ head.T}
