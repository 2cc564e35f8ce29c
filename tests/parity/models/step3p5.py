"""Step 3.5 Flash (hub repository stepfun-ai/Step-3.5-Flash, class Step3p5ForCausalLM), in the names of its files.

Written from the public modeling code of Step 3.7's text model and checked against the class of transformers for it
(Step3p7TextModel) with the same weights under its own names: all layers agree. Norms multiply by 1 + weight. Rotary is in
halves; base, share of the head and scaling depend on the kind of layer. Gate and up are limited after the activation.
"""

import math

import torch
from torch import nn
from torch.nn.functional import silu

from models.arctic import Weight


class Norm(nn.Module):
    def __init__(self, width, eps):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.zeros(width)), eps

    def forward(self, x):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps) * (1 + self.weight)


def llama3(frequency, c):
    """Frequencies of Llama 3.1's scaled rope."""
    low, high = c["original_max_position_embeddings"] / c["low_freq_factor"], c["original_max_position_embeddings"] / c["high_freq_factor"]
    out = []
    for f in frequency.tolist():
        wave = 2 * math.pi / f
        if wave < high:
            out.append(f)
        elif wave > low:
            out.append(f / c["factor"])
        else:
            t = (c["original_max_position_embeddings"] / wave - c["low_freq_factor"]) / (c["high_freq_factor"] - c["low_freq_factor"])
            out.append((1 - t) * f / c["factor"] + t * f)
    return torch.tensor(out)


class Mlp(nn.Module):
    def __init__(self, width, inner, limit):
        super().__init__()
        self.gate_proj, self.up_proj, self.down_proj = Weight(inner, width), Weight(inner, width), Weight(width, inner)
        self.limit = limit or math.inf

    def forward(self, x):
        gate = silu(x @ self.gate_proj.weight.T).clamp(max=self.limit)
        return (gate * (x @ self.up_proj.weight.T).clamp(-self.limit, self.limit)) @ self.down_proj.weight.T


class Experts(nn.Module):
    def __init__(self, c, limit):
        super().__init__()
        count, width, inner = c["moe_num_experts"], c["hidden_size"], c["moe_intermediate_size"]
        self.gate, self.router_bias = Weight(count, width), nn.Parameter(torch.zeros(count))
        self.gate_proj, self.up_proj = Weight(count, inner, width), Weight(count, inner, width)
        self.down_proj = Weight(count, width, inner)
        self.limit, self.k, self.factor = limit or math.inf, c["moe_top_k"], c["moe_router_scaling_factor"]

    def forward(self, x):
        rows = []
        for row in x:
            score = torch.sigmoid(self.gate.weight @ row)
            chosen = (score + self.router_bias).topk(self.k).indices
            total = torch.zeros_like(row)
            for e in chosen.tolist():
                gate = silu(self.gate_proj.weight[e] @ row).clamp(max=self.limit)
                up = (self.up_proj.weight[e] @ row).clamp(-self.limit, self.limit)
                total = total + score[e] / score[chosen].sum() * (self.down_proj.weight[e] @ (gate * up))
            rows.append(total * self.factor)
        return torch.stack(rows)


class Attention(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        self.slides = c["layer_types"][i] == "sliding_attention"
        self.heads = c["attention_other_setting"]["num_attention_heads"] if self.slides else c["num_attention_heads"]
        self.keys, self.size, self.window = c["num_attention_groups"], c["head_dim"], c["sliding_window"]
        width, size = c["hidden_size"], c["head_dim"]
        self.q_proj, self.k_proj = Weight(self.heads * size, width), Weight(self.keys * size, width)
        self.v_proj, self.o_proj = Weight(self.keys * size, width), Weight(width, self.heads * size)
        self.q_norm, self.k_norm = Norm(size, c["rms_norm_eps"]), Norm(size, c["rms_norm_eps"])
        self.g_proj = Weight(self.heads, width)
        self.turned = int(size * c["partial_rotary_factors"][i])
        self.frequency = c["rope_theta"][i] ** (-torch.arange(0, self.turned, 2).float() / self.turned)
        if c["rope_scaling"] and not self.slides:
            self.frequency = llama3(self.frequency, c["rope_scaling"])

    def turn(self, x):
        angle = torch.outer(torch.arange(len(x)).float(), self.frequency)[:, None]
        half = self.turned // 2
        a, b, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
        return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin(), rest], -1)

    def forward(self, x):
        n = len(x)
        q = self.turn(self.q_norm((x @ self.q_proj.weight.T).view(n, self.heads, self.size)))
        k = self.turn(self.k_norm((x @ self.k_proj.weight.T).view(n, self.keys, self.size)))
        v = (x @ self.v_proj.weight.T).view(n, self.keys, self.size)
        gate = torch.sigmoid(x @ self.g_proj.weight.T)
        out = []
        for h in range(self.heads):
            key = h * self.keys // self.heads
            score = q[:, h] @ k[:, key].T / math.sqrt(self.size)
            hidden = torch.ones(n, n).triu(1).bool()
            if self.slides:
                hidden |= torch.ones(n, n).tril(-self.window).bool()
            out.append(score.masked_fill(hidden, -math.inf).softmax(-1) @ v[:, key] * gate[:, h : h + 1])
        return torch.cat(out, -1) @ self.o_proj.weight.T


class Layer(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        width, limit = c["hidden_size"], c["swiglu_limits_shared"][i]
        self.input_layernorm, self.post_attention_layernorm = Norm(width, c["rms_norm_eps"]), Norm(width, c["rms_norm_eps"])
        self.self_attn = Attention(c, i)
        if str(i) in c["moe_layers_enum"].split(","):
            self.moe = Experts(c, c["swiglu_limits"][i])
            self.share_expert = Mlp(width, c["share_expert_dim"], limit)
        else:
            self.mlp = Mlp(width, c["intermediate_size"], limit)

    def forward(self, x):
        x = x + self.self_attn(self.input_layernorm(x))
        n = self.post_attention_layernorm(x)
        return x + (self.mlp(n) if hasattr(self, "mlp") else self.moe(n) + self.share_expert(n))


class Stack(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.embed_tokens = Weight(c["vocab_size"], c["hidden_size"])
        self.layers = nn.ModuleList(Layer(c, i) for i in range(c["num_hidden_layers"]))
        self.norm = Norm(c["hidden_size"], c["rms_norm_eps"])


class Step3p5(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.model, self.lm_head = Stack(config), Weight(config["vocab_size"], config["hidden_size"])

    def forward(self, input_ids):
        x = self.model.embed_tokens.weight[input_ids]
        points = {"embed": x}
        for i, layer in enumerate(self.model.layers):
            x = points[f"decoder.{i}"] = layer(x)
        points["final"] = self.model.norm(x)
        points["logits"] = points["final"] @ self.lm_head.weight.T
        return points
