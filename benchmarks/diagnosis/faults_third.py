"""Faults of optimisation as they are made in other people's loops: held out until they were judged, development since.

`faults_third_data.py` and `faults_third_model.py` have the faults of data and of models.
The symptoms are those that are true of such a training by the meaning of their names, written before any judging.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from lossmith.diagnose.plan import Loop, reference_step

from . import loops
from .faults import HIGH, STILL
from .registry import KIND, fault
from .setup import Setup

DECAYED = ("LM-LRZERO", "LM-PLATEAU", "LM-SLOW")
DESCENDING = KIND.descent


@fault("growing_gamma", "learning-rate-too-high", *HIGH, from_start=False)
def growing_gamma(s: Setup, level: int) -> None:
    """ExponentialLR with a gamma above one."""
    gamma = s.about((60.0, 300.0, 2000.0)[level]) ** (1.0 / s.steps)
    s.schedule = lambda step: gamma**step


@fault("accumulation_undivided", "learning-rate-too-high", *HIGH, fits=DESCENDING)
def accumulation_undivided(s: Setup, level: int) -> None:
    """The gradients of many small batches are added up, and the sum is not divided."""
    parts = (8, 16, 32)[level]
    s.batch_size = min(64, max(32, s.batch_size))

    def step(loop: Loop, x: Any, y: Any) -> Any:
        loop.model.train()
        loop.optimizer.zero_grad()
        losses = loop.loss(loop.model(x), y)
        sum(piece.mean() for piece in losses.tensor_split(min(parts, len(losses)))).backward()
        loop.optimizer.step()
        return losses.detach()

    s.step = step


@fault("layer_rates_inverted", "learning-rate-too-high", *HIGH, "LM-DEAD", "LM-SATURATED")
def layer_rates_inverted(s: Setup, level: int) -> None:
    """Rates per layer that should shrink towards the input grow instead."""
    inner, times, s.schedule = s.optimizer, (30.0, 100.0, 400.0)[level], None

    def make(p: Any, lr: float, wd: float) -> Any:
        everything = list(p)
        first, rest = everything[:2], everything[2:]
        made = inner(rest, lr, wd)
        made.add_param_group({"params": first, "lr": lr * times})
        return made

    s.optimizer = make


@fault("cycle_never_peaks", "learning-rate-too-low", *STILL)
def cycle_never_peaks(s: Setup, level: int) -> None:
    """OneCycle counts batches of an epoch as epochs: the run ends in the first part of its rise."""
    total, start = s.about((15.0, 40.0, 100.0)[level]) * s.steps, 1.0 / (25.0, 250.0, 2500.0)[level]
    s.schedule = lambda step: start + (1.0 - start) * 0.5 * (1.0 - np.cos(np.pi * step / (0.3 * total)))


@fault("loss_over_loader", "learning-rate-too-low", *STILL, fits=DESCENDING)
def loss_over_loader(s: Setup, level: int) -> None:
    """The loss of a batch is divided by the number of batches, or of rows, before backward."""
    s.step = loops.step_with(scale=1.0 / (len(s.train[1]) // s.batch_size * (2.0, 8.0, 30.0)[level]))


@fault("accumulation_long", "too-few-steps", "LM-SLOW")
def accumulation_long(s: Setup, level: int) -> None:
    """Gradients are averaged over so many batches that only a handful of updates is left."""
    every = max(2, s.steps // (14, 8, 4)[level])

    def step(loop: Loop, x: Any, y: Any) -> Any:
        loop.model.train()
        if loop.number % every == 0:
            loop.optimizer.zero_grad()
        losses = loop.loss(loop.model(x), y)
        (losses.mean() / every).backward()
        if (loop.number + 1) % every == 0:
            loop.optimizer.step()
        return losses.detach()

    s.step = step


@fault("debug_batches", "too-few-steps", "LM-SLOW")
def debug_batches(s: Setup, level: int) -> None:
    """A limit of batches per epoch was left from debugging; the schedule knows the shorter run."""
    s.steps = (20, 12, 7)[level]
    s.schedule = s.manner.schedule(s.steps) if s.manner is not None else s.schedule


@fault("plateau_of_wrong_mode", "learning-rate-decay", *DECAYED)
def plateau_of_wrong_mode(s: Setup, level: int) -> None:
    """ReduceLROnPlateau waits for the loss to grow, so it cuts the rate whenever its patience is over."""
    patience, cut = max(2, int(s.steps * (0.05, 0.03, 0.015)[level])), (0.3, 0.2, 0.1)[level]
    s.schedule = lambda step: cut ** (step // patience)


@fault("inverse_time_decay", "learning-rate-decay", *DECAYED)
def inverse_time_decay(s: Setup, level: int) -> None:
    """A decay meant per epoch is taken per step: rate / (1 + decay * step), squared at the higher levels."""
    decay, power = (1.0, 0.3, 1.0)[level], (1.0, 2.0, 2.0)[level]
    s.schedule = lambda step: (1.0 + decay * step) ** -power


@fault("gradient_of_a_copy", "optimizer-not-stepping", "LM-FROZEN")
def gradient_of_a_copy(s: Setup, level: int) -> None:
    """Forward and backward run on a deep copy, the optimiser holds the original."""

    def step(loop: Loop, x: Any, y: Any) -> Any:
        loop.optimizer.zero_grad()
        losses = loop.loss(copy.deepcopy(loop.model).train()(x), y)
        losses.mean().backward()
        loop.optimizer.step()
        return losses.detach()

    s.step = step


@fault("average_put_back", "optimizer-not-stepping", "LM-FROZEN")
def average_put_back(s: Setup, level: int) -> None:
    """The moving average of the weights, which hardly moves, is written into the model after each step."""
    keep = (0.999_99, 0.999_999, 1.0)[level]

    def step(loop: Loop, x: Any, y: Any) -> Any:
        before = [p.detach().clone() for p in loop.model.parameters()]
        losses = reference_step(loop, x, y)
        with torch.no_grad():
            for p, old in zip(loop.model.parameters(), before, strict=True):
                p.copy_(keep * old + (1.0 - keep) * p)
        return losses

    s.step = step


@fault("reset_each_epoch", "gradient-not-reset", "LM-NOZERO", *HIGH)
def reset_each_epoch(s: Setup, level: int) -> None:
    """zero_grad stands in the loop over epochs, not in that over batches."""
    s.step = loops.step_with(zero_every=max(5, len(s.train[1]) // s.batch_size) * (1, 2, 5)[level])


@fault("head_alone_cleared", "gradient-not-reset", "LM-NOZERO", *HIGH)
def head_alone_cleared(s: Setup, level: int) -> None:
    """model.head.zero_grad() where model.zero_grad() was meant."""

    def step(loop: Loop, x: Any, y: Any) -> Any:
        loop.model.train()
        for p in list(loop.model.parameters())[-2:]:
            p.grad = None
        losses = loop.loss(loop.model(x), y)
        losses.mean().backward()
        loop.optimizer.step()
        return losses.detach()

    s.step = step


@fault("scaler_inverted", "fp16-underflow", "LM-UNDERFLOW", *STILL)
def scaler_inverted(s: Setup, level: int) -> None:
    """Gradients are divided by the scale on their way into half precision, and multiplied after it."""
    s.precision, scale = "float16", 2.0 ** (19, 22, 25)[level]

    def through(loop: Loop) -> None:
        for p in loop.model.parameters():
            if p.grad is not None:
                p.grad.copy_((p.grad / scale).half().float() * scale)

    s.step = loops.step_with(before_move=through)


@fault("half_log_cosh", "fp16-overflow", "LM-NAN", "LM-EXPLODE", fits=KIND.regression)
def half_log_cosh(s: Setup, level: int) -> None:
    """log(cosh(error)), written out in half precision, of errors in a small unit."""
    s.precision, unit = "float16", (3.0, 4.5, 12.0)[level]
    s.loss = lambda out, y: torch.log(torch.cosh((unit * (out - y)).half())).float() / unit
    s.loss_name = "log_cosh"


@fault("half_partition", "fp16-overflow", "LM-NAN", "LM-EXPLODE", fits=KIND.multiclass)
def half_partition(s: Setup, level: int) -> None:
    """The softmax is written out in half precision, without taking the largest logit away."""
    s.precision, heat = "float16", (4.0, 6.0, 10.0)[level]
    s.loss = lambda out, y: (
        torch.log(torch.exp((heat * out).half()).sum(1)).float() - heat * out.gather(1, y[:, None])[:, 0]
    )
    s.read = lambda out: torch.softmax(heat * out, 1)


@fault("decay_by_hand", "weight-decay-too-high", *STILL)
def decay_by_hand(s: Setup, level: int) -> None:
    """Weights are shrunk by a constant share each step: the rate was forgotten."""
    keep = 1.0 - s.about((0.02, 0.06, 0.2)[level], 0.15)

    def shrink(loop: Loop) -> None:
        with torch.no_grad():
            for p in loop.model.parameters():
                p.mul_(keep)

    s.step = loops.step_with(after_move=shrink)


@fault("stacked_dropouts", "dropout-too-high", "LM-PLATEAU", "LM-SLOW")
def stacked_dropouts(s: Setup, level: int) -> None:
    """Everyone who worked on the model put one more dropout before the head."""
    drops = [nn.Dropout(0.6) for _ in range((3, 4, 5)[level])]
    s.wrap = lambda model: _before_head(model, drops)


def _before_head(model: Any, added: list[nn.Module]) -> nn.Sequential:
    parts = list(model)
    at = max(number for number, part in enumerate(parts) if isinstance(part, nn.Linear))
    return nn.Sequential(*parts[:at], *added, *parts[at:])


class Stubborn(nn.Sequential):
    """A model whose own `train` forgets the mode that it was asked for."""

    def train(self, mode: bool = True) -> Any:
        return super().train(True)


@fault("eval_does_nothing", "dropout-in-eval", "LM-MODE", fits=lambda s: not s.spec.norm, repairable=False)
def eval_does_nothing(s: Setup, level: int) -> None:
    s.spec = replace(s.spec, dropout=(0.4, 0.5, 0.6)[level])
    s.wrap, s.evaluate = lambda model: Stubborn(*model), _asked_to_evaluate


@contextlib.contextmanager
def _asked_to_evaluate(model: Any) -> Iterator[None]:
    model.eval()
    with torch.no_grad():
        yield
    model.train()


@fault("buffers_lost", "batchnorm-eval-mode", "LM-MODE", fits=KIND.normed)
def buffers_lost(s: Setup, level: int) -> None:
    """Only the parameters go into the checkpoint that is evaluated: running statistics start anew."""
    shift = (0.5, 2.0, 6.0)[level]
    s.every(lambda x: (x + shift).astype(np.float32))
    s.evaluate = _without_buffers


@contextlib.contextmanager
def _without_buffers(model: Any) -> Iterator[None]:
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    kept = [(m.running_mean.clone(), m.running_var.clone()) for m in norms]
    modes = [(m, m.training) for m in model.modules()]
    model.eval()
    for m in norms:
        m.reset_running_stats()
    try:
        with torch.no_grad():
            yield
    finally:
        for m, (mean, var) in zip(norms, kept, strict=True):
            m.running_mean.copy_(mean)
            m.running_var.copy_(var)
        for m, mode in modes:
            m.training = mode


@fault(
    "copies_in_batch",
    "batch-too-small",
    "LM-OSCILLATE",
    "LM-SPIKE",
    "LM-EXPLODE",
    "LM-DIVERGE",
    fits=lambda s: not s.spec.norm,
)
def copies_in_batch(s: Setup, level: int) -> None:
    """A sampler that repeats rows: a batch holds one, two or three different ones."""
    different, s.schedule = (3, 2, 1)[level], None
    s.learning_rate *= 1.5

    def order(rng: np.random.Generator, y: np.ndarray, size: int) -> Iterator[np.ndarray]:
        while True:
            yield rng.integers(0, len(y), different)[rng.integers(0, different, size)]

    s.order = order


@fault("masked_gradients", "frozen-layers", "LM-FROZEN")
def masked_gradients(s: Setup, level: int) -> None:
    """Hooks from a pruning experiment were left on: they set gradients of the body to zero."""

    def mask(model: Any) -> None:
        parameters = list(model.parameters())
        for p in parameters[: -2 if level < 2 else -1]:
            p.register_hook(torch.zeros_like)

    s.weight_decay = 0.0
    s.prepare.append(mask)
