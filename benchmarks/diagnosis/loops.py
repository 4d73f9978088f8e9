"""Training steps with something wrong in them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from lossmith.diagnose.plan import Loop, evaluating

Change = Callable[[Loop], None]


def step_with(
    *,
    zero_every: int = 1,
    move: bool = True,
    train_mode: bool | None = True,
    before_move: Change | None = None,
    after_move: Change | None = None,
    scale: float = 1.0,
    penalty: float = 0.0,
) -> Callable[[Loop, Any, Any], Any]:
    """Like the reference step but for what is said."""

    def step(loop: Loop, x: Any, y: Any) -> Any:
        if train_mode is not None:
            loop.model.train(train_mode)
        if loop.number % zero_every == 0:
            loop.optimizer.zero_grad()
        losses = loop.loss(loop.model(x), y)
        total = losses.mean() * scale
        if penalty:
            total = total + penalty * sum((p**2).sum() for p in loop.model.parameters())
        if total.requires_grad:
            total.backward()
        if before_move is not None:
            before_move(loop)
        if move:
            loop.optimizer.step()
        if after_move is not None:
            after_move(loop)
        return losses.detach() * scale

    return step


def half_gradients(loop: Loop) -> None:
    for p in loop.model.parameters():
        if p.grad is not None:
            p.grad.copy_(p.grad.half().float())


def half_weights(loop: Loop) -> None:
    with torch.no_grad():
        for p in loop.model.parameters():
            p.copy_(p.half().float())


@contextlib.contextmanager
def left_in_training(model: Any) -> Iterator[None]:
    """Evaluate without a call of model.eval()."""
    model.train()
    with torch.no_grad():
        yield


@contextlib.contextmanager
def never_back(model: Any) -> Iterator[None]:
    """Call model.eval(), and never model.train() again."""
    model.eval()
    with torch.no_grad():
        yield


def correct(model: Any) -> Any:
    return evaluating(model)


def sorted_rows(blocks: int) -> Any:
    """Rows in the order of their targets, never shuffled; more than one block: that many sweeps through the targets."""

    def order(rng: np.random.Generator, y: np.ndarray, size: int) -> Iterator[np.ndarray]:
        rows = np.argsort(y, kind="stable")
        rows = np.concatenate([rows[start::blocks] for start in range(blocks)])
        while True:
            for start in range(0, len(rows) - size + 1, size):
                yield rows[start : start + size]

    return order


def one_value_batches(hold: int) -> Any:
    """Each batch holds one class (or a narrow band of targets) only, and the same one for a while."""

    def order(rng: np.random.Generator, y: np.ndarray, size: int) -> Iterator[np.ndarray]:
        bands = np.array_split(np.argsort(y, kind="stable"), 4) if y.dtype.kind == "f" else _by_class(y)
        while True:
            for band in rng.permutation(len(bands)):
                for _ in range(hold):
                    yield rng.choice(bands[band], size)

    return order


def _by_class(y: np.ndarray) -> list[np.ndarray]:
    return [np.flatnonzero(y == code) for code in np.unique(y)]


def clipped_to(norm: float) -> Change:
    """Clip the gradient far below its usual size."""

    def clip(loop: Loop) -> None:
        torch.nn.utils.clip_grad_norm_(loop.model.parameters(), norm)

    return clip


def half_reset(loop: Loop, x: Any, y: Any) -> Any:
    """Every second parameter keeps its old gradient."""
    loop.model.train()
    for number, p in enumerate(loop.model.parameters()):
        if number % 2 == 0:
            p.grad = None
    losses = loop.loss(loop.model(x), y)
    losses.mean().backward()
    loop.optimizer.step()
    return losses.detach()


def norms_frozen(loop: Loop, x: Any, y: Any) -> Any:
    """Batch normalisation stays in evaluation mode while the rest trains."""
    loop.model.train()
    for module in loop.model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.eval()
    loop.optimizer.zero_grad()
    losses = loop.loss(loop.model(x), y)
    losses.mean().backward()
    loop.optimizer.step()
    return losses.detach()


def short_buffer(batches: int) -> Any:
    """Sorted rows, shuffled within a buffer of some batches only."""

    def order(rng: np.random.Generator, y: np.ndarray, size: int) -> Iterator[np.ndarray]:
        rows = np.argsort(y, kind="stable")
        while True:
            for start in range(0, max(1, len(rows) - size + 1), size * batches):
                buffer = rng.permutation(rows[start : start + size * batches])
                for at in range(0, max(1, len(buffer) - size + 1), size):
                    yield buffer[at : at + size]

    return order
