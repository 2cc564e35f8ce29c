"""What the transcriptions that work on a plain dict of tensors share."""

import torch
from torch import nn


class Plain(nn.Module):
    """A model whose weights are a dict from the names of the file to tensors; `shapes()` states them."""

    def __init__(self, config: dict):
        super().__init__()
        self.config = config
        self.w = {name: torch.zeros(shape) for name, shape in self.shapes().items()}

    def state_dict(self):
        return self.w

    def load_state_dict(self, tensors: dict, strict: bool = True):
        assert not strict or {k: v.shape for k, v in tensors.items()} == {k: v.shape for k, v in self.w.items()}
        self.w = dict(tensors)

    def parameters(self):
        return iter(self.w.values())

    def linear(self, x: torch.Tensor, name: str) -> torch.Tensor:
        y = x @ self.w[f"{name}.weight"].T
        return y + self.w[f"{name}.bias"] if f"{name}.bias" in self.w else y

    def layer_norm(self, x: torch.Tensor, name: str, eps: float, groups: int = 1) -> torch.Tensor:
        y = x.unflatten(-1, (groups, -1))
        y = (y - y.mean(-1, keepdim=True)) / torch.sqrt(y.var(-1, unbiased=False, keepdim=True) + eps)
        y = y.flatten(-2) * self.w[f"{name}.weight"]
        return y + self.w[f"{name}.bias"] if f"{name}.bias" in self.w else y

    def rms_norm(self, x: torch.Tensor, name: str, eps: float) -> torch.Tensor:
        return x / torch.sqrt(x.square().mean(-1, keepdim=True) + eps) * self.w[f"{name}.weight"]


def before(x: torch.Tensor) -> torch.Tensor:
    """Row t holds row t - 1, the first one zeros."""
    return torch.cat([torch.zeros_like(x[:1]), x[:-1]])


def convolve(x: torch.Tensor, taps: torch.Tensor) -> torch.Tensor:
    """x [N, C] with taps [C, 1, K], the last of which meets the present."""
    y = torch.zeros_like(x)
    for t in range(len(x)):
        for j in range(min(taps.shape[-1], t + 1)):
            y[t] += taps[:, 0, -1 - j] * x[t - j]
    return y


def rotate_halves(x: torch.Tensor, angle: torch.Tensor) -> torch.Tensor:
    """x [N, H, D] turned by angle [N, D / 2]: feature j goes with feature j + D / 2."""
    a, b = x.chunk(2, -1)
    cos, sin = angle.cos()[:, None], angle.sin()[:, None]
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


def frequencies(width: int, theta: float = 10000.0) -> torch.Tensor:
    return theta ** (-torch.arange(0, width, 2).float() / width)
