"""Two networks of the fourth part: gated layers, and layers that keep what came in beside what they add."""

from __future__ import annotations

import torch
from torch import nn


class Gate(nn.Module):
    """Half of the units gate the other half."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        value, gate = x.chunk(2, 1)
        return value * torch.sigmoid(gate)


class Beside(nn.Module):
    """What comes out is put beside what went in."""

    def __init__(self, *inner: nn.Module) -> None:
        super().__init__()
        self.inner = nn.Sequential(*inner)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x, self.inner(x)], 1)


def gated(inputs: int, width: int, depth: int, drop: list[nn.Module]) -> tuple[list[nn.Module], int]:
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Linear(inputs, 2 * width), Gate(), *drop]
        inputs = width
    return layers, inputs


def dense(
    inputs: int, width: int, depth: int, activation: type[nn.Module], drop: list[nn.Module]
) -> tuple[list[nn.Module], int]:
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers.append(Beside(nn.Linear(inputs, width), activation(), *drop))
        inputs += width
    return layers, inputs
