"""Models in the layout of the package flash-linear-attention (0.6.0): GLA, RetNet, Gated DeltaNet, RWKV-6, RWKV-7.

Token by token after the papers (2312.06635, 2307.08621, 2412.06464, 2404.05892, 2503.14456) and the package's layers.
Checked against the package itself, its kernels for a GPU run by Triton's interpreter: the same values within 3.5e-6.
"""

import torch
import torch.nn.functional as F

from .plain import Plain, before, convolve, frequencies, rotate_halves


class Frame(Plain):
    """Embeddings, layers of a mixer and a feed-forward, final norm, head."""

    names = ("attn_norm", "mlp_norm", "mlp")

    def shapes(self) -> dict:
        c = self.config
        d, vocab = c["hidden_size"], c["vocab_size"]
        out = {"model.embeddings.weight": (vocab, d), **self.norm_shape("model.norm")}
        for i in range(c["num_hidden_layers"]):
            at = f"model.layers.{i}."
            out |= self.norm_shape(at + self.names[0]) | self.norm_shape(at + self.names[1])
            out |= {f"{at}attn.{k}": v for k, v in self.mixer_shapes(i).items()}
            out |= {f"{at}{self.names[2]}.{k}": v for k, v in self.mlp_shapes().items()}
        if not c.get("tie_word_embeddings", False):
            out["lm_head.weight"] = (vocab, d)
        return out

    def norm_shape(self, name: str) -> dict:
        return {f"{name}.weight": (self.config["hidden_size"],)}

    def mlp_shapes(self) -> dict:
        d, f = self.config["hidden_size"], self.config["intermediate_size"]
        return {"gate_proj.weight": (f, d), "up_proj.weight": (f, d), "down_proj.weight": (d, f)}

    def norm(self, x, name):
        return self.rms_norm(x, name, self.eps)

    def mlp(self, x, at):
        return self.linear(F.silu(self.linear(x, at + ".gate_proj")) * self.linear(x, at + ".up_proj"), at + ".down_proj")

    @property
    def eps(self) -> float:
        return self.config.get("norm_eps", 1e-6)

    def forward(self, input_ids):
        x = self.w["model.embeddings.weight"][input_ids]
        got = {"embed": x}
        for i in range(self.config["num_hidden_layers"]):
            at = f"model.layers.{i}."
            if at + "pre_norm.weight" in self.w:
                x = self.norm(x, at + "pre_norm")
            x = x + self.mixer(self.norm(x, at + self.names[0]), at + "attn.", i)
            x = x + self.mlp(self.norm(x, at + self.names[1]), at + self.names[2])
            got[f"decoder.{i}"] = x
        got["final"] = self.norm(x, "model.norm")
        head = self.w.get("lm_head.weight", self.w["model.embeddings.weight"])
        return got | {"logits": got["final"] @ head.T}


