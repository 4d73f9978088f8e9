"""How the fourth part trains. Its development runs and its held-out runs share no optimiser, schedule or loop."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from lossmith.diagnose.plan import Loop, reference_step, shuffled

from . import held, loops
from .manners import Descent, Manner, Schedule, constant
from .manners_third import with_rest


def light_nesterov(parameters: Any, learning_rate: float, weight_decay: float) -> Any:
    return torch.optim.SGD(parameters, lr=learning_rate, momentum=0.8, nesterov=True, weight_decay=weight_decay)


def quick_adam(parameters: Any, learning_rate: float, weight_decay: float) -> Any:
    return torch.optim.Adam(parameters, lr=learning_rate, betas=(0.8, 0.99), weight_decay=weight_decay)


def heavy_momentum(parameters: Any, learning_rate: float, weight_decay: float) -> Any:
    return torch.optim.SGD(parameters, lr=learning_rate, momentum=0.95, weight_decay=weight_decay)


def centred_rmsprop(parameters: Any, learning_rate: float, weight_decay: float) -> Any:
    return torch.optim.RMSprop(parameters, lr=learning_rate, momentum=0.5, centered=True, weight_decay=weight_decay)


def late_adamw(parameters: Any, learning_rate: float, weight_decay: float) -> Any:
    return torch.optim.AdamW(parameters, lr=learning_rate, betas=(0.85, 0.995), weight_decay=weight_decay)


def root(steps: int) -> Schedule:
    """A short rise, then the inverse of the root of the step."""
    rise = max(5, steps // 12)
    return lambda k: min((k + 1) / rise, math.sqrt(rise / (k + 1)))


def half_cosine(steps: int) -> Schedule:
    return lambda k: 0.1 + 0.9 * math.cos(0.5 * math.pi * min(1.0, k / steps))


def trapezoid(steps: int) -> Schedule:
    """A rise, a long plain, and a fall at the end."""
    rise, fall = max(3, steps // 20), steps // 5
    return lambda k: min(1.0, (k + 1) / rise, max(0.02, (steps - k) / fall))


def parabola(steps: int) -> Schedule:
    return lambda k: 0.03 + 0.97 * max(0.0, 1.0 - k / steps) ** 2


def stream(rng: np.random.Generator, y: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """A batch may hold the end of one pass and the beginning of the next."""
    rows = rng.permutation(len(y))
    while True:
        if len(rows) < size:
            rows = np.concatenate([rows, rng.permutation(len(y))])
        yield rows[:size]
        rows = rows[size:]


def two_halves(loop: Loop, x: Any, y: Any) -> Any:
    """The gradient of a batch as the mean of its halves' gradients."""
    loop.model.train()
    loop.optimizer.zero_grad()
    losses = []
    for rows in torch.arange(len(y)).tensor_split(min(2, len(y))):
        losses.append(loop.loss(loop.model(x[rows]), y[rows]))
        (losses[-1].sum() / len(y)).backward()
    loop.optimizer.step()
    return torch.cat(losses).detach()


DESCENTS = {
    False: (
        Descent("sgd", light_nesterov, (0.06, 0.02), 2e-3, False),
        Descent("adam", quick_adam, (3e-3, 3e-3), 1e-4, True),
    ),
    True: (
        Descent("sgd", heavy_momentum, (0.015, 0.006), 2e-3, False),
        Descent("rmsprop", centred_rmsprop, (1e-3, 1e-3), 1e-4, True),
        Descent("adamw", late_adamw, (3e-3, 3e-3), 0.1, True),
    ),
}
SCHEDULES = {False: (constant, root, half_cosine), True: (constant, trapezoid, parabola)}
ORDERS = {False: (shuffled, with_rest), True: (shuffled, stream)}
STEPS = {
    False: (reference_step, loops.step_with(before_move=loops.clipped_to(10.0))),
    True: (reference_step, two_halves),
}


def draw(dataset: str, arch: str, seed: int) -> Manner:
    """Draw for a data set, an architecture and a seed, always the same: a fault and its twin share it.

    Half of the runs and more carry the full log that a monitor writes by default; most have an evaluation.
    """
    part = seed >= held.FIRST_SEED
    rng = np.random.default_rng([13, zlib.crc32(f"{dataset}/{arch}".encode()), seed])
    descent = DESCENTS[part][rng.integers(len(DESCENTS[part]))]
    full = bool(rng.random() < 0.5)
    evaluates, sampled, layered = rng.random(3) < (0.75, 0.5, 0.7)
    return Manner(
        descent=descent,
        schedule=SCHEDULES[part][rng.integers(3)],
        rate=float(10.0 ** rng.uniform(-0.1, 0.25)),
        batch=int(rng.choice([24, 32, 48])),
        steps=int(rng.choice([240, 300] if descent.adaptive else [300, 360])),
        wide=float(rng.choice([0.75, 1.0, 1.25])),
        deeper=int(rng.choice([0, 0, 0, 1])),
        look=int(rng.choice([10, 15, 25])),
        evaluates=bool(full or evaluates),
        sampled=bool(full or sampled),
        layered=bool(full or layered),
        informed=bool(rng.random() < 0.5),
        order=ORDERS[part][rng.integers(2)],
        step=STEPS[part][rng.integers(2)],
    )
