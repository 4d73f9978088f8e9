"""Three networks for the third part: a funnel, attention over the columns' tokens, a picture's convolutions."""

from __future__ import annotations

import math

import torch
from torch import nn

TOKENS = 5


class Tokens(nn.Module):
    """Cut a row into tokens of equal length, padded with zeros."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        short = -x.shape[1] % TOKENS
        return nn.functional.pad(x, (0, short)).reshape(len(x), TOKENS, -1)


class Attention(nn.Module):
    """One head that looks at all tokens, added to what came in; the tokens know their place."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.place = nn.Parameter(0.1 * torch.randn(TOKENS, width))
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = self.norm(x + self.place)
        match = self.query(z) @ self.key(z).transpose(1, 2) / math.sqrt(z.shape[-1])
        return x + torch.softmax(match, -1) @ self.value(z)


class Picture(nn.Module):
    """A row as a square picture of one channel, padded with zeros."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        side = max(4, math.ceil(math.sqrt(x.shape[1])))
        return nn.functional.pad(x, (0, side * side - x.shape[1])).reshape(len(x), 1, side, side)


def funnel(inputs: int, width: int, depth: int, activation: type[nn.Module], drop: list[nn.Module]) -> tuple:
    """Each layer is half as wide as the one before."""
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Linear(inputs, width), activation(), *drop]
        inputs, width = width, max(6, width // 2)
    return layers, inputs


def tokens(inputs: int, width: int, depth: int, activation: type[nn.Module], drop: list[nn.Module]) -> tuple:
    layers: list[nn.Module] = [Tokens(), nn.Linear(math.ceil(inputs / TOKENS), width)]
    layers += [Attention(width) for _ in range(depth)]
    return [*layers, nn.Flatten(), nn.Linear(TOKENS * width, width), activation(), *drop], width


def image(
    inputs: int, width: int, depth: int, activation: type[nn.Module], drop: list[nn.Module], momentum: float | None
) -> tuple:
    layers: list[nn.Module] = [Picture()]
    size = 1
    for _ in range(depth):
        norms = [] if momentum is None else [nn.BatchNorm2d(width, momentum=momentum)]
        layers += [nn.Conv2d(size, width, 3, padding=1), *norms, activation()]
        size = width
    layers += [nn.AdaptiveAvgPool2d(3), nn.Flatten(), *drop]
    return layers, 9 * size
