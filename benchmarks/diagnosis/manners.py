"""How a healthy training is run: by a fixed lot, so that no habit of one loop can betray a fault."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

Schedule = Callable[[int], float]


def momentum(parameters: Any, learning_rate: float, weight_decay: float) -> Any:
    return torch.optim.SGD(parameters, lr=learning_rate, momentum=0.9, weight_decay=weight_decay)


def plain(parameters: Any, learning_rate: float, weight_decay: float) -> Any:
    return torch.optim.SGD(parameters, lr=learning_rate, weight_decay=weight_decay)


def adamw(parameters: Any, learning_rate: float, weight_decay: float) -> Any:
    return torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=weight_decay, fused=True)


def adam(parameters: Any, learning_rate: float, weight_decay: float) -> Any:
    return torch.optim.Adam(parameters, lr=learning_rate, weight_decay=weight_decay, fused=True)


def rmsprop(parameters: Any, learning_rate: float, weight_decay: float) -> Any:
    return torch.optim.RMSprop(parameters, lr=learning_rate, weight_decay=weight_decay)


@dataclass(frozen=True)
class Descent:
    """An optimiser with settings that suit: rates for classes and for numbers, decay."""

    name: str
    make: Callable[[Any, float, float], Any]
    rates: tuple[float, float]
    decay: float
    adaptive: bool


DESCENTS = (
    Descent("sgd", momentum, (0.03, 0.01), 2e-3, False),
    Descent("plain sgd", plain, (0.25, 0.08), 1e-3, False),
    Descent("adamw", adamw, (3e-3, 3e-3), 0.05, True),
    Descent("adam", adam, (2e-3, 2e-3), 1e-4, True),
    Descent("rmsprop", rmsprop, (1e-3, 1e-3), 1e-4, True),
)


def constant(steps: int) -> Schedule | None:
    return None


def cosine(steps: int) -> Schedule:
    return lambda k: 0.02 + 0.98 * 0.5 * (1.0 + math.cos(math.pi * min(1.0, k / steps)))


def stairs(steps: int) -> Schedule:
    return lambda k: 0.3 ** int(min(2.0, 3.0 * k / steps))


def triangle(steps: int) -> Schedule:
    rise = max(1, steps // 10)
    return lambda k: (k + 1) / rise if k < rise else max(0.03, (steps - k) / (steps - rise))


SCHEDULES = (constant, constant, cosine, stairs, triangle)  # most loops have none


@dataclass(frozen=True)
class Manner:
    """Of one training and of what its log tells."""

    descent: Descent
    schedule: Callable[[int], Schedule | None]
    rate: float  # factor
    batch: int
    steps: int
    wide: float  # factor of the width
    deeper: int  # more layers
    look: int = 10  # steps between two looks at layers and held-out rows
    evaluates: bool = True
    sampled: bool = True  # losses of single rows are logged
    layered: bool = True  # layers are logged
    informed: bool = True  # all facts are known, not only those that a monitor sees by itself
    order: Any = None  # other than a plain shuffle
    step: Any = None  # other than the reference
    other_loss: bool = False  # the task's second loss


def draw(dataset: str, arch: str, seed: int) -> Manner:
    """Draw for a data set, an architecture and a seed, always the same: a fault and its twin share it."""
    rng = np.random.default_rng([zlib.crc32(f"{dataset}/{arch}".encode()), seed])
    descent = DESCENTS[rng.integers(len(DESCENTS))]
    steps = int(rng.choice([200, 300, 450] if descent.adaptive else [300, 400, 500]))
    return Manner(
        descent=descent,
        schedule=SCHEDULES[rng.integers(len(SCHEDULES))],
        rate=float(10.0 ** rng.uniform(-0.25, 0.25)),
        batch=int(rng.choice([16, 32, 32, 64])),
        steps=steps,
        wide=float(rng.choice([0.75, 1.0, 1.5])),
        deeper=int(rng.choice([0, 0, 1])),
        look=int(rng.choice([10, 20, 25])),
        evaluates=bool(rng.random() < 0.65),
        sampled=bool(rng.random() < 0.5),
        layered=bool(rng.random() < 0.85),
        informed=bool(rng.random() < 0.5),
    )
