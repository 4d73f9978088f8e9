"""Twelve small networks, five of them in `nets_third.py` and `nets_fourth.py`.

Their layers are named so that a recorder can tell depth.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import nn

from . import held, nets_fourth, nets_third

HELD_OUT = frozenset(held.NETS)
OLD = ("shallow", "deep", "norm", "conv")
FORMER = (*OLD, "layered", "gru", "residual")
THIRD = ("funnel", "tokens", "image")
FOURTH = ("gated", "dense")
ARCHITECTURES = (*FORMER, *THIRD, *FOURTH)
FOLDS = 6  # steps of a sequence that a row is cut into


@dataclass(frozen=True)
class Spec:
    """What to build."""

    kind: str
    inputs: int
    outputs: int
    width: int = 32
    depth: int = 1
    activation: type[nn.Module] = nn.ReLU
    norm: bool = False
    dropout: float = 0.0
    momentum: float = 0.1  # of the batch norm's running statistics
    last: type[nn.Module] | None = None
    cut: bool = False  # the graph is cut before the head: the body never learns
    always: bool = False  # functional dropout, on in evaluation too


def spec_of(kind: str, inputs: int, outputs: int) -> Spec:
    base = Spec(kind, inputs, outputs)
    return {
        "shallow": base,
        "deep": replace(base, width=24, depth=5, activation=nn.Tanh),
        "norm": replace(base, depth=2, norm=True, dropout=0.1),
        "conv": replace(base, width=8, depth=2, norm=True, dropout=0.1),
        "layered": replace(base, depth=2, activation=nn.SiLU, dropout=0.1),
        "gru": replace(base, width=16, activation=nn.Tanh, dropout=0.0),
        "residual": replace(base, width=24, depth=2, activation=nn.GELU, dropout=0.1),
        "funnel": replace(base, width=48, depth=3, activation=nn.GELU, dropout=0.05),
        "tokens": replace(base, width=16, depth=1, dropout=0.1),
        "image": replace(base, width=6, depth=2, norm=True, dropout=0.1),
        "gated": replace(base, width=24, depth=2, activation=nn.Sigmoid, dropout=0.1),
        "dense": replace(base, width=16, depth=2, dropout=0.1),
    }[kind]


class Cut(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.detach()


class AlwaysDropout(nn.Module):
    def __init__(self, p: float) -> None:
        super().__init__()
        self.rate = p

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(x, self.rate)  # whose default is training=True: the classic


class Row(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, None, :]


class Squeeze(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, 0]


class Fold(nn.Module):
    """A row as a short sequence."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        short = -x.shape[1] % FOLDS
        return nn.functional.pad(x, (0, short)).reshape(len(x), FOLDS, -1)


class Remember(nn.Module):
    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.cell = nn.GRU(size, width, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.cell(x)[1][0]


class Around(nn.Module):
    """What goes in is added to what comes out."""

    def __init__(self, *inner: nn.Module) -> None:
        super().__init__()
        self.inner = nn.Sequential(*inner)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.inner(x)


def build(spec: Spec) -> nn.Module:
    """Make the network with torch's own initialisation."""
    layers, size = BODIES.get(spec.kind, _dense)(spec)
    if spec.cut:
        layers.append(Cut())
    layers.append(nn.Linear(size, spec.outputs))
    if spec.last is not None:
        layers.append(spec.last(dim=1) if spec.last is nn.Softmax else spec.last())
    if spec.outputs == 1:
        layers.append(Squeeze())
    return nn.Sequential(*layers)


def _dense(spec: Spec) -> tuple[list[nn.Module], int]:
    conv = spec.kind == "conv"
    layers: list[nn.Module] = [Row()] if conv else []
    size = 1 if conv else spec.inputs
    for level in range(spec.depth):
        wide = spec.width * (2**level if conv else 1)
        layers.append(nn.Conv1d(size, wide, 3, padding=1) if conv else nn.Linear(size, wide))
        if spec.norm:
            layers.append((nn.BatchNorm1d)(wide, momentum=spec.momentum))
        layers.append(spec.activation())
        if spec.dropout and not conv:
            layers.append(_dropout(spec))
        size = wide
    if conv:
        layers += [nn.AdaptiveAvgPool1d(4), nn.Flatten()]
        size *= 4
        if spec.dropout:
            layers.append(_dropout(spec))
    return layers, size


def _layered(spec: Spec) -> tuple[list[nn.Module], int]:
    layers: list[nn.Module] = []
    size = spec.inputs
    for _ in range(spec.depth):
        layers += [nn.Linear(size, spec.width), nn.LayerNorm(spec.width), spec.activation(), *_drops(spec)]
        size = spec.width
    return layers, size


def _gru(spec: Spec) -> tuple[list[nn.Module], int]:
    size = -(-spec.inputs // FOLDS)
    return [Fold(), Remember(size, spec.width), *_drops(spec)], spec.width


def _residual(spec: Spec) -> tuple[list[nn.Module], int]:
    wide = spec.width
    layers: list[nn.Module] = [nn.Linear(spec.inputs, wide)]
    for _ in range(spec.depth):
        inner = nn.LayerNorm(wide), nn.Linear(wide, wide), spec.activation(), *_drops(spec), nn.Linear(wide, wide)
        layers.append(Around(*inner))
    return [*layers, nn.LayerNorm(wide)], wide


def _funnel(spec: Spec) -> tuple[list[nn.Module], int]:
    return nets_third.funnel(spec.inputs, spec.width, spec.depth, spec.activation, _drops(spec))


def _tokens(spec: Spec) -> tuple[list[nn.Module], int]:
    return nets_third.tokens(spec.inputs, spec.width, spec.depth, spec.activation, _drops(spec))


def _image(spec: Spec) -> tuple[list[nn.Module], int]:
    momentum = spec.momentum if spec.norm else None
    return nets_third.image(spec.inputs, spec.width, spec.depth, spec.activation, _drops(spec), momentum)


def _gated(spec: Spec) -> tuple[list[nn.Module], int]:
    return nets_fourth.gated(spec.inputs, spec.width, spec.depth, _drops(spec))


def _beside(spec: Spec) -> tuple[list[nn.Module], int]:
    return nets_fourth.dense(spec.inputs, spec.width, spec.depth, spec.activation, _drops(spec))


BODIES = {
    "layered": _layered, "gru": _gru, "residual": _residual,
    "funnel": _funnel, "tokens": _tokens, "image": _image,
    "gated": _gated, "dense": _beside,
}  # fmt: skip


def _drops(spec: Spec) -> list[nn.Module]:
    return [_dropout(spec)] if spec.dropout else []


def _dropout(spec: Spec) -> nn.Module:
    return AlwaysDropout(spec.dropout) if spec.always else nn.Dropout(spec.dropout)
