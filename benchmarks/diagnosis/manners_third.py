"""How the third part trains: other optimisers, schedules, losses, batches and habits of logging."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from lossmith.diagnose.plan import reference_step, shuffled

from . import loops
from .manners import Descent, Manner, Schedule, constant


def nesterov(parameters: Any, learning_rate: float, weight_decay: float) -> Any:
    return torch.optim.SGD(parameters, lr=learning_rate, momentum=0.9, nesterov=True, weight_decay=weight_decay)


def adagrad(parameters: Any, learning_rate: float, weight_decay: float) -> Any:
    return torch.optim.Adagrad(parameters, lr=learning_rate, weight_decay=weight_decay)


def nadam(parameters: Any, learning_rate: float, weight_decay: float) -> Any:
    return torch.optim.NAdam(parameters, lr=learning_rate, weight_decay=weight_decay)


def radam(parameters: Any, learning_rate: float, weight_decay: float) -> Any:
    return torch.optim.RAdam(parameters, lr=learning_rate, weight_decay=weight_decay)


def adamax(parameters: Any, learning_rate: float, weight_decay: float) -> Any:
    return torch.optim.Adamax(parameters, lr=learning_rate, weight_decay=weight_decay)


def slow_adamw(parameters: Any, learning_rate: float, weight_decay: float) -> Any:
    return torch.optim.AdamW(parameters, lr=learning_rate, betas=(0.9, 0.98), weight_decay=weight_decay, amsgrad=True)


DESCENTS = (
    Descent("sgd", nesterov, (0.03, 0.01), 2e-3, False),
    Descent("adagrad", adagrad, (0.03, 0.02), 1e-4, True),
    Descent("nadam", nadam, (2e-3, 2e-3), 1e-4, True),
    Descent("radam", radam, (5e-3, 5e-3), 1e-4, True),
    Descent("adamax", adamax, (4e-3, 4e-3), 1e-4, True),
    Descent("adamw", slow_adamw, (3e-3, 3e-3), 0.1, True),
)


def exponential(steps: int) -> Schedule:
    return lambda k: 0.05 ** min(1.0, k / steps)


def linear(steps: int) -> Schedule:
    return lambda k: max(0.02, 1.0 - k / steps)


def milestones(steps: int) -> Schedule:
    return lambda k: 1.0 if k < 0.6 * steps else 0.1 if k < 0.85 * steps else 0.01


def one_cycle(steps: int) -> Schedule:
    def factor(k: int) -> float:
        low, high, done = (0.04, 1.0, k / (0.3 * steps)) if k < 0.3 * steps else (1e-3, 1.0, 1.0 - _late(k, steps))
        return low + (high - low) * 0.5 * (1.0 - math.cos(math.pi * min(1.0, max(0.0, done))))

    return factor


def _late(k: int, steps: int) -> float:
    return (k - 0.3 * steps) / (0.7 * steps)


def warm(steps: int) -> Schedule:
    rise = max(2, steps // 20)
    return lambda k: min(1.0, (k + 1) / rise)


SCHEDULES = (constant, constant, exponential, linear, milestones, one_cycle, warm)


def with_rest(rng: np.random.Generator, y: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """A loader that keeps the last, smaller batch of a pass, unless a single row is left."""
    while True:
        rows = rng.permutation(len(y))
        for start in range(0, len(rows) - 1, size):
            yield rows[start : start + size]


def drawn(rng: np.random.Generator, y: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Rows drawn with replacement."""
    while True:
        yield rng.integers(0, len(y), size)


def smooth_l1(output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return F.smooth_l1_loss(output, y, reduction="none")


def smoothed(output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(output, y, reduction="none", label_smoothing=0.05)


OTHER_LOSSES = {"regression": ("smooth_l1", smooth_l1), "multiclass": ("cross_entropy", smoothed)}


def clipped(norm: float) -> Any:
    return loops.step_with(before_move=loops.clipped_to(norm))


def draw(dataset: str, arch: str, seed: int) -> Manner:
    """Draw for a data set, an architecture and a seed, always the same: a fault and its twin share it."""
    rng = np.random.default_rng([11, zlib.crc32(f"{dataset}/{arch}".encode()), seed])
    descent = DESCENTS[rng.integers(len(DESCENTS))]
    return Manner(
        descent=descent,
        schedule=SCHEDULES[rng.integers(len(SCHEDULES))],
        rate=float(10.0 ** rng.uniform(-0.1, 0.35)),
        batch=int(rng.choice([20, 32, 48, 64])),
        steps=int(rng.choice([250, 300, 400] if descent.adaptive else [300, 400, 450])),
        wide=float(rng.choice([0.75, 1.0, 1.25, 1.5])),
        deeper=int(rng.choice([0, 0, 0, 1])),
        look=int(rng.choice([10, 15, 20, 30, 50])),
        evaluates=bool(rng.random() < 0.75),
        sampled=bool(rng.random() < 0.65),
        layered=bool(rng.random() < 0.85),
        informed=bool(rng.random() < 0.5),
        order=(shuffled, with_rest, drawn)[rng.integers(3)],
        step=(reference_step, reference_step, clipped(5.0))[rng.integers(3)],
        other_loss=bool(rng.random() < 0.3),
    )
