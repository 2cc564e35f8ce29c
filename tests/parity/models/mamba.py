"""Mamba and Mamba-2 in the layout of their authors (package `mamba_ssm`).

Checked against the papers (2312.00752, algorithm 2; 2405.21060, section 7) and the public code: `MambaLMHeadModel`,
`Mamba`, `Mamba2`, `Block`, `RMSNorm` (normalises x * silu(z) in groups when it has a gate), and the defaults there.
"""

import math

import torch
from torch import nn
from torch.nn.functional import linear, silu, softplus


def rms(x: torch.Tensor, weight: torch.Tensor, groups: int = 1) -> torch.Tensor:
    parts = x.unflatten(-1, (groups, -1))
    return (parts / torch.sqrt(parts.square().mean(-1, keepdim=True) + 1e-5)).flatten(-2) * weight


def convolve(x: torch.Tensor, conv: nn.Conv1d) -> torch.Tensor:
    """Each channel over itself and the rows before: the last tap is the present."""
    taps = conv.weight.shape[-1]
    padded = torch.cat([torch.zeros(taps - 1, x.shape[1]), x])
    return conv.bias + sum(padded[k : k + len(x)] * conv.weight[:, 0, k] for k in range(taps))


class Norm(nn.Module):
    def __init__(self, size: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))


class Mixer1(nn.Module):
    def __init__(self, width: int, ssm: dict):
        super().__init__()
        self.inner, self.state = ssm.get("expand", 2) * width, ssm.get("d_state", 16)
        self.rank = ssm.get("dt_rank", "auto")
        self.rank = math.ceil(width / 16) if self.rank == "auto" else self.rank
        self.in_proj = nn.Linear(width, 2 * self.inner, bias=False)
        self.conv1d = nn.Conv1d(self.inner, self.inner, ssm.get("d_conv", 4), groups=self.inner)
        self.x_proj = nn.Linear(self.inner, self.rank + 2 * self.state, bias=False)
        self.dt_proj = nn.Linear(self.rank, self.inner)
        self.A_log = nn.Parameter(torch.zeros(self.inner, self.state))
        self.D = nn.Parameter(torch.ones(self.inner))
        self.out_proj = nn.Linear(self.inner, width, bias=False)

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        x, z = self.in_proj(u).chunk(2, -1)
        x = silu(convolve(x, self.conv1d))
        dt, b, c = self.x_proj(x).split([self.rank, self.state, self.state], -1)
        dt = softplus(self.dt_proj(dt))
        h, y = torch.zeros(self.inner, self.state), []
        for t in range(len(x)):
            h = torch.exp(-dt[t, :, None] * torch.exp(self.A_log)) * h + (dt[t] * x[t])[:, None] * b[t]
            y.append(h @ c[t])
        return self.out_proj((torch.stack(y) + self.D * x) * silu(z))


class Mixer2(nn.Module):
    def __init__(self, width: int, ssm: dict):
        super().__init__()
        self.inner, self.state = ssm.get("expand", 2) * width, ssm.get("d_state", 128)
        self.head, self.groups = ssm.get("headdim", 64), ssm.get("ngroups", 1)
        self.heads = self.inner // self.head
        mixed = self.inner + 2 * self.groups * self.state
        self.in_proj = nn.Linear(width, self.inner + mixed + self.heads, bias=False)
        self.conv1d = nn.Conv1d(mixed, mixed, ssm.get("d_conv", 4), groups=mixed)
        self.dt_bias = nn.Parameter(torch.zeros(self.heads))
        self.A_log = nn.Parameter(torch.zeros(self.heads))
        self.D = nn.Parameter(torch.ones(self.heads))
        self.norm = Norm(self.inner)
        self.out_proj = nn.Linear(self.inner, width, bias=False)

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        sizes = [self.inner, self.conv1d.weight.shape[0], self.heads]
        z, xbc, dt = self.in_proj(u).split(sizes, -1)
        wide = self.groups * self.state
        x, b, c = silu(convolve(xbc, self.conv1d)).split([self.inner, wide, wide], -1)
        dt = softplus(dt + self.dt_bias)
        x = x.unflatten(-1, (self.heads, self.head))
        b, c = (v.unflatten(-1, (self.groups, -1)).repeat_interleave(self.heads // self.groups, 1) for v in (b, c))
        h, y = torch.zeros(self.heads, self.head, self.state), []
        for t in range(len(x)):
            decay = torch.exp(-dt[t] * torch.exp(self.A_log))[:, None, None]
            h = decay * h + (dt[t][:, None] * x[t])[:, :, None] * b[t][:, None, :]
            y.append((h * c[t][:, None, :]).sum(-1) + self.D[:, None] * x[t])
        return self.out_proj(rms(torch.stack(y).flatten(-2) * silu(z), self.norm.weight, self.groups))


class Layer(nn.Module):
    def __init__(self, mixer: nn.Module, width: int):
        super().__init__()
        self.norm, self.mixer = Norm(width), mixer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.mixer(rms(x, self.norm.weight))


class Mamba(nn.Module):
    mixer = Mixer1

    def __init__(self, config: dict):
        super().__init__()
        width, self.backbone = config["d_model"], nn.Module()
        pad = config["pad_vocab_size_multiple"]
        self.backbone.embedding = nn.Embedding(-(-config["vocab_size"] // pad) * pad, width)
        self.backbone.layers = nn.ModuleList(
            Layer(self.mixer(width, config["ssm_cfg"]), width) for _ in range(config["n_layer"]))
        self.backbone.norm_f = Norm(width)

    def forward(self, input_ids: torch.Tensor) -> dict[str, torch.Tensor]:
        x = self.backbone.embedding(input_ids)
        points = {"embed": x}
        for i, layer in enumerate(self.backbone.layers):
            points[f"decoder.{i}"] = x = layer(x)
        points["final"] = rms(x, self.backbone.norm_f.weight)
        return points | {"logits": linear(points["final"], self.backbone.embedding.weight)}


class Mamba2(Mamba):
    mixer = Mixer2