class GLA(Frame):
    """Gated linear attention: S = diag(a) S + k' v, y = q S / sqrt(K)."""

    ratios = (0.5, 1.0)
    convolves = True

    def sizes(self):
        c = self.config
        heads = c["num_heads"]
        shared = heads // (c.get("num_kv_heads") or heads)
        k = int(c["hidden_size"] * c.get("expand_k", self.ratios[0]))
        v = int(c["hidden_size"] * c.get("expand_v", self.ratios[1]))
        return heads, shared, k, v

    def mixer_shapes(self, i):
        c, (heads, shared, k, v) = self.config, self.sizes()
        d, taps = c["hidden_size"], c.get("conv_size", 4)
        out = {"q_proj.weight": (k, d), "k_proj.weight": (k // shared, d), "v_proj.weight": (v // shared, d)}
        if self.convolves and c.get("use_short_conv", False):
            out |= {f"{n}_conv1d.weight": (size, 1, taps) for n, size in (("q", k), ("k", k // shared), ("v", v // shared))}
        gated = c.get("use_output_gate", True)
        if gated:
            out["g_proj.weight"] = (v, d)
        fused = gated and c.get("fuse_norm", True)
        out["g_norm_swish_gate.weight" if fused else "g_norm.weight"] = (v // heads,)
        return out | self.gate_shapes(k // shared, d) | {"o_proj.weight": (d, v)}

    def gate_shapes(self, k, d):
        return {"gk_proj.0.weight": (16, d), "gk_proj.1.weight": (k, 16), "gk_proj.1.bias": (k,)}

    def project(self, x, at, name):
        y = self.linear(x, f"{at}{name}_proj")
        taps = self.w.get(f"{at}{name}_conv1d.weight")
        return y if taps is None else F.silu(convolve(y, taps))

    def log_decay(self, x, at, k):
        g = F.logsigmoid(self.linear(self.linear(x, at + "gk_proj.0"), at + "gk_proj.1")) / 16
        least = self.config.get("clamp_min")
        g = g if least is None else g.clamp(min=least)
        return g.unflatten(-1, (-1, k)).repeat_interleave(self.sizes()[1], 1)

    def place(self, x):
        return x

    def mixer(self, x, at, i):
        heads, shared, k_size, v_size = self.sizes()
        q = self.place(self.project(x, at, "q").unflatten(-1, (heads, -1)))
        k = self.place(self.project(x, at, "k").unflatten(-1, (heads // shared, -1))).repeat_interleave(shared, 1)
        v = self.project(x, at, "v").unflatten(-1, (heads // shared, -1)).repeat_interleave(shared, 1)
        decay = self.log_decay(x, at, k_size // heads).exp()
        state, rows = torch.zeros(heads, k_size // heads, v_size // heads), []
        for t in range(len(x)):
            state = decay[t, :, :, None] * state + k[t, :, :, None] * v[t, :, None]
            rows.append((q[t, :, :, None] * state).sum(1) * (k_size // heads) ** -0.5)
        name = at + ("g_norm" if at + "g_norm.weight" in self.w else "g_norm_swish_gate")
        y = self.norm(torch.stack(rows), name).flatten(-2)
        if at + "g_proj.weight" in self.w:
            y = y * F.silu(self.linear(x, at + "g_proj"))
        return self.linear(y, at + "o_proj")


class RetNet(GLA):
    """Retention: a constant decay for each head, and a rotary embedding. The model never passes `use_short_conv` on."""

    ratios = (1.0, 2.0)
    convolves = False

    def gate_shapes(self, k, d):
        return {}

    def log_decay(self, x, at, k):
        heads = torch.arange(self.config["num_heads"], dtype=torch.float64)
        return torch.log(1 - 2 ** (-5 - heads)).float().expand(len(x), -1)[..., None]

    def place(self, x):
        return rotate_halves(x, torch.arange(len(x))[:, None] * frequencies(x.shape[-1]))


class GatedDeltaNet(Frame):
    """S = a S; S = S + b k' (v - k S); y = q S."""

    def mixer_shapes(self, i):
        c = self.config
        d, heads, k, taps = c["hidden_size"], c["num_heads"], c["head_dim"], c.get("conv_size", 4)
        wide = c.get("num_v_heads") or heads
        v = int(k * c.get("expand_v", 2))
        out = {"A_log": (wide,), "dt_bias": (wide,), "q_proj.weight": (heads * k, d), "k_proj.weight": (heads * k, d),
               "v_proj.weight": (wide * v, d), "a_proj.weight": (wide, d), "b_proj.weight": (wide, d)}
        if c.get("use_short_conv", True):
            out |= {f"{n}_conv1d.weight": (size, 1, taps) for n, size in (("q", heads * k), ("k", heads * k), ("v", wide * v))}
        return out | {"g_proj.weight": (wide * v, d), "o_norm.weight": (v,), "o_proj.weight": (d, wide * v)}

    def project(self, x, at, name):
        y, taps = self.linear(x, f"{at}{name}_proj"), self.w.get(f"{at}{name}_conv1d.weight")
        return F.silu(y if taps is None else convolve(y, taps))

    def mixer(self, x, at, i):
        c = self.config
        heads, wide = c["num_heads"], c.get("num_v_heads") or c["num_heads"]
        unit = lambda z: z / torch.sqrt(z.square().sum(-1, keepdim=True) + 1e-6)  # noqa: E731
        q = unit(self.project(x, at, "q").unflatten(-1, (heads, -1))).repeat_interleave(wide // heads, 1)
        k = unit(self.project(x, at, "k").unflatten(-1, (heads, -1))).repeat_interleave(wide // heads, 1)
        v = self.project(x, at, "v").unflatten(-1, (wide, -1))
        beta = torch.sigmoid(self.linear(x, at + "b_proj")) * (2 if c.get("allow_neg_eigval") else 1)
        step = F.softplus(self.linear(x, at + "a_proj") + self.w[at + "dt_bias"])
        decay = torch.exp(-self.w[at + "A_log"].exp() * step)
        state, rows = torch.zeros(wide, k.shape[-1], v.shape[-1]), []
        for t in range(len(x)):
            state = decay[t, :, None, None] * state
            known = (k[t, :, :, None] * state).sum(1)
            state = state + k[t, :, :, None] * (beta[t, :, None] * (v[t] - known))[:, None]
            rows.append((q[t, :, :, None] * state).sum(1) * k.shape[-1] ** -0.5)
        y = self.norm(torch.stack(rows), at + "o_norm").flatten(-2)
        return self.linear(y * F.silu(self.linear(x, at + "g_proj")), at + "o_proj")


class RWKV6(Frame):
    """y = r (S + diag(u) k' v); S = diag(w) S + k' v, with mixing shares that depend on the token."""

    names = ("attn_norm", "ffn_norm", "ffn")

    def norm_shape(self, name):
        d = (self.config["hidden_size"],)
        return {f"{name}.weight": d} | ({f"{name}.bias": d} if self.config.get("norm_bias", True) else {})

    def norm(self, x, name):
        return self.layer_norm(x, name, self.config.get("norm_eps", 1e-5))

    def shapes(self):
        first = self.norm_shape("model.layers.0.pre_norm") if self.config.get("norm_first", True) else {}
        return super().shapes() | first

    def mlp_shapes(self):
        d, f = self.config["hidden_size"], self.config["intermediate_size"]
        return {"key.mu": (d,), "key.linear.weight": (f, d), "value.weight": (d, f), "receptance.mu": (d,),
                "receptance.linear.weight": (d, d)}

    def mlp(self, x, at):
        mix = lambda n: self.linear(x + (before(x) - x) * self.w[f"{at}.{n}.mu"], f"{at}.{n}.linear")  # noqa: E731
        return torch.sigmoid(mix("receptance")) * self.linear(F.relu(mix("key")).square(), at + ".value")

    def sizes(self):
        c = self.config
        d = c["hidden_size"]
        return c["num_heads"], int(d * c.get("expand_k", 0.5)), int(d * c.get("expand_v", 1.0))

    def mixer_shapes(self, i):
        c, (heads, k, v) = self.config, self.sizes()
        d, rank, gate = c["hidden_size"], c.get("proj_low_rank_dim", 32), c.get("gate_low_rank_dim", 64)
        return {
            "x_bias": (5, d), "bonus": (heads, k // heads), "x_proj.0.mu": (d,), "x_proj.0.linear.weight": (5 * rank, d),
            "x_proj.2.weight": (d, 5 * rank), "r_proj.linear.weight": (k, d), "w_proj.linear.lora.0.weight": (gate, d),
            "w_proj.linear.lora.2.weight": (k, gate), "w_proj.linear.lora.2.bias": (k,), "k_proj.linear.weight": (k, d),
            "v_proj.linear.weight": (v, d), "g_proj.linear.weight": (v, d), "g_norm.weight": (v,), "g_norm.bias": (v,),
            "o_proj.weight": (d, v),
        }

    def mixer(self, x, at, i):
        heads, k_size, v_size = self.sizes()
        rank = self.config.get("proj_low_rank_dim", 32)
        delta = before(x) - x
        low = torch.tanh(self.linear(x + delta * self.w[at + "x_proj.0.mu"], at + "x_proj.0.linear"))
        shares = []
        for j in range(5):  # r, w, k, v, g
            cut = slice(j * rank, (j + 1) * rank)
            shares.append(low[:, cut] @ self.w[at + "x_proj.2.weight"][:, cut].T + self.w[at + "x_bias"][j])
        xr, xw, xk, xv, xg = (x + delta * share for share in shares)
        r = self.linear(xr, at + "r_proj.linear").unflatten(-1, (heads, -1))
        w = self.linear(torch.tanh(self.linear(xw, at + "w_proj.linear.lora.0")), at + "w_proj.linear.lora.2")
        w = torch.exp(-torch.exp(w)).unflatten(-1, (heads, -1))
        k = self.linear(xk, at + "k_proj.linear").unflatten(-1, (heads, -1))
        v = self.linear(xv, at + "v_proj.linear").unflatten(-1, (heads, -1))
        y = wkv6(r, w, k, v, self.w[at + "bonus"])
        y = self.layer_norm(y.flatten(-2), at + "g_norm", self.config.get("norm_eps", 1e-5), groups=heads)
        return self.linear(y * F.silu(self.linear(xg, at + "g_proj.linear")), at + "o_proj")


def wkv6(r, w, k, v, u):
    """r, w, k [N, H, K], v [N, H, V], u [H, K] -> [N, H, V]."""
    state, rows = torch.zeros(*k.shape[1:], v.shape[-1]), []
    for t in range(len(k)):
        new = k[t, :, :, None] * v[t, :, None]
        rows.append((r[t, :, :, None] * (state + u[..., None] * new)).sum(1))
        state = w[t, :, :, None] * state + new
    return torch.stack(rows)


class RWKV7(RWKV6):
    """S = S (diag(w) - k~' (a k~)) + v' k, y = S r; the state is [V, K] here."""

    def mlp_shapes(self):
        d, f = self.config["hidden_size"], self.config["intermediate_size"]
        return {"x_k": (d,), "key.weight": (f, d), "value.weight": (d, f)}

    def mlp(self, x, at):
        k = self.linear(x + (before(x) - x) * self.w[at + ".x_k"], at + ".key")
        return self.linear(F.relu(k).square(), at + ".value")

    def mixer_shapes(self, i):
        c = self.config
        d, size = c["hidden_size"], c.get("head_dim", 64)
        out = {f"x_{n}": (1, 1, d) for n in "rwkvag"} | {"k_k": (d,), "k_a": (d,), "r_k": (d // size, size)}
        out |= {f"{n}_proj.weight": (d, d) for n in "rkvo"}
        for n in "wvag":
            if n != "v" or i:
                rank = c[{"w": "decay", "v": "v", "a": "a", "g": "gate"}[n] + "_low_rank_dim"]
                out |= {f"{n}_lora.lora.0.weight": (rank, d), f"{n}_lora.lora.2.weight": (d, rank)}
                out |= {f"{n}_lora.lora.2.bias": (d,)} if n != "g" else {}
        return out | {"g_norm.weight": (d,), "g_norm.bias": (d,)}

    def lora(self, x, name, middle=lambda z: z):
        return self.linear(middle(self.linear(x, name + ".lora.0")), name + ".lora.2")

    def mixer(self, x, at, i):
        size = self.config.get("head_dim", 64)
        heads = self.config["hidden_size"] // size
        per_head = lambda z: z.unflatten(-1, (heads, -1))  # noqa: E731
        xr, xw, xk, xv, xa, xg = (x + (before(x) - x) * self.w[f"{at}x_{n}"].flatten() for n in "rwkvag")
        w = torch.exp(-0.6065306597126334 * torch.sigmoid(self.lora(xw, at + "w_lora", torch.tanh)))
        k, v = self.linear(xk, at + "k_proj"), self.linear(xv, at + "v_proj")
        if i == 0:
            self.v_first = v
        else:
            v = v + (self.v_first - v) * torch.sigmoid(self.lora(xv, at + "v_lora"))
        a = torch.sigmoid(self.lora(xa, at + "a_lora"))
        g = self.lora(xg, at + "g_lora", torch.sigmoid)
        unit = per_head(k * self.w[at + "k_k"])
        if self.config.get("fuse_norm", True):
            unit = unit / torch.sqrt(unit.square().sum(-1, keepdim=True) + 1e-6)
        else:
            unit = unit / unit.norm(dim=-1, keepdim=True).clamp(min=1e-12)
        k = per_head(k * (1 + (a - 1) * self.w[at + "k_a"]))
        r, w, v, a = per_head(self.linear(xr, at + "r_proj")), per_head(w), per_head(v), per_head(a)
        state, rows = torch.zeros(heads, v.shape[-1], size), []
        for t in range(len(x)):
            removed = (state * unit[t, :, None]).sum(-1, keepdim=True) * (a[t] * unit[t])[:, None]
            state = state * w[t, :, None] - removed + v[t, :, :, None] * k[t, :, None]
            rows.append((state * r[t, :, None]).sum(-1))
        y = self.layer_norm(torch.stack(rows).flatten(-2), at + "g_norm", size * self.config.get("norm_eps", 1e-5), groups=heads)
        y = y + ((r * k * self.w[at + "r_k"]).sum(-1, keepdim=True) * v).flatten(-2)
        return self.linear(y * g, at + "o_proj")
