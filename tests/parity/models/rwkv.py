"""RWKV-5.2 (Eagle) and RWKV-6 (Finch) in the layouts of RWKV/rwkv-5-world-* and RWKV/v6-Finch-*-HF.

Token by token after the paper (2404.05892) and the public code. Checked against the package `rwkv` (0.8.32), which runs
the authors' own layout, with the tensors renamed: the same logits within 8e-7.
"""

import torch
import torch.nn.functional as F

from .fla import wkv6
from .plain import Plain, before


class Rwkv5(Plain):
    mixed = ("key", "value", "receptance", "gate")

    def sizes(self):
        c = self.config
        width = c.get("attention_hidden_size") or c["hidden_size"]
        return c["hidden_size"], width, width // c["head_size"]

    def shapes(self):
        c = self.config
        d, f, vocab = c["hidden_size"], c["intermediate_size"], c["vocab_size"]
        out = {"rwkv.embeddings.weight": (vocab, d), "head.weight": (vocab, d)}
        norms = ["rwkv.ln_out", "rwkv.blocks.0.pre_ln"]
        for i in range(c["num_hidden_layers"]):
            at = f"rwkv.blocks.{i}."
            norms += [at + "ln1", at + "ln2"]
            out |= {f"{at}attention.{k}": v for k, v in self.mixer_shapes().items()}
            out |= {f"{at}feed_forward.{k}": (1, 1, d) for k in self.shares()}
            out |= {f"{at}feed_forward.{k}.weight": v for k, v in (("key", (f, d)), ("receptance", (d, d)), ("value", (d, f)))}
        return out | {f"{n}.{k}": (d,) for n in norms for k in ("weight", "bias")}

    def shares(self):
        return "time_mix_key", "time_mix_receptance"

    def mixer_shapes(self):
        d, width, heads = self.sizes()
        out = {f"time_mix_{n}": (1, 1, d) for n in self.mixed} | {f"{n}.weight": (width, d) for n in self.mixed}
        out |= {n: (heads, width // heads) for n in ("time_decay", "time_faaaa")}
        return out | {"output.weight": (d, width), "ln_x.weight": (width,), "ln_x.bias": (width,)}

    def mix(self, x, name):
        """The share is the token's own."""
        share = self.w[name].flatten()
        return x * share + before(x) * (1 - share)

    def mixer(self, x, at):
        heads = self.sizes()[2]
        k, v, r, g = (self.linear(self.mix(x, f"{at}time_mix_{n}"), at + n) for n in self.mixed)
        k, v, r = (z.unflatten(-1, (heads, -1)) for z in (k, v, r))
        decay = torch.exp(-torch.exp(self.w[at + "time_decay"])).expand(len(x), -1, -1)
        y = wkv6(r, decay, k, v, self.w[at + "time_faaaa"]).flatten(-2) / self.config.get("head_size_divisor", 8)
        return self.linear(self.layer_norm(y, at + "ln_x", 1e-5, groups=heads) * F.silu(g), at + "output")

    def feed_forward(self, x, at):
        k, r = (self.mix(x, at + name) for name in self.shares())
        k = F.relu(self.linear(k, at + "key")).square()
        return torch.sigmoid(self.linear(r, at + "receptance")) * self.linear(k, at + "value")

    def forward(self, input_ids):
        eps = self.config.get("layer_norm_epsilon", 1e-5)
        x = self.w["rwkv.embeddings.weight"][input_ids]
        got = {"embed": x}
        x = self.layer_norm(x, "rwkv.blocks.0.pre_ln", eps)
        for i in range(self.config["num_hidden_layers"]):
            at = f"rwkv.blocks.{i}."
            x = x + self.mixer(self.layer_norm(x, at + "ln1", eps), at + "attention.")
            x = x + self.feed_forward(self.layer_norm(x, at + "ln2", eps), at + "feed_forward.")
            got[f"decoder.{i}"] = x
        got["final"] = self.layer_norm(x, "rwkv.ln_out", 1e-5)
        return got | {"logits": self.linear(got["final"], "head")}


class Rwkv6(Rwkv5):
    ranks = (6, 10)  # the public sizes are fixed by the width: 32 and 64, or 64 and 128 for width 4096

    def shares(self):
        return "time_maa_k", "time_maa_r"

    def mixer_shapes(self):
        d, width, heads = self.sizes()
        mix, slow = self.ranks
        out = {f"time_maa_{n}": (1, 1, d) for n in "xwkvrg"} | {f"{n}.weight": (width, d) for n in self.mixed}
        out |= {"time_maa_w1": (d, 5 * mix), "time_maa_w2": (5, mix, d), "time_decay": (1, 1, width)}
        out |= {"time_decay_w1": (d, slow), "time_decay_w2": (slow, width), "time_faaaa": (heads, width // heads)}
        return out | {"output.weight": (d, width), "ln_x.weight": (width,), "ln_x.bias": (width,)}

    def mix(self, x, name, more=0):
        """The share is that of the token before."""
        return x + (before(x) - x) * (self.w[name].flatten() + more)

    def mixer(self, x, at):
        heads, w = self.sizes()[2], self.w
        low = torch.tanh(self.mix(x, at + "time_maa_x") @ w[at + "time_maa_w1"]).unflatten(-1, (5, -1))
        m = {n: low[:, j] @ w[at + "time_maa_w2"][j] for j, n in enumerate("wkvrg")}
        xw, xk, xv, xr, xg = (self.mix(x, f"{at}time_maa_{n}", m[n]) for n in "wkvrg")
        decay = w[at + "time_decay"].flatten() + torch.tanh(xw @ w[at + "time_decay_w1"]) @ w[at + "time_decay_w2"]
        decay = torch.exp(-torch.exp(decay))
        k, v, r = self.linear(xk, at + "key"), self.linear(xv, at + "value"), self.linear(xr, at + "receptance")
        r, decay, k, v = (z.unflatten(-1, (heads, -1)) for z in (r, decay, k, v))
        y = wkv6(r, decay, k, v, w[at + "time_faaaa"]).flatten(-2)
        y = self.layer_norm(y, at + "ln_x", 1e-5 * self.config.get("head_size_divisor", 8) ** 2, groups=heads)
        return self.linear(y * F.silu(self.linear(xg, at + "gate")), at + "output")
